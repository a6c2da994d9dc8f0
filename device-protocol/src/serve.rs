//! A device on a machine with an operating system: the same server, at the end of a stream.

use crate::server::Server;
use std::io::{self, Read, Write};

/// Answers requests until the host closes the stream.
///
/// # Errors
/// If the stream breaks.
pub fn serve<const N: usize>(
    server: &mut Server<'_, '_, N>,
    mut from_host: impl Read,
    mut to_host: impl Write,
) -> io::Result<()> {
    let mut bytes = [0; 4096];
    loop {
        let count = match from_host.read(&mut bytes) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        for &byte in bytes.get(..count).unwrap_or_default() {
            if let Some(frame) = server.receive(byte) {
                to_host.write_all(frame)?;
                to_host.flush()?;
            }
        }
    }
}
