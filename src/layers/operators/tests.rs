//! Which convolutions a program keeps.

use super::*;
use crate::common::{self, ALL, First};

/// A host's code serves every shape: what is left but the kind of the first layer.
#[test]
fn a_bayesian_depthwise_layer_needs_code_for_any_shape() {
    for first in ALL {
        let own = Operators::of(&common::model(first, 1));
        assert_eq!(own.any_shape, first == First::Depthwise, "{first:?}");
    }
}

#[test]
fn joined_operators_keep_code_for_any_shape() {
    const SERVED: Operators = Operators { any_shape: false, ..Operators::NONE };
    for operator in Operator::ALL {
        let convolution = matches!(operator, Operator::Conv2d | Operator::DepthwiseConv2d);
        let more = SERVED.with(operator);
        assert_eq!(more.any_shape, convolution, "{operator}");
        assert_eq!(SERVED.and(&more).any_shape, convolution, "{operator}");
    }
}
