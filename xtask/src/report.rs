//! Reports in a real browser: `stf report` on a classifier, a regression and an autoencoder trained here, opened
//! in Chromium on wide and narrow screens, light and dark, and printed.

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
    let stf = host_tool()?;
    let subjects = match arguments {
        [] => vec![classifier(&stf, &folder)?, regression(&stf, &folder)?, autoencoder(&stf, &folder)?],
        [model, data, ood @ ..] => {
            let folder = made(folder.join("given"))?;
            let ood = ood.iter().flat_map(|set| ["--ood".to_string(), set.clone()]).collect();
            vec![Subject { folder, model: model.into(), data: data.clone(), more: ood }]
        }
        [_] => return Err("expected MODEL DATA [OOD...]".into()),
    };
    for subject in &subjects {
        let (page, plots) = report(&stf, subject)?;
        for (name, width, dark) in SCREENS {
            look(&browser, &page, name, width, dark, &plots)?;
        }
        print(&browser, &page)?;
        eprintln!(
            "xtask report-test: {} plots on {} screens, pictures in {}",
            plots.len(),
            SCREENS.len(),
            subject.folder.display()
        );
    }
    Ok(())
}

/// What a page is about, and the folder of its pictures.
struct Subject {
    folder: PathBuf,
    model: PathBuf,
    data: String,
    /// Further arguments of `stf report`.
    more: Vec<String>,
}

/// The page, and the ids of its plots.
fn report(stf: &Path, subject: &Subject) -> Result<(PathBuf, Vec<String>), String> {
    let page = subject.folder.join("report.html");
    let mut command = Command::new(stf);
    command.arg("report").arg(&subject.model).args(["--data", &subject.data, "--json", "--out"]).arg(&page);
    let json = output(command.args(&subject.more).arg("--files").arg(subject.folder.join("files")))?;
    Ok((page, plot_ids(&String::from_utf8_lossy(&json))?))
}

fn made(folder: PathBuf) -> Result<PathBuf, String> {
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    Ok(folder)
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

/// An artifact of a short run.
fn trained(stf: &Path, folder: &Path, train: &[&str]) -> Result<PathBuf, String> {
    let (trained, model) = (folder.join("run"), folder.join("model.stf"));
    run_command(Command::new(stf).arg("train").args(train).args(["--force", "--out"]).arg(&trained))?;
    run_command(Command::new(stf).arg("export").arg(&trained).arg("--out").arg(&model))?;
    Ok(model)
}

/// Of the digits that the tool carries; other digits are the same ones again.
fn classifier(stf: &Path, folder: &Path) -> Result<Subject, String> {
    let folder = made(folder.join("classifier"))?;
    let train = ["--arch", "lenet5", "--data", "digits", "--epochs", "15", "--bayes-epochs", "3"];
    let model = trained(stf, &folder, &train)?;
    let more = ["--ood", "digits", "--corrupt", "noise:3"].map(String::from).to_vec();
    Ok(Subject { folder, model, data: "digits".into(), more })
}

/// Of a made-up sensor with two targets.
fn regression(stf: &Path, folder: &Path) -> Result<Subject, String> {
    let folder = made(folder.join("regression"))?;
    let table = folder.join("sensor.csv");
    std::fs::write(&table, sensor(4000)).map_err(|error| format!("{}: {error}", table.display()))?;
    let data = format!("{}:flow,pressure", table.display());
    let task = ["--task", "regression", "--arch", "mlp-small", "--data", &data];
    let model = trained(stf, &folder, &[&task[..], &["--epochs", "20", "--bayes-epochs", "4"]].concat())?;
    Ok(Subject { folder, model, data, more: Vec::new() })
}

/// Rows of which the noise grows with the first input.
fn sensor(rows: usize) -> String {
    let mut state = 1_u64;
    let mut unit = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / (1_u64 << 24) as f64
    };
    let mut text = "a,b,flow,pressure\n".to_string();
    for _ in 0..rows {
        let (a, b) = (unit(), unit());
        let mut normal = || (0..12).map(|_| unit()).sum::<f64>() - 6.0;
        let flow = 50.0 + 8.0 * (3.0 * a).sin() + 4.0 * b + (0.3 + 2.0 * a) * normal();
        let pressure = 1013.0 + 20.0 * a * b + 3.0 * normal();
        text += &format!("{a},{b},{flow},{pressure}\n");
    }
    text
}

/// Of the digits without eights and nines, which are the other data.
fn autoencoder(stf: &Path, folder: &Path) -> Result<Subject, String> {
    let (folder, data) = (made(folder.join("autoencoder"))?, "digits#!8,9");
    let train = ["--arch", "autoencoder", "--data", data, "--epochs", "20", "--bayes-epochs", "2"];
    let model = trained(stf, &folder, &train)?;
    let more = ["--ood", "digits#8,9"].map(String::from).to_vec();
    Ok(Subject { folder, model, data: data.into(), more })
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
