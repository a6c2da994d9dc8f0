//! A pseudo-terminal that leads to a device's socket over a bad line: prints the port's path, then
//! carries bytes until the device's end closes.
//! `cargo run --example bad_line -- SOCKET ODDS SEED`: a fault in ODDS bytes on average.

#[cfg(unix)]
#[path = "../tests/bad_line/mod.rs"]
mod bad_line;

#[cfg(unix)]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    use bad_line::{End, Faults, carry_both, pseudo_terminal};
    use std::os::unix::net::UnixStream;
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [socket, odds, seed] = arguments.as_slice() else {
        return Err("expected SOCKET ODDS SEED".into());
    };
    let faults = Faults { odds: odds.parse()?, seed: seed.parse()? };
    let stream = UnixStream::connect(socket)?;
    let far = End { reader: Box::new(stream.try_clone()?), writer: Box::new(stream) };
    let (path, near, _held) = pseudo_terminal()?;
    println!("{path}");
    carry_both(near, far, faults);
    Ok(())
}

#[cfg(not(unix))]
fn main() {
    eprintln!("pseudo-terminals need a Unix system");
}
