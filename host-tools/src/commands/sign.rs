//! `stf keygen`, `stf sign`, `stf verify`: artifacts that a device can trust.

use super::common::{check_artifact, print_result, read_artifact};
use crate::error::{Error, Result};
use crate::files::write_atomic;
use crate::keys;
use clap::Args;
use serde::Serialize;
use std::path::{Path, PathBuf};
use stf_bnn::Model;
use stf_bnn::artifact::{PublicKey, sign};

/// Make an Ed25519 key pair for signing artifacts
#[derive(Debug, Args)]
pub struct KeygenArgs {
    /// File of the secret key; the public one goes beside it, with .pub at the end
    path: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Sign an artifact
#[derive(Debug, Args)]
pub struct SignArgs {
    /// The .stf file
    model: PathBuf,
    /// Secret key, from `stf keygen` or OpenSSL (PKCS#8 PEM)
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Release number: a device refuses a smaller one than it has accepted
    #[arg(long, value_name = "N")]
    release: u32,
    /// Where to write the signed artifact [default: in place]
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Signing as part of another command.
#[derive(Debug, Clone, Args)]
pub struct SigningArgs {
    /// Sign the artifact with this secret key, from `stf keygen` or OpenSSL (PKCS#8 PEM)
    #[arg(long = "sign", value_name = "KEY_FILE", requires = "release")]
    key: Option<PathBuf>,
    /// Release number of the signed artifact: a device refuses a smaller one than it has accepted
    #[arg(long, value_name = "N", requires = "key")]
    release: Option<u32>,
}

impl SigningArgs {
    /// Whether an artifact is to be signed.
    #[must_use]
    pub const fn is_asked(&self) -> bool {
        self.key.is_some()
    }

    /// The artifact, signed if that is asked for; `path` is where it will be written.
    ///
    /// # Errors
    /// If the key cannot be read.
    pub fn apply(&self, path: &Path, artifact: Vec<u8>) -> Result<Vec<u8>> {
        match (&self.key, self.release) {
            (Some(key), Some(release)) => signed(path, &artifact, &keys::read_secret(key)?, release),
            _ => Ok(artifact),
        }
    }
}

/// Verify the signature of an artifact
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// The .stf file
    model: PathBuf,
    /// Public key, from `stf keygen` or OpenSSL (PEM)
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Refuse artifacts with a smaller release number
    #[arg(long, value_name = "N", default_value_t = 0)]
    min_release: u32,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Key {
    secret_key: String,
    public_key: String,
    /// For `Model::from_signed` and `stf_model_load_signed`: 64 hexadecimal digits.
    public_key_hex: String,
}

#[derive(Debug, Serialize)]
struct Signed {
    artifact: String,
    release: u32,
    bytes: usize,
    public_key_hex: String,
}

impl Signed {
    fn text(&self, what: &str) -> String {
        format!("{}: {what}, release {}, key {}", self.artifact, self.release, self.public_key_hex)
    }
}

/// Runs `stf keygen`.
///
/// # Errors
/// As [`keys::generate`].
pub fn keygen(args: &KeygenArgs) -> Result<()> {
    let public = keys::generate(&args.path)?;
    let record = Key {
        secret_key: args.path.display().to_string(),
        public_key: keys::public_path(&args.path).display().to_string(),
        public_key_hex: hex(&public),
    };
    print_result(args.json, &record, |record| {
        format!(
            "{}: keep it secret\n{}: for devices, as bytes {}",
            record.secret_key, record.public_key, record.public_key_hex
        )
    })
}

/// Runs `stf sign`.
///
/// # Errors
/// If the artifact or the key cannot be read, or the disk refuses.
pub fn run(args: &SignArgs) -> Result<()> {
    let secret = keys::read_secret(&args.key)?;
    let file = signed(&args.model, &read_artifact(&args.model)?, &secret, args.release)?;
    let out = args.out.as_deref().unwrap_or(&args.model);
    write_atomic(out, |writer| writer.write_all(&file))?;
    let record = Signed {
        artifact: out.display().to_string(),
        release: args.release,
        bytes: file.len(),
        public_key_hex: hex(&stf_bnn::artifact::public_key(&secret)),
    };
    print_result(args.json, &record, |record| record.text("signed"))
}

/// Signs an artifact's bytes; `path` is for the message.
///
/// # Errors
/// If the bytes are no artifact.
pub fn signed(path: &Path, artifact: &[u8], secret: &[u8; 32], release: u32) -> Result<Vec<u8>> {
    sign(artifact, secret, release)
        .map_err(|error| Error::malformed(path, "artifact", error, "an intact .stf file"))
}

/// Runs `stf verify`.
///
/// # Errors
/// If the artifact or key cannot be read, or the artifact must not be trusted.
pub fn verify(args: &VerifyArgs) -> Result<()> {
    let key = keys::read_public(&args.key)?;
    let bytes = read_artifact(&args.model)?;
    check_artifact(&args.model, &bytes)?;
    let model = Model::from_signed(&bytes, &key, args.min_release)
        .map_err(|error| Error::malformed(&args.model, "artifact", error, "a signed .stf file to trust"))?;
    let record = Signed {
        artifact: args.model.display().to_string(),
        release: model.release(),
        bytes: bytes.len(),
        public_key_hex: hex(&key),
    };
    print_result(args.json, &record, |record| record.text("the signature holds"))
}

fn hex(key: &PublicKey) -> String {
    key.to_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}
