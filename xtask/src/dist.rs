//! `cargo xtask dist`: the C library for one target, laid out as a package.

use crate::cross::{self, cargo, copy, root, target_dir, write};
use crate::supply;
use std::path::{Path, PathBuf};

/// Builds and lays out `include/ lib/ share/`. Bare-metal targets get the `no_std` static library.
pub fn run_for(target: Option<&str>, out: &Path) -> Result<(), String> {
    let bare = target.is_some_and(|target| target.contains("-none-"));
    let mut build = cargo(target)?;
    build.args(["rustc", "--release", "--package", "stf-bnn-c", "--lib"]);
    build.args(["--crate-type", if bare { "staticlib" } else { "staticlib,cdylib" }]);
    if bare {
        build.arg("--no-default-features");
    }
    let mut built = target_dir();
    if let Some(target) = target {
        build.args(["--target", target]).envs(cross::linker(target));
        built.push(target);
    }
    built.push("release");
    cross::run(&mut build)?;
    copy(&root().join("c-api/include/stf_bnn.h"), &out.join("include/stf_bnn.h"))?;
    copy(&built.join("libstf_bnn_c.a"), &out.join("lib/libstf_bnn_c.a"))?;
    if !bare {
        // Named by the system: the one of the three that was built.
        let shared = ["libstf_bnn_c.so", "libstf_bnn_c.dylib", "stf_bnn_c.dll"];
        for name in shared.into_iter().filter(|name| built.join(name).is_file()) {
            copy(&built.join(name), &out.join("lib").join(name))?;
        }
    }
    write(&out.join("lib/pkgconfig/stf-bnn.pc"), pkg_config(target, bare).as_bytes())?;
    let features: &[&str] = if bare { &["--no-default-features"] } else { &[] };
    let bill = supply::bill("stf-bnn-c", target, features)?;
    write(&out.join("share/stf-bnn/sbom.cdx.json"), bill.as_bytes())?;
    for name in ["LICENSE-APACHE", "LICENSE-MIT", "examples/c/predict.c"] {
        copy(&root().join(name), &out.join("share/stf-bnn").join(name))?;
    }
    eprintln!("xtask dist: {}", out.display());
    Ok(())
}

fn pkg_config(target: Option<&str>, bare: bool) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let private = match target {
        _ if bare => "",
        // Rust's and GCC's division routines have the same names and do the same: the first one will do.
        Some(target) if target.starts_with("armv7") => "-lpthread -ldl -lm -Wl,--allow-multiple-definition",
        _ => "-lpthread -ldl -lm",
    };
    format!(
        "prefix=${{pcfiledir}}/../..\nlibdir=${{prefix}}/lib\nincludedir=${{prefix}}/include\n\n\
         Name: stf-bnn\nDescription: int8 networks with a Bayesian first layer\nVersion: {version}\n\
         Libs: -L${{libdir}} -lstf_bnn_c\nLibs.private: {private}\nCflags: -I${{includedir}}\n"
    )
}

/// The command line of the task.
pub fn run(arguments: &[String]) -> Result<(), String> {
    let (mut target, mut out) = (None, None);
    let mut rest = arguments.iter();
    while let Some(name) = rest.next() {
        let value = rest.next().ok_or_else(|| format!("{name}: expected a value"))?;
        match name.as_str() {
            "--target" => target = Some(value.as_str()),
            "--out" => out = Some(PathBuf::from(value)),
            _ => return Err(format!("found {name}, expected --target or --out")),
        }
    }
    let default = || target_dir().join("dist").join(target.unwrap_or("host"));
    run_for(target, &out.unwrap_or_else(default))
}
