//! `stf data`: which data sets there are, what is in one, and how to get one.

use crate::data::named::{self, Name};
use crate::data::{Description, describe, fetch, load, shard, shards};
use crate::error::{Error, Result};
use crate::progress::interrupt;
use clap::{Args, Subcommand};
use serde_json::json;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// List, describe and download data sets
#[derive(Debug, Args)]
pub struct DataArgs {
    #[command(subcommand)]
    action: Action,
    /// Folder with a folder per data set; searched before `$STF_DATA_DIR` and the cache folder
    #[arg(long, global = true, value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the data sets known by name and where they are
    List,
    /// Describe a data set: shape, examples by class, range, mean and standard deviation
    Info {
        /// A known name or a path
        spec: String,
    },
    /// Download a data set, checked by SHA-256
    Fetch {
        /// mnist, fashion-mnist or cifar10
        name: String,
        /// Address of a folder with the same files
        #[arg(long, value_name = "URL")]
        mirror: Option<String>,
    },
    /// Write data sets into a folder of shards, which is read record by record: for sets larger than
    /// memory
    Shard {
        /// Known names or paths; several are written one after another, as parts of one set
        #[arg(required = true)]
        specs: Vec<String>,
        /// Folder to write, empty or new
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// Size of a file, in MB (2^20 bytes)
        #[arg(long, value_name = "MB", default_value_t = shards::DEFAULT_SHARD_BYTES >> 20)]
        shard_size: u64,
    },
}

/// Runs `stf data`.
///
/// # Errors
/// If the data set is unknown, missing or malformed, or a download fails.
pub fn run(args: DataArgs) -> Result<()> {
    let data_dir = args.data_dir.as_deref();
    let (text, value) = match args.action {
        Action::List => list(data_dir),
        Action::Info { spec } => info(&spec, data_dir)?,
        // These two remove what they have begun to write.
        Action::Fetch { name, mirror } => {
            interrupt::install();
            fetch_named(&name, data_dir, mirror.as_deref())?
        }
        Action::Shard { specs, out, shard_size } => {
            interrupt::install();
            write_shards(&specs, &out, shard_size, data_dir)?
        }
    };
    let text = if args.json { format!("{value}\n") } else { text };
    std::io::stdout().write_all(text.as_bytes()).map_err(Error::io("standard output", "write"))
}

type Output = (String, serde_json::Value);

fn list(data_dir: Option<&Path>) -> Output {
    let (mut text, mut entries) = (String::new(), Vec::new());
    for name in Name::ALL {
        let place = match name {
            Name::Digits => Some("embedded".to_string()),
            _ => named::find(name, data_dir).ok().map(|folder| folder.display().to_string()),
        };
        let shown = place.as_deref().map_or_else(|| format!("not here: {}", name.how_to_get()), String::from);
        let _ = writeln!(text, "{:14} {}\n{:14} {shown}", name.as_str(), name.summary(), "");
        entries.push(json!({"name": name.as_str(), "summary": name.summary(), "place": place}));
    }
    (text, json!({"data": entries}))
}

fn info(spec: &str, data_dir: Option<&Path>) -> Result<Output> {
    let loaded = load(spec, data_dir)?;
    let (mut text, mut parts) = (String::new(), serde_json::Map::new());
    for (part, set) in loaded.parts() {
        let description = describe(set)?;
        text.push_str(&to_text(part, &description));
        parts.insert(part.to_string(), json!(description));
    }
    Ok((text, json!({"data": spec, "parts": parts})))
}

fn to_text(part: &str, found: &Description) -> String {
    let list = |values: &[f64]| {
        let shown: Vec<String> = values.iter().take(8).map(|value| format!("{value:.4}")).collect();
        format!("{}{}", shown.join(", "), if values.len() > 8 { ", ..." } else { "" })
    };
    let classes: Vec<String> =
        found.classes.iter().map(|class| format!("{} {}", class.name, class.n)).collect();
    format!(
        "{} ({part}): {} examples of {} {}\n  range {} to {}\n  mean {}\n  std {}\n  classes {}\n",
        found.name,
        found.n,
        found.shape,
        found.element,
        found.min,
        found.max,
        list(&found.mean),
        list(&found.std),
        classes.join(", "),
    )
}

fn write_shards(specs: &[String], out: &Path, shard_size: u64, data_dir: Option<&Path>) -> Result<Output> {
    let written = shard(specs, data_dir, out, shard_size.saturating_mul(1 << 20))?;
    let parts: Vec<String> = written.parts.iter().map(|(part, n)| format!("{part} {n}")).collect();
    let text = format!(
        "{}: {} examples, {} files, {} bytes\n",
        out.display(),
        parts.join(", "),
        written.shards,
        written.bytes
    );
    Ok((text, json!(written)))
}

fn fetch_named(name: &str, data_dir: Option<&Path>, mirror: Option<&str>) -> Result<Output> {
    let known = Name::parse(name)
        .ok_or_else(|| Error::invalid("data set to fetch", name, "mnist, fashion-mnist or cifar10"))?;
    let folder = fetch::fetch(known, data_dir, mirror)?;
    let shown = folder.display().to_string();
    Ok((format!("{name}: {shown}\n"), json!({"data": name, "folder": shown})))
}
