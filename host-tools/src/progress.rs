//! Progress of long work on standard error: a bar on a terminal, plain lines elsewhere. Nothing ever
//! goes to standard output, which belongs to results.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// Least time between two plain lines.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// One piece of work of known size.
#[derive(Debug)]
pub struct Progress {
    label: String,
    total: u64,
    started: Instant,
    view: View,
}

#[derive(Debug)]
enum View {
    Hidden,
    Bar(ProgressBar),
    Lines { last: Instant },
}

impl Progress {
    /// Progress of `total` steps, drawn on standard error in the way that fits it.
    #[must_use]
    pub fn new(label: &str, total: u64) -> Self {
        Self::with_unit(label, total, "{per_sec}", "{pos}/{len}")
    }

    /// As [`Self::new`], in bytes.
    #[must_use]
    pub fn bytes(label: &str, total: u64) -> Self {
        Self::with_unit(label, total, "{binary_bytes_per_sec}", "{binary_bytes}/{binary_total_bytes}")
    }

    /// Progress that is not shown.
    #[must_use]
    pub fn hidden() -> Self {
        Self { label: String::new(), total: 0, started: Instant::now(), view: View::Hidden }
    }

    /// Shows that `done` steps are done, with a few words such as the loss.
    pub fn set(&mut self, done: u64, message: &str) {
        let (now, started) = (Instant::now(), self.started);
        match &mut self.view {
            View::Hidden => {}
            View::Bar(bar) => {
                bar.set_position(done);
                bar.set_message(message.to_string());
            }
            View::Lines { last } if now.duration_since(*last) >= LINE_EVERY => {
                *last = now;
                say(&line(&self.label, done, self.total, now.duration_since(started), message));
            }
            View::Lines { .. } => {}
        }
    }

    /// Prints a line (an epoch's figures) that stays, above the bar where there is one.
    pub fn println(&self, line: &str) {
        match &self.view {
            View::Hidden => {}
            View::Bar(bar) => bar.println(line),
            View::Lines { .. } => say(line),
        }
    }

    /// Removes the bar and leaves one line; none if `line` is empty.
    pub fn finish(self, line: &str) {
        if let View::Bar(bar) = &self.view {
            bar.finish_and_clear();
        }
        if !line.is_empty() && !matches!(self.view, View::Hidden) {
            say(line);
        }
    }

    fn with_unit(label: &str, total: u64, rate: &str, position: &str) -> Self {
        let started = Instant::now();
        let view = if std::io::stderr().is_terminal() {
            View::Bar(bar(label, total, rate, position))
        } else {
            View::Lines { last: started }
        };
        Self { label: label.to_string(), total, started, view }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        // An error is about to be printed: the bar must not stand in its way.
        if let View::Bar(bar) = &self.view {
            bar.finish_and_clear();
        }
    }
}

fn bar(label: &str, total: u64, rate: &str, position: &str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
    let template = format!("{{prefix}} [{{bar:30}}] {position} {rate} {{eta}} left {{msg}}");
    // The template is ours; should a version of the crate refuse it, its default will do.
    let style = ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.set_style(style.progress_chars("=> "));
    bar.set_prefix(label.to_string());
    bar
}

/// A plain line: percent, rate and time left, extrapolated from the mean rate so far.
fn line(label: &str, done: u64, total: u64, elapsed: Duration, message: &str) -> String {
    let seconds = elapsed.as_secs_f64().max(1e-9);
    let rate = done as f64 / seconds;
    let left = if done == 0 { f64::INFINITY } else { total.saturating_sub(done) as f64 / rate };
    let left = if left.is_finite() { format!("{left:.0} s left") } else { "time left unknown".to_string() };
    let percent = if total == 0 { 100.0 } else { 100.0 * done as f64 / total as f64 };
    format!("{label}: {percent:.0} %, {rate:.1}/s, {left} {message}").trim_end().to_string()
}

/// A closed standard error is no reason to stop the work.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// Ctrl-C and termination: the first asks the work to stop at its next safe point, the second exits.
pub mod interrupt {
    use std::sync::atomic::{AtomicBool, Ordering};

    static REQUESTED: AtomicBool = AtomicBool::new(false);
    /// What a shell reports for a process ended by Ctrl-C.
    const EXIT_STATUS: i32 = 130;

    /// Starts to listen. A second call, or a system that refuses, changes nothing: the signal then
    /// ends the process as usual, and outputs are whole or absent all the same.
    pub fn install() {
        let _ = ctrlc::set_handler(|| {
            if REQUESTED.swap(true, Ordering::Relaxed) {
                std::process::exit(EXIT_STATUS);
            }
        });
    }

    /// Whether the user asked to stop.
    #[must_use]
    pub fn requested() -> bool {
        REQUESTED.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_lines_extrapolate() {
        let text = line("stage 1", 25, 100, Duration::from_secs(5), "loss 0.5");
        assert_eq!(text, "stage 1: 25 %, 5.0/s, 15 s left loss 0.5");
        assert_eq!(line("x", 0, 10, Duration::ZERO, ""), "x: 0 %, 0.0/s, time left unknown");
        assert_eq!(line("x", 0, 0, Duration::from_secs(1), ""), "x: 100 %, 0.0/s, time left unknown");
    }

    #[test]
    fn the_bar_templates_are_valid() {
        for (rate, position) in
            [("{per_sec}", "{pos}/{len}"), ("{binary_bytes_per_sec}", "{binary_bytes}/{binary_total_bytes}")]
        {
            let template = format!("{{prefix}} [{{bar:30}}] {position} {rate} {{eta}} left {{msg}}");
            assert!(ProgressStyle::with_template(&template).is_ok());
        }
        let mut hidden = Progress::hidden();
        hidden.set(1, "quiet");
        hidden.finish("quiet");
        assert!(!interrupt::requested());
    }
}
