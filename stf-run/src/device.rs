//! Predictions by a device at the other end of a line.

use crate::arguments::Arguments;
use crate::data::Data;
use crate::line::Line;
use crate::local::{Figures, to_json};
use std::time::{SystemTime, UNIX_EPOCH};
use stf_bnn::Classification;
use stf_device_protocol::{Client, Predicted, write_bits};

/// What `Hello` said, owned.
struct Device {
    client: Client<Line>,
    model: String,
    inputs: usize,
    samples: u16,
    seed: u64,
    json: String,
}

fn open(arguments: &Arguments) -> Result<Device, String> {
    let port = arguments.port()?;
    let line = Line::open(port).map_err(|error| format!("{port}: {error}"))?;
    // Another number than the last session's: the clock's low bits.
    let session = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |time| time.subsec_nanos() | 1);
    let mut client = Client::new(line, session, arguments.patience);
    let hello = client.hello().map_err(|error| format!("{port}: {error}"))?;
    let json = to_json(&hello)?;
    let (model, inputs, samples, seed) =
        (hello.model.to_string(), hello.inputs as usize, hello.samples, hello.seed);
    Ok(Device { client, model, inputs, samples, seed, json })
}

/// `stf-run device hello`
pub fn hello(arguments: &Arguments) -> Result<String, String> {
    open(arguments).map(|device| device.json)
}

/// `stf-run device predict`: every prediction as bits, as `stf-run predict --bits` prints them.
pub fn predict(arguments: &Arguments) -> Result<String, String> {
    let mut device = open(arguments)?;
    let data = Data::read(arguments.images()?, None, device.inputs, arguments.limit, None)?;
    device.client.reset(0).map_err(|error| error.to_string())?;
    let mut text = String::new();
    for (index, input) in data.inputs().enumerate() {
        let found = device.client.predict(None, input).map_err(|error| format!("input {index}: {error}"))?;
        print(&mut text, index, &found).map_err(|error| error.to_string())?;
        text.push('\n');
    }
    Ok(text)
}

fn print(text: &mut String, index: usize, found: &Predicted<'_>) -> std::fmt::Result {
    let classification = found.classification.map(
        |(class, confidence, predictive_entropy, expected_entropy, mutual_information)| Classification {
            class,
            confidence,
            predictive_entropy,
            expected_entropy,
            mutual_information,
        },
    );
    let [mean, spread] = [found.mean, found.spread].map(floats);
    write_bits(text, index, &mean, &spread, found.samples, classification.as_ref())
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
}

/// `stf-run device eval`: figures that the device computed.
pub fn eval(arguments: &Arguments) -> Result<String, String> {
    let mut device = open(arguments)?;
    let labels = Some(arguments.labels()?.as_path());
    let name = arguments.name.as_deref();
    let data = Data::read(arguments.images()?, labels, device.inputs, arguments.limit, name)?;
    device.client.reset(0).map_err(|error| error.to_string())?;
    for (index, (input, label)) in data.labelled().enumerate() {
        let sent = device.client.predict(Some(label.into()), input);
        sent.map_err(|error| format!("example {index}: {error}"))?;
    }
    let metrics = device.client.metrics().map_err(|error| error.to_string())?;
    let n = data.labels.len();
    if metrics.count != n as u64 {
        return Err(format!("device: found {} predictions counted, expected {n}", metrics.count));
    }
    if device.client.resent() > 0 {
        eprintln!("{} requests were sent again", device.client.resent());
    }
    let figures = Figures {
        model: device.model,
        data: data.name,
        n,
        num_samples: device.samples,
        mean_passes: metrics.passes as f64 / n as f64,
        accuracy: metrics.accuracy,
        nll: metrics.nll,
        brier: metrics.brier,
        ece: metrics.ece,
        seed: device.seed,
        ood: [],
    };
    figures.print(arguments.json)
}
