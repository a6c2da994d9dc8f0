//! `cargo xtask kill-test`: `stf train`, `stf export` and `stf compare`, ended by SIGKILL at random moments.
//!
//! A killed training resumes: no epoch that was finished (checkpoint written, line printed) is trained again, and
//! the artifact at the end is that of an unbroken run, byte for byte. A killed comparison goes on in the same way,
//! and its figures at the end are those of an unbroken one, but for times and memory. A killed export leaves the
//! old file or the new one, whole.

use crate::cross::{cargo, output, run as run_command, target_dir};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Epochs of both stages.
const EPOCHS: [&str; 2] = ["4", "4"];
const TOTAL: usize = 8;

/// What is compared: whole networks, several in a unit, both kinds of inference, and temperatures to choose from.
const METHODS: &str = "plain,stf,full,dropout,ensemble,laplace";

/// Moments where nothing else is said.
const MOMENTS: usize = 200;

/// What a finished epoch prints.
const EPOCH_DONE: &str = ": loss ";

/// What happened.
#[derive(Debug, Default)]
struct Tally {
    kills: usize,
    /// Processes that were done before they could be killed.
    finished: usize,
    /// Trainings or comparisons that came to their end, however often they were killed.
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
    compare_time: Duration,
    /// The artifact of an unbroken training.
    expected: Vec<u8>,
    /// Figures and epochs of an unbroken comparison.
    compared: (Value, usize),
}

/// The command line of the task: `[--moments N]`, a third of them in each command.
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
    let third = moments / 3;
    let trained = test.until(moments - 2 * third, "train", Test::train)?;
    let compared = test.until(third, "compare", Test::compare)?;
    let exported = test.until(third, "export", Test::export)?;
    println!("train: {trained:?}\ncompare: {compared:?}\nexport: {exported:?}");
    std::fs::remove_dir_all(&test.folder).map_err(|error| error.to_string())
}

impl Test {
    /// The unbroken runs that all others are compared with.
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
            compare_time: Duration::ZERO,
            expected: Vec::new(),
            compared: (Value::Null, 0),
        };
        let (whole, model) = (test.folder.join("whole"), test.folder.join("whole.stf"));
        test.train_time = timed(&mut test.training(&whole, false))?.0;
        test.export_time = timed(&mut test.exporting(&whole, &model))?.0;
        test.expected = read(&model)?;
        let whole = test.folder.join("whole-comparison");
        let (time, log) = timed(&mut test.comparing(&whole))?;
        test.compare_time = time;
        test.compared = (figures(&whole)?, finished_epochs(&log));
        Ok(test)
    }

    /// Repeats a test until there were so many kills.
    fn until(
        &mut self,
        kills: usize,
        name: &str,
        once: fn(&mut Self, &mut Tally) -> Result<(), String>,
    ) -> Result<Tally, String> {
        let mut tally = Tally::default();
        while tally.kills < kills {
            once(self, &mut tally)?;
            eprintln!("xtask kill-test: {name}: {tally:?}");
            if tally.finished > 20 + 2 * tally.kills {
                return Err(format!("{name}: too few processes could be killed: {tally:?}"));
            }
        }
        Ok(tally)
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

    fn comparing(&self, folder: &Path) -> Command {
        let mut command = Command::new(&self.stf);
        command.arg("compare").arg("--out").arg(folder).stdout(Stdio::null()).env_remove("STF_DATA_DIR");
        command.args(["--arch", "mlp-small", "--data", "digits", "--methods", METHODS, "--seeds", "2"]);
        command.args(["--epochs", "3", "--bayes-epochs", "3", "--members", "3", "-k", "4"]);
        command.args(["--temperatures", "0.1,1", "--full-temperatures", "0.1", "--corruption-examples", "5"]);
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
        let next = |test: &Self| {
            // At first a folder without settings may be left: the run starts again.
            let resume = folder.join("config.json").is_file();
            let mut command = test.training(&folder, resume);
            if !resume {
                command.arg("--force");
            }
            command
        };
        // A few epochs at most: a run is killed in every part of it.
        let epochs = self.until_done(&folder, self.train_time.mul_f64(0.35), &next, tally)?;
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

    /// One comparison that is killed until it is done.
    fn compare(&mut self, tally: &mut Tally) -> Result<(), String> {
        let folder = self.folder.join("comparison");
        let next = |test: &Self| test.comparing(&folder);
        let epochs = self.until_done(&folder, self.compare_time.mul_f64(0.35), &next, tally)?;
        let (expected, enough) = &self.compared;
        if epochs > *enough {
            return Err(format!("{epochs} epochs were finished where {enough} are enough"));
        }
        if figures(&folder)? != *expected {
            return Err("a comparison that was broken off comes to other figures".into());
        }
        let left = files(&folder, &|name| name.starts_with("checkpoint") || name.ends_with(".partial"));
        if left.is_empty() { Ok(()) } else { Err(format!("a finished comparison leaves {left:?}")) }
    }

    /// Starts a command again and again, killed within `time`, until it comes to its end; the number of epochs
    /// that were finished.
    fn until_done(
        &mut self,
        folder: &Path,
        time: Duration,
        next: &dyn Fn(&Self) -> Command,
        tally: &mut Tally,
    ) -> Result<usize, String> {
        let _ = std::fs::remove_dir_all(folder);
        let mut epochs = 0;
        loop {
            let log = self.folder.join("stderr.txt");
            let file = std::fs::File::create(&log).map_err(|error| error.to_string())?;
            let moment = self.moment(time);
            let ended = killed(next(self).stderr(file), moment)?;
            let text = String::from_utf8_lossy(&read(&log)?).into_owned();
            epochs += finished_epochs(&text);
            match ended {
                None => tally.kills += 1,
                Some(true) => break,
                Some(false) => return Err(format!("what was killed does not go on:\n{text}")),
            }
            tally.partial += files(folder, &|name| name.ends_with(".partial")).len();
        }
        tally.finished += 1;
        tally.runs += 1;
        Ok(epochs)
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
        // Nobody opens this folder as a run, to clear it up.
        let partial = files(&self.folder, &|name| name.ends_with(".partial"));
        tally.partial += partial.iter().filter(|path| std::fs::remove_file(path).is_ok()).count();
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

/// Runs a command to its end; the time that it took, and its standard error.
fn timed(command: &mut Command) -> Result<(Duration, String), String> {
    let start = Instant::now();
    let done = command.stderr(Stdio::piped()).output().map_err(|error| error.to_string())?;
    let log = String::from_utf8_lossy(&done.stderr).into_owned();
    if done.status.success() { Ok((start.elapsed(), log)) } else { Err(format!("{command:?}:\n{log}")) }
}

/// Lines of finished epochs.
fn finished_epochs(log: &str) -> usize {
    log.lines().filter(|line| line.contains("epoch ") && line.contains(EPOCH_DONE)).count()
}

/// What a comparison found out, without times and memory.
fn figures(folder: &Path) -> Result<Value, String> {
    let text = read(&folder.join("results.json"))?;
    let mut results: Value = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
    let units = results.get_mut("units").map(Value::take).unwrap_or_default();
    let Value::Array(mut units) = units else { return Err("results.json has no units".into()) };
    for unit in units.iter_mut().filter_map(Value::as_object_mut) {
        for cost in ["training", "stage1"] {
            unit.remove(cost).ok_or_else(|| format!("a unit of results.json has no {cost}"))?;
        }
    }
    Ok(units.into())
}

/// Files of a folder and the folders in it, by their names.
fn files(folder: &Path, wanted: &dyn Fn(&str) -> bool) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path, wanted));
        } else if entry.file_name().to_str().is_some_and(wanted) {
            found.push(path);
        }
    }
    found
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}
