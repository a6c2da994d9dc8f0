//! Ed25519 keys in the files that OpenSSL and others read: PKCS#8 and SubjectPublicKeyInfo, PEM.

use crate::error::{Error, Result};
use crate::files::{write_atomic, write_private};
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey};
use std::path::{Path, PathBuf};
use stf_bnn::artifact::PublicKey;

/// The file of the public key beside that of the secret one.
#[must_use]
pub fn public_path(secret: &Path) -> PathBuf {
    let mut name = secret.as_os_str().to_owned();
    name.push(".pub");
    name.into()
}

/// Makes a key from the system's randomness: writes `path`, which only its owner may read, and
/// [`public_path`]. Returns the public key.
///
/// # Errors
/// If either file exists already (a key is never overwritten), the disk refuses, or the system has
/// no randomness.
pub fn generate(path: &Path) -> Result<PublicKey> {
    let public = public_path(path);
    if let Some(taken) = [path, &public].into_iter().find(|path| path.exists()) {
        return Err(Error::invalid("key file", format!("{} exists", taken.display()), "a new file"));
    }
    let mut secret = [0; 32];
    getrandom::fill(&mut secret)
        .map_err(|error| Error::invalid("randomness of the system", error, "32 random bytes"))?;
    let key = SigningKey::from_bytes(&secret);
    let encoding = |error: String| Error::invalid("key", error, "a key with a PEM form");
    let secret_pem = key.to_pkcs8_pem(LineEnding::LF).map_err(|error| encoding(error.to_string()))?;
    let public_pem =
        key.verifying_key().to_public_key_pem(LineEnding::LF).map_err(|error| encoding(error.to_string()))?;
    write_private(path, secret_pem.as_bytes())?;
    write_atomic(&public, |writer| writer.write_all(public_pem.as_bytes())).inspect_err(|_| {
        // Both or none: a key without its other half would only be in the way of the next try.
        let _ = std::fs::remove_file(path);
    })?;
    Ok(stf_bnn::artifact::public_key(&secret))
}

/// The secret key of a PEM file.
///
/// # Errors
/// If the file cannot be read or holds no Ed25519 private key in PKCS#8 form.
pub fn read_secret(path: &Path) -> Result<[u8; 32]> {
    SigningKey::from_pkcs8_pem(&read(path)?).map(|key| key.to_bytes()).map_err(|error| {
        Error::malformed(path, "secret key", error, "an Ed25519 private key in PKCS#8 PEM form")
    })
}

/// The public key of a PEM file.
///
/// # Errors
/// If the file cannot be read or holds no safe Ed25519 public key.
pub fn read_public(path: &Path) -> Result<PublicKey> {
    let malformed =
        |found: String| Error::malformed(path, "public key", found, "an Ed25519 public key in PEM form");
    let key = ed25519_dalek::VerifyingKey::from_public_key_pem(&read(path)?)
        .map_err(|error| malformed(error.to_string()))?;
    PublicKey::from_bytes(&key.to_bytes()).map_err(|error| malformed(error.to_string()))
}

/// A key file is short text: anything else is refused before it is read whole.
fn read(path: &Path) -> Result<String> {
    const LONGEST: u64 = 16 * 1024;
    let length = std::fs::metadata(path).map_err(Error::io(path, "read"))?.len();
    if length > LONGEST {
        return Err(Error::malformed(path, "key", format!("{length} bytes"), "a PEM file of at most 16 KiB"));
    }
    std::fs::read_to_string(path).map_err(Error::io(path, "read"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("device.key");
        let public = generate(&path).unwrap();
        assert_eq!(stf_bnn::artifact::public_key(&read_secret(&path).unwrap()), public);
        assert_eq!(read_public(&public_path(&path)).unwrap(), public);
        let again = generate(&path).unwrap_err().to_string();
        assert!(again.contains("device.key exists, expected a new file"), "{again}");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[cfg(unix)]
    #[test]
    fn without_its_public_half_no_key_stays() {
        let dir = tempfile::tempdir().unwrap();
        // As long as a name may be: its public half has none.
        let path = dir.path().join("k".repeat(255));
        assert!(generate(&path).is_err());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn files_that_are_no_keys_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.key");
        generate(&path).unwrap();
        // Each kind in the other's place.
        let error = read_public(&path).unwrap_err().to_string();
        assert!(error.contains("x.key: public key: found"), "{error}");
        let error = read_secret(&public_path(&path)).unwrap_err().to_string();
        assert!(error.contains("x.key.pub: secret key: found"), "{error}");
        std::fs::write(&path, vec![b'a'; 20_000]).unwrap();
        let error = read_secret(&path).unwrap_err().to_string();
        assert!(error.contains("found 20000 bytes"), "{error}");
        assert!(read_public(&dir.path().join("none")).unwrap_err().to_string().contains("cannot read"));
    }
}
