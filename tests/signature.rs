//! Signed artifacts: only the right key, the whole file and a recent release get past the door.

#![cfg(all(feature = "alloc", feature = "signature"))]

mod common;

use common::First;
use stf_bnn::artifact::{ArtifactError, PublicKey, public_key, sign};
use stf_bnn::{AlignedBytes, Model};

const SECRET: [u8; 32] = [7; 32];

fn small_model() -> Vec<u8> {
    common::model(First::Dense, 5).to_vec()
}

fn signed(release: u32) -> Vec<u8> {
    sign(&small_model(), &SECRET, release).unwrap()
}

fn load(file: &[u8], min_release: u32) -> Result<u32, ArtifactError> {
    let aligned = AlignedBytes::new(file);
    Model::from_signed(&aligned, &public_key(&SECRET), min_release).map(|model| model.release())
}

#[test]
fn a_signed_file_loads_both_ways_and_keeps_its_network() {
    let (plain, file) = (small_model(), signed(3));
    assert_eq!(load(&file, 3), Ok(3));
    let (plain, file) = (AlignedBytes::new(&plain), AlignedBytes::new(&file));
    let (plain, file) = (Model::from_bytes(&plain).unwrap(), Model::from_bytes(&file).unwrap());
    assert_eq!((plain.is_signed(), plain.release()), (false, 0));
    assert_eq!((file.is_signed(), file.release()), (true, 3));
    assert_eq!(plain.manifest(), file.manifest());
    assert!(plain.layers().eq(file.layers()));
}

#[test]
fn signing_again_replaces_the_signature() {
    let again = sign(&signed(3), &SECRET, 4).unwrap();
    assert_eq!(again.len(), signed(3).len());
    assert_eq!(again, signed(4));
    assert_eq!(load(&again, 4), Ok(4));
}

#[test]
fn unsigned_old_and_foreign_files_are_refused() {
    assert_eq!(load(&small_model(), 0), Err(ArtifactError::Unsigned));
    assert_eq!(load(&signed(3), 4), Err(ArtifactError::Release { found: 3, min: 4 }));
    let foreign = sign(&small_model(), &[8; 32], 3).unwrap();
    assert_eq!(load(&foreign, 0), Err(ArtifactError::Signature));
}

/// An attacker repairs the checksum; only the signature stands in the way.
#[test]
fn every_byte_is_under_the_signature() {
    let whole = signed(3);
    let mut refused = 0;
    for at in 0..whole.len() {
        if (24..28).contains(&at) {
            continue; // The checksum itself.
        }
        let mut file = whole.clone();
        file[at] ^= 1 << (at % 8);
        let crc = common::crc32(&file);
        file[24..28].copy_from_slice(&crc.to_le_bytes());
        assert!(load(&file, 0).is_err(), "byte {at}");
        refused += 1;
    }
    assert_eq!(refused, whole.len() - 4);
}

#[test]
fn weak_and_invalid_keys_are_refused() {
    // The neutral element: everybody can sign for it.
    let mut neutral = [0; 32];
    neutral[0] = 1;
    assert_eq!(PublicKey::from_bytes(&neutral), Err(ArtifactError::PublicKey));
    // y = 2 is on no point of the curve.
    neutral[0] = 2;
    assert_eq!(PublicKey::from_bytes(&neutral), Err(ArtifactError::PublicKey));
    let key = public_key(&SECRET);
    assert_eq!(PublicKey::from_bytes(&key.to_bytes()), Ok(key));
}

/// Public key of RFC 8032, section 7.1, test 1.
#[test]
fn the_public_key_is_that_of_rfc_8032() {
    let hex = |text: &str| -> [u8; 32] {
        std::array::from_fn(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap())
    };
    let secret = hex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
    let public = hex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
    assert_eq!(public_key(&secret).to_bytes(), public);
}
