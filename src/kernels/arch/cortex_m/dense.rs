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

/// Every output of every image.
pub(super) fn run(dense: &Dense<'_>, filter: &Filter<'_>, output: &mut Output<'_>) {
    // `None` is a slice that is too short: the artifact's check excludes it.
    let _ = images(dense, filter, output);
}

fn images(dense: &Dense<'_>, filter: &Filter<'_>, output: &mut Output<'_>) -> Option<()> {
    let Dense { input, inputs, outputs, zero_point } = *dense;
    let mean = mean_filter(output);
    for image in 0..input.len().checked_div(inputs)? {
        let x = input.get(image * inputs..(image + 1) * inputs)?;
        for first in (0..outputs).step_by(ROWS) {
            let sums = |filter: &Filter<'_>| {
                // Behind the last output the last row again, whose result is not kept.
                let row = |index: usize| (first + index).min(outputs - 1) * inputs;
                let rows = [0, 1, 2, 3].map(|index| filter.values.get(row(index)..row(index) + inputs));
                dots(x, zero_point, rows.map(Option::unwrap_or_default))
            };
            let both = sums(filter).into_iter().zip(mean.as_ref().map_or([0; ROWS], sums));
            for (channel, (sum, mean)) in (first..outputs).zip(both) {
                put(filter, output, image * outputs + channel, channel, [sum, mean])?;
            }
        }
    }
    Some(())
}
