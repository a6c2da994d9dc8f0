//! The Bayesian first layer: mean and noise side by side, band by band.

use super::conv::{Expanded, Out, Pair, bands};
use super::plan::BAND_SUMS;
use crate::kernels::{Conv, Filter, Mean, Noisy};
use crate::number::requantize_real;

/// See [`Output::Noisy`](crate::kernels::Output::Noisy); one image, as first layers have.
#[inline(never)]
pub(super) fn conv2d(
    conv: &Conv<'_>,
    noise: &Filter<'_>,
    scratch: &mut [i16],
    to: &mut Noisy<'_>,
) -> Option<()> {
    let misaligned = (scratch.as_ptr().addr() / 2) % 2;
    // Two i16 an i32, noise and mean.
    let (sums, scratch) = scratch.get_mut(misaligned..)?.split_at_mut_checked(4 * BAND_SUMS)?;
    let sums: &mut [i32] = bytemuck::try_cast_slice_mut(sums).ok()?;
    let (noise_sums, mean_sums) = sums.split_at_mut_checked(BAND_SUMS)?;
    bands(conv, conv.input, scratch, &mut |band, pair| {
        band.run(noise.values, pair, &mut Out::Band { acc: noise_sums, bias: &[] })?;
        let (sums, multiplier) = match to.mean {
            Mean::Sums { sums, multiplier } => (sums, multiplier),
            Mean::Filter(mean) => {
                band.run(mean.values, pair, &mut Out::Band { acc: mean_sums, bias: mean.bias })?;
                (&*mean_sums, mean.multiplier)
            }
        };
        combine(band, pair, [multiplier, noise.multiplier], [sums, noise_sums], to)
    })
}

/// Requantizes one band of two channels, for both signs of the noise where both are wanted.
#[inline(never)]
fn combine(
    band: &Expanded<'_>,
    pair: Pair,
    multipliers: [&[f32]; 2],
    [mean, noise]: [&[i32]; 2],
    to: &mut Noisy<'_>,
) -> Option<()> {
    let (zero_point, clamp) = (to.zero_point, to.clamp);
    // Sums that were kept are those of the whole image.
    let kept = matches!(to.mean, Mean::Sums { .. });
    for channel in 0..pair.len() {
        let [m, m_noise] = multipliers.map(|m| m.get(pair.first + channel).copied());
        let (m, m_noise) = (m?, if to.negate { -m_noise? } else { m_noise? });
        for (in_band, pixel) in band.pixels().enumerate() {
            let index = pixel * pair.of + pair.first + channel;
            let in_band = in_band * 2 + channel;
            let mean = *mean.get(if kept { index } else { in_band })? as f32 * m;
            let noise = *noise.get(in_band)? as f32 * m_noise;
            *to.this.get_mut(index)? = requantize_real(mean + noise, zero_point, clamp);
            if let Some(twin) = to.twin.get_mut(index) {
                *twin = requantize_real(mean - noise, zero_point, clamp);
            }
        }
    }
    Some(())
}
