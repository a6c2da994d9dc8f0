//! Convolutions and dense layers on int8: the inner loops.
//!
//! [`mod@reference`] is the specification, in safe Rust written so that the compiler vectorizes it.
//! Every `arch/<isa>.rs` must equal it bit for bit; all sums are exact integers, so that their
//! order does not matter. This is the only folder with `unsafe` code.
//!
//! A kernel gives accumulators **without bias**, a run of neighbouring output channels of one pixel
//! at a time, to a closure that knows what becomes of them: `sink(index, channel, accumulators)`,
//! `index` being that of the first value in the NHWC output. `N` sets of weights share the input.

mod arch;
pub mod reference;

use crate::artifact::{Layer, Tensor, Window};

/// Input and geometry of a convolution, depthwise or not.
#[derive(Debug, Clone, Copy)]
pub struct Conv<'a> {
    /// Input values, `[x.height, x.width, x.channels]`.
    pub input: &'a [i8],
    /// Shape and zero point of the input.
    pub x: Tensor,
    /// Shape of the output.
    pub y: Tensor,
    /// How the window moves.
    pub window: Window,
}

/// Which kernels run. Holding the value proves that this CPU can run them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kernels(Kind);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Reference,
    #[cfg(all(target_arch = "x86_64", feature = "std"))]
    Avx2(arch::x86_64::Avx2),
}

macro_rules! dispatch {
    ($self:ident . $name:ident ($($argument:expr),*)) => {
        match $self.0 {
            Kind::Reference => reference::$name($($argument),*),
            #[cfg(all(target_arch = "x86_64", feature = "std"))]
            Kind::Avx2(avx2) => avx2.$name($($argument),*),
        }
    };
}

impl Kernels {
    /// The specification; runs everywhere.
    pub const REFERENCE: Self = Self(Kind::Reference);

    /// The fastest kernels of this CPU. With `std`, the environment variable `STF_KERNELS`
    /// (`reference`, `avx2`) forces one; one that this CPU cannot run is `reference`.
    #[must_use]
    pub fn detect() -> Self {
        #[cfg(feature = "std")]
        if let Ok(name) = std::env::var("STF_KERNELS") {
            return Self::by_name(&name).unwrap_or(Self::REFERENCE);
        }
        Self::by_name("avx2").unwrap_or(Self::REFERENCE)
    }

    /// Kernels by name; `None` if there are none of this name or this CPU cannot run them.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        match name {
            "reference" => Some(Self::REFERENCE),
            #[cfg(all(target_arch = "x86_64", feature = "std"))]
            "avx2" => arch::x86_64::Avx2::new().map(|avx2| Self(Kind::Avx2(avx2))),
            _ => None,
        }
    }

    /// Their name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self.0 {
            Kind::Reference => "reference",
            #[cfg(all(target_arch = "x86_64", feature = "std"))]
            Kind::Avx2(_) => "avx2",
        }
    }

    /// Convolution; weights `[y.channels, kernel_h, kernel_w, x.channels]`, scratch of
    /// [`scratch_values`].
    pub fn conv2d<const N: usize>(
        self,
        conv: &Conv<'_>,
        weights: [&[i8]; N],
        scratch: &mut [i16],
        sink: impl FnMut(usize, usize, [&[i32]; N]),
    ) {
        dispatch!(self.conv2d(conv, weights, scratch, sink));
    }

    /// Depthwise convolution; weights `[kernel_h, kernel_w, channels]`.
    pub fn depthwise<const N: usize>(
        self,
        conv: &Conv<'_>,
        weights: [&[i8]; N],
        sink: impl FnMut(usize, usize, [&[i32]; N]),
    ) {
        dispatch!(self.depthwise(conv, weights, sink));
    }

    /// Dense layer of `outputs` rows; weights `[outputs, inputs]`.
    pub fn dense<const N: usize>(
        self,
        input: &[i8],
        zero_point: i8,
        outputs: usize,
        weights: [&[i8]; N],
        sink: impl FnMut(usize, usize, [&[i32]; N]),
    ) {
        dispatch!(self.dense(input, zero_point, outputs, weights, sink));
    }
}

/// Number of `i16` that a layer's kernel needs as scratch.
#[must_use]
pub fn scratch_values(layer: &Layer) -> usize {
    match layer {
        Layer::Conv2d { input, window, .. } => {
            let patch = (window.area() as usize).saturating_mul(usize::from(input.channels));
            if patch <= reference::SHORT_PATCH { patch * reference::PIXELS } else { patch }
        }
        _ => 0,
    }
}
