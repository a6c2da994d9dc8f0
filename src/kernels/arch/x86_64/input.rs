//! Raw inputs as int8.

use crate::kernels::{Quantize, Raw, reference};
use crate::number;

/// Values at a time: a multiple of 1, 2, 3 and 4 channels, and of a vector.
const BLOCK: usize = 48;

/// See [`reference::quantize`]: constants repeated over a block make vectors of few channels.
#[inline(always)]
pub(super) fn quantize<T: Raw>(x: &[T], spec: &Quantize<'_>, out: &mut [i8]) {
    let channels = spec.mean.len();
    let repeats = channels > 0 && BLOCK.is_multiple_of(channels) && spec.multiplier.len() == channels;
    if !repeats {
        return reference::quantize(x, spec, out);
    }
    let mean: [f32; BLOCK] = core::array::from_fn(|i| spec.mean[i % channels]);
    let multiplier: [f32; BLOCK] = core::array::from_fn(|i| spec.multiplier[i % channels]);
    let (blocks, rest) = x.as_chunks::<BLOCK>();
    let (to, to_rest) = out.as_chunks_mut::<BLOCK>();
    for (x, out) in blocks.iter().zip(to) {
        for i in 0..BLOCK {
            out[i] = number::quantize(x[i].into(), mean[i], multiplier[i], spec.zero_point);
        }
    }
    reference::quantize(rest, spec, to_rest);
}
