//! From accumulators to outputs.

use super::{RUN, Sweep};
use crate::kernels::{Filter, Mean, Noisy, Output};
use crate::number;

/// Runs a sweep over a filter's weights and makes the outputs of what it gives.
#[inline(always)]
pub(crate) fn finish(mut sweep: impl Sweep, filter: &Filter<'_>, output: Output<'_>) {
    let Filter { values, bias, multiplier, .. } = *filter;
    match output {
        Output::Int8 { y, zero_point, clamp } => {
            run(&mut sweep, [values], |index, channel, [acc]| {
                let (out, bias, m) = (&mut y[index..], &bias[channel..], &multiplier[channel..]);
                for (((&acc, out), &bias), &m) in acc.iter().zip(out).zip(bias).zip(m) {
                    *out = number::requantize(acc.wrapping_add(bias), m, zero_point, clamp);
                }
            });
        }
        Output::Sums(sums) => run(&mut sweep, [values], |index, channel, [acc]| {
            let to = sums[index..].iter_mut().zip(&bias[channel..]);
            to.zip(acc).for_each(|((to, &bias), &acc)| *to = acc.wrapping_add(bias));
        }),
        Output::Real(values_out) => run(&mut sweep, [values], |index, channel, [acc]| {
            let (out, bias, m) = (&mut values_out[index..], &bias[channel..], &multiplier[channel..]);
            for (((&acc, out), &bias), &m) in acc.iter().zip(out).zip(bias).zip(m) {
                *out = acc.wrapping_add(bias) as f32 * m;
            }
        }),
        Output::Noisy(mut noisy) => match noisy.mean {
            Mean::Sums { sums, multiplier: m } => run(&mut sweep, [values], |index, channel, [noise]| {
                combine(&mut noisy, index, [&sums[index..], noise], [&m[channel..], &multiplier[channel..]]);
            }),
            Mean::Filter(mean) => {
                run(&mut sweep, [mean.values, values], |index, channel, [acc, noise]| {
                    let mut sums = [0; RUN];
                    let with_bias = sums.iter_mut().zip(acc).zip(&mean.bias[channel..]);
                    with_bias.for_each(|((sum, &acc), &bias)| *sum = acc.wrapping_add(bias));
                    let multipliers = [&mean.multiplier[channel..], &multiplier[channel..]];
                    combine(&mut noisy, index, [&sums, noise], multipliers);
                });
            }
        },
    }
}

/// One sweep. Without `std` every output shares its code and is called through a pointer, a run of
/// channels at a time: flash is scarce there.
#[inline(always)]
fn run<const N: usize>(
    sweep: &mut impl Sweep,
    weights: [&[i8]; N],
    mut sink: impl FnMut(usize, usize, [&[i32]; N]),
) {
    if cfg!(feature = "std") { sweep.accumulate(weights, sink) } else { shared(sweep, weights, &mut sink) }
}

/// Takes index, channel and the accumulators of each set of weights.
type Sink<'s, const N: usize> = dyn FnMut(usize, usize, [&[i32]; N]) + 's;

#[inline(never)]
fn shared<const N: usize>(sweep: &mut impl Sweep, weights: [&[i8]; N], sink: &mut Sink<'_, N>) {
    sweep.accumulate(weights, sink);
}

/// Requantizes one run of channels, for both signs of the noise where both are wanted.
#[inline(always)]
pub(crate) fn combine(
    to: &mut Noisy<'_>,
    index: usize,
    [mean, noise]: [&[i32]; 2],
    [m, m_noise]: [&[f32]; 2],
) {
    let (zero_point, clamp, run) = (to.zero_point, to.clamp, noise.len());
    let sign = if to.negate { -1 } else { 1 };
    let terms = mean.iter().zip(noise).zip(&m[..run]).zip(&m_noise[..run]);
    let apply = |out: &mut [i8], sign: i32| {
        for (out, (((&mean, &noise), &m), &m_noise)) in out.iter_mut().zip(terms.clone()) {
            *out = number::requantize_sum([mean, sign * noise], [m, m_noise], zero_point, clamp);
        }
    };
    apply(&mut to.this[index..index + run], sign);
    if let Some(twin) = to.twin.get_mut(index..index + run) {
        apply(twin, -sign);
    }
}
