//! The tool where the machine fails it: no memory, no disk, no right to write.
#![cfg(target_os = "linux")]

mod command;

use command::ok;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output};
use tempfile::TempDir;

/// Runs a shell script with `$STF` as the tool and `$1` as a folder.
fn script(words: &[&str], text: &str, folder: &Path) -> Output {
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).args(["sh", "-c", text, "sh"]).arg(folder);
    command.env("STF", env!("CARGO_BIN_EXE_stf")).env_remove("STF_DATA_DIR");
    command.output().unwrap()
}

/// The one error line of a run that failed as it should: exit status 1, and no signal.
fn refused(output: &Output, words: &[&str]) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{:?}: {stderr}", output.status);
    let last = stderr.lines().last().unwrap_or_default();
    assert!(words.iter().all(|word| last.contains(word)), "{words:?} are not all in: {last}");
}

/// In a file system of its own, mounted on the folder with these options; `None` where that is not allowed.
fn mounted(options: &str, text: &str, folder: &Path) -> Option<Output> {
    let words = ["unshare", "--map-root-user", "--mount"];
    let mount = format!("mount -t tmpfs -o {options} none \"$1\" || exit 99");
    let output = script(&words, &format!("{mount}; {text}"), folder);
    if output.status.code() == Some(99) || String::from_utf8_lossy(&output.stderr).contains("unshare") {
        let _ = writeln!(std::io::stderr(), "SKIPPED: no mounts here: {}", options);
        return None;
    }
    Some(output)
}

/// A NumPy file of zeros that takes no room on the disk.
fn zeros(path: &Path, descr: &str, shape: &str, bytes: u64) {
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
    while (10 + header.len() + 1) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let mut file = File::create(path).unwrap();
    file.write_all(b"\x93NUMPY\x01\x00").unwrap();
    file.write_all(&(header.len() as u16).to_le_bytes()).unwrap();
    file.write_all(header.as_bytes()).unwrap();
    file.set_len(10 + header.len() as u64 + bytes).unwrap();
}

#[test]
fn data_that_does_not_fit_in_memory_is_an_error() {
    let dir = TempDir::new().unwrap();
    zeros(&dir.path().join("y.npy"), "|u1", "(100000,)", 100_000);
    // Bytes that cannot be read, and some that can, but not as f32 beside them.
    for (descr, shape, bytes) in
        [("|u1", "(100000, 80, 80)", 640_000_000), ("<i2", "(100000, 800)", 160_000_000)]
    {
        zeros(&dir.path().join("x.npy"), descr, shape, bytes);
        let text =
            "ulimit -v 400000; exec \"$STF\" train --arch mlp --data \"$1/x.npy,$1/y.npy\" --out \"$1/run\"";
        let output = script(&["env"], text, dir.path());
        refused(&output, &["x.npy", "memory"]);
    }
}

const TRAIN: &str =
    "\"$STF\" train --arch mlp --data digits --epochs 2 --bayes-epochs 2 --eval-samples 2 --seed 5";

#[test]
fn a_full_disk_keeps_the_run_and_it_goes_on_where_there_is_room() {
    let dir = TempDir::new().unwrap();
    let folder = dir.path().join("disk");
    fs::create_dir(&folder).unwrap();
    // Room for no checkpoint: the run ends in one line; with more room the same folder goes on.
    let text = format!(
        "{TRAIN} --out \"$1/run\" 2>\"$1/../first.txt\"; echo $? >\"$1/../first.status\"
         ls -A \"$1/run\" >\"$1/../left.txt\"
         mount -o remount,size=100m none \"$1\" && exec \"$STF\" train --resume --out \"$1/run\""
    );
    let Some(output) = mounted("size=64k", &text, &folder) else { return };
    let read = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap();
    assert_eq!(read("first.status").trim(), "1", "{}", read("first.txt"));
    assert!(read("first.txt").lines().last().is_some_and(|line| line.contains("No space left")));
    assert!(!read("left.txt").contains("partial"), "{}", read("left.txt"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_read_only_folder_is_one_line() {
    let dir = TempDir::new().unwrap();
    let text = format!("exec {TRAIN} --out \"$1/run\"");
    let Some(output) = mounted("ro", &text, dir.path()) else { return };
    refused(&output, &["run", "Read-only"]);

    let run = dir.path().join("run");
    let run = run.to_str().unwrap();
    let epochs = ["--epochs", "1", "--bayes-epochs", "1", "--eval-samples", "1"];
    ok(&[&["train", "--arch", "mlp", "--data", "digits", "--out", run][..], &epochs].concat());
    let place = dir.path().join("place");
    fs::create_dir(&place).unwrap();
    let text = "exec \"$STF\" export \"$1/../run\" --out \"$1/model.stf\"";
    let Some(output) = mounted("ro", text, &place) else { return };
    refused(&output, &["model.stf", "Read-only"]);
}

/// Stage 2 diverges: the last checkpoint of stage 1 is kept, and the message says what to try.
#[test]
fn a_loss_that_is_no_number_keeps_the_last_good_checkpoint() {
    let dir = TempDir::new().unwrap();
    let text = format!("exec {TRAIN} --lr-mu 1e30 --out \"$1/run\"");
    let output = script(&["env"], &text, dir.path());
    refused(&output, &["epoch 1", "learning rate"]);
    let kept = fs::read(dir.path().join("run/checkpoint")).unwrap();
    assert_eq!(fs::read_to_string(dir.path().join("run/log.jsonl")).unwrap().lines().count(), 2);
    let resume = script(&["env"], "exec \"$STF\" train --resume --out \"$1/run\"", dir.path());
    refused(&resume, &["epoch 1", "learning rate"]);
    assert!(fs::read(dir.path().join("run/checkpoint")).unwrap() == kept, "the checkpoint is untouched");
}
