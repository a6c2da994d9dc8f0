//! The committed header is the one that the sources give.

use std::path::Path;

#[test]
fn the_header_is_fresh() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(here.join("cbindgen.toml")).unwrap();
    let mut fresh = Vec::new();
    cbindgen::generate_with_config(here, config).unwrap().write(&mut fresh);
    let fresh = String::from_utf8(fresh).unwrap();
    let path = here.join("include/stf_bnn.h");
    if std::env::var_os("STF_UPDATE_HEADER").is_some() {
        std::fs::write(&path, &fresh).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == fresh,
        "include/stf_bnn.h is stale: run STF_UPDATE_HEADER=1 cargo test -p stf-bnn-c --test header"
    );
}
