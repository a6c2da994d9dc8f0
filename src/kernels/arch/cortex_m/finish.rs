//! From one accumulator to its output, whatever becomes of it.

use crate::kernels::{Filter, Mean, Noisy, Output};
use crate::number::{requantize, requantize_sum};

/// The filter beside which the noise runs, if it is needed.
pub(super) fn mean_filter<'a>(output: &Output<'a>) -> Option<Filter<'a>> {
    match output {
        Output::Noisy(Noisy { mean: Mean::Filter(mean), .. }) => Some(*mean),
        _ => None,
    }
}

/// Writes one output; `sum` has no bias, nor has `mean_sum`, the [`mean_filter`]'s. `None` if a slice is
/// too short, which the artifact's check excludes.
#[inline(never)]
pub(super) fn put(
    filter: &Filter<'_>,
    output: &mut Output<'_>,
    index: usize,
    channel: usize,
    [sum, mean_sum]: [i32; 2],
) -> Option<()> {
    let bias = filter.bias.get(channel).copied().unwrap_or(0);
    let multiplier = *filter.multiplier.get(channel)?;
    match output {
        Output::Int8 { y, zero_point, clamp } => {
            *y.get_mut(index)? = requantize(sum.wrapping_add(bias), multiplier, *zero_point, *clamp);
        }
        Output::Sums(sums) => *sums.get_mut(index)? = sum.wrapping_add(bias),
        Output::Real(values) => *values.get_mut(index)? = sum.wrapping_add(bias) as f32 * multiplier,
        Output::Noisy(Noisy { mean, zero_point, clamp, this, twin, negate }) => {
            let (mean, m_mean) = match mean {
                Mean::Sums { sums, multiplier } => (*sums.get(index)?, *multiplier.get(channel)?),
                Mean::Filter(mean) => {
                    (mean_sum.wrapping_add(*mean.bias.get(channel)?), *mean.multiplier.get(channel)?)
                }
            };
            let noise = if *negate { -sum } else { sum };
            let sum = |noise| requantize_sum([mean, noise], [m_mean, multiplier], *zero_point, *clamp);
            *this.get_mut(index)? = sum(noise);
            if let Some(twin) = twin.get_mut(index) {
                *twin = sum(-noise);
            }
        }
    }
    Some(())
}
