//! Predictions by a device at the other end of a line.

use crate::arguments::Arguments;
use crate::data::Data;
use crate::local::{show, to_json};
use crate::log::Log;
use stf_device_protocol::{Device, Line, Owned, write_bits};

fn open(arguments: &Arguments) -> Result<Device<Line>, String> {
    let port = arguments.port()?;
    let named = |error: &dyn std::fmt::Display| format!("{port}: {error}");
    let line = Line::open(port, arguments.baud).map_err(|error| named(&error))?;
    Device::open(line, arguments.patience).map_err(|error| named(&error))
}

fn inputs(device: &Device<Line>) -> usize {
    device.about().inputs as usize
}

/// `stf-run device hello`
pub fn hello(arguments: &Arguments) -> Result<String, String> {
    to_json(open(arguments)?.about())
}

/// `stf-run device predict`: every prediction as bits, as `stf-run predict --bits` prints them.
pub fn predict(arguments: &Arguments) -> Result<String, String> {
    let mut device = open(arguments)?;
    let data = Data::read(arguments.images()?, None, inputs(&device), arguments.limit, None)?;
    let (mut text, mut written) = (String::new(), Ok(()));
    let sent = device.predict(data.inputs(), |index, p| {
        let c = p.classification.as_ref();
        written = written.and_then(|()| write_bits(&mut text, index, &p.mean, &p.spread, p.samples, c));
        text.push('\n');
    });
    sent.map_err(|error| error.to_string())?;
    written.map_err(|error| error.to_string())?;
    Ok(text)
}

/// `stf-run device eval`: figures that the device computed.
pub fn eval(arguments: &Arguments) -> Result<String, String> {
    let mut device = open(arguments)?;
    let labels = Some(arguments.labels()?.as_path());
    let name = arguments.name.as_deref();
    let data = Data::read(arguments.images()?, labels, inputs(&device), arguments.limit, name)?;
    let examples = data.labelled().map(|(input, label)| (input, label.into()));
    let labels: Vec<u32> = data.labelled().map(|(_, label)| label.into()).collect();
    let (mut log, mut written) = (Log::create(arguments)?, Ok(()));
    let each = |index: usize, p: Owned| {
        if written.is_ok() {
            let passes = (p.samples, p.passes);
            written = log.push(index, labels[index], &p.mean, passes, p.classification.as_ref());
        }
    };
    let figures = device.evaluate(&data.name, examples, each).map_err(|error| error.to_string())?;
    written.and_then(|()| log.finish())?;
    if device.resent() > 0 {
        eprintln!("{} requests were sent again", device.resent());
    }
    show(&figures, arguments.json)
}
