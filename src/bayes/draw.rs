//! Drawing the noise of one stream: an antithetic pair, or a single draw.

use crate::random::Gaussian;

/// One integer Gaussian per output, in the order of the outputs.
pub(crate) fn draw_outputs(seed: u64, stream: u64, eps: &mut [i16]) {
    let mut gaussian = Gaussian::new(seed, stream);
    // |eps| <= MAX_EPS, which fits an i16.
    eps.iter_mut().for_each(|eps| *eps = gaussian.sample() as i16);
}
