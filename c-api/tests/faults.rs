//! Memory that flips under a loaded model: results may change and calls may be refused, but nothing outside the
//! program's memory is touched (`cargo xtask sanitize` runs this with the address sanitizer and valgrind).
#![allow(unsafe_code)]

#[path = "../../tests/common/mod.rs"]
mod common;

use common::{ALL, First};
use std::ptr;
use stf_bnn_c::*;

/// Rounds of each model: more by `STF_FAULT_ROUNDS`.
fn rounds() -> usize {
    std::env::var("STF_FAULT_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(40)
}

struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }
}

/// Bytes at a multiple of 16, reached through a pointer alone, as from C.
struct Memory {
    words: Vec<u128>,
    len: usize,
}

impl Memory {
    fn new(len: usize) -> Self {
        Self { words: vec![0; len.div_ceil(16)], len }
    }

    fn of(bytes: &[u8]) -> Self {
        let mut memory = Self::new(bytes.len());
        // SAFETY: the memory has as many bytes.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), memory.bytes(), bytes.len()) };
        memory
    }

    fn bytes(&mut self) -> *mut u8 {
        self.words.as_mut_ptr().cast()
    }

    fn flip(&mut self, dice: &mut Dice) {
        let (at, bit) = (dice.below(self.len), dice.below(8));
        // SAFETY: a byte of the memory.
        unsafe {
            let byte = self.bytes().add(at);
            byte.write_volatile(byte.read_volatile() ^ 1 << bit);
        }
    }
}

/// A loaded model with its predictor and all their memory.
struct Program {
    artifact: Memory,
    workspace: Memory,
    model: Box<StfModel>,
    predictor: Box<StfPredictor>,
    config: StfConfig,
    inputs: Vec<u8>,
}

fn zeroed<T>() -> T {
    // SAFETY: used for the C API's types, of which zeros are a value.
    unsafe { std::mem::MaybeUninit::zeroed().assume_init() }
}

impl Program {
    fn load(bytes: &[u8], round: usize) -> Self {
        let mut artifact = Memory::of(bytes);
        let mut model: Box<StfModel> = Box::new(zeroed());
        let mut config: StfConfig = zeroed();
        let mut info: StfModelInfo = zeroed();
        let mut needed = 0;
        // SAFETY: every pointer leads to an object of its type, or to as many bytes as the length says.
        unsafe {
            assert_eq!(stf_model_load(&raw mut *model, artifact.bytes(), artifact.len), StfStatus::Ok);
            assert_eq!(stf_config_init(&raw mut config), StfStatus::Ok);
            config.num_samples = [4, 0, 3][round % 3];
            config.tile = 1 + (round / 3 % 2) as u16;
            config.fixed_draws = (round / 2 % 2) as u8;
            assert_eq!(
                stf_workspace_size(&raw const *model, &raw const config, &raw mut needed),
                StfStatus::Ok
            );
            assert_eq!(stf_model_describe(&raw const *model, &raw mut info), StfStatus::Ok);
        }
        let values = info.input_height * info.input_width * info.input_channels;
        let inputs = (0..values).map(|i| (i * 37 % 256) as u8).collect();
        let workspace = Memory::new(needed);
        Self { artifact, workspace, model, predictor: Box::new(zeroed()), config, inputs }
    }

    fn init(&mut self) -> StfStatus {
        let (workspace, length) = (self.workspace.bytes(), self.workspace.len);
        // SAFETY: as in `load`; the workspace is the predictor's alone.
        unsafe {
            let (predictor, model) = (&raw mut *self.predictor, &raw const *self.model);
            stf_predictor_init(predictor, model, &raw const self.config, workspace, length)
        }
    }

    /// Bits of the mean; the sum makes sure that all of it can be read.
    fn predict(&mut self) -> Result<Vec<u32>, StfStatus> {
        let mut prediction: StfPrediction = zeroed();
        // SAFETY: as in `load`; after success the pointer leads to so many values.
        unsafe {
            let (predictor, input) = (&raw mut *self.predictor, self.inputs.as_ptr());
            stf_predictor_set_counter(predictor, 7);
            match stf_predict_u8(predictor, input, self.inputs.len(), &raw mut prediction) {
                StfStatus::Ok => {
                    let mean = std::slice::from_raw_parts(prediction.mean, prediction.outputs);
                    Ok(mean.iter().map(|x| x.to_bits()).collect())
                }
                status => Err(status),
            }
        }
    }

    fn recheck(&mut self) -> [StfStatus; 2] {
        // SAFETY: both lead to objects of their types.
        unsafe {
            let model = stf_model_recheck(&raw const *self.model);
            [model, stf_predictor_recheck_every(&raw mut *self.predictor, 2)]
        }
    }
}

/// Panics that a flip causes are caught at the boundary: they need not be printed.
fn quiet() {
    std::panic::set_hook(Box::new(|info| {
        if std::thread::current().name() == Some("main") {
            eprintln!("{info}");
        }
    }));
}

#[test]
fn flips_in_workspace_and_artifact_stay_inside() {
    let mut dice = Dice(5);
    let (mut same, mut other, mut refused) = (0, 0, 0);
    let hook = std::panic::take_hook();
    quiet();
    for bytes in ALL.map(|first| common::model(first, 8)).into_iter().chain([3, 4].map(common::joints)) {
        for round in 0..rounds() {
            let mut program = Program::load(&bytes, round);
            assert_eq!(program.init(), StfStatus::Ok);
            let expected = program.predict().unwrap();
            let [in_artifact, in_workspace] = [[0, 3], [3, 0], [1, 1], [64, 64]][round % 4];
            (0..in_workspace).for_each(|_| program.workspace.flip(&mut dice));
            (0..in_artifact).for_each(|_| program.artifact.flip(&mut dice));
            if round % 8 >= 4 {
                // A predictor of a model whose artifact changed after it was loaded.
                let _ = program.init();
            }
            for _ in 0..3 {
                match program.predict() {
                    Ok(found) if found == expected => same += 1,
                    Ok(_) => other += 1,
                    Err(_) => refused += 1,
                }
                program.workspace.flip(&mut dice);
            }
        }
    }
    std::panic::set_hook(hook);
    println!("predictions after flips: {same} the same, {other} different, {refused} refused");
    assert!(same > 0 && other > 0);
}

/// With the check of the artifact every flip in it is a status before a prediction uses it.
#[test]
fn rechecking_finds_every_flip_in_the_artifact() {
    let mut dice = Dice(6);
    let bytes = common::model(First::Dense, 2);
    let mut program = Program::load(&bytes, 0);
    assert_eq!(program.init(), StfStatus::Ok);
    assert_eq!(program.recheck(), [StfStatus::Ok; 2]);
    let expected = program.predict().unwrap();
    assert_eq!(program.predict().unwrap(), expected);
    for _ in 0..rounds() {
        let before = Dice(dice.0);
        program.artifact.flip(&mut dice);
        assert_eq!(program.recheck(), [StfStatus::Checksum, StfStatus::Ok]);
        assert_eq!(program.predict(), Err(StfStatus::Checksum));
        assert_eq!(program.predict(), Err(StfStatus::Checksum), "it stays refused");
        // The same flip again: as it was.
        program.artifact.flip(&mut { before });
        assert_eq!(program.predict().unwrap(), expected);
        // Between two checks a flip is not looked for, and the next check is the one after next.
        assert!(program.predict().is_ok());
    }
}
