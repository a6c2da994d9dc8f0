//! `cargo xtask kill-test`: `stf train` and `stf export`, ended by SIGKILL at random moments.
//!
//! A killed training resumes: no epoch that was finished (checkpoint written, line printed) is trained again, and
//! the artifact at the end is that of an unbroken run, byte for byte. A killed export leaves the old file or the
//! new one, whole.

use crate::cross::{cargo, output, run as run_command, target_dir};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Epochs of both stages.
const EPOCHS: [&str; 2] = ["4", "4"];
const TOTAL: usize = 8;

/// Moments where nothing else is said.
const MOMENTS: usize = 200;

/// What happened.
#[derive(Debug, Default)]
struct Tally {
    kills: usize,
    /// Processes that were done before they could be killed.
    finished: usize,
    /// Trainings that came to their end, however often they were killed.
    runs: usize,
    /// Temporary files that a killed process left behind.
    partial: usize,
}

struct Test {
    stf: PathBuf,
    folder: PathBuf,
    seed: u64,
    train_time: Duration,
    export_time: Duration,
    expected: Vec<u8>,
}

/// The command line of the task: `[--moments N]`, a third of them in exports.
pub fn run(arguments: &[String]) -> Result<(), String> {
    let moments = match arguments {
        [] => MOMENTS,
        [name, value] if name == "--moments" => {
            value.parse().map_err(|_| format!("found {value}, expected a number"))?
        }
        _ => return Err("expected nothing, or --moments N".into()),
    };
    run_command(cargo(None)?.args(["build", "--quiet", "--package", "stf-host", "--bin", "stf"]))?;
    let mut test = Test::prepare()?;
    let mut trained = Tally::default();
    while trained.kills < moments - moments / 3 {
        test.train(&mut trained)?;
        eprintln!("xtask kill-test: {trained:?}");
        if trained.finished > 20 + 2 * trained.kills {
            return Err(format!("too few processes could be killed: {trained:?}"));
        }
    }
    let mut exported = Tally::default();
    for _ in 0..moments / 3 {
        test.export(&mut exported)?;
    }
    println!("train: {trained:?}");
    println!("export: {exported:?}");
    std::fs::remove_dir_all(&test.folder).map_err(|error| error.to_string())
}

impl Test {
    /// The unbroken run that all others are compared with.
    fn prepare() -> Result<Self, String> {
        let folder = target_dir().join("kill-test");
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let stf = target_dir().join("debug/stf");
        let mut test = Self {
            stf,
            folder,
            seed: 1,
            train_time: Duration::ZERO,
            export_time: Duration::ZERO,
            expected: Vec::new(),
        };
        let whole = test.folder.join("whole");
        let start = Instant::now();
        output(&mut test.training(&whole, false))?;
        test.train_time = start.elapsed();
        let (start, model) = (Instant::now(), test.folder.join("whole.stf"));
        output(&mut test.exporting(&whole, &model))?;
        test.export_time = start.elapsed();
        test.expected = read(&model)?;
        Ok(test)
    }

    fn training(&self, folder: &Path, resume: bool) -> Command {
        let mut command = Command::new(&self.stf);
        command.arg("train").arg("--out").arg(folder).stdout(Stdio::null()).env_remove("STF_DATA_DIR");
        if resume {
            command.arg("--resume");
        } else {
            command.args(["--arch", "mlp", "--data", "digits", "--eval-samples", "2", "--seed", "5"]);
            command.args(["--epochs", EPOCHS[0], "--bayes-epochs", EPOCHS[1]]);
        }
        command
    }

    fn exporting(&self, folder: &Path, model: &Path) -> Command {
        let mut command = Command::new(&self.stf);
        command.arg("export").arg(folder).arg("--out").arg(model).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// A moment in `time`.
    fn moment(&mut self, time: Duration) -> Duration {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        time.mul_f64((self.seed >> 11) as f64 / (1_u64 << 53) as f64)
    }

    /// One training that is killed until it is done.
    fn train(&mut self, tally: &mut Tally) -> Result<(), String> {
        let folder = self.folder.join("run");
        let _ = std::fs::remove_dir_all(&folder);
        let mut epochs = 0;
        // At first a folder without settings may be left: the run starts again.
        loop {
            let resume = folder.join("config.json").is_file();
            let log = self.folder.join("stderr.txt");
            let file = std::fs::File::create(&log).map_err(|error| error.to_string())?;
            let mut command = self.training(&folder, resume);
            if !resume {
                command.arg("--force");
            }
            // A few epochs at most: a run is killed in every part of it.
            let moment = self.moment(self.train_time.mul_f64(0.35));
            let ended = killed(command.stderr(file), moment)?;
            let text = String::from_utf8_lossy(&read(&log)?).into_owned();
            epochs += text.lines().filter(|line| line.contains("validation accuracy")).count();
            match ended {
                None => tally.kills += 1,
                Some(true) => break,
                Some(false) => return Err(format!("a killed run does not resume:\n{text}")),
            }
            tally.partial += partial_files(&folder);
        }
        tally.finished += 1;
        tally.runs += 1;
        if epochs > TOTAL {
            return Err(format!("{epochs} epochs were finished where {TOTAL} are enough"));
        }
        let model = self.folder.join("run.stf");
        output(&mut self.exporting(&folder, &model))?;
        if read(&model)? == self.expected {
            Ok(())
        } else {
            Err("a resumed run gives another artifact".into())
        }
    }

    /// One export over an old file.
    fn export(&mut self, tally: &mut Tally) -> Result<(), String> {
        let (folder, model) = (self.folder.join("whole"), self.folder.join("export.stf"));
        let old = b"what was there before";
        std::fs::write(&model, old).map_err(|error| error.to_string())?;
        let moment = self.moment(self.export_time.mul_f64(1.1));
        match killed(&mut self.exporting(&folder, &model), moment)? {
            None => tally.kills += 1,
            Some(true) => tally.finished += 1,
            Some(false) => return Err("an export failed".into()),
        }
        let found = read(&model)?;
        if found != old && found != self.expected {
            return Err(format!(
                "an export left {} bytes that are neither the old file nor the new",
                found.len()
            ));
        }
        tally.partial += partial_files(&self.folder);
        Ok(())
    }
}

/// Runs a command until a moment; `None` if it was killed then, else whether it succeeded.
fn killed(command: &mut Command, moment: Duration) -> Result<Option<bool>, String> {
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    std::thread::sleep(moment);
    let ended = child.try_wait().map_err(|error| error.to_string())?;
    if let Some(status) = ended {
        return Ok(Some(status.success()));
    }
    child.kill().map_err(|error| error.to_string())?;
    let status = child.wait().map_err(|error| error.to_string())?;
    // It may have ended in between.
    Ok(status.code().map(|code| code == 0))
}

/// Counts and removes the temporary files of a folder.
fn partial_files(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let partial =
        entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|e| e == "partial"));
    partial.filter(|path| std::fs::remove_file(path).is_ok()).count()
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}
