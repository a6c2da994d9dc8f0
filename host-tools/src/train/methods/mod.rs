//! The methods that STF-BNN is held against, by the same loop: which layers are random, how they are
//! inferred, and how their predictions are drawn.

mod laplace;
mod mean_field;
mod net;
mod predict;

pub use laplace::{LastLayer, fit_last_layer};
pub use mean_field::{MeanFieldConfig, mean_field};
pub use net::{Net, Sampler, Weights};
pub use predict::{Logits, logits};

use crate::error::{Error, Result};
use crate::graph::{Graph, NodeId, Op};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A way to train a network that says how sure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Stage 1 alone.
    Plain,
    /// Stage 1, then the first layer's posterior: the method of this project.
    Stf,
    /// Stage 1, then the posterior of the first block: all weighted layers up to the first residual sum,
    /// or the first two.
    Block,
    /// Stage 1, then the last layer's posterior.
    LastLayer,
    /// Stage 1, then the posterior of all layers (Krishnan et al. 2020).
    FullMap,
    /// All layers' posterior from fresh weights, for as many epochs as stage 1 (Blundell et al. 2015).
    Full,
    /// Monte-Carlo dropout in front of every weighted layer but the first (Gal and Ghahramani 2016).
    Dropout,
    /// Several networks from different seeds (Lakshminarayanan et al. 2017).
    Ensemble,
    /// Stage 1, then a Laplace approximation of the last layer with Kronecker factors (Daxberger et al.
    /// 2021).
    Laplace,
}

impl Method {
    /// All of them, in the order of tables.
    pub const ALL: [Self; 9] = [
        Self::Plain,
        Self::Stf,
        Self::Block,
        Self::LastLayer,
        Self::FullMap,
        Self::Full,
        Self::Dropout,
        Self::Ensemble,
        Self::Laplace,
    ];

    /// Its name on the command line and in files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Stf => "stf",
            Self::Block => "block",
            Self::LastLayer => "last-layer",
            Self::FullMap => "full-map",
            Self::Full => "full",
            Self::Dropout => "dropout",
            Self::Ensemble => "ensemble",
            Self::Laplace => "laplace",
        }
    }

    /// What tables call it.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Stf => "STF-BNN",
            Self::Block => "Bayesian first block",
            Self::LastLayer => "Bayesian last layer",
            Self::FullMap => "fully Bayesian, from stage 1",
            Self::Full => "fully Bayesian, from scratch",
            Self::Dropout => "MC dropout",
            Self::Ensemble => "deep ensemble",
            Self::Laplace => "last-layer Laplace",
        }
    }

    /// Whether a posterior is inferred by gradient steps, whose temperature can be chosen.
    #[must_use]
    pub const fn is_variational(self) -> bool {
        matches!(self, Self::Stf | Self::Block | Self::LastLayer | Self::FullMap | Self::Full)
    }

    /// Whether it starts from the stage-1 network of the same seed.
    #[must_use]
    pub const fn needs_stage1(self) -> bool {
        !matches!(self, Self::Plain | Self::Full | Self::Dropout)
    }

    /// The nodes whose kernels are inferred.
    ///
    /// # Errors
    /// If the network has none.
    pub fn kernels(self, graph: &Graph) -> Result<Vec<NodeId>> {
        let weighted: Vec<NodeId> =
            (0..graph.nodes.len()).filter(|&id| graph.nodes[id].op.is_weighted()).collect();
        graph.first_weighted()?;
        Ok(match self {
            Self::Stf => weighted[..1].to_vec(),
            Self::LastLayer => weighted[weighted.len() - 1..].to_vec(),
            Self::Full | Self::FullMap => weighted,
            Self::Block => {
                let end = graph.nodes.iter().position(|node| matches!(node.op, Op::Add));
                let inside = |&id: &NodeId| end.is_some_and(|end| id < end);
                let block: Vec<NodeId> = weighted.iter().copied().filter(inside).collect();
                if block.len() > 1 { block } else { weighted.into_iter().take(2).collect() }
            }
            _ => Vec::new(),
        })
    }

    /// Methods by their names, separated by commas; each once, in the order in which they are named.
    ///
    /// # Errors
    /// If a name is that of no method.
    pub fn list(names: &str) -> Result<Vec<Self>> {
        let mut methods = Vec::new();
        for name in names.split(',') {
            let method = name.trim().parse()?;
            if !methods.contains(&method) {
                methods.push(method);
            }
        }
        Ok(methods)
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Method {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let names = || Self::ALL.map(Self::name).join(", ");
        let known = Self::ALL.into_iter().find(|method| method.name() == text);
        known.ok_or_else(|| Error::invalid("method", text, format!("one of {}", names())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_is_listed_once_where_it_is_named_first() {
        let listed = Method::list("stf, plain,stf,plain").unwrap();
        assert_eq!(listed, [Method::Stf, Method::Plain]);
        let message = Method::list("plain,").unwrap_err().to_string();
        assert!(message.contains("one of plain, stf"), "{message}");
    }
}
