//! Dense layer: one dot product an output.

use super::RUN;
use crate::kernels::Dense;

/// `sum (x - zero_point) * w` without a gathered copy of `x`.
#[inline(always)]
fn dot_i8(x: &[i8], zero_point: i16, w: &[i8]) -> i32 {
    x.iter()
        .zip(w)
        .fold(0_i32, |sum, (&x, &w)| sum.wrapping_add(i32::from(i16::from(x) - zero_point) * i32::from(w)))
}

/// See the module.
pub(super) struct Sweep<'a>(pub(super) &'a Dense<'a>);

impl super::Sweep for Sweep<'_> {
    #[inline(always)]
    fn accumulate<const N: usize>(
        &mut self,
        weights: [&[i8]; N],
        mut sink: impl FnMut(usize, usize, [&[i32]; N]),
    ) {
        let Dense { input, inputs, outputs, zero_point } = *self.0;
        let mut acc = [[0_i32; RUN]; N];
        for (image, x) in input.chunks_exact(inputs).enumerate() {
            for first in (0..outputs).step_by(RUN) {
                let run = RUN.min(outputs - first);
                for (acc, weights) in acc.iter_mut().zip(weights) {
                    let rows = weights[first * inputs..(first + run) * inputs].chunks_exact(inputs);
                    acc.iter_mut().zip(rows).for_each(|(acc, row)| *acc = dot_i8(x, zero_point.into(), row));
                }
                sink(image * outputs + first, first, acc.each_ref().map(|acc| &acc[..run]));
            }
        }
    }
}
