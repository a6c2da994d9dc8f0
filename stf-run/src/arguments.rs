//! The command line.

use std::path::PathBuf;
use std::time::Duration;
use stf_bnn::{Config, Draws, Samples};
use stf_device_protocol::{DEFAULT_BAUD, Patience};

/// Everything that a command can be told.
#[derive(Debug, Clone)]
pub struct Arguments {
    model: Option<PathBuf>,
    images: Option<PathBuf>,
    labels: Option<PathBuf>,
    port: Option<String>,
    /// A log of every prediction.
    pub log_out: Option<PathBuf>,
    /// Name of the data in results.
    pub name: Option<String>,
    /// First inputs only.
    pub limit: Option<usize>,
    /// How to predict.
    pub config: Config,
    /// One JSON object.
    pub json: bool,
    /// IEEE bits.
    pub bits: bool,
    /// With `bits`: every draw's outputs as well.
    pub logits: bool,
    /// Predictions to time.
    pub repeat: u32,
    /// Of the serial line.
    pub patience: Patience,
    /// Of a serial port, bits a second.
    pub baud: u32,
}

impl Arguments {
    /// Reads what follows the command's name.
    pub fn parse(words: &[String]) -> Result<Self, String> {
        let patience = Patience { timeout: Duration::from_secs(10), attempts: 5 };
        let config = Config::default();
        let mut found = Self {
            model: None,
            images: None,
            labels: None,
            port: None,
            log_out: None,
            name: None,
            limit: None,
            config,
            json: false,
            bits: false,
            logits: false,
            repeat: 100,
            patience,
            baud: DEFAULT_BAUD,
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word}: found nothing, expected a value"));
            match word.as_str() {
                "--images" => found.images = Some(value()?.into()),
                "--labels" => found.labels = Some(value()?.into()),
                "--port" => found.port = Some(value()?.clone()),
                "--log-out" => found.log_out = Some(value()?.into()),
                "--name" => found.name = Some(value()?.clone()),
                "--limit" => found.limit = Some(number(word, value()?)?),
                "--repeat" => found.repeat = number(word, value()?)?,
                "--timeout" => found.patience.timeout = Duration::from_millis(number(word, value()?)?),
                "--attempts" => found.patience.attempts = number(word, value()?)?,
                "--baud" => found.baud = number(word, value()?)?,
                "--seed" => found.config.seed = number(word, value()?)?,
                "-k" | "--num-samples" => {
                    found.config.samples = Samples::MonteCarlo(number(word, value()?)?);
                }
                "--baseline" => match value()?.as_str() {
                    "mean" => found.config.samples = Samples::Mean,
                    other => return Err(format!("{word}: found {other}, expected mean")),
                },
                "--draws" => match value()?.as_str() {
                    "fresh" => found.config.draws = Draws::Fresh,
                    "fixed" => found.config.draws = Draws::Fixed,
                    other => return Err(format!("{word}: found {other}, expected fresh or fixed")),
                },
                "--no-antithetic" => found.config.antithetic = false,
                "--adaptive" => found.config.samples = Samples::Adaptive,
                "--json" => found.json = true,
                "--bits" => found.bits = true,
                "--logits" => found.logits = true,
                other if other.starts_with('-') => return Err(format!("found {other}: no such option")),
                path if found.model.is_none() => found.model = Some(path.into()),
                path => return Err(format!("found {path} after the model")),
            }
        }
        Ok(found)
    }

    /// The artifact.
    pub fn model(&self) -> Result<&PathBuf, String> {
        self.model.as_ref().ok_or_else(|| "expected the path of an .stf artifact".into())
    }

    /// The inputs.
    pub fn images(&self) -> Result<&PathBuf, String> {
        self.images.as_ref().ok_or_else(|| "expected --images FILE".into())
    }

    /// The labels.
    pub fn labels(&self) -> Result<&PathBuf, String> {
        self.labels.as_ref().ok_or_else(|| "expected --labels FILE".into())
    }

    /// The serial line.
    pub fn port(&self) -> Result<&str, String> {
        self.port.as_deref().ok_or_else(|| "expected --port PORT".into())
    }
}

fn number<T: std::str::FromStr>(name: &str, text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{name}: found {text}, expected a number in its range"))
}
