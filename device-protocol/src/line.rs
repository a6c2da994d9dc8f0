//! Lines of bytes to a device: serial ports and sockets, none of which waits longer than it is told.

use crate::client::Link;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

#[cfg(unix)]
use rustix::event::{PollFd, PollFlags, poll};
#[cfg(unix)]
use std::{fs::File, os::unix::net::UnixStream};

/// Bits a second of a serial port where nothing else is said.
pub const DEFAULT_BAUD: u32 = 115_200;

/// A line that takes no byte for so long is an error: nobody reads at its other end.
const STALLED: Duration = Duration::from_secs(30);

/// An open line.
#[derive(Debug)]
pub struct Line(Kind);

#[derive(Debug)]
enum Kind {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
    #[cfg(unix)]
    Serial(File),
}

impl Line {
    /// Opens `tcp:HOST:PORT`, `unix:PATH`, or a serial port by its path. A serial port is set to `baud`,
    /// 8 data bits, no parity, 1 stop bit, no flow control, no line editing; what waited in it is dropped.
    ///
    /// # Errors
    /// If there is no such port, or it does not take the settings.
    pub fn open(port: &str, baud: u32) -> io::Result<Self> {
        if let Some(address) = port.strip_prefix("tcp:") {
            let stream = TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            stream.set_write_timeout(Some(STALLED))?;
            return Ok(Self(Kind::Tcp(stream)));
        }
        #[cfg(unix)]
        {
            if let Some(path) = port.strip_prefix("unix:") {
                let stream = UnixStream::connect(path)?;
                stream.set_write_timeout(Some(STALLED))?;
                return Ok(Self(Kind::Unix(stream)));
            }
            serial(port, baud).map(|file| Self(Kind::Serial(file)))
        }
        #[cfg(not(unix))]
        {
            let _ = baud;
            Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "serial ports need a Unix system here: use tcp:HOST:PORT",
            ))
        }
    }
}

impl Link for Line {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.0 {
            Kind::Tcp(stream) => stream.write_all(bytes),
            #[cfg(unix)]
            Kind::Unix(stream) => stream.write_all(bytes),
            #[cfg(unix)]
            Kind::Serial(file) => write_all(file, bytes),
        }
        .map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                io::Error::new(io::ErrorKind::TimedOut, "takes no bytes: nobody reads at the other end")
            }
            _ => error,
        })
    }

    fn receive(&mut self, buffer: &mut [u8], timeout: Duration) -> io::Result<usize> {
        // Zero would mean to wait without end.
        let timeout = timeout.max(Duration::from_millis(1));
        let result = match &mut self.0 {
            Kind::Tcp(stream) => stream.set_read_timeout(Some(timeout)).and_then(|()| stream.read(buffer)),
            #[cfg(unix)]
            Kind::Unix(stream) => stream.set_read_timeout(Some(timeout)).and_then(|()| stream.read(buffer)),
            #[cfg(unix)]
            Kind::Serial(file) => {
                if !ready(file, PollFlags::IN, timeout)? {
                    return Ok(0);
                }
                file.read(buffer)
            }
        };
        match result {
            Ok(0) => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "closed at the other end")),
            Ok(count) => Ok(count),
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted => Ok(0),
                _ => Err(error),
            },
        }
    }
}

/// Opens a serial port and sets it.
#[cfg(unix)]
fn serial(path: &str, baud: u32) -> io::Result<File> {
    use rustix::fs::{Mode, OFlags, open};
    use rustix::termios::{
        ControlModes, OptionalActions, QueueSelector, isatty, tcflush, tcgetattr, tcsetattr,
    };
    require_port(path)?;
    // Without NONBLOCK a port without a carrier would not open.
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let port = open(path, flags, Mode::empty())?;
    if isatty(&port) {
        let mut settings = tcgetattr(&port)?;
        settings.make_raw();
        settings.set_speed(baud)?;
        settings.control_modes |= ControlModes::CLOCAL | ControlModes::CREAD;
        settings.control_modes -= ControlModes::CRTSCTS | ControlModes::CSTOPB;
        tcsetattr(&port, OptionalActions::Now, &settings)?;
        tcflush(&port, QueueSelector::IOFlush)?;
    }
    Ok(File::from(port))
}

/// A request written to a regular file would take the place of what is there: nothing but a character device
/// is opened.
#[cfg(unix)]
fn require_port(path: &str) -> io::Result<()> {
    use std::os::unix::fs::FileTypeExt;
    let kind = std::fs::metadata(path)?.file_type();
    if kind.is_char_device() {
        return Ok(());
    }
    let found = match kind {
        kind if kind.is_file() => "a file",
        kind if kind.is_dir() => "a folder",
        kind if kind.is_socket() => "a socket",
        kind if kind.is_fifo() => "a pipe",
        _ => "a block device",
    };
    let hint = if kind.is_socket() { " (a socket is unix:PATH)" } else { "" };
    Err(io::Error::new(io::ErrorKind::InvalidInput, format!("found {found}, expected a serial port{hint}")))
}

/// Whether the port can be read or written within `timeout`; also if it was closed, which the call that
/// follows will say.
#[cfg(unix)]
fn ready(file: &File, what: PollFlags, timeout: Duration) -> io::Result<bool> {
    let timeout = timeout.try_into().map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    match poll(&mut [PollFd::new(file, what)], Some(&timeout)) {
        Ok(count) => Ok(count > 0),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// A port that is open without blocking takes what fits, and the rest when there is room.
#[cfg(unix)]
fn write_all(file: &mut File, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write(bytes) {
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if !ready(file, PollFlags::OUT, STALLED)? {
                    return Err(io::ErrorKind::TimedOut.into());
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_port_is_not_opened() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("m.stf");
        std::fs::write(&file, "an artifact").unwrap();
        let found = |path: &std::path::Path| Line::open(path.to_str().unwrap(), DEFAULT_BAUD).unwrap_err();
        assert_eq!(found(&file).to_string(), "found a file, expected a serial port");
        assert_eq!(std::fs::read(&file).unwrap(), b"an artifact");
        assert_eq!(found(dir.path()).to_string(), "found a folder, expected a serial port");
        let socket = dir.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        assert!(found(&socket).to_string().starts_with("found a socket"));
        assert_eq!(found(&dir.path().join("none")).kind(), io::ErrorKind::NotFound);
        // A character device is one, whatever is behind it.
        assert!(Line::open("/dev/null", DEFAULT_BAUD).is_ok());
    }
}
