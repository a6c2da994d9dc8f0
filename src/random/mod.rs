//! Random numbers: xoshiro128++ streams by (seed, draw), and a Gaussian in integers.

mod gaussian;
mod stream;
mod table;

pub use gaussian::{Gaussian, MAX_EPS, MAX_TABLE, UNIT, for_each_value, noise_weight};
#[cfg(all(target_arch = "x86_64", feature = "std"))]
pub(crate) use stream::state;
pub use stream::stream;
#[cfg(all(target_arch = "x86_64", feature = "std"))]
pub(crate) use table::NODES;
