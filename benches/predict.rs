//! Time of predictions of the five networks: `cargo bench --bench predict -- [NETWORK...]`.
//!
//! Prints microseconds (least over many short bursts, so that other users of the machine drop out) of
//! one pass for every kernel set, and of 8 draws; then each layer of one pass.
//! `-- serve NETWORK SAMPLES [int8]` speaks a line protocol instead, for comparisons in alternation with other
//! runtimes: `go SECONDS` answers `{"n","min","med","cpu"}` in microseconds a prediction (wall time; `cpu`
//! repeats the median: what the system tells of processor time without a C library is too coarse), `rss` the peak
//! memory, `quit` ends. `SAMPLES` 0 is one pass without noise; inputs are f32, or values that are quantized already.

mod networks;

use std::io::BufRead;
use std::time::{Duration, Instant};
use stf_bnn::kernels::Kernels;
use stf_bnn::{Config, Input, Model, Pass, Predictor, Samples};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["serve", network, samples] => serve(network, samples.parse().expect("a number of samples"), false),
        ["serve", network, samples, "int8"] => {
            serve(network, samples.parse().expect("a number of samples"), true);
        }
        [] => networks::NAMES.iter().for_each(|name| table(name)),
        names => names.iter().for_each(|name| table(name)),
    }
}

/// As many samples as asked for, all side by side; 0 is one pass without noise.
fn config(samples: u16, kernels: Option<Kernels>) -> Config {
    let (samples, tile) =
        if samples == 0 { (Samples::Mean, 1) } else { (Samples::MonteCarlo(samples), samples) };
    Config { samples, tile, kernels, ..Config::default() }
}

/// Raw inputs between -5 and 5.
fn input(model: &Model<'_>) -> Vec<f32> {
    (0..model.manifest().input.tensor.len()).map(|i| (i * 37 % 101) as f32 * 0.1 - 5.0).collect()
}

/// Runs `work` with a predictor that has predicted once.
fn with<R>(
    name: &str,
    config: Config,
    work: impl FnOnce(&Model<'_>, &mut Predictor<'_, '_>, &[f32]) -> R,
) -> R {
    let file = networks::network(name);
    let model = Model::from_bytes(&file).expect("a valid network");
    let mut workspace = vec![0; model.workspace_bytes(&config).expect("settings in range")];
    let mut predictor = Predictor::new(&model, config, &mut workspace).expect("enough memory");
    let input = input(&model);
    predictor.predict(Input::F32(&input)).expect("a valid input");
    work(&model, &mut predictor, &input)
}

fn table(name: &str) {
    println!("{name}");
    for kernels in Kernels::NAMES.iter().filter_map(|name| Kernels::by_name(name)) {
        let time = |samples| {
            with(name, config(samples, Some(kernels)), |_, predictor, input| {
                best(|| _ = predictor.predict(Input::F32(input)))
            })
        };
        let (one, eight) = (time(0), time(8));
        println!(
            "  {:12} one pass {one:8.1} us   8 draws {eight:8.1} us, {:.2} passes",
            kernels.name(),
            eight / one
        );
    }
    for tile in [1, 2, 4, 8] {
        let config = Config { tile, ..config(8, None) };
        let time =
            with(name, config, |_, predictor, input| best(|| _ = predictor.predict(Input::F32(input))));
        println!("  8 draws, {tile} side by side {time:8.1} us");
    }
    layers(name);
}

/// Least microseconds of one call, over 400 ms.
fn best(mut call: impl FnMut()) -> f64 {
    let (start, mut least) = (Instant::now(), Duration::MAX);
    while start.elapsed() < Duration::from_millis(400) {
        let before = Instant::now();
        call();
        least = least.min(before.elapsed());
    }
    least.as_secs_f64() * 1e6
}

/// Each layer of one pass with the detected kernels.
fn layers(name: &str) {
    with(name, config(0, None), |model, predictor, input| {
        let layers: Vec<_> = model.layers().collect();
        let mut least = vec![Duration::MAX; layers.len() + 1];
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(600) {
            let mut before = Instant::now();
            let mut lap = |index: usize| {
                least[index] = least[index].min(before.elapsed());
                before = Instant::now();
            };
            predictor.trace(Input::F32(input), Pass::Mean, |index, _, _| lap(index)).expect("a valid input");
            lap(layers.len() - 1);
        }
        println!(
            "    decoding all layers {:.2} us",
            best(|| _ = std::hint::black_box(model.layers().count()))
        );
        for (layer, time) in layers.iter().zip(&least) {
            let y = layer.output().unwrap_or(layer.input());
            let us = time.as_secs_f64() * 1e6;
            println!(
                "    {:16} {:3} x {:3} x {:3} {us:8.2} us {:7.1} MAC/ns",
                layer.name(),
                y.height,
                y.width,
                y.channels,
                layer.macs() as f64 / us / 1e3
            );
        }
    });
}

/// Answers the line protocol; inputs are f32, or int8 as other runtimes are given.
fn serve(name: &str, samples: u16, quantized: bool) {
    with(name, config(samples, None), |_, predictor, input| {
        let values: Vec<i8> = input.iter().map(|&x| x as i8).collect();
        let input = if quantized { Input::Quantized(&values) } else { Input::F32(input) };
        println!("{{\"ready\":1}}");
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            match line.split_whitespace().collect::<Vec<_>>().as_slice() {
                ["go", seconds] => {
                    let limit = Duration::from_secs_f64(seconds.parse().expect("seconds"));
                    let start = Instant::now();
                    let mut times = Vec::new();
                    while times.len() < 3 || start.elapsed() < limit {
                        let before = Instant::now();
                        predictor.predict(input).expect("a valid input");
                        times.push(before.elapsed().as_secs_f64() * 1e6);
                    }
                    times.sort_by(f64::total_cmp);
                    let (n, min, med) = (times.len(), times[0], times[times.len() / 2]);
                    println!("{{\"n\":{n},\"min\":{min:.3},\"med\":{med:.3},\"cpu\":{med:.3}}}");
                }
                ["rss"] => println!("{{\"hwm_kb\":{}}}", peak_kilobytes()),
                _ => return,
            }
        }
    });
}

/// Peak memory of this process; 0 where the system does not say.
fn peak_kilobytes() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}
