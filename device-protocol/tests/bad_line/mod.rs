//! A line between two ends that loses, damages, repeats and cuts what passes: what real serial lines do
//! at their worst, with a seed.

#![allow(dead_code)]

use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// What goes wrong: a fault in `odds` bytes on average, none if 0.
#[derive(Clone, Copy)]
pub struct Faults {
    pub odds: u64,
    pub seed: u64,
}

/// Counts what went wrong, both ways.
pub type Disturbed = Arc<AtomicU64>;

/// One end: both halves of a stream.
pub struct End {
    pub reader: Box<dyn Read + Send>,
    pub writer: Box<dyn Write + Send>,
}

/// Carries bytes between two ends until one of them closes, in threads of its own.
pub fn connect(near: End, far: End, faults: Faults) -> Disturbed {
    let disturbed = Disturbed::default();
    let count = disturbed.clone();
    thread::spawn(move || carry_counted(near, far, faults, &count));
    disturbed
}

/// As [`connect`], and returns when the far end closes.
pub fn carry_both(near: End, far: End, faults: Faults) {
    carry_counted(near, far, faults, &Disturbed::default());
}

fn carry_counted(near: End, far: End, faults: Faults, disturbed: &Disturbed) {
    let (count, odds) = (disturbed.clone(), faults.odds);
    let mut dice = Dice(faults.seed ^ 1);
    // Ends by itself when its writer has closed.
    thread::spawn(move || carry(near.reader, far.writer, odds, &mut dice, &count));
    carry(far.reader, near.writer, odds, &mut Dice(faults.seed ^ 2), disturbed);
}

fn carry(
    mut reader: Box<dyn Read + Send>,
    mut writer: Box<dyn Write + Send>,
    odds: u64,
    dice: &mut Dice,
    disturbed: &AtomicU64,
) {
    let mut buffer = [0; 1024];
    loop {
        let count = match reader.read(&mut buffer) {
            Ok(0) => return,
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) => return,
        };
        let mut bytes = buffer[..count].to_vec();
        if odds > 0 && dice.below(odds) < count as u64 {
            disturbed.fetch_add(1, Ordering::Relaxed);
            disturb(&mut bytes, dice);
        }
        if send(&mut *writer, &bytes, dice).is_err() {
            return;
        }
    }
}

/// Loses, flips, drops, cuts, repeats or inserts.
fn disturb(bytes: &mut Vec<u8>, dice: &mut Dice) {
    let at = dice.below(bytes.len() as u64) as usize;
    match dice.below(6) {
        0 => bytes.clear(),
        1 => bytes[at] ^= 1 << dice.below(8),
        2 => drop(bytes.remove(at)),
        3 => bytes.truncate(at),
        4 => bytes.extend_from_within(..),
        _ => bytes.insert(at, dice.below(256) as u8),
    }
}

/// In pieces of any size: no end may rely on where a read stops.
fn send(writer: &mut dyn Write, mut bytes: &[u8], dice: &mut Dice) -> io::Result<()> {
    while !bytes.is_empty() {
        let (piece, rest) = bytes.split_at((1 + dice.below(200) as usize).min(bytes.len()));
        writer.write_all(piece)?;
        writer.flush()?;
        bytes = rest;
    }
    Ok(())
}

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % bound.max(1)
    }
}

/// A pseudo-terminal: its path, which a host opens like a serial port, and our end.
///
/// The port is held open here as well: without any user our end could not be read.
#[cfg(unix)]
pub fn pseudo_terminal() -> io::Result<(String, End, std::fs::File)> {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    use std::fs::{File, OpenOptions};
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    grantpt(&ours)?;
    unlockpt(&ours)?;
    let path = ptsname(&ours, Vec::new())?.into_string().map_err(io::Error::other)?;
    let held = OpenOptions::new().read(true).write(true).open(&path)?;
    let ours = File::from(ours);
    let end = End { reader: Box::new(ours.try_clone()?), writer: Box::new(ours) };
    Ok((path, end, held))
}

/// Both halves of a socket.
#[cfg(unix)]
pub fn socket(stream: std::os::unix::net::UnixStream) -> io::Result<End> {
    Ok(End { reader: Box::new(stream.try_clone()?), writer: Box::new(stream) })
}
