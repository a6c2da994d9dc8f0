//! Reports in a real browser: `stf report` on a network trained here, opened in Chromium on wide and narrow
//! screens, light and dark, and printed.

use crate::cross::{cargo, output, root, run as run_command, target_dir};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Names under which Chromium is installed.
const BROWSERS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "chrome"];

/// Added to a copy of the page.
const PROBE: &str = include_str!("report_probe.js");

/// A screen: its name, width in pixels, and whether it is dark.
const SCREENS: [(&str, u32, bool); 5] = [
    ("wide-light", 1280, false),
    ("wide-dark", 1280, true),
    ("phone-light", 390, false),
    ("phone-dark", 390, true),
    ("narrow", 320, false),
];

/// `cargo xtask report-test [MODEL DATA [OOD...]]`.
pub fn run(arguments: &[String]) -> Result<(), String> {
    let Some(browser) = browser() else {
        eprintln!(
            "xtask report-test: SKIPPED, NOTHING WAS TESTED: there is no Chromium here (Debian: apt-get install chromium)"
        );
        return Ok(());
    };
    let folder = target_dir().join("report-test");
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let stf = host_tool()?;
    let (model, data, ood) = match arguments {
        [] => (digits(&stf, &folder)?, "digits".to_string(), vec!["digits".to_string()]),
        [model, data, ood @ ..] => (model.into(), data.clone(), ood.to_vec()),
        [_] => return Err("expected MODEL DATA [OOD...]".into()),
    };
    let page = folder.join("report.html");
    let mut report = Command::new(&stf);
    report
        .arg("report")
        .arg(&model)
        .args(["--data", &data, "--corrupt", "noise:3", "--json", "--out"])
        .arg(&page);
    ood.iter().for_each(|set| {
        report.args(["--ood", set]);
    });
    let json = output(report.arg("--files").arg(folder.join("files")))?;
    let plots = plot_ids(&String::from_utf8_lossy(&json))?;
    for (name, width, dark) in SCREENS {
        look(&browser, &page, name, width, dark, &plots)?;
    }
    print(&browser, &page)?;
    eprintln!(
        "xtask report-test: {} plots on {} screens, pictures in {}",
        plots.len(),
        SCREENS.len(),
        folder.display()
    );
    Ok(())
}

fn browser() -> Option<PathBuf> {
    let folders: Vec<PathBuf> = std::env::split_paths(&std::env::var_os("PATH")?).collect();
    let named = |name: &&str| folders.iter().map(|folder| folder.join(name)).find(|path| path.is_file());
    BROWSERS.iter().find_map(named)
}

/// The tool as tests use it: fast enough, and built already where they ran.
fn host_tool() -> Result<PathBuf, String> {
    run_command(cargo(None)?.args(["build", "--package", "stf-host", "--bin", "stf"]))?;
    Ok(target_dir().join("debug/stf"))
}

/// An artifact of a short run on the digits that the tool carries.
fn digits(stf: &Path, folder: &Path) -> Result<PathBuf, String> {
    let (trained, model) = (folder.join("run"), folder.join("digits.stf"));
    let mut train = Command::new(stf);
    train.args([
        "train",
        "--arch",
        "lenet5",
        "--data",
        "digits",
        "--epochs",
        "15",
        "--bayes-epochs",
        "3",
        "--force",
    ]);
    run_command(train.arg("--out").arg(&trained))?;
    run_command(Command::new(stf).arg("export").arg(&trained).arg("--out").arg(&model))?;
    Ok(model)
}

/// The ids that `stf report --json` names.
fn plot_ids(json: &str) -> Result<Vec<String>, String> {
    let list = json.split("\"plots\":[").nth(1).and_then(|rest| rest.split(']').next());
    let ids: Vec<String> =
        list.unwrap_or_default().split('"').skip(1).step_by(2).map(str::to_string).collect();
    if ids.is_empty() { Err(format!("stf report names no plot: {json}")) } else { Ok(ids) }
}

/// Chromium without a window.
fn chromium(browser: &Path, width: u32, height: u32, dark: bool) -> Command {
    let mut command = Command::new(browser);
    command.current_dir(root());
    command.args([
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        "--enable-logging=stderr",
        "--v=0",
    ]);
    command.arg("--virtual-time-budget=5000").arg(format!("--window-size={width},{height}"));
    // 0 is dark, 1 is light.
    command.arg(format!("--blink-settings=preferredColorScheme={}", u8::from(!dark)));
    command
}

fn url(path: &Path) -> String {
    format!("file://{}", path.display())
}

/// A page in a frame of a width, however wide the window: Chromium's own windows are at least 500 wide.
fn framed(html: &str, width: u32, height: u32) -> String {
    let source = html.replace('&', "&amp;").replace('"', "&quot;");
    format!(
        "<!doctype html><meta name=\"color-scheme\" content=\"light dark\"><link rel=\"icon\" href=\"data:,\">\
         <body style=\"margin:0\"><iframe style=\"border:0;display:block;width:{width}px;height:{height}px\" srcdoc=\"{source}\"></iframe></body>"
    )
}

/// Lays the page out on one screen, and fails for whatever the probe finds wrong.
fn look(
    browser: &Path,
    page: &Path,
    name: &str,
    width: u32,
    dark: bool,
    plots: &[String],
) -> Result<(), String> {
    let html = std::fs::read_to_string(page).map_err(|error| format!("{}: {error}", page.display()))?;
    let frame = page.with_file_name(format!("{name}.html"));
    let write =
        |html: String| std::fs::write(&frame, html).map_err(|error| format!("{}: {error}", frame.display()));
    write(framed(&html.replace("</body>", &format!("<script>{PROBE}</script></body>")), width, 900))?;
    let found = chromium(browser, width, 900, dark).arg("--dump-dom").arg(url(&frame)).output();
    let found = found.map_err(|error| format!("{}: {error}", browser.display()))?;
    let (dom, said) = (String::from_utf8_lossy(&found.stdout), String::from_utf8_lossy(&found.stderr));
    let mut wrong: Vec<String> =
        said.lines().filter(|line| line.contains("CONSOLE")).map(|line| format!("console: {line}")).collect();
    let probe = dom.split("<pre id=\"probe\">").nth(1).and_then(|rest| rest.split("</pre>").next());
    let probe = probe.ok_or_else(|| format!("{name}: the browser did not lay the page out:\n{said}"))?;
    let lines: Vec<&str> = probe.lines().collect();
    wrong.extend(lines.iter().filter(|line| line.starts_with("wrong ")).map(|line| (*line).to_string()));
    let expected = [format!("width {width}"), format!("dark {dark}")];
    let expected = expected.into_iter().chain(plots.iter().map(|id| format!("plot {id}")));
    wrong.extend(
        expected.filter(|line| !lines.contains(&line.as_str())).map(|line| format!("missing: {line}")),
    );
    if !wrong.is_empty() {
        return Err(format!("{name}: {}", wrong.join("\n")));
    }
    // As high as the whole page, so that all of it is there to be looked at.
    let height = if width < 600 { 14_000 } else { 7_000 };
    write(framed(&html, width, height))?;
    let picture = page.with_file_name(format!("{name}.png"));
    let mut shoot = chromium(browser, width, height, dark);
    quietly(shoot.arg(format!("--screenshot={}", picture.display())).arg(url(&frame)), &picture)
}

fn print(browser: &Path, page: &Path) -> Result<(), String> {
    let pdf = page.with_extension("pdf");
    let mut command = chromium(browser, 1280, 900, true);
    command.arg("--no-pdf-header-footer").arg(format!("--print-to-pdf={}", pdf.display())).arg(url(page));
    quietly(&mut command, &pdf)
}

/// Runs a command that should make a file.
fn quietly(command: &mut Command, file: &Path) -> Result<(), String> {
    let _ = std::fs::remove_file(file);
    let done = command.output().map_err(|error| error.to_string())?;
    if done.status.success() && file.is_file() {
        return Ok(());
    }
    Err(format!("{} was not made: {}", file.display(), String::from_utf8_lossy(&done.stderr)))
}
