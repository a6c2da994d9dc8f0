//! `stf keygen`, `sign`, `verify` and `export --sign`, with OpenSSL as an independent oracle of keys
//! and signatures.

mod command;

use command::{fails, ok};
use sha2::{Digest, Sha512};
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// A small trained run's folder.
fn trained(dir: &TempDir) -> String {
    let folder = dir.path().join("run").display().to_string();
    let epochs = ["--epochs", "1", "--bayes-epochs", "1"];
    ok(&[&["train", "--arch", "mlp", "--data", "digits", "--out", &folder][..], &epochs].concat());
    folder
}

#[test]
fn artifacts_are_signed_and_verified() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let [run, model, key, public, other] =
        [trained(&dir), path("model.stf"), path("my.key"), path("my.key.pub"), path("other.key")];
    ok(&["keygen", &key]);
    assert!(fails(&["keygen", &key]).contains("my.key exists"));
    ok(&["keygen", &other]);

    ok(&["export", &run, "-o", &model]);
    let unsigned = std::fs::read(&model).unwrap();
    assert!(fails(&["verify", &model, "--key", &public]).contains("unsigned"));
    ok(&["export", &run, "-o", &model, "--sign", &key, "--release", "7"]);
    let by_export = std::fs::read(&model).unwrap();
    std::fs::write(&model, &unsigned).unwrap();
    ok(&["sign", &model, "--key", &key, "--release", "7"]);
    assert_eq!(std::fs::read(&model).unwrap(), by_export);

    assert!(ok(&["verify", &model, "--key", &public, "--min-release", "7"]).contains("release 7"));
    let old = fails(&["verify", &model, "--key", &public, "--min-release", "8"]);
    assert!(old.contains("model.stf: artifact: found release: found 7, expected at least 8"), "{old}");
    let foreign = fails(&["verify", &model, "--key", &format!("{other}.pub")]);
    assert!(foreign.contains("not this key's"), "{foreign}");
    assert!(ok(&["inspect", &model]).contains("signed, release 7"));
    // It predicts as the unsigned one.
    let eval = ["eval", &model, "--data", "digits", "--json"];
    let signed_figures = ok(&eval);
    std::fs::write(&model, &unsigned).unwrap();
    assert_eq!(ok(&eval), signed_figures);
    // Wrong usage.
    assert_eq!(command::run(&["export", &run, "-o", &model, "--sign", &key]).status.code(), Some(2));
}

#[test]
fn openssl_reads_the_keys_and_verifies_the_signature() {
    let openssl = |args: &[&str]| Command::new("openssl").args(args).output();
    if !openssl(&["version"]).is_ok_and(|output| output.status.success()) {
        use std::io::Write;
        // Not `eprintln`, which the test harness keeps to itself when a test passes.
        let _ = writeln!(std::io::stderr(), "SKIPPED: no openssl here to verify a signature with");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let [run, model, key] = [trained(&dir), path("model.stf"), path("openssl.key")];
    // A key made elsewhere signs here.
    assert!(openssl(&["genpkey", "-algorithm", "ed25519", "-out", &key]).unwrap().status.success());
    let public = path("openssl.pub");
    assert!(openssl(&["pkey", "-in", &key, "-pubout", "-out", &public]).unwrap().status.success());
    ok(&["export", &run, "-o", &model, "--sign", &key, "--release", "1"]);
    ok(&["verify", &model, "--key", &public]);

    // The signed message, put together from the format's description.
    let file = std::fs::read(&model).unwrap();
    let (body, signature) = file.split_at(file.len() - 64);
    let mut hash = Sha512::new();
    hash.update(&body[..24]);
    hash.update(&body[28..]);
    let message = [b"stf-bnn artifact".as_slice(), &hash.finalize()].concat();
    let verifies = |message: &[u8]| {
        let [text, proof] = [path("message"), path("signature")];
        std::fs::write(&text, message).unwrap();
        std::fs::write(&proof, signature).unwrap();
        let args =
            ["pkeyutl", "-verify", "-pubin", "-inkey", &public, "-rawin", "-in", &text, "-sigfile", &proof];
        openssl(&args).unwrap().status.success()
    };
    assert!(verifies(&message));
    assert!(!verifies(&message[1..]));
    assert!(Path::new(&public).exists());
}
