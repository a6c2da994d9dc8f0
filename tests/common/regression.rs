//! Small random Gaussian regressions and autoencoders, with facts that were fitted on nothing.

use super::Builder;
use stf_bnn::artifact::{Anomaly, GaussianHead, Intervals, Manifest, NoiseKind, SamplingPolicy, Task};
use stf_bnn::{AlignedBytes, ArtifactError};

/// How the calibration examples of the facts below would have been predicted.
pub const POLICY: SamplingPolicy =
    SamplingPolicy { num_samples: 8, adaptive: false, seed: 0, fresh: true, antithetic: true };

/// Blobs of a Gaussian regression of two targets, to be damaged before they are written.
pub struct GaussianFacts {
    pub target_mean: Vec<f32>,
    pub target_std: Vec<f32>,
    pub examples: u32,
    pub num_samples: u16,
    pub alphas: Vec<u32>,
    /// `[levels, targets]`
    pub factors: Vec<f32>,
}

pub fn gaussian_facts() -> GaussianFacts {
    GaussianFacts {
        target_mean: vec![10.0, -3.0],
        target_std: vec![2.0, 0.5],
        examples: 100,
        num_samples: 8,
        alphas: vec![50_000, 100_000],
        factors: vec![2.5, 3.0, 1.5, 1.75],
    }
}

impl GaussianFacts {
    /// A random convolutional regression with these facts.
    pub fn write(&self, seed: u64) -> Result<AlignedBytes, ArtifactError> {
        let mut b = Builder::new(seed, [6, 5, 2]);
        b.conv(8);
        b.add_posterior(NoiseKind::Weights);
        b.dense_output(4);
        let policy = SamplingPolicy { num_samples: self.num_samples, ..POLICY };
        let head = GaussianHead {
            target_mean: b.writer.values(&self.target_mean),
            target_std: b.writer.values(&self.target_std),
            intervals: Some(Intervals {
                policy,
                examples: self.examples,
                alphas: b.writer.values(&self.alphas),
                factors: b.writer.values(&self.factors),
            }),
        };
        let manifest = Manifest { task: Task::Gaussian(head), class_names: "a\nb", ..b.manifest(4) };
        b.layers.iter().for_each(|&layer| b.writer.push_layer(layer));
        b.writer.finish(manifest).map(|bytes| AlignedBytes::new(&bytes))
    }
}

/// A random autoencoder with reconstruction errors of `examples` normal inputs.
pub fn autoencoder(
    seed: u64,
    examples: u32,
    scores: &[f32],
    above: &[u32],
) -> Result<AlignedBytes, ArtifactError> {
    let mut b = Builder::new(seed, [3, 4, 2]);
    b.dense(5);
    b.add_posterior(NoiseKind::Weights);
    b.dense_output(24);
    let (scores, above) = (b.writer.values(scores), b.writer.values(above));
    let anomaly = Anomaly { policy: POLICY, examples, scores, above };
    let manifest = Manifest { task: Task::Reconstruction(Some(anomaly)), ..b.manifest(24) };
    b.layers.iter().for_each(|&layer| b.writer.push_layer(layer));
    b.writer.finish(manifest).map(|bytes| AlignedBytes::new(&bytes))
}
