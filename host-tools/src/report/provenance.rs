//! What the artifact is and where it came from.

use super::cost::device_workspace_bytes;
use super::subject::Subject;
use super::text::{bytes, count, or_dash};
use super::{Block, Section, Table};
use crate::error::Result;
use serde::Serialize;
use sha2::{Digest, Sha256};

/// The artifact.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Artifact {
    /// Its name.
    pub name: String,
    /// Size of the file.
    pub file_bytes: usize,
    /// SHA-256 of the file, hexadecimal.
    pub sha256: String,
    /// Release number, if it is signed.
    pub release: Option<u32>,
    /// Multiply-accumulates of one pass.
    pub macs: u64,
    /// Weights, biases, multipliers.
    pub weight_bytes: u64,
    /// What the posterior adds.
    pub posterior_bytes: u64,
    /// Memory of a predictor on a device, one draw at a time.
    pub workspace_bytes: usize,
    /// Divides the logits.
    pub temperature: f32,
    /// Sigma of the prior; `None` without a posterior.
    pub prior_sigma: Option<f32>,
    /// Temperature of the posterior.
    pub posterior_temperature: Option<f32>,
    /// Tool that wrote it.
    pub tool: String,
    /// Tool that wrote this report.
    pub report_tool: String,
    /// Training data.
    pub data: String,
    /// Seed of training.
    pub seed: u64,
    /// Settings of training and export.
    pub training: serde_json::Value,
}

impl Artifact {
    /// The facts of a subject's artifact.
    pub fn new(subject: &Subject<'_>) -> Result<Self> {
        let (model, manifest) = (subject.model, subject.model.manifest());
        let provenance = manifest.provenance;
        Ok(Self {
            name: manifest.name.to_string(),
            file_bytes: subject.file.len(),
            sha256: Sha256::digest(subject.file).iter().map(|byte| format!("{byte:02x}")).collect(),
            release: model.is_signed().then(|| model.release()),
            macs: model.macs(),
            weight_bytes: model.weight_bytes(),
            posterior_bytes: model.posterior_bytes(),
            workspace_bytes: device_workspace_bytes(model, subject.config)?,
            temperature: manifest.temperature,
            prior_sigma: manifest.posterior.map(|posterior| posterior.prior.prior_sigma),
            posterior_temperature: manifest.posterior.map(|posterior| posterior.prior.temperature),
            tool: provenance.tool.to_string(),
            report_tool: concat!("stf ", env!("CARGO_PKG_VERSION")).to_string(),
            data: provenance.data.to_string(),
            seed: provenance.seed,
            training: serde_json::from_str(provenance.training)
                .unwrap_or_else(|_| provenance.training.into()),
        })
    }
}

/// The facts as a table, and the settings of training as they are.
pub fn section(artifact: &Artifact) -> Section {
    let row = |name: &str, value: String| vec![name.to_string(), value];
    let rows = vec![
        row("artifact", format!("{}, {}", artifact.name, bytes(artifact.file_bytes as u64))),
        row("made by", artifact.tool.clone()),
        row("from", format!("{}, seed {}", artifact.data, artifact.seed)),
        row("multiply-accumulates", format!("{} a pass", count(artifact.macs))),
        row("weights", bytes(artifact.weight_bytes)),
        row("posterior", bytes(artifact.posterior_bytes)),
        row("softmax temperature", artifact.temperature.to_string()),
        row("prior sigma", or_dash(artifact.prior_sigma, |sigma| sigma.to_string())),
        row("posterior temperature", or_dash(artifact.posterior_temperature, |t| t.to_string())),
        row("signed", or_dash(artifact.release, |release| format!("release {release} (not verified here)"))),
        row("report by", artifact.report_tool.clone()),
    ];
    let training = serde_json::to_string_pretty(&artifact.training).unwrap_or_default();
    let blocks = vec![
        Block::Table(Table::new("Provenance", &["fact", "value"], rows)),
        Block::Text("SHA-256 of the artifact, and the settings it was trained with:".into()),
        Block::Verbatim(format!("{}\n{training}", artifact.sha256)),
    ];
    Section { id: "provenance", title: "Provenance", blocks }
}
