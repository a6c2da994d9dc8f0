//! `stf-run`: the part of `stf` that runs on the device: small, static, without the trainer.

mod arguments;
mod data;
mod device;
mod local;
mod log;
mod serve;

use arguments::Arguments;
use std::io::Write;
use std::process::ExitCode;

const USAGE: &str = "usage: stf-run COMMAND ...

  predict MODEL --images FILE            one line an input
  eval    MODEL --images FILE --labels FILE
  time    MODEL [--repeat N]             microseconds of a prediction of a grey input
  serve   MODEL --port PORT              be a device: answer the host that connects, one after another
  device hello   --port PORT
  device predict --port PORT --images FILE
  device eval    --port PORT --images FILE --labels FILE

FILE: IDX (unsigned bytes), or raw bytes, one input after another; labels: one byte each.
PORT: a serial port, unix:PATH or tcp:HOST:PORT (serve: unix: or tcp: only).

  -k, --num-samples K   draws of a prediction [8]     --seed N           seed of the draws [0]
  --draws fresh|fixed   new draws for every input, or the same for all   --no-antithetic
  --baseline mean       one pass without noise        --adaptive         as many draws as the class needs
  --limit N             first N inputs only           --name NAME        name of the data in results
  --log-out FILE        eval: every prediction as a row of a .csv or .jsonl log
  --json                one JSON object
  --bits                predictions as IEEE bits, to compare machines (--logits: every draw's outputs too)
  --timeout MS          wait for a reply [10000]      --attempts N       before giving up [5]
  --baud N              of a serial port [115200]";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let run = |names: &[&str], task: fn(&Arguments) -> Result<String, String>| {
        let rest =
            words.strip_prefix(names.iter().map(|n| (*n).to_string()).collect::<Vec<_>>().as_slice())?;
        Some((Arguments::parse(rest), task))
    };
    let found = run(&["predict"], local::predict)
        .or_else(|| run(&["eval"], local::eval))
        .or_else(|| run(&["time"], local::time))
        .or_else(|| run(&["serve"], serve::serve))
        .or_else(|| run(&["device", "hello"], device::hello))
        .or_else(|| run(&["device", "predict"], device::predict))
        .or_else(|| run(&["device", "eval"], device::eval));
    match found {
        Some((Ok(arguments), task)) => match task(&arguments) {
            Ok(text) => finish(&text),
            Err(message) => {
                eprintln!("error: {message}");
                ExitCode::FAILURE
            }
        },
        Some((Err(message), _)) => {
            eprintln!("error: {message}\n\n{USAGE}");
            ExitCode::from(2)
        }
        None => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn finish(text: &str) -> ExitCode {
    match writeln!(std::io::stdout().lock(), "{}", text.trim_end()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: standard output: {error}");
            ExitCode::FAILURE
        }
    }
}
