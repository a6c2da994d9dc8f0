//! Dense layers: two outputs share an input that is expanded on the way.

use super::ops::{low_halves, smlad, ssub16, sxtb16, sxtb16_odd};
use crate::kernels::{Dense, reference};

/// Outputs that share an expanded input.
const ROWS: usize = 4;

/// A way over all outputs; see [`reference::Sweep`].
pub(super) struct Sweep<'a>(pub(super) &'a Dense<'a>);

#[inline(always)]
fn word(x: &[i8; 4]) -> u32 {
    u32::from_ne_bytes(x.map(|x| x as u8))
}

/// `sum (x - zero_point) * w` of each row.
#[inline(always)]
fn dots(x: &[i8], zero_point: i8, rows: [&[i8]; ROWS]) -> [i32; ROWS] {
    let zero = u32::from(i16::from(zero_point) as u16);
    let zero = low_halves(zero, zero);
    let mut acc = [0; ROWS];
    let (words, rest) = x.as_chunks::<4>();
    let [a, b, c, d] = rows.map(|row| row.as_chunks::<4>().0);
    for ((((x, a), b), c), d) in words.iter().zip(a).zip(b).zip(c).zip(d) {
        let x = word(x);
        let [even, odd] = [sxtb16(x), sxtb16_odd(x)].map(|x| ssub16(x, zero));
        for (acc, w) in acc.iter_mut().zip([a, b, c, d]) {
            let w = word(w);
            *acc = smlad(odd, sxtb16_odd(w), smlad(even, sxtb16(w), *acc));
        }
    }
    for (acc, row) in acc.iter_mut().zip(rows) {
        let tail = rest.iter().zip(row.as_chunks::<4>().1);
        *acc += tail.map(|(&x, &w)| (i32::from(x) - i32::from(zero_point)) * i32::from(w)).sum::<i32>();
    }
    acc
}

impl reference::Sweep for Sweep<'_> {
    fn accumulate<const N: usize>(
        &mut self,
        weights: [&[i8]; N],
        mut sink: impl FnMut(usize, usize, [&[i32]; N]),
    ) {
        let Dense { input, inputs, outputs, zero_point } = *self.0;
        let mut acc = [[0; ROWS]; N];
        for (image, x) in input.chunks_exact(inputs.max(1)).enumerate() {
            for first in (0..outputs).step_by(ROWS) {
                let run = ROWS.min(outputs - first);
                for (acc, weights) in acc.iter_mut().zip(weights) {
                    // Behind the last output the last row again, whose result is not kept.
                    let row = |index: usize| (first + index.min(run - 1)) * inputs;
                    let rows = [0, 1, 2, 3]
                        .map(|index| weights.get(row(index)..row(index) + inputs).unwrap_or_default());
                    *acc = dots(x, zero_point, rows);
                }
                sink(
                    image * outputs + first,
                    first,
                    acc.each_ref().map(|acc| acc.get(..run).unwrap_or_default()),
                );
            }
        }
    }
}
