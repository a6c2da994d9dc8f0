//! The Bayesian first layer: mean and noise side by side, band by band.

use super::conv::{Expanded, Out, Pair, bands};
use super::plan::PIXELS;
use crate::kernels::{Conv, Filter, Mean, Noisy};
use crate::number::requantize_real;

/// See [`Output::Noisy`](crate::kernels::Output::Noisy); one image, as first layers have.
pub(super) fn conv2d(
    conv: &Conv<'_>,
    noise: &Filter<'_>,
    scratch: &mut [i16],
    to: &mut Noisy<'_>,
) -> Option<()> {
    let mut noise_sums = [0; 2 * PIXELS];
    bands(conv, scratch, |band, pair| {
        band.run(noise.values, pair, &mut Out::Band { acc: &mut noise_sums, bias: &[] })?;
        match to.mean {
            Mean::Sums { sums, multiplier } => {
                let at = |_: usize, index: usize| sums.get(index).copied();
                combine(band, pair, [multiplier, noise.multiplier], &noise_sums, at, to)
            }
            Mean::Filter(mean) => {
                let mut sums = [0; 2 * PIXELS];
                band.run(mean.values, pair, &mut Out::Band { acc: &mut sums, bias: mean.bias })?;
                let at = |in_band: usize, _: usize| sums.get(in_band).copied();
                combine(band, pair, [mean.multiplier, noise.multiplier], &noise_sums, at, to)
            }
        }
    })
}

/// Requantizes one band of two channels, for both signs of the noise where both are wanted.
#[inline(always)]
fn combine(
    band: &Expanded<'_>,
    pair: Pair,
    multipliers: [&[f32]; 2],
    noise: &[i32],
    mean: impl Fn(usize, usize) -> Option<i32>,
    to: &mut Noisy<'_>,
) -> Option<()> {
    let (zero_point, clamp) = (to.zero_point, to.clamp);
    for channel in 0..pair.len() {
        let [m, m_noise] = multipliers.map(|m| m.get(pair.first + channel).copied());
        let (m, m_noise) = (m?, m_noise?);
        for (in_band, (pixel, noise)) in band.pixels().zip(noise.as_chunks::<2>().0).enumerate() {
            let index = pixel * pair.of + pair.first + channel;
            let mean = mean(in_band * 2 + channel, index)? as f32 * m;
            let noise = if channel == 0 { noise[0] } else { noise[1] } as f32 * m_noise;
            let noise = if to.negate { -noise } else { noise };
            *to.this.get_mut(index)? = requantize_real(mean + noise, zero_point, clamp);
            if let Some(twin) = to.twin.get_mut(index) {
                *twin = requantize_real(mean - noise, zero_point, clamp);
            }
        }
    }
    Some(())
}
