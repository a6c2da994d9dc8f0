//! Random starting weights.

use super::{Graph, Params};
use ndarray::ArrayD;
use stf_bnn::random::{Gaussian, UNIT};

impl Params {
    /// He's initialisation (He et al. 2015, arXiv 1502.01852, equation 10): weights are normal with
    /// variance `2 / fan_in`, biases zero, batch norm the identity.
    ///
    /// Each node draws from a stream of its own, (seed, node index): changing one layer leaves the
    /// start of the layers before it as it was.
    #[must_use]
    pub fn initialise(graph: &Graph, seed: u64) -> Self {
        let mut params = Self::zeros(graph);
        for (id, node) in params.nodes.iter_mut().enumerate() {
            if let Some(weight) = &mut node.weight {
                let sigma = (2.0 / graph.fan_in(id).max(1) as f32).sqrt();
                fill(weight, sigma, &mut Gaussian::new(seed, id as u64));
            }
        }
        params
    }
}

fn fill(weight: &mut ArrayD<f32>, sigma: f32, gaussian: &mut Gaussian) {
    let step = sigma / UNIT as f32;
    weight.mapv_inplace(|_| step * gaussian.sample() as f32);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Shape, architectures};

    fn lenet() -> Graph {
        architectures::build("lenet5", Shape::new(28, 28, 1), 10).unwrap()
    }

    #[test]
    fn variance_is_two_by_fan_in() {
        let graph = lenet();
        let params = Params::initialise(&graph, 7);
        let mut checked = 0;
        for (id, node) in params.nodes.iter().enumerate() {
            let Some(weight) = node.weight.as_ref().filter(|weight| weight.len() > 2000) else { continue };
            let count = weight.len() as f64;
            let mean = weight.iter().map(|&w| f64::from(w)).sum::<f64>() / count;
            let variance = weight.iter().map(|&w| (f64::from(w) - mean).powi(2)).sum::<f64>() / count;
            let expected = 2.0 / graph.fan_in(id) as f64;
            // Five standard errors of the mean and of the variance of a normal sample.
            assert!(mean.abs() < 5.0 * (expected / count).sqrt(), "{mean}");
            assert!((variance / expected - 1.0).abs() < 5.0 * (2.0 / count).sqrt(), "{variance} {expected}");
            checked += 1;
        }
        assert_eq!(checked, 3);
    }

    #[test]
    fn biases_are_zero_and_seeds_decide() {
        let graph = lenet();
        let first = Params::initialise(&graph, 1);
        assert_eq!(first, Params::initialise(&graph, 1));
        assert_ne!(first, Params::initialise(&graph, 2));
        for bias in first.nodes.iter().filter_map(|node| node.bias.as_ref()) {
            assert!(bias.iter().all(|&value| value == 0.0));
        }
    }
}
