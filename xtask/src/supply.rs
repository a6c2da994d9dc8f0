//! What the product is made of: `cargo xtask deny` and the software bill of materials of `cargo xtask dist`.

use crate::cross::{cargo, output, root, run as run_command};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

/// The workspace, and what is outside of it with locks of its own.
const MANIFESTS: [&str; 4] =
    ["Cargo.toml", "firmware/Cargo.toml", "fuzz/Cargo.toml", "device-logs/Cargo.toml"];

/// `cargo xtask deny`: licences, sources, duplicates, and advisories where their database can be had.
pub fn deny(_: &[String]) -> Result<(), String> {
    let found = Command::new("cargo").args(["deny", "--version"]).output();
    if !found.is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: xtask deny: cargo install --locked cargo-deny");
        return Ok(());
    }
    let check = |manifest: &str, what: &[&str]| -> Result<Command, String> {
        let mut check = cargo(None)?;
        check.args(["deny", "--workspace", "--manifest-path", manifest, "--config"]);
        check.arg(root().join("deny.toml")).arg("check").args(what);
        Ok(check)
    };
    for manifest in MANIFESTS {
        run_command(&mut check(manifest, &["licenses", "bans", "sources"])?)?;
    }
    for manifest in MANIFESTS {
        let mut advisories = check(manifest, &["advisories"])?;
        let found = advisories.output().map_err(|error| format!("cargo deny: {error}"))?;
        let text = String::from_utf8_lossy(&found.stderr).into_owned();
        if !found.status.success()
            && (text.contains("failed to fetch") || text.contains("failed to load advisory"))
        {
            eprintln!("SKIPPED: xtask deny: the advisory database cannot be had from here");
            return Ok(());
        }
        if !found.status.success() {
            return Err(format!("{manifest}:\n{text}"));
        }
        println!("{manifest}: advisories ok");
    }
    Ok(())
}

/// One package of the bill.
#[derive(Debug, PartialEq)]
struct Part {
    name: String,
    version: String,
    licence: String,
    /// SHA-256 of the `.crate` file; none for the packages of this repository.
    sha256: Option<String>,
}

/// The parts of a package as it is built for a target, in CycloneDX 1.5 JSON.
pub fn bill(package: &str, target: Option<&str>, features: &[&str]) -> Result<String, String> {
    let mut tree = cargo(None)?;
    tree.args(["tree", "--package", package, "--edges", "normal", "--prefix", "none", "--locked"]);
    tree.args(["--format", "{p}\t{l}"]).args(features);
    if let Some(target) = target {
        tree.args(["--target", target]);
    }
    let tree = String::from_utf8_lossy(&output(&mut tree)?).into_owned();
    let lock = read(&root().join("Cargo.lock"))?;
    let parts = parts(&tree, &checksums(&lock));
    let (product, rest) = parts.split_first().ok_or("cargo tree: found no package")?;
    Ok(json(product, rest))
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// The checksums of a lock file, by name and version.
fn checksums(lock: &str) -> BTreeMap<(String, String), String> {
    let mut sums = BTreeMap::new();
    for package in lock.split("[[package]]") {
        let field = |name: &str| {
            let line = package.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = \""))?;
            line.strip_suffix('"').map(String::from)
        };
        if let (Some(name), Some(version), Some(sum)) = (field("name"), field("version"), field("checksum")) {
            sums.insert((name, version), sum);
        }
    }
    sums
}

/// The lines of `cargo tree`, each package once, the product first.
fn parts(tree: &str, sums: &BTreeMap<(String, String), String>) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    for line in tree.lines() {
        let (package, licence) = line.split_once('\t').unwrap_or((line, ""));
        let mut words = package.split_whitespace();
        let (Some(name), Some(version)) = (words.next(), words.next()) else { continue };
        let version = version.trim_start_matches('v').to_string();
        let licence = licence.trim_end_matches(" (*)").to_string();
        let sha256 = sums.get(&(name.to_string(), version.clone())).cloned();
        let part = Part { name: name.into(), version, licence, sha256 };
        if !parts.contains(&part) {
            parts.push(part);
        }
    }
    if let Some((_, rest)) = parts.split_first_mut() {
        rest.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
    }
    parts
}

fn component(part: &Part, kind: &str) -> String {
    let Part { name, version, licence, sha256 } = part;
    let purl = format!("pkg:cargo/{name}@{version}");
    // Cargo's old spelling of a choice.
    let licence = licence.replace('/', " OR ").replace("  ", " ");
    let mut text = format!("{{\"type\": \"{kind}\", \"bom-ref\": \"{purl}\", \"name\": \"{name}\", ");
    let _ = write!(text, "\"version\": \"{version}\", \"purl\": \"{purl}\"");
    if !licence.is_empty() {
        let _ = write!(text, ", \"licenses\": [{{\"expression\": \"{licence}\"}}]");
    }
    if let Some(sum) = sha256 {
        let _ = write!(text, ", \"hashes\": [{{\"alg\": \"SHA-256\", \"content\": \"{sum}\"}}]");
    }
    text + "}"
}

fn json(product: &Part, parts: &[Part]) -> String {
    let components: Vec<String> =
        parts.iter().map(|part| format!("    {}", component(part, "library"))).collect();
    format!(
        "{{\n  \"bomFormat\": \"CycloneDX\",\n  \"specVersion\": \"1.5\",\n  \"version\": 1,\n  \"metadata\": {{\n    \
         \"component\": {}\n  }},\n  \"components\": [\n{}\n  ]\n}}\n",
        component(product, "library"),
        components.join(",\n")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = "[[package]]\nname = \"libm\"\nversion = \"0.2.1\"\nsource = \"r\"\nchecksum = \"ab12\"\n\n\
                        [[package]]\nname = \"stf\"\nversion = \"0.1.0\"\n";
    const TREE: &str = "stf v0.1.0 (/somewhere)\tMIT OR Apache-2.0\nlibm v0.2.1\tMIT/Apache-2.0\nlibm v0.2.1\tMIT/Apache-2.0 (*)\n";

    #[test]
    fn the_bill_names_each_part_once() {
        let parts = parts(TREE, &checksums(LOCK));
        assert_eq!(parts.len(), 2);
        assert_eq!(parts[1].sha256.as_deref(), Some("ab12"));
        let text = json(&parts[0], &parts[1..]);
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["bomFormat"], "CycloneDX");
        assert_eq!(value["metadata"]["component"]["name"], "stf");
        assert_eq!(value["components"].as_array().unwrap().len(), 1);
        assert_eq!(value["components"][0]["licenses"][0]["expression"], "MIT OR Apache-2.0");
        assert_eq!(value["components"][0]["hashes"][0]["content"], "ab12");
        assert!(!text.contains("somewhere"), "no path of this machine");
    }

    #[test]
    fn the_c_library_has_a_bill() {
        let text = bill("stf-bnn-c", None, &[]).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let parts = value["components"].as_array().unwrap();
        let named = |name: &str| parts.iter().find(|part| part["name"] == name);
        assert!(named("stf-bnn").is_some_and(|part| part.get("hashes").is_none()), "{text}");
        for name in ["postcard", "ed25519-dalek", "libm"] {
            let part = named(name).unwrap_or_else(|| panic!("{name} is missing"));
            assert!(part["hashes"][0]["content"].as_str().is_some_and(|sum| sum.len() == 64), "{part}");
            assert!(part["licenses"][0]["expression"].is_string(), "{part}");
        }
    }
}
