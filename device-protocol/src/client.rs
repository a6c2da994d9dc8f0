//! The host's side: sends a request until its reply comes.

use crate::frame::{FrameError, decode, encode, frame_bytes};
use crate::message::{
    Answer, Command, Counters, Drift, Hello, Metrics, Predicted, Refusal, Reply, Request, VERSION,
};
use std::fmt;
use std::io;
use std::time::{Duration, Instant};

/// A line of bytes that can lose and damage some.
pub trait Link {
    /// Sends all bytes.
    ///
    /// # Errors
    /// If the line is closed.
    fn send(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Reads some bytes; 0 if none came within `timeout`.
    ///
    /// # Errors
    /// If the line is closed.
    fn receive(&mut self, buffer: &mut [u8], timeout: Duration) -> io::Result<usize>;
}

/// How long a reply is waited for, and how often a request is sent.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Time for one reply.
    pub timeout: Duration,
    /// Attempts before giving up.
    pub attempts: u32,
}

/// Why a call has no result.
#[derive(Debug)]
#[non_exhaustive]
pub enum ClientError {
    /// The line is closed.
    Io(io::Error),
    /// No reply to any attempt.
    Silent {
        /// Attempts made.
        attempts: u32,
    },
    /// The device refused.
    Refused(Refusal),
    /// The device speaks another version.
    Version {
        /// Its version.
        found: u16,
    },
    /// The answer is not to this command, or no message.
    Unexpected,
    /// The request is too long.
    Frame(FrameError),
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "line: {error}"),
            Self::Silent { attempts } => write!(f, "device: found no reply to {attempts} attempts"),
            Self::Refused(refusal) => write!(f, "device: refused the request ({refusal:?})"),
            Self::Version { found } => {
                write!(f, "device: found protocol version {found}, expected {VERSION}")
            }
            Self::Unexpected => write!(f, "device: found a reply to another command"),
            Self::Frame(error) => write!(f, "request: {error}"),
        }
    }
}

impl std::error::Error for ClientError {}

/// A session with a device.
#[derive(Debug)]
pub struct Client<L> {
    link: L,
    patience: Patience,
    session: u32,
    sequence: u16,
    /// Bytes after the last zero byte.
    pending: Vec<u8>,
    /// The reply that the last answer borrows from.
    frame: Vec<u8>,
    resent: u64,
}

impl<L: Link> Client<L> {
    /// Opens a session; `session` should be a number that the last one did not have.
    #[must_use]
    pub fn new(link: L, session: u32, patience: Patience) -> Self {
        Self { link, patience, session, sequence: 0, pending: Vec::new(), frame: Vec::new(), resent: 0 }
    }

    /// Requests that were sent again so far.
    #[must_use]
    pub fn resent(&self) -> u64 {
        self.resent
    }

    /// Opens the session.
    ///
    /// # Errors
    /// If the device cannot be reached or speaks another version.
    pub fn hello(&mut self) -> Result<Hello<'_>, ClientError> {
        match self.call(Command::Hello)? {
            Answer::Hello(hello) if hello.version == VERSION => Ok(hello),
            Answer::Hello(hello) => Err(ClientError::Version { found: hello.version }),
            _ => Err(ClientError::Unexpected),
        }
    }

    /// Forgets all figures; the next prediction has this counter.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub fn reset(&mut self, counter: u64) -> Result<(), ClientError> {
        match self.call(Command::Reset { counter })? {
            Answer::Reset => Ok(()),
            _ => Err(ClientError::Unexpected),
        }
    }

    /// Predicts one input, and counts it if it has a label.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub fn predict(&mut self, label: Option<u16>, input: &[u8]) -> Result<Predicted<'_>, ClientError> {
        match self.call(Command::Predict { label, input })? {
            Answer::Predicted(predicted) => Ok(predicted),
            _ => Err(ClientError::Unexpected),
        }
    }

    /// Reads the metrics.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub fn metrics(&mut self) -> Result<Metrics, ClientError> {
        match self.call(Command::Metrics)? {
            Answer::Metrics(metrics) => Ok(metrics),
            _ => Err(ClientError::Unexpected),
        }
    }

    /// Reads the counters of the device's end of the line.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub fn counters(&mut self) -> Result<Counters, ClientError> {
        match self.call(Command::Counters)? {
            Answer::Counters(counters) => Ok(counters),
            _ => Err(ClientError::Unexpected),
        }
    }

    /// Reads the drift monitor; `None` if the artifact carries no reference.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub fn drift(&mut self) -> Result<Option<Drift>, ClientError> {
        match self.call(Command::Drift)? {
            Answer::Drift(drift) => Ok(drift),
            _ => Err(ClientError::Unexpected),
        }
    }

    /// Executes one command exactly once. After [`ClientError::Silent`] it is not known whether the
    /// device did; [`Self::hello`] opens the session again. [`Refusal::Unknown`] is the answer of a device of
    /// another version of the protocol.
    ///
    /// # Errors
    /// If the line is closed, the device stays silent or refuses, or its reply has no meaning.
    pub fn call(&mut self, command: Command<'_>) -> Result<Answer<'_>, ClientError> {
        let (session, sequence) = (self.session, self.sequence);
        let inputs = if let Command::Predict { input, .. } = command { input.len() } else { 0 };
        let mut buffer = vec![0; frame_bytes(inputs, 0)];
        let request = encode(&Request { session, sequence, command }, &mut buffer)
            .map_err(ClientError::Frame)?
            .to_vec();
        let attempts = self.patience.attempts;
        let mut found = false;
        for attempt in 0..attempts {
            self.resent += u64::from(attempt > 0);
            // A zero byte first ends whatever a disturbed line has left in the device.
            self.link.send(&[0]).and_then(|()| self.link.send(&request)).map_err(ClientError::Io)?;
            if self.await_reply(session, sequence)? {
                found = true;
                break;
            }
        }
        // Also after silence: the device may have executed the request, whose number is then used up.
        self.sequence = sequence.wrapping_add(1);
        if !found {
            return Err(ClientError::Silent { attempts });
        }
        let reply: Reply<'_> = decode(&mut self.frame).map_err(|_| ClientError::Unexpected)?;
        match reply.answer {
            Answer::Refused(refusal) => Err(ClientError::Refused(refusal)),
            answer => Ok(answer),
        }
    }

    /// Waits for the reply; `false` if the request is to be sent again.
    fn await_reply(&mut self, session: u32, sequence: u16) -> Result<bool, ClientError> {
        let deadline = Instant::now() + self.patience.timeout;
        loop {
            while let Some(end) = self.pending.iter().position(|&byte| byte == 0) {
                self.frame = self.pending.drain(..=end).take(end).collect();
                match decode::<Reply<'_>>(&mut self.frame.clone()) {
                    Ok(reply) if (reply.session, reply.sequence) == (session, sequence) => return Ok(true),
                    Ok(Reply { session: 0, sequence: 0, answer: Answer::Refused(Refusal::Damaged) }) => {
                        return Ok(false);
                    }
                    // A device of another version, which could not read whose request this is: nor will it.
                    Ok(Reply { session: 0, sequence: 0, answer: Answer::Refused(Refusal::Unknown) }) => {
                        return Ok(true);
                    }
                    // An old reply, or a damaged one: the right one may still come.
                    _ => {}
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(false);
            }
            let mut buffer = [0; 4096];
            let count = self.link.receive(&mut buffer, left).map_err(ClientError::Io)?;
            self.pending.extend_from_slice(buffer.get(..count).unwrap_or_default());
        }
    }
}
