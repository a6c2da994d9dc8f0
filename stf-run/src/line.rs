//! Lines of bytes to a device: character devices and sockets.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;
use stf_device_protocol::Link;

/// An open line. A thread of its own reads: character devices have no timeout.
pub struct Line {
    writer: Box<dyn Write>,
    arriving: Receiver<io::Result<Vec<u8>>>,
    left: Vec<u8>,
}

impl Line {
    /// Opens `unix:PATH`, `tcp:HOST:PORT`, or a character device.
    pub fn open(port: &str) -> io::Result<Self> {
        if let Some(address) = port.strip_prefix("tcp:") {
            let stream = TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            return Ok(Self::new(stream.try_clone()?, stream));
        }
        #[cfg(unix)]
        if let Some(path) = port.strip_prefix("unix:") {
            let stream = std::os::unix::net::UnixStream::connect(path)?;
            return Ok(Self::new(stream.try_clone()?, stream));
        }
        let file: File = OpenOptions::new().read(true).write(true).open(port)?;
        Ok(Self::new(file.try_clone()?, file))
    }

    fn new(mut reader: impl Read + Send + 'static, writer: impl Write + 'static) -> Self {
        let (sender, arriving) = channel();
        thread::spawn(move || {
            loop {
                let mut buffer = vec![0; 4096];
                let result = reader.read(&mut buffer).and_then(|count| {
                    if count == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(count) }
                });
                let closed = result.is_err();
                let bytes = result.map(|count| {
                    buffer.truncate(count);
                    buffer
                });
                if sender.send(bytes).is_err() || closed {
                    return;
                }
            }
        });
        Self { writer: Box::new(writer), arriving, left: Vec::new() }
    }
}

impl Link for Line {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.writer.write_all(bytes)?;
        self.writer.flush()
    }

    fn receive(&mut self, buffer: &mut [u8], timeout: Duration) -> io::Result<usize> {
        if self.left.is_empty() {
            self.left = match self.arriving.recv_timeout(timeout) {
                Ok(bytes) => bytes?,
                Err(RecvTimeoutError::Timeout) => return Ok(0),
                Err(RecvTimeoutError::Disconnected) => return Err(io::ErrorKind::UnexpectedEof.into()),
            };
        }
        let count = buffer.len().min(self.left.len());
        buffer[..count].copy_from_slice(&self.left[..count]);
        self.left.drain(..count);
        Ok(count)
    }
}
