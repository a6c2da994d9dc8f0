//! The loss on the lines between solutions as a picture: one panel a layer.

use super::{Layer, Optima};
use std::fmt::Write;

const PANEL: (f64, f64) = (220.0, 160.0);
const MARGIN: (f64, f64) = (50.0, 30.0);
/// Panels of a row.
const COLUMNS: usize = 4;

/// A self-contained SVG. All panels share one logarithmic axis.
#[must_use]
pub fn svg(optima: &Optima) -> String {
    let losses = || optima.layers.iter().flat_map(|layer| &layer.pairs).flat_map(|pair| &pair.losses);
    let low = losses().copied().fold(f64::INFINITY, f64::min).max(1e-6).ln();
    let high = losses().copied().fold(f64::NEG_INFINITY, f64::max).max(1e-6).ln().max(low + 1e-3);
    let rows = optima.layers.len().div_ceil(COLUMNS);
    let (step_x, step_y) = (PANEL.0 + MARGIN.0, PANEL.1 + MARGIN.1);
    let (width, height) =
        (step_x * COLUMNS.min(optima.layers.len()) as f64 + 20.0, step_y * rows as f64 + 40.0);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"10\" y=\"16\">{} on {}: test loss (nats, logarithmic) on straight lines between solutions of one layer</text>\n",
        escape(&optima.architecture),
        escape(&optima.data)
    );
    for (index, layer) in optima.layers.iter().enumerate() {
        let x = MARGIN.0 + step_x * (index % COLUMNS) as f64;
        let y = 46.0 + step_y * (index / COLUMNS) as f64;
        panel(&mut text, layer, (x, y), (low, high));
    }
    text.push_str("</svg>\n");
    text
}

fn panel(text: &mut String, layer: &Layer, (x, y): (f64, f64), (low, high): (f64, f64)) {
    let height = |loss: f64| y + PANEL.1 * (1.0 - (loss.max(1e-6).ln() - low) / (high - low));
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "<rect x=\"{x}\" y=\"{y}\" width=\"{}\" height=\"{}\" fill=\"none\" stroke=\"#999\"/>\n\
         <text x=\"{x}\" y=\"{:.1}\">{}: barrier {:.3}</text>",
        PANEL.0,
        PANEL.1,
        y - 4.0,
        escape(&layer.name),
        layer.barrier.mean
    );
    for loss in [low.exp(), (0.5 * (low + high)).exp(), high.exp()] {
        let _ = writeln!(
            text,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{loss:.2}</text>",
            x - 4.0,
            height(loss) + 4.0
        );
    }
    for pair in &layer.pairs {
        let steps = (pair.losses.len() - 1).max(1) as f64;
        let points: Vec<String> = pair
            .losses
            .iter()
            .enumerate()
            .map(|(at, &loss)| format!("{:.1},{:.1}", x + PANEL.0 * at as f64 / steps, height(loss)))
            .collect();
        let points = points.join(" ");
        let _ = writeln!(
            text,
            "<polyline points=\"{points}\" fill=\"none\" stroke=\"#1f6fb4\" stroke-opacity=\"0.5\"/>"
        );
    }
    let _ = writeln!(
        text,
        "<line x1=\"{x}\" x2=\"{:.1}\" y1=\"{h:.1}\" y2=\"{h:.1}\" stroke=\"#c33\" stroke-dasharray=\"4 3\"/>",
        x + PANEL.0,
        h = height(layer.stage1_nll).min(y + PANEL.1)
    );
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}
