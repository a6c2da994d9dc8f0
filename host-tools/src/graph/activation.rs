//! Element-wise functions and their derivatives.

use crate::normal::{cdf, erf};
use serde::{Deserialize, Serialize};
use std::f64::consts::PI;

/// An element-wise function.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Activation {
    /// `max(x, 0)`.
    Relu,
    /// `min(max(x, 0), 6)`.
    Relu6,
    /// `x` where positive, `slope * x` elsewhere.
    LeakyRelu(f32),
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
    /// Hyperbolic tangent.
    Tanh,
    /// `min(max(x + 3, 0), 6) / 6`, the slope 1/6 of PyTorch and of ONNX's `HardSwish`.
    HardSigmoid,
    /// `x * min(max(x + 3, 0), 6) / 6`.
    HardSwish,
    /// `x` where positive, `alpha * (exp(x) - 1)` elsewhere.
    Elu(f32),
    /// `x * Phi(x)`, Phi the distribution function of the standard normal (not its tanh approximation).
    Gelu,
    /// `min(max(x, min), max)`.
    Clip {
        /// Least value.
        min: f32,
        /// Greatest value.
        max: f32,
    },
    /// `min(max(slope * x + offset, 0), 1)`: a hard sigmoid of any slope.
    Ramp {
        /// Slope of the middle part.
        slope: f32,
        /// Value at 0.
        offset: f32,
    },
    /// `x / (1 + exp(-x))`, also called SiLU.
    Swish,
    /// The error function.
    Erf,
}

impl Activation {
    /// The function at `x`; not a number where `x` is not.
    #[must_use]
    pub fn value(self, x: f32) -> f32 {
        if x.is_nan() {
            // `max` and `min` would hide it, and with it a diverged training.
            return x;
        }
        match self {
            Self::Relu => x.max(0.0),
            Self::Relu6 => x.clamp(0.0, 6.0),
            Self::LeakyRelu(slope) => {
                if x > 0.0 {
                    x
                } else {
                    slope * x
                }
            }
            Self::Sigmoid => sigmoid(x),
            Self::Tanh => x.tanh(),
            Self::HardSigmoid => hard_sigmoid(x),
            // -inf * 0 is not a number; the limit is 0.
            Self::HardSwish if x <= -3.0 => 0.0,
            Self::HardSwish => x * hard_sigmoid(x),
            Self::Elu(alpha) => {
                if x > 0.0 {
                    x
                } else {
                    alpha * x.exp_m1()
                }
            }
            Self::Gelu => gelu(x),
            Self::Clip { min, max } => x.max(min).min(max),
            Self::Ramp { slope, offset } => (slope * x + offset).clamp(0.0, 1.0),
            Self::Erf => erf(x.into()) as f32,
            Self::Swish if x == f32::NEG_INFINITY => 0.0,
            Self::Swish => x * sigmoid(x),
        }
    }

    /// The derivative at `x`, the input (not the output).
    ///
    /// At a kink it is the one on the left: 0 at `x = 0` for ReLU and ReLU6, `slope` for leaky ReLU,
    /// `alpha` for ELU. Where a function is cut off at the top (ReLU6 at 6, the hard functions at
    /// 3), the kink counts as cut off.
    #[must_use]
    pub fn derivative(self, x: f32) -> f32 {
        match self {
            Self::Relu => f32::from(x > 0.0),
            Self::Relu6 => f32::from(x > 0.0 && x < 6.0),
            Self::LeakyRelu(slope) => {
                if x > 0.0 {
                    1.0
                } else {
                    slope
                }
            }
            Self::Sigmoid => {
                let y = sigmoid(x);
                y * (1.0 - y)
            }
            Self::Tanh => {
                let y = x.tanh();
                1.0 - y * y
            }
            Self::HardSigmoid => f32::from(x > -3.0 && x < 3.0) / 6.0,
            Self::HardSwish if x <= -3.0 => 0.0,
            Self::HardSwish if x >= 3.0 => 1.0,
            Self::HardSwish => (2.0 * x + 3.0) / 6.0,
            Self::Elu(alpha) => {
                if x > 0.0 {
                    1.0
                } else {
                    alpha * x.exp()
                }
            }
            Self::Gelu => gelu_derivative(x),
            Self::Clip { min, max } => f32::from(x > min && x < max),
            Self::Ramp { slope, offset } => {
                let y = slope * x + offset;
                if y > 0.0 && y < 1.0 { slope } else { 0.0 }
            }
            Self::Erf => {
                let x = f64::from(x);
                (2.0 / PI.sqrt() * (-x * x).exp()) as f32
            }
            Self::Swish => {
                let y = sigmoid(x);
                y + x * y * (1.0 - y)
            }
        }
    }

    /// The field's name of the function.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Relu => "relu",
            Self::Relu6 => "relu6",
            Self::LeakyRelu(_) => "leaky_relu",
            Self::Sigmoid => "sigmoid",
            Self::Tanh => "tanh",
            Self::HardSigmoid => "hard_sigmoid",
            Self::HardSwish => "hard_swish",
            Self::Elu(_) => "elu",
            Self::Gelu => "gelu",
            Self::Clip { .. } => "clip",
            Self::Ramp { .. } => "ramp",
            Self::Swish => "swish",
            Self::Erf => "erf",
        }
    }
}

/// The logistic function; never exp of a large positive number, so that it cannot overflow.
fn sigmoid(x: f32) -> f32 {
    let small = (-x.abs()).exp();
    if x >= 0.0 { 1.0 / (1.0 + small) } else { small / (1.0 + small) }
}

fn hard_sigmoid(x: f32) -> f32 {
    (x + 3.0).clamp(0.0, 6.0) / 6.0
}

fn gelu(x: f32) -> f32 {
    if x == f32::NEG_INFINITY {
        return 0.0;
    }
    (f64::from(x) * cdf(f64::from(x))) as f32
}

fn gelu_derivative(x: f32) -> f32 {
    if x.is_infinite() {
        return f32::from(x > 0.0);
    }
    let x = f64::from(x);
    let density = (-0.5 * x * x).exp() / (2.0 * PI).sqrt();
    (cdf(x) + x * density) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Activation; 13] = [
        Activation::Relu,
        Activation::Relu6,
        Activation::LeakyRelu(0.1),
        Activation::Sigmoid,
        Activation::Tanh,
        Activation::HardSigmoid,
        Activation::HardSwish,
        Activation::Elu(1.3),
        Activation::Gelu,
        Activation::Clip { min: -1.0, max: 4.0 },
        Activation::Ramp { slope: 0.2, offset: 0.5 },
        Activation::Swish,
        Activation::Erf,
    ];

    /// No point is within a step of a kink (0, 6, -3, 3).
    const POINTS: [f32; 12] = [-7.3, -4.1, -2.6, -1.5, -0.7, -0.11, 0.13, 0.9, 2.2, 3.4, 5.1, 7.7];

    #[test]
    fn derivative_is_the_slope() {
        let step = 1.0 / 128.0;
        for function in ALL {
            for x in POINTS {
                let slope = (function.value(x + step) - function.value(x - step)) / (2.0 * step);
                let derivative = function.derivative(x);
                assert!((slope - derivative).abs() < 2e-4, "{function:?} at {x}: {slope} {derivative}");
            }
        }
    }

    #[test]
    fn derivative_at_a_kink_is_the_left_one() {
        assert_eq!(Activation::Relu.derivative(0.0), 0.0);
        assert_eq!(Activation::Relu6.derivative(0.0), 0.0);
        assert_eq!(Activation::Relu6.derivative(6.0), 0.0);
        assert_eq!(Activation::LeakyRelu(0.1).derivative(0.0), 0.1);
        assert_eq!(Activation::Elu(1.3).derivative(0.0), 1.3);
    }

    /// `torch.nn.functional.{sigmoid,tanh,hardsigmoid,hardswish,elu,gelu}` are these closed forms;
    /// the values of sigmoid, tanh, exp and Phi are from Abramowitz and Stegun's tables.
    #[test]
    fn values_are_those_of_the_tables() {
        let near = |function: Activation, x: f32, expected: f32| {
            let found = function.value(x);
            assert!((found - expected).abs() < 1e-6, "{function:?} at {x}: {found}, not {expected}");
        };
        near(Activation::Sigmoid, 2.0, 0.880_797_1);
        near(Activation::Tanh, 1.0, 0.761_594_2);
        near(Activation::HardSigmoid, 1.5, 0.75);
        near(Activation::HardSwish, 1.5, 1.125);
        near(Activation::Elu(1.3), -1.0, -1.3 * 0.632_120_56);
        near(Activation::Gelu, 1.0, 0.841_344_8);
        near(Activation::Gelu, -2.0, -2.0 * 0.022_750_132);
        near(Activation::Gelu, 3.0, 3.0 * 0.998_650_1);
        near(Activation::LeakyRelu(0.1), -2.0, -0.2);
        near(Activation::Relu6, 8.0, 6.0);
    }

    #[test]
    fn extremes_stay_in_range_and_nan_stays_nan() {
        for function in ALL {
            assert!(function.value(f32::NAN).is_nan(), "{function:?}");
            for x in [-1e30_f32, -100.0, 100.0, 1e30] {
                assert!(function.value(x).is_finite(), "{function:?} at {x}");
                assert!(function.derivative(x).is_finite(), "{function:?} at {x}");
            }
        }
        for function in [Activation::HardSwish, Activation::Gelu] {
            assert_eq!(function.value(f32::NEG_INFINITY), 0.0, "{function:?}");
        }
    }
}
