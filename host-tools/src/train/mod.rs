//! Training.

pub mod executor;

pub use executor::{Executor, Gradients, Pass, Perturbation, Trainable};
