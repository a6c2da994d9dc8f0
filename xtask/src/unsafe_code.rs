//! A test: where `unsafe` may stand, and that every block of it says why it is sound. The compiler's lints see the
//! code of this machine alone; this reads the kernels of all of them.

use crate::cross::root;
use std::path::{Path, PathBuf};

/// Folders and files with `unsafe`. Firmware reaches registers and linker symbols, fuzzing plays a C program.
const ALLOWED: [&str; 5] =
    ["src/kernels/", "c-api/", "host-tools/src/kernels/", "firmware/src/", "fuzz/src/c_api.rs"];

/// Lines above a block in which its comment starts.
const NEAR: usize = 12;

/// Rust files of the repository.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        if path.is_dir() && !name.starts_with('.') && name != "target" {
            sources(&path, found);
        } else if name.ends_with(".rs") {
            found.push(path);
        }
    }
}

/// The part of a line that is code: no comment, no text. Good enough for this repository.
fn code(line: &str) -> String {
    let line = line.split("//").next().unwrap_or_default();
    line.split('"').step_by(2).collect()
}

fn has_word(line: &str, word: &str) -> bool {
    let code = code(line);
    let mut parts = code.split(|c: char| !c.is_alphanumeric() && c != '_');
    parts.any(|part| part == word)
}

/// Blocks and implementations of a file, and the lines of those without a reason.
pub fn blocks(text: &str) -> (usize, Vec<usize>) {
    let lines: Vec<&str> = text.lines().collect();
    let (mut count, mut bare) = (0, Vec::new());
    for (number, line) in lines.iter().enumerate() {
        let code = code(line);
        if !code.contains("unsafe {") && !code.contains("unsafe impl") {
            continue;
        }
        count += 1;
        let above = &lines[number.saturating_sub(NEAR)..=number];
        if !above.iter().any(|line| line.contains("SAFETY:")) {
            bare.push(number + 1);
        }
    }
    (count, bare)
}

/// All findings, and the number of blocks.
pub fn check() -> (usize, Vec<String>) {
    let (mut files, mut findings, mut count) = (Vec::new(), Vec::new(), 0);
    sources(root(), &mut files);
    for file in files {
        let name = file.strip_prefix(root()).unwrap_or(&file).to_string_lossy().replace('\\', "/");
        let Ok(text) = std::fs::read_to_string(&file) else { continue };
        // Its own examples are text.
        let allowed =
            name == "xtask/src/unsafe_code.rs" || ALLOWED.iter().any(|start| name.starts_with(start));
        let used = text
            .lines()
            .position(|line| has_word(line, "unsafe") || code(line).contains("allow(unsafe_code"));
        if let Some(line) = used.filter(|_| !allowed) {
            findings.push(format!("{name}:{}: unsafe outside {ALLOWED:?}", line + 1));
        }
        let (blocks, bare) = if name.starts_with("xtask/") { (0, Vec::new()) } else { blocks(&text) };
        count += blocks;
        findings.extend(
            bare.iter().map(|line| format!("{name}:{line}: no SAFETY: line within {NEAR} lines above")),
        );
    }
    (count, findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsafe_code_stands_where_it_may_and_says_why() {
        let (count, findings) = check();
        assert!(findings.is_empty(), "{}", findings.join("\n"));
        println!("{count} unsafe blocks");
        assert!(count > 100, "found {count} blocks: are the sources here?");
    }

    #[test]
    fn what_it_looks_for_is_found() {
        let bare = "fn f() {\n    unsafe { g() }\n}\n";
        assert_eq!(blocks(bare), (1, vec![2]));
        assert_eq!(blocks("    // SAFETY: it is.\n    unsafe { g() }\n"), (1, vec![]));
        assert!(has_word("    unsafe fn f() {}", "unsafe") && !has_word("// unsafe", "unsafe"));
        assert!(!has_word("#![deny(unsafe_code)]", "unsafe"));
        assert!(!has_word("let text = \"unsafe {\";", "unsafe"));
    }
}
