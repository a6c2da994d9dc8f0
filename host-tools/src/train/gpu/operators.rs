//! One operator each, as the host defines it, in the framework's terms.

use crate::graph::{Activation, Window};
use burn_tensor::ops::{AvgPoolOptions, ConvOptions, MaxPoolOptions};
use burn_tensor::{Tensor, activation, module};

/// An activation `[n, channels, height, width]`.
pub(super) type Map = Tensor<4>;

const fn padding(window: &Window) -> [(usize, usize); 2] {
    [(window.pad_begin[0], window.pad_end[0]), (window.pad_begin[1], window.pad_end[1])]
}

/// Convolution with the host's kernel `[out, kernel_h, kernel_w, in / groups]`.
pub(super) fn conv(x: Map, weight: Map, bias: Option<Tensor<1>>, window: &Window, groups: usize) -> Map {
    let options =
        ConvOptions { stride: window.stride, padding: padding(window), dilation: window.dilation, groups };
    module::conv2d(x, weight.permute([0, 3, 1, 2]), bias, options)
}

/// `x w^T` over rows `[n, in]` with the host's kernel `[out, in]`.
pub(super) fn dense(x: Tensor<2>, weight: Tensor<2>) -> Tensor<2> {
    x.matmul(weight.transpose())
}

/// All values of each example in NHWC order, `[n, features]`.
pub(super) fn rows(x: Map) -> Tensor<2> {
    let [n, channels, height, width] = x.dims();
    x.permute([0, 2, 3, 1]).reshape([n, channels * height * width])
}

/// A vector of features for each example as an activation `[n, features, 1, 1]`.
pub(super) fn map(rows: Tensor<2>) -> Map {
    let [n, features] = rows.dims();
    rows.reshape([n, features, 1, 1])
}

pub(super) fn max_pool(x: Map, window: &Window) -> Map {
    let options = MaxPoolOptions {
        kernel_size: window.kernel,
        stride: window.stride,
        padding: padding(window),
        dilation: window.dilation,
        ceil_mode: false,
    };
    module::max_pool2d(x, options)
}

pub(super) fn average_pool(x: Map, window: &Window, count_padding: bool) -> Map {
    let options = AvgPoolOptions {
        kernel_size: window.kernel,
        stride: window.stride,
        padding: padding(window),
        count_include_pad: count_padding,
        ceil_mode: false,
    };
    module::avg_pool2d(x, options)
}

pub(super) fn global_average_pool(x: Map) -> Map {
    let [n, channels, height, width] = x.dims();
    x.reshape([n, channels, height * width]).mean_dim(2).reshape([n, channels, 1, 1])
}

/// The second behind the first along rows (0), columns (1) or channels (2).
pub(super) fn concat(a: Map, b: Map, axis: usize) -> Map {
    Tensor::cat(vec![a, b], [2, 3, 1][axis])
}

/// Zeros around rows and columns.
pub(super) fn pad(x: Map, begin: [usize; 2], end: [usize; 2]) -> Map {
    let device = x.device();
    let zeros = |x: &Map, axis: usize, size: usize| {
        let mut shape = x.dims();
        shape[2 + axis] = size;
        Map::zeros(shape, &device)
    };
    (0..2).fold(x, |mut x, axis| {
        if begin[axis] > 0 {
            x = concat(zeros(&x, axis, begin[axis]), x, axis);
        }
        if end[axis] > 0 {
            let after = zeros(&x, axis, end[axis]);
            x = concat(x, after, axis);
        }
        x
    })
}

pub(super) fn activate(function: Activation, x: Map) -> Map {
    match function {
        Activation::Relu => activation::relu(x),
        Activation::Relu6 => x.clamp(0.0, 6.0),
        Activation::LeakyRelu(slope) => activation::leaky_relu(x, f64::from(slope)),
        Activation::Sigmoid => activation::sigmoid(x),
        Activation::Tanh => x.tanh(),
        Activation::HardSigmoid => (x + 3.0).clamp(0.0, 6.0) / 6.0,
        Activation::HardSwish => x.clone() * ((x + 3.0).clamp(0.0, 6.0) / 6.0),
        Activation::Elu(alpha) => activation::elu(x, f64::from(alpha)),
        Activation::Gelu => activation::gelu(x),
        Activation::Clip { min, max } => x.clamp(min, max),
        Activation::Ramp { slope, offset } => (x * slope + offset).clamp(0.0, 1.0),
        Activation::Swish => activation::silu(x),
        Activation::Erf => x.erf(),
    }
}
