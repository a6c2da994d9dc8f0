//! Convolutions and dense layers: a row of pixels at a time, cut into tiles.

use super::finish::To;
use super::pack::{Packed, Shape};
use super::plan::{Runs, Staged};
use super::simd::Simd;
use super::stage::stage;
use super::tile::{Walk, tile, two_tiles};
use crate::kernels::{Conv, Dense, Filter, Mean, Output, reference};

/// Rows of pixels of one image (or of all of them, where these lie as in one).
#[derive(Debug, Clone, Copy)]
pub(super) struct Rows {
    walk: Walk,
    /// Pixels in a row.
    width: usize,
    /// Bytes from a pixel's window to the next.
    step: usize,
    /// Rows of an image.
    height: usize,
    /// Bytes from a row to the next.
    row_step: usize,
    /// The input is `x + 128` already.
    flipped: bool,
}

/// See [`reference::conv2d`].
#[inline(always)]
pub(super) fn conv2d<S: Simd>(
    s: S,
    conv: &Conv<'_>,
    filter: &Filter<'_>,
    scratch: &mut [i16],
    mut output: Output<'_>,
) {
    let Conv { input, x, y, window } = *conv;
    let channels = usize::from(y.channels);
    let inputs = usize::from(x.channels);
    let runs = Runs::of_conv(inputs, &window);
    let shape = Shape::of_dot::<S>(channels, runs.all_groups());
    let staged = Staged::new(&x, &y, &window, 1);
    let images = input.len() / (x.len() as usize).max(1);
    let fits = holds(&output, images.saturating_mul(y.len() as usize));
    let room = size_of_val(scratch) >= staged.bytes();
    let (Some(packed), true) = (shape.split::<S>(filter.packed), fits && room) else {
        return reference::conv2d(conv, filter, scratch, output);
    };
    let staging: &mut [u8] = bytemuck::cast_slice_mut(scratch);
    let [stride_h, stride_w] = window.stride.map(usize::from);
    let [dilation_h, dilation_w] = window.dilation.map(usize::from);
    let padded = window.pad != [0, 0]
        || staged.rows > usize::from(x.height)
        || staged.columns > usize::from(x.width)
        || !runs.bytes.is_multiple_of(4);
    let line = if padded { staged.columns } else { usize::from(x.width) } * inputs;
    let mut rows = Rows {
        walk: Walk {
            count: runs.count,
            steps: [dilation_h * line, dilation_w * inputs],
            groups: runs.groups(),
        },
        width: y.width.into(),
        step: stride_w * inputs,
        height: y.height.into(),
        row_step: stride_h * line,
        // Worth it where an activation meets one vector only.
        flipped: padded && shape.vectors == 1,
    };
    if padded {
        for (index, image) in conv.each_image().enumerate() {
            stage(conv, image.input, &staged, if rows.flipped { 0x80 } else { 0 }, staging);
            // SAFETY: the staged image has every window's bytes and slack behind; `output` holds all
            // images.
            unsafe {
                let x = staging.as_ptr();
                s.rows(&mut Job { rows, x, index, packed, channels, filter, output: &mut output });
            }
        }
        return;
    }
    let pointwise = runs.count == [1, 1] && window.kernel == [1, 1] && window.stride == [1, 1];
    if pointwise {
        rows = Rows { width: images * rows.width * rows.height, height: 1, ..rows };
    }
    let image_bytes = x.len() as usize;
    for index in 0..if pointwise { 1 } else { images } {
        let x = input[index * image_bytes..].as_ptr().cast();
        // SAFETY: without padding every window lies in its image, and runs are whole groups.
        unsafe { s.rows(&mut Job { rows, x, index, packed, channels, filter, output: &mut output }) };
    }
}

/// See [`reference::dense`].
#[inline(always)]
pub(super) fn dense<S: Simd>(
    s: S,
    dense: &Dense<'_>,
    filter: &Filter<'_>,
    scratch: &mut [i16],
    mut output: Output<'_>,
) {
    let Dense { input, inputs, outputs, .. } = *dense;
    let images = input.len() / inputs.max(1);
    let groups = inputs.div_ceil(4);
    let shape = Shape::of_dot::<S>(outputs, groups);
    let fits = holds(&output, images.saturating_mul(outputs));
    let staging: &mut [u8] = bytemuck::cast_slice_mut(scratch);
    let staged = !inputs.is_multiple_of(4);
    let room = !staged || staging.len() >= images * groups * 4;
    let (Some(packed), true) = (shape.split::<S>(filter.packed), fits && room) else {
        return reference::dense(dense, filter, output);
    };
    let mut x: *const u8 = input.as_ptr().cast();
    if staged {
        for (to, from) in staging.chunks_exact_mut(groups * 4).zip(input.chunks_exact(inputs)) {
            to[..inputs].copy_from_slice(bytemuck::cast_slice(from));
        }
        x = staging.as_ptr();
    }
    let walk = Walk { count: [1, 1], steps: [0, 0], groups };
    let rows = Rows { walk, width: images, step: groups * 4, height: 1, row_step: 0, flipped: false };
    // SAFETY: `images` inputs of `groups * 4` bytes lie at `x`; `output` holds their results.
    unsafe {
        s.rows(&mut Job { rows, x, index: 0, packed, channels: outputs, filter, output: &mut output });
    }
}

/// Whether the output has room for so many values, and is one that these kernels make.
#[inline(always)]
fn holds(output: &Output<'_>, values: usize) -> bool {
    match output {
        Output::Int8 { y, .. } => y.len() >= values,
        Output::Sums(sums) => sums.len() >= values,
        Output::Real(real) => real.len() >= values,
        Output::Noisy(noisy) => matches!(noisy.mean, Mean::Sums { .. }) && noisy.this.len() >= values,
    }
}

/// All tiles of one image.
pub(super) struct Job<'j, 'a, 'f> {
    pub(super) rows: Rows,
    /// The first pixel's window.
    x: *const u8,
    /// Which image it is of the output.
    index: usize,
    packed: Packed<'j>,
    /// Output channels.
    channels: usize,
    filter: &'j Filter<'f>,
    output: &'j mut Output<'a>,
}

/// Tile widths that are compiled, for 1, 2 and 4 vectors of channels.
const WIDTHS: [&[usize]; 3] = [&[1, 4, 8, 16], &[1, 2, 4, 6, 8, 12], &[1, 2, 4, 5, 6]];

/// Whether a tile leaves registers for what it multiplies.
const fn fits<S: Simd>(pixels: usize, vectors: usize) -> bool {
    pixels * vectors <= if S::LANES == 16 { 24 } else { 12 } && vectors <= S::MAX_VECTORS
}

/// Pixels of a tile: the cheapest way to cover a row. The last tile of a row moves back where it would
/// stand over the end.
fn tile_width<S: Simd>(vectors: usize, width: usize) -> usize {
    // Half cycles of a group: products, loads, and the least that latency allows.
    let cost = |p: usize| width.div_ceil(p) * (p * vectors).max(p + vectors).max(8);
    let (mut best, mut least) = (1, cost(1));
    for &p in WIDTHS[vectors.ilog2() as usize] {
        if p <= width && fits::<S>(p, vectors) && cost(p) <= least {
            (best, least) = (p, cost(p));
        }
    }
    best
}

/// Runs all rows with the tile that suits them; see [`Simd::rows`].
///
/// # Safety
/// As there.
#[inline(always)]
pub(super) unsafe fn dispatch<S: Simd>(s: S, job: &mut Job<'_, '_, '_>) {
    macro_rules! tiles {
        ($vectors:literal, $flip:literal: $($pixels:literal)+) => {
            match tile_width::<S>($vectors, job.rows.width) {
                // SAFETY: the caller's promises; the tile is not wider than a row.
                $($pixels => unsafe { run::<S, $pixels, $vectors, $flip>(s, job) },)+
                _ => {}
            }
        };
    }
    match job.packed.shape.vectors {
        1 if job.rows.flipped => tiles!(1, false: 1 4 8 16),
        1 => tiles!(1, true: 1 4 8 16),
        2 => tiles!(2, true: 1 2 4 6 8 12),
        _ => tiles!(4, true: 1 2 4 5 6),
    }
}

/// # Safety
/// As [`dispatch`]; `P <= rows.width`, and `packed` has `C` vectors in a tile.
#[inline(always)]
unsafe fn run<S: Simd, const P: usize, const C: usize, const FLIP: bool>(s: S, job: &mut Job<'_, '_, '_>) {
    // Not compiled where it is not used.
    if const { !fits::<S>(P, C) } {
        return;
    }
    let Job { rows, packed, channels, filter, .. } = *job;
    let mut number = 0;
    if P == 1 && C == S::MAX_VECTORS && (rows.width, rows.height, rows.walk.count) == (1, 1, [1, 1]) {
        // A dense layer of one image: next to nothing but loads, so an activation serves two tiles.
        while number + 2 <= packed.shape.tiles {
            let tiles = [number, number + 1];
            // SAFETY: the tiles exist, and so do the window and its outputs.
            unsafe {
                let (weights, init) =
                    (tiles.map(|tile| packed.weights(tile)), tiles.map(|tile| packed.init::<S>(tile)));
                let acc = two_tiles::<S, C, FLIP>(s, rows.walk.groups, job.x, weights, init);
                for (tile, acc) in tiles.into_iter().zip(acc) {
                    let (channel, multiplier) = (tile * C * S::LANES, packed.multiplier::<S>(tile));
                    let run = (C * S::LANES).min(channels - channel);
                    let mut to = To { output: job.output, filter, multiplier, channel, run, channels };
                    to.put(s, job.index, &[acc]);
                }
            }
            number += 2;
        }
    }
    for number in number..packed.shape.tiles {
        let channel = number * C * S::LANES;
        // SAFETY: the tile exists.
        let (weights, init, multiplier) =
            unsafe { (packed.weights(number), packed.init::<S>(number), packed.multiplier::<S>(number)) };
        let run = (C * S::LANES).min(channels - channel);
        let mut to = To { output: job.output, filter, multiplier, channel, run, channels };
        for row in 0..rows.height {
            let mut start = 0;
            while start < rows.width {
                let first = start.min(rows.width - P);
                // SAFETY: pixels `first..first + P` of the row exist, in the input and in the output.
                unsafe {
                    let x = job.x.add(row * rows.row_step + first * rows.step);
                    let acc = tile::<S, P, C, FLIP>(s, &rows.walk, x, rows.step, weights, init);
                    to.put(s, (job.index * rows.height + row) * rows.width + first, &acc);
                }
                start += P;
            }
        }
    }
}
