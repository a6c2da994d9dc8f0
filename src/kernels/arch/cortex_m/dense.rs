//! Dense layers: four outputs share an input that is expanded on the way.

use super::finish::{mean_filter, put};
use super::ops::{low_halves, smlad, ssub16, sxtb16, sxtb16_odd};
use crate::kernels::{Dense, Filter, Output};

/// Outputs that share an expanded input.
const ROWS: usize = 4;

#[inline(always)]
fn word(x: &[i8; 4]) -> u32 {
    u32::from_ne_bytes(x.map(|x| x as u8))
}

/// `sum (x - zero_point) * w` of each row.
#[inline(never)]
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

/// Whatever becomes of the outputs.
pub(super) fn run(dense: &Dense<'_>, filter: &Filter<'_>, output: &mut Output<'_>) -> Option<()> {
    let mean = mean_filter(output);
    sums(dense, [Some(filter.values), mean.map(|mean| mean.values)], &mut |index, channel, sums| {
        put(filter, output, index, channel, sums)
    })
}

/// See [`Output::Real`]: the last layer of most networks, without the code for the others.
pub(super) fn real(dense: &Dense<'_>, filter: &Filter<'_>, values: &mut [f32]) -> Option<()> {
    sums(dense, [Some(filter.values), None], &mut |index, channel, [sum, _]| {
        let sum = sum.wrapping_add(*filter.bias.get(channel)?);
        *values.get_mut(index)? = sum as f32 * *filter.multiplier.get(channel)?;
        Some(())
    })
}

/// Calls `each(index, channel, sums)` for every output of every image.
#[inline(never)]
fn sums(
    dense: &Dense<'_>,
    weights: [Option<&[i8]>; 2],
    each: &mut dyn FnMut(usize, usize, [i32; 2]) -> Option<()>,
) -> Option<()> {
    let Dense { input, inputs, outputs, zero_point } = *dense;
    for image in 0..input.len().checked_div(inputs)? {
        let x = input.get(image * inputs..(image + 1) * inputs)?;
        for first in (0..outputs).step_by(ROWS) {
            let mut both = [[0; ROWS]; 2];
            for (sums, weights) in both.iter_mut().zip(weights) {
                let Some(weights) = weights else { break };
                let mut rows: [&[i8]; ROWS] = [&[]; ROWS];
                for (index, row) in rows.iter_mut().enumerate() {
                    // Behind the last output the last row again, whose result is not kept.
                    let start = (first + index).min(outputs - 1) * inputs;
                    *row = weights.get(start..start + inputs)?;
                }
                *sums = dots(x, zero_point, rows);
            }
            for (channel, (sum, mean)) in (first..outputs).zip(both[0].into_iter().zip(both[1])) {
                each(image * outputs + channel, channel, [sum, mean])?;
            }
        }
    }
    Some(())
}
