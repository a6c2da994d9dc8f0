//! Drawing the noise of one stream: an antithetic pair, or a single draw.

use crate::random::{Gaussian, noise_weight};

/// One int8 noise weight per weight, in the order of the weights.
pub(crate) fn draw_weights(seed: u64, stream: u64, table: &[u16], log_var: &[u8], noise: &mut [i8]) {
    let Ok(table): Result<&[u16; 256], _> = table.try_into() else { return };
    let mut gaussian = Gaussian::new(seed, stream);
    for (noise, &b) in noise.iter_mut().zip(log_var) {
        *noise = noise_weight(table[usize::from(b)], gaussian.sample());
    }
}

/// One integer Gaussian per output, in the order of the outputs.
pub(crate) fn draw_outputs(seed: u64, stream: u64, eps: &mut [i16]) {
    let mut gaussian = Gaussian::new(seed, stream);
    // |eps| <= MAX_EPS, which fits an i16.
    eps.iter_mut().for_each(|eps| *eps = gaussian.sample() as i16);
}
