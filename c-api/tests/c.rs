//! C and C++ programs against the static and the shared library: the runtime's own bits, and a status
//! for every wrong call; under valgrind and with sanitizers where the machine has them.
#![cfg(unix)]

#[path = "../../tests/common/mod.rs"]
mod common;

use common::{ALL, Dice, First, RULE, model, ruled};
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use stf_bnn::artifact::{Adaptive, public_key, sign};
use stf_bnn::{Config, Input, Model, Predictor, Samples};

const STRICT: [&str; 5] = ["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror"];
const SYSTEM: [&str; 4] = ["-lpthread", "-ldl", "-lm", "-lc"];

/// Folder of the libraries, which are built once.
static LIBRARIES: LazyLock<PathBuf> = LazyLock::new(|| {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--package", "stf-bnn-c", "--lib", "--target-dir"])
        .arg(target)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .unwrap();
    assert!(status.success());
    target.join("debug")
});

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn run<S: AsRef<OsStr>>(program: &str, arguments: impl IntoIterator<Item = S>) -> String {
    let output = Command::new(program).args(arguments).env("LD_LIBRARY_PATH", &*LIBRARIES).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{program}: {}\n{out}\n{err}", output.status);
    out.into_owned()
}

fn exists(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
}

/// Compiles one source file and links it: statically, or with the shared library.
fn compile(compiler: &str, flags: &[&str], source: &str, shared: bool, folder: &Path) -> String {
    let program = folder.join(format!("{}{}{}", source.replace('/', "-"), shared, flags.len()));
    let program = program.to_str().unwrap().to_string();
    let library = LIBRARIES.join("libstf_bnn_c.a");
    let include = format!("-I{}", root().join("c-api/include").display());
    let mut command: Vec<String> = flags.iter().map(|flag| (*flag).to_string()).collect();
    command.extend([include, root().join(source).display().to_string(), "-o".into(), program.clone()]);
    if shared {
        command.extend([format!("-L{}", LIBRARIES.display()), "-lstf_bnn_c".into()]);
    } else {
        command.push(library.display().to_string());
    }
    command.extend(SYSTEM.map(String::from));
    run(compiler, command);
    program
}

/// Runs a program under valgrind and with the address and undefined-behaviour sanitizers: it prints
/// `expected` there too, and neither finds anything.
fn under_tools(source: &str, arguments: &[&str], expected: &str) {
    let folder = tempfile::tempdir().unwrap();
    let debug = [&STRICT[..], &["-g"]].concat();
    if exists("valgrind") {
        let program = compile("cc", &debug, source, false, folder.path());
        let options = ["--quiet", "--error-exitcode=9", "--leak-check=full", "--show-leak-kinds=all"];
        let words = options.iter().copied().chain([program.as_str()]).chain(arguments.iter().copied());
        assert_eq!(run("valgrind", words), expected);
    } else {
        skipped(&format!("no valgrind here: {source} was not run under it"));
    }
    let options = ["-fsanitize=address,undefined", "-fno-sanitize-recover"];
    let flags = [&debug[..], &options].concat();
    let empty = folder.path().join("empty.c");
    std::fs::write(&empty, "int main(void) { return 0; }\n").unwrap();
    let probe = folder.path().join("empty");
    let has = Command::new("cc").args(options).arg(&empty).arg("-o").arg(&probe).output();
    if has.is_ok_and(|output| output.status.success()) {
        let program = compile("cc", &flags, source, false, folder.path());
        assert_eq!(run(&program, arguments), expected);
    } else {
        skipped(&format!("no sanitizers in this compiler: {source} was not run with them"));
    }
}

/// Says so past the test harness, which keeps what a passing test prints to itself.
fn skipped(what: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: {what}");
}

/// What `examples/c/predict.c --bits` should print.
fn expected(model: &Model<'_>, inputs: &[u8], config: Config) -> String {
    let mut workspace = vec![0; model.workspace_bytes(&config).unwrap()];
    let mut predictor = Predictor::new(model, config, &mut workspace).unwrap();
    let mut text = String::new();
    let size = model.manifest().input.tensor.len() as usize;
    for (index, input) in inputs.chunks_exact(size).enumerate() {
        let p = predictor.predict(Input::U8(input)).unwrap();
        let c = p.classification.unwrap();
        write!(text, "{index} {} {}", c.class, p.samples).unwrap();
        let scores = [c.confidence, c.predictive_entropy, c.expected_entropy, c.mutual_information];
        for value in p.mean.iter().chain(p.spread).chain(&scores) {
            write!(text, " {:08x}", value.to_bits()).unwrap();
        }
        text.push('\n');
    }
    text
}

#[test]
fn c_predicts_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let programs =
        [false, true].map(|shared| compile("cc", &STRICT, "examples/c/predict.c", shared, folder.path()));
    for (seed, kind) in ALL.into_iter().enumerate() {
        let plain = kind == First::Plain;
        let bytes = model(kind, 40 + seed as u64);
        let bytes = if plain { bytes } else { ruled(&bytes, Adaptive { threshold: 0.9999, ..RULE }) };
        let checked = Model::from_bytes(&bytes).unwrap();
        let mut dice = Dice(seed as u64);
        let size = checked.manifest().input.tensor.len() as usize;
        let inputs: Vec<u8> = (0..5 * size).map(|_| dice.int(0, 255) as u8).collect();
        let [model_path, input_path] = ["model.stf", "inputs.bin"].map(|name| folder.path().join(name));
        std::fs::write(&model_path, &bytes[..]).unwrap();
        std::fs::write(&input_path, &inputs).unwrap();
        let [m, i] = [&model_path, &input_path].map(|path| path.to_str().unwrap());
        for (word, samples) in [("6", Samples::MonteCarlo(6)), ("adaptive", Samples::Adaptive)] {
            let config = Config { samples, seed: 9, ..Config::default() };
            let expected = expected(&checked, &inputs, config);
            let arguments = [m, i, word, "9", "--bits"];
            for program in &programs {
                assert_eq!(run(program, arguments), expected, "{kind:?} {word}");
            }
            if seed == 0 {
                under_tools("examples/c/predict.c", &arguments, &expected);
            }
        }
    }
}

#[test]
fn wrong_calls_give_a_status() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.stf");
    std::fs::write(&path, &model(ALL[0], 3)[..]).unwrap();
    let path = path.to_str().unwrap();
    let source = "c-api/tests/c/refuse.c";
    let program = compile("cc", &STRICT, source, false, folder.path());
    run(&program, [path]);
    under_tools(source, &[path], "");
}

#[test]
fn signed_artifacts_load_from_c() {
    let secret = [3; 32];
    let folder = tempfile::tempdir().unwrap();
    let [file, key] = ["model.stf", "key.bin"].map(|name| folder.path().join(name));
    std::fs::write(&file, sign(&model(ALL[0], 3), &secret, 5).unwrap()).unwrap();
    std::fs::write(&key, public_key(&secret).to_bytes()).unwrap();
    let program = compile("cc", &STRICT, "c-api/tests/c/signed.c", false, folder.path());
    run(&program, [file, key]);
}

#[test]
fn cpp_includes_the_header() {
    if !exists("c++") {
        skipped("no C++ compiler here: the header was not included from C++");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let flags = ["-std=c++11", "-Wall", "-Wextra", "-Wpedantic", "-Werror"];
    let program = compile("c++", &flags, "c-api/tests/c/include.cpp", false, folder.path());
    run::<&str>(&program, []);
}
