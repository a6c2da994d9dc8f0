//! `stf-run serve`: this machine as a device, for a host that evaluates on it.

use crate::arguments::Arguments;
use crate::local::read_model;
use std::net::TcpListener;
use stf_bnn::{Model, Predictor};
use stf_device_protocol::{Server, frame_bytes, serve as answer};

/// Longest frame: larger inputs than any network of this size class takes.
const FRAME: usize = 1 << 18;

const BUILD: &str = concat!("stf-run ", env!("CARGO_PKG_VERSION"), " ");

/// Answers hosts, one after another, until it is ended.
pub fn serve(arguments: &Arguments) -> Result<String, String> {
    let path = arguments.model()?;
    let bytes = read_model(path)?;
    let named = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let model = Model::from_bytes(&bytes).map_err(|error| named(&error))?;
    let manifest = model.manifest();
    let inputs = usize::try_from(manifest.input.tensor.len()).map_err(|error| named(&error))?;
    let need = frame_bytes(inputs, manifest.outputs.into());
    if need > FRAME {
        return Err(named(&format!("frame: found {need} bytes, expected at most {FRAME}")));
    }
    let mut workspace = vec![0; model.workspace_bytes(&arguments.config).map_err(|error| named(&error))?];
    let predictor =
        Predictor::new(&model, arguments.config, &mut workspace).map_err(|error| named(&error))?;
    let build = format!("{BUILD}{}-{}", std::env::consts::ARCH, std::env::consts::OS);
    let mut server: Server<'_, '_, FRAME> = Server::new(&bytes, &model, predictor, &build);
    listen(arguments.port()?, &mut server)
}

fn listen(port: &str, server: &mut Server<'_, '_, FRAME>) -> Result<String, String> {
    let named = |error: std::io::Error| format!("{port}: {error}");
    if let Some(address) = port.strip_prefix("tcp:") {
        let listener = TcpListener::bind(address).map_err(named)?;
        eprintln!("stf-run: serving at tcp:{}", listener.local_addr().map_err(named)?);
        loop {
            let (stream, host) = listener.accept().map_err(named)?;
            stream.set_nodelay(true).map_err(named)?;
            said(&host.to_string(), answer(server, &stream, &stream));
        }
    }
    #[cfg(unix)]
    if let Some(path) = port.strip_prefix("unix:") {
        let listener = std::os::unix::net::UnixListener::bind(path).map_err(named)?;
        eprintln!("stf-run: serving at {port}");
        loop {
            let (stream, _) = listener.accept().map_err(named)?;
            said(path, answer(server, &stream, &stream));
        }
    }
    Err(format!("--port: found {port}, expected tcp:HOST:PORT or unix:PATH"))
}

/// A host that vanishes is no reason to stop.
fn said(host: &str, result: std::io::Result<()>) {
    if let Err(error) = result {
        eprintln!("stf-run: {host}: {error}");
    }
}
