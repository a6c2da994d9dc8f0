//! Any bytes on the line of a device, and on that of its host.
//!
//! An input is cut into pieces: a byte with the kind of piece, one with its length, and its content. A piece is
//! sent as it is, or as a frame with the checksum that it should have.

use crate::checksum::CRC;
use crate::seeds;
use std::collections::VecDeque;
use std::io;
use std::sync::OnceLock;
use std::time::Duration;
use stf_bnn::{AlignedBytes, Config, Model, Predictor, Samples};
use stf_device_protocol::{Client, Command, Link, Patience, Reply, Request, Server, decode, frame_bytes};

/// Bytes of the longest frame of the model that the device runs.
const FRAME: usize = frame_bytes(1024, 16);

/// The bytes of the line.
#[must_use]
pub fn line(mut input: &[u8]) -> Vec<u8> {
    let mut line = Vec::new();
    while let [kind, length, rest @ ..] = input {
        let (piece, behind) = rest.split_at(rest.len().min((*length).into()));
        match kind % 4 {
            0 => line.extend_from_slice(piece),
            _ => line.extend(frame(piece)),
        }
        input = behind;
    }
    line
}

/// A message as a frame, its zero byte at the end included.
#[must_use]
pub fn frame(message: &[u8]) -> Vec<u8> {
    let mut message = message.to_vec();
    message.extend(CRC.checksum(&message).to_le_bytes());
    let mut frame = vec![0; cobs::max_encoding_length(message.len())];
    let length = cobs::encode(&message, &mut frame);
    frame.truncate(length);
    frame.push(0);
    frame
}

/// A device and a host read the line.
pub fn run(input: &[u8]) {
    let line = line(input);
    let (file, model) = device_model();
    let config = Config { samples: Samples::MonteCarlo(2), ..Config::default() };
    let mut workspace = vec![0; model.workspace_bytes(&config).expect("sound settings")];
    let predictor = Predictor::new(model, config, &mut workspace).expect("enough memory");
    let mut server: Server<'_, '_, FRAME> = Server::new(file, model, predictor, "fuzz");
    for &byte in &line {
        if let Some(reply) = server.receive(byte) {
            let (&end, body) = reply.split_last().expect("no frame is empty");
            assert!(end == 0 && !body.contains(&0), "a frame ends once");
            decode::<Reply<'_>>(&mut body.to_vec()).expect("the device sends what the host reads");
        }
    }
    for body in line.split(|&byte| byte == 0) {
        let _ = decode::<Request<'_>>(&mut body.to_vec());
        let _ = decode::<Reply<'_>>(&mut body.to_vec());
    }
    let patience = Patience { timeout: Duration::ZERO, attempts: 2 };
    let mut client = Client::new(Replay(line.into()), 0, patience);
    let _ = client.hello();
    let _ = client.predict(Some(1), &[1, 2, 3]);
    let _ = client.metrics();
    let _ = client.call(Command::Drift);
}

fn device_model() -> (&'static [u8], &'static Model<'static>) {
    static FILE: OnceLock<AlignedBytes> = OnceLock::new();
    static MODEL: OnceLock<Model<'static>> = OnceLock::new();
    let file = FILE.get_or_init(|| AlignedBytes::new(&seeds::model(0)));
    (file, MODEL.get_or_init(|| Model::from_bytes(file).expect("a sound model")))
}

/// A line that says the same whatever it is asked.
struct Replay(VecDeque<u8>);

impl Link for Replay {
    fn send(&mut self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn receive(&mut self, buffer: &mut [u8], _: Duration) -> io::Result<usize> {
        let count = buffer.len().min(self.0.len()).min(64);
        buffer.iter_mut().zip(self.0.drain(..count)).for_each(|(to, byte)| *to = byte);
        if count == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(count) }
    }
}
