//! What a piece of work took of the machine: time, processor time, and memory on top of what was there.

use serde::{Deserialize, Serialize};
use std::fs;
use std::time::Instant;

/// Clock ticks of a second in `/proc`: `USER_HZ`, 100 on every Linux.
const TICKS: f64 = 100.0;

/// What a piece of work took.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Usage {
    /// Seconds on the wall clock.
    pub seconds: f64,
    /// Seconds of all threads on a processor; `None` where the system does not say.
    pub cpu_seconds: Option<f64>,
    /// Greatest resident size less the size at the start, bytes; `None` where the system does not say.
    pub memory_bytes: Option<u64>,
}

impl Usage {
    /// Of no work.
    pub const NOTHING: Self = Self { seconds: 0.0, cpu_seconds: Some(0.0), memory_bytes: Some(0) };

    /// Of this work and `next` after it.
    #[must_use]
    pub fn then(self, next: Self) -> Self {
        Self {
            seconds: self.seconds + next.seconds,
            cpu_seconds: self.cpu_seconds.zip(next.cpu_seconds).map(|(a, b)| a + b),
            memory_bytes: self.memory_bytes.zip(next.memory_bytes).map(|(a, b)| a.max(b)),
        }
    }
}

/// Measures from its start on.
#[derive(Debug)]
pub struct Meter {
    started: Instant,
    cpu_seconds: Option<f64>,
    resident: Option<u64>,
}

impl Meter {
    /// Starts; memory that another meter has seen is seen by this one alone from now on.
    #[must_use]
    pub fn start() -> Self {
        Self { started: Instant::now(), cpu_seconds: cpu_seconds(), resident: start_peak() }
    }

    /// What it took until now.
    #[must_use]
    pub fn read(&self) -> Usage {
        Usage {
            seconds: self.started.elapsed().as_secs_f64(),
            cpu_seconds: cpu_seconds().zip(self.cpu_seconds).map(|(after, before)| after - before),
            memory_bytes: field("VmHWM:")
                .zip(self.resident)
                .map(|(peak, before)| peak.saturating_sub(before)),
        }
    }
}

/// Measures `work`.
pub fn measure<T>(work: impl FnOnce() -> T) -> (T, Usage) {
    let meter = Meter::start();
    let result = work();
    (result, meter.read())
}

/// Processor time of this process so far.
fn cpu_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the program's name in brackets, which may hold anything.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index)?.parse::<f64>().ok();
    Some((ticks(11)? + ticks(12)?) / TICKS)
}

/// Starts the peak of the resident size anew, and says where it starts.
fn start_peak() -> Option<u64> {
    fs::write("/proc/self/clear_refs", "5").ok()?;
    field("VmRSS:")
}

fn field(name: &str) -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_in_two_processes_is_summed_and_the_greater_memory_counts() {
        let one = Usage { seconds: 1.0, cpu_seconds: Some(2.0), memory_bytes: Some(30) };
        let other = Usage { seconds: 0.5, cpu_seconds: Some(0.25), memory_bytes: Some(20) };
        let both = Usage { seconds: 1.5, cpu_seconds: Some(2.25), memory_bytes: Some(30) };
        assert_eq!(one.then(other), both);
        assert_eq!(Usage::NOTHING.then(one), one);
        assert_eq!(one.then(Usage { cpu_seconds: None, ..other }).cpu_seconds, None);
    }
}
