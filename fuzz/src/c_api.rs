//! Any sequence of calls from C that keeps the promises of the header: pointers lead to as much memory as they
//! say, or are NULL or misaligned; objects are zeroed or made by the library; everything else is free.
//!
//! Each call is four bytes: which function, which objects, and two more for lengths, settings and bad pointers.

use crate::artifact::seal;
use crate::seeds;
use std::mem::MaybeUninit;
use std::ptr;
use stf_bnn::AlignedBytes;
use stf_bnn::artifact::public_key;
use stf_bnn_c::*;

/// The functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Op {
    Load,
    LoadSigned,
    Release,
    Explain,
    Describe,
    ClassName,
    Config,
    WorkspaceSize,
    Init,
    SetCounter,
    PredictU8,
    PredictF32,
    PredictI8,
    Set,
    Accepted,
    DriftInit,
    DriftPush,
    CalibrationInit,
    CalibrationPush,
    CalibrationMerge,
    CalibrationRead,
    CalibrationBin,
}

const OPS: [Op; 22] = [
    Op::Load,
    Op::LoadSigned,
    Op::Release,
    Op::Explain,
    Op::Describe,
    Op::ClassName,
    Op::Config,
    Op::WorkspaceSize,
    Op::Init,
    Op::SetCounter,
    Op::PredictU8,
    Op::PredictF32,
    Op::PredictI8,
    Op::Set,
    Op::Accepted,
    Op::DriftInit,
    Op::DriftPush,
    Op::CalibrationInit,
    Op::CalibrationPush,
    Op::CalibrationMerge,
    Op::CalibrationRead,
    Op::CalibrationBin,
];

/// Bytes of a workspace, one for each predictor.
const WORKSPACE: usize = 1 << 16;
/// Values of an input buffer.
const INPUTS: usize = 4096;

/// The memory of a C program; its objects do not move.
struct Program {
    artifacts: Vec<AlignedBytes>,
    models: [StfModel; 2],
    predictors: [StfPredictor; 2],
    calibrations: [StfCalibration; 2],
    drift: StfDrift,
    config: StfConfig,
    prediction: StfPrediction,
    workspaces: [Vec<u8>; 2],
    inputs: Vec<f32>,
}

/// A value of zeros.
fn zeroed<T>() -> T {
    // SAFETY: used for the C API's own types, which are numbers and pointers: zeros are a value of each.
    unsafe { MaybeUninit::zeroed().assume_init() }
}

/// Calls.
pub fn run(calls: &[u8]) {
    let mut program = Box::new(Program {
        artifacts: artifacts(calls),
        models: zeroed(),
        predictors: zeroed(),
        calibrations: zeroed(),
        drift: zeroed(),
        config: zeroed(),
        prediction: zeroed(),
        workspaces: [vec![0xA5; WORKSPACE], vec![0x5A; WORKSPACE]],
        inputs: (0..INPUTS).map(|i| i as f32 % 256.0).collect(),
    });
    // SAFETY: leads to a configuration.
    let status = unsafe { stf_config_init(&raw mut program.config) };
    assert_eq!(status, StfStatus::Ok);
    for call in calls.as_chunks::<4>().0.iter().take(64) {
        let status = program.call(*call);
        assert_ne!(status, StfStatus::Internal, "{call:?}");
        let _ = stf_status_text(status as i32);
    }
}

/// Three sound artifacts, one of them signed, and one that the calls damage before anything uses it.
fn artifacts(calls: &[u8]) -> Vec<AlignedBytes> {
    let mut damaged = seeds::model(1).to_vec();
    for (number, call) in calls.as_chunks::<4>().0.iter().enumerate().filter(|(_, call)| call[0] & 0x80 != 0)
    {
        let at = 32 + (usize::from(call[2]) * 256 + usize::from(call[3]) + number) % (damaged.len() - 32);
        damaged[at] ^= call[1];
    }
    seal(&mut damaged);
    vec![seeds::model(0), seeds::model(3), seeds::model(8), AlignedBytes::new(&damaged)]
}

/// A pointer that may be bad.
fn bad<T>(pointer: *mut T, choice: u8) -> *mut T {
    match choice {
        0xff => ptr::null_mut(),
        0xfe => pointer.wrapping_byte_add(1),
        _ => pointer,
    }
}

impl Program {
    fn call(&mut self, [op, objects, a, b]: [u8; 4]) -> StfStatus {
        let bit = |at: u8| usize::from(objects >> at & 1);
        let (predictor, model) = (bit(0), bit(1));
        let file = self.artifacts[usize::from(objects >> 2 & 3)].as_ptr().cast_mut();
        let length = self.artifacts[usize::from(objects >> 2 & 3)].len();
        let length = if a == 0 { length } else { length * usize::from(a) / 256 };
        let model = bad(&raw mut self.models[model], if objects >> 4 == 15 { b } else { 0 });
        let calibration = &raw mut self.calibrations[bit(1)];
        let own = &raw mut self.predictors[predictor];
        let workspace = self.workspaces[predictor].as_mut_ptr();
        let (config, prediction) = (&raw mut self.config, &raw mut self.prediction);
        let mut number = 0_usize;
        let number = bad(&raw mut number, b);
        // SAFETY: every pointer is NULL, misaligned, or leads to memory of the program that is as long as the
        // length beside it, and lives until the program ends; a predictor's workspace is its own, and objects
        // hold zeros or what the library wrote.
        unsafe {
            match OPS[usize::from(op & 0x7f) % OPS.len()] {
                Op::Load => stf_model_load(model, bad(file, b), length),
                Op::LoadSigned => {
                    let key = public_key(&seeds::SECRET).to_bytes();
                    stf_model_load_signed(model, bad(file, b), length, key.as_ptr(), a.into())
                }
                Op::Release => stf_model_release(model, number.cast()),
                Op::Explain => {
                    let mut text = [1; 64];
                    stf_model_explain(bad(file, b), length, text.as_mut_ptr(), usize::from(a % 65))
                }
                Op::Describe => {
                    let mut info = MaybeUninit::uninit();
                    stf_model_describe(model, bad(info.as_mut_ptr(), b))
                }
                Op::ClassName => {
                    let mut name = ptr::null();
                    stf_class_name(model, a.into(), &raw mut name, number)
                }
                Op::Config => {
                    self.config.num_samples = [0, 1, 2, 3, 5, 8, 1024, 1025][usize::from(a & 7)];
                    self.config.tile = [0, 1, 2, 3, 4, 8, 1000, u16::MAX][usize::from(a >> 3 & 7)];
                    self.config.fixed_draws = b & 1;
                    self.config.antithetic = b & 2;
                    self.config.cache_mean = b & 4;
                    self.config.adaptive = b & 8;
                    if a == 0 { stf_config_init(config) } else { StfStatus::Ok }
                }
                Op::WorkspaceSize => stf_workspace_size(model, config, number),
                Op::Init => {
                    let mut needed = 0;
                    let found = stf_workspace_size(model, config, &raw mut needed);
                    let start = usize::from(a) % 67;
                    let room = WORKSPACE - start;
                    let length = if b & 1 == 0 && found == StfStatus::Ok { needed.min(room) } else { room };
                    stf_predictor_init(bad(own, b), model, config, workspace.add(start), length)
                }
                Op::SetCounter => {
                    let counter = u64::from(u32::MAX) << (a % 33);
                    let set = stf_predictor_set_counter(own, counter);
                    let mut found = 0;
                    let status = stf_predictor_counter(own, &raw mut found);
                    assert!(set == status && (status != StfStatus::Ok || found == counter));
                    status
                }
                Op::PredictU8 => {
                    let input = bad(self.inputs.as_mut_ptr().cast::<u8>(), b);
                    stf_predict_u8(own, input, self.values(model, a), prediction)
                }
                Op::PredictF32 => {
                    let input = bad(self.inputs.as_mut_ptr(), b);
                    stf_predict_f32(own, input, self.values(model, a), prediction)
                }
                // A workspace as its own input.
                Op::PredictI8 if b == 0xfd => stf_predict_i8(own, workspace.cast(), 100, prediction),
                Op::PredictI8 => {
                    let input = bad(self.inputs.as_mut_ptr().cast::<i8>(), b);
                    stf_predict_i8(own, input, self.values(model, a), prediction)
                }
                Op::Set => {
                    let (mut words, mut coverage) = ([0; 4], 0.0);
                    let (method, level) = (i32::from(a & 3), (a >> 2).into());
                    let count = usize::from(b % 5);
                    stf_prediction_set(
                        model,
                        prediction,
                        method,
                        level,
                        1,
                        2,
                        words.as_mut_ptr(),
                        count,
                        number,
                        &raw mut coverage,
                    )
                }
                Op::Accepted => stf_prediction_accepted(model, prediction, number.cast()),
                Op::DriftInit => stf_drift_init(bad(&raw mut self.drift, b), model),
                Op::DriftPush => {
                    let mut report = MaybeUninit::uninit();
                    stf_drift_push(&raw mut self.drift, prediction, bad(report.as_mut_ptr(), b))
                }
                Op::CalibrationInit => stf_calibration_init(bad(calibration, b)),
                Op::CalibrationPush => {
                    let values = bad(self.inputs.as_mut_ptr(), b);
                    stf_calibration_push(calibration, values, a.into(), (b % 16).into())
                }
                Op::CalibrationMerge => {
                    stf_calibration_merge(calibration, &raw const self.calibrations[predictor])
                }
                Op::CalibrationRead => {
                    let mut metrics = MaybeUninit::uninit();
                    stf_calibration_read(calibration, bad(metrics.as_mut_ptr(), b))
                }
                Op::CalibrationBin => {
                    let mut bin = MaybeUninit::uninit();
                    stf_calibration_bin(calibration, a.into(), bad(bin.as_mut_ptr(), b))
                }
            }
        }
    }

    /// Mostly the number of values that the model wants.
    fn values(&self, model: *const StfModel, choice: u8) -> usize {
        let mut info = MaybeUninit::<StfModelInfo>::uninit();
        // SAFETY: a model of the program or a bad pointer, and room for the result.
        let status = unsafe { stf_model_describe(model, info.as_mut_ptr()) };
        if choice >= 0xf0 || status != StfStatus::Ok {
            return (usize::from(choice) * 3).min(INPUTS);
        }
        // SAFETY: success says that it was written.
        let info = unsafe { info.assume_init() };
        let wanted =
            u64::from(info.input_height) * u64::from(info.input_width) * u64::from(info.input_channels);
        usize::try_from(wanted).unwrap_or(INPUTS).min(INPUTS)
    }
}
