//! Every layer from its formula: one loop per output value, i64 sums, `f32::round_ties_even`.
#![allow(dead_code, missing_docs, unreachable_pub)]

use crate::{raw, raw_f32, raw_i32};
use stf_bnn::artifact::{Clamp, Layer, Tensor, Window};

fn finish(real: f32, zero_point: i8, clamp: Clamp) -> i8 {
    let q = f64::from(real.round_ties_even()) + f64::from(zero_point);
    q.clamp(clamp.min.into(), clamp.max.into()) as i8
}

/// Element `(row, column, channel)`; `None` in the padding.
fn at(values: &[i8], t: &Tensor, row: i64, column: i64, channel: usize) -> Option<i64> {
    let inside = (0..i64::from(t.height)).contains(&row) && (0..i64::from(t.width)).contains(&column);
    inside.then(|| {
        let index =
            (row as usize * usize::from(t.width) + column as usize) * usize::from(t.channels) + channel;
        i64::from(values[index])
    })
}

/// `(window index, row, column)` of the elements under a window.
fn taps(w: &Window, row: i64, column: i64) -> Vec<(usize, i64, i64)> {
    let mut taps = Vec::new();
    for ky in 0..i64::from(w.kernel[0]) {
        for kx in 0..i64::from(w.kernel[1]) {
            let y = row * i64::from(w.stride[0]) + ky * i64::from(w.dilation[0]) - i64::from(w.pad[0]);
            let x = column * i64::from(w.stride[1]) + kx * i64::from(w.dilation[1]) - i64::from(w.pad[1]);
            taps.push((taps.len(), y, x));
        }
    }
    taps
}

/// Accumulators of a weighted layer with any int8 weights, without bias.
pub fn accumulate(layer: &Layer, input: &[i8], weights: &[i8]) -> Vec<i64> {
    let x = layer.input();
    let zp = i64::from(x.zero_point);
    let mut sums = Vec::new();
    match layer {
        Layer::Conv2d { output, window, .. } | Layer::DepthwiseConv2d { output, window, .. } => {
            let depthwise = matches!(layer, Layer::DepthwiseConv2d { .. });
            let (ci, area) = (usize::from(x.channels), window.area() as usize);
            for row in 0..output.height.into() {
                for column in 0..output.width.into() {
                    for co in 0..usize::from(output.channels) {
                        let mut sum = 0;
                        for (tap, y, xx) in taps(window, row, column) {
                            if depthwise {
                                let w = i64::from(weights[tap * ci + co]);
                                sum += at(input, &x, y, xx, co).map_or(0, |v| (v - zp) * w);
                                continue;
                            }
                            for c in 0..ci {
                                let w = i64::from(weights[(co * area + tap) * ci + c]);
                                sum += at(input, &x, y, xx, c).map_or(0, |v| (v - zp) * w);
                            }
                        }
                        sums.push(sum);
                    }
                }
            }
        }
        _ => {
            for row in weights.chunks(input.len()) {
                sums.push(input.iter().zip(row).map(|(&v, &w)| (i64::from(v) - zp) * i64::from(w)).sum());
            }
        }
    }
    sums
}

/// What a layer writes, given what it reads.
pub fn run(file: &[u8], layer: &Layer, a: &[i8], b: &[i8]) -> Vec<i8> {
    match layer {
        Layer::Conv2d { output, weights, clamp, .. }
        | Layer::DepthwiseConv2d { output, weights, clamp, .. }
        | Layer::Dense { output, weights, clamp, .. } => {
            let values: Vec<i8> = raw(file, weights.values).iter().map(|&v| v as i8).collect();
            let (bias, m) = (raw_i32(file, weights.bias), raw_f32(file, weights.multiplier));
            let sums = accumulate(layer, a, &values);
            let channel = |i: usize| i % bias.len();
            (0..sums.len())
                .map(|i| {
                    let acc = sums[i] + i64::from(bias[channel(i)]);
                    finish(acc as i32 as f32 * m[channel(i)], output.zero_point, *clamp)
                })
                .collect()
        }
        Layer::MaxPool { input, output, window } => pool(output, |row, column, channel| {
            let inside = taps(window, row, column);
            inside.iter().filter_map(|&(_, y, x)| at(a, input, y, x, channel)).max().unwrap() as i8
        }),
        Layer::AvgPool { input, output, window, count_padding, clamp } => {
            pool(output, |row, column, channel| {
                let all = taps(window, row, column);
                let inside: Vec<i64> =
                    all.iter().filter_map(|&(_, y, x)| at(a, input, y, x, channel)).collect();
                let sum: i64 = inside.iter().map(|v| v - i64::from(input.zero_point)).sum();
                let n = if *count_padding { all.len() } else { inside.len() };
                finish(sum as f32 * (input.scale / (n as f32 * output.scale)), output.zero_point, *clamp)
            })
        }
        Layer::Add { a: ta, b: tb, output, multiplier_a, multiplier_b, clamp } => a
            .iter()
            .zip(b)
            .map(|(&va, &vb)| {
                let pa = (i32::from(va) - i32::from(ta.zero_point)) as f32 * multiplier_a;
                let pb = (i32::from(vb) - i32::from(tb.zero_point)) as f32 * multiplier_b;
                finish(pa + pb, output.zero_point, *clamp)
            })
            .collect(),
        Layer::Lookup { table, .. } => {
            let table = raw(file, *table);
            a.iter().map(|&q| table[(i32::from(q) + 128) as usize] as i8).collect()
        }
        Layer::Sub { a: ta, b: tb, output, multiplier_a, multiplier_b, clamp } => a
            .iter()
            .zip(b)
            .map(|(&va, &vb)| {
                let pa = (i32::from(va) - i32::from(ta.zero_point)) as f32 * multiplier_a;
                let pb = (i32::from(vb) - i32::from(tb.zero_point)) as f32 * multiplier_b;
                finish(pa - pb, output.zero_point, *clamp)
            })
            .collect(),
        Layer::Mul { a: ta, b: tb, output, multiplier, clamp } => (0..a.len())
            .map(|i| {
                let factor = i64::from(b[i % b.len()]) - i64::from(tb.zero_point);
                let product = (i64::from(a[i]) - i64::from(ta.zero_point)) * factor;
                finish(product as f32 * multiplier, output.zero_point, *clamp)
            })
            .collect(),
        Layer::Concat { a: ta, b: tb, output, axis, multiplier_a, multiplier_b, clamp } => {
            pool(output, |row, column, channel| {
                let mut place = [row, column, channel as i64];
                let first = [ta.height, ta.width, ta.channels].map(i64::from)[usize::from(*axis)];
                let (values, t, m) = if place[usize::from(*axis)] < first {
                    (a, ta, multiplier_a)
                } else {
                    place[usize::from(*axis)] -= first;
                    (b, tb, multiplier_b)
                };
                let q = at(values, t, place[0], place[1], place[2] as usize).unwrap();
                finish((q - i64::from(t.zero_point)) as f32 * m, output.zero_point, *clamp)
            })
        }
        Layer::Pad { input, output, begin } => pool(output, |row, column, channel| {
            let [top, left] = begin.map(i64::from);
            at(a, input, row - top, column - left, channel).unwrap_or(input.zero_point.into()) as i8
        }),
        _ => Vec::new(),
    }
}

fn pool(output: &Tensor, value: impl Fn(i64, i64, usize) -> i8) -> Vec<i8> {
    let mut values = Vec::new();
    for row in 0..i64::from(output.height) {
        for column in 0..i64::from(output.width) {
            values.extend((0..usize::from(output.channels)).map(|channel| value(row, column, channel)));
        }
    }
    values
}
