//! The inner loops on int8: convolutions, dense layers, pooling, sums, lookups.
//!
//! `mod@reference` is the specification. Every `arch/<isa>` must equal it bit for bit; all sums are
//! exact integers, so that their order does not matter, and every f32 operation is rounded by itself.
//! This is the only folder with `unsafe` code.
//!
//! # A new instruction set
//! 1. `arch/<isa>.rs` has a type whose value proves that this CPU can run it, and implements `Isa`
//!    for it. Every method of `Isa` has the specification as its default: override what is faster.
//!    Where the compiler alone makes the specification fast, `reference::finish` with a
//!    `reference::Sweep` of your own gives the requantization for nothing.
//! 2. `Kind`, `each!`, `by_name` and `NAMES` below get one line each, under the same `cfg`.
//! 3. Weights are read in place (`Filter::values`) unless `packed_bytes` is not 0: then `pack` writes
//!    them once, in an order of its own, into memory that the caller gave, 64-byte aligned, and
//!    `Filter::packed` is that memory. Devices with little RAM pack nothing and use at most the
//!    scratch of `reference::scratch_values`, so that a host can compute their workspace.
//! 4. The property table in `tests/kernels.rs` runs every name of `NAMES` that this CPU can run.
//!
//! Draws side by side are images of one batch: tensors are `[images, height, width, channels]`, so
//! that every weight loaded serves all of them.

mod arch;
mod isa;
mod operation;
pub mod reference;

pub(crate) use isa::Isa;
pub(crate) use operation::{
    Add, Conv, Dense, Filter, Mean, NoiseDraw, Noisy, Output, OutputDraw, Quantize, Raw, STREAMS,
};

use crate::artifact::{Clamp, Layer};

/// Whether any kernels pack weights: those of devices do not, whose code ends here.
pub(crate) const PACK: bool = cfg!(feature = "std");

/// Square root, correctly rounded: by the FPU's own instruction where one is known to be there.
#[inline]
pub(crate) fn sqrt(x: f32) -> f32 {
    #[cfg(all(feature = "cortex-m-dsp", target_arch = "arm", target_os = "none"))]
    return arch::cortex_m::sqrt(x);
    #[cfg(not(all(feature = "cortex-m-dsp", target_arch = "arm", target_os = "none")))]
    crate::number::sqrt(x)
}

/// Which kernels run. Holding the value proves that this CPU can run them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kernels(Kind);

#[cfg(feature = "defmt")]
impl defmt::Format for Kernels {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "{=str}", self.name());
    }
}

/// What runs where nothing is chosen at run time. An MCU has room for one set of kernels.
#[cfg(all(feature = "cortex-m-mve", target_os = "none"))]
type Base = arch::cortex_m::Mve;
#[cfg(all(feature = "cortex-m-dsp", not(feature = "cortex-m-mve"), target_os = "none"))]
type Base = arch::cortex_m::Dsp;
#[cfg(not(all(feature = "cortex-m-dsp", target_os = "none")))]
type Base = isa::Reference;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Base(Base),
    #[cfg(all(feature = "cortex-m-dsp", not(target_os = "none")))]
    CortexM(arch::cortex_m::Dsp),
    #[cfg(all(target_arch = "aarch64", feature = "std"))]
    Neon(arch::aarch64::WithNeon),
    #[cfg(all(target_arch = "aarch64", feature = "std"))]
    Dotprod(arch::aarch64::WithDotprod),
    #[cfg(all(target_arch = "aarch64", feature = "std"))]
    I8mm(arch::aarch64::WithI8mm),
    #[cfg(all(target_arch = "x86_64", feature = "std"))]
    Avx2(arch::x86_64::Avx2),
    #[cfg(all(target_arch = "x86_64", feature = "std"))]
    AvxVnni(arch::x86_64::AvxVnni),
    #[cfg(all(target_arch = "x86_64", feature = "std"))]
    Avx512Vnni(arch::x86_64::Avx512Vnni),
}

/// `each!(kernels, isa => expression)`
macro_rules! each {
    ($self:expr, $isa:ident => $call:expr) => {
        match $self.0 {
            Kind::Base($isa) => $call,
            #[cfg(all(feature = "cortex-m-dsp", not(target_os = "none")))]
            Kind::CortexM($isa) => $call,
            #[cfg(all(target_arch = "aarch64", feature = "std"))]
            Kind::Neon($isa) => $call,
            #[cfg(all(target_arch = "aarch64", feature = "std"))]
            Kind::Dotprod($isa) => $call,
            #[cfg(all(target_arch = "aarch64", feature = "std"))]
            Kind::I8mm($isa) => $call,
            #[cfg(all(target_arch = "x86_64", feature = "std"))]
            Kind::Avx2($isa) => $call,
            #[cfg(all(target_arch = "x86_64", feature = "std"))]
            Kind::AvxVnni($isa) => $call,
            #[cfg(all(target_arch = "x86_64", feature = "std"))]
            Kind::Avx512Vnni($isa) => $call,
        }
    };
}

impl Kernels {
    /// The specification; runs everywhere. An MCU that was built with kernels of its own has those
    /// alone: their results are the same.
    pub const REFERENCE: Self = Self(Kind::Base(Base::new()));

    /// Every name that [`by_name`](Self::by_name) knows on some CPU, fastest last.
    pub const NAMES: &'static [&'static str] =
        &["reference", "cortex-m-dsp", "neon", "dotprod", "i8mm", "avx2", "avx-vnni", "avx512-vnni"];

    /// The fastest kernels of this CPU. With `std`, the environment variable `STF_KERNELS` forces one
    /// of [`Self::NAMES`]; one that this CPU cannot run is `reference`.
    #[must_use]
    pub fn detect() -> Self {
        #[cfg(feature = "std")]
        if let Ok(name) = std::env::var("STF_KERNELS") {
            return Self::by_name(&name).unwrap_or(Self::REFERENCE);
        }
        if cfg!(target_os = "none") {
            return Self::REFERENCE;
        }
        Self::NAMES.iter().rev().find_map(|name| Self::by_name(name)).unwrap_or(Self::REFERENCE)
    }

    /// Kernels by name; `None` if there are none of this name or this CPU cannot run them.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        match name {
            "reference" => Some(Self::REFERENCE),
            #[cfg(all(feature = "cortex-m-dsp", not(target_os = "none")))]
            "cortex-m-dsp" => Some(Self(Kind::CortexM(arch::cortex_m::Dsp::new()))),
            #[cfg(all(target_arch = "aarch64", feature = "std"))]
            "neon" => arch::aarch64::WithNeon::new().map(|isa| Self(Kind::Neon(isa))),
            #[cfg(all(target_arch = "aarch64", feature = "std"))]
            "dotprod" => arch::aarch64::WithDotprod::new().map(|isa| Self(Kind::Dotprod(isa))),
            #[cfg(all(target_arch = "aarch64", feature = "std"))]
            "i8mm" => arch::aarch64::WithI8mm::new().map(|isa| Self(Kind::I8mm(isa))),
            #[cfg(all(target_arch = "x86_64", feature = "std"))]
            "avx2" => arch::x86_64::Avx2::new().map(|isa| Self(Kind::Avx2(isa))),
            #[cfg(all(target_arch = "x86_64", feature = "std"))]
            "avx-vnni" => arch::x86_64::AvxVnni::new().map(|isa| Self(Kind::AvxVnni(isa))),
            #[cfg(all(target_arch = "x86_64", feature = "std"))]
            "avx512-vnni" => arch::x86_64::Avx512Vnni::new().map(|isa| Self(Kind::Avx512Vnni(isa))),
            _ => None,
        }
    }

    /// Their name.
    #[must_use]
    pub fn name(self) -> &'static str {
        each!(self, isa => isa.name())
    }

    /// Bytes of packed weights of a layer, a multiple of 64; 0 if they are read in place. Of a layer that was
    /// not checked, the greatest multiple stands for any that is too large.
    pub(crate) fn packed_bytes(self, layer: &Layer) -> usize {
        if !PACK {
            return 0;
        }
        each!(self, isa => isa.packed_bytes(layer)).checked_next_multiple_of(64).unwrap_or(usize::MAX & !63)
    }

    /// Writes the packed weights of a layer: `to` has [`Self::packed_bytes`] bytes.
    pub(crate) fn pack(self, layer: &Layer, filter: &Filter<'_>, to: &mut [u8]) {
        each!(self, isa => isa.pack(layer, filter, to));
    }

    /// Number of `i16` of scratch that a layer needs for `images` at a time.
    pub(crate) fn scratch_values(self, layer: &Layer, images: usize) -> usize {
        each!(self, isa => isa.scratch_values(layer, images))
    }

    /// Noise weights `[streams, weights]`.
    pub(crate) fn draw(self, draw: &NoiseDraw<'_>, noise: &mut [i8]) {
        each!(self, isa => isa.draw(draw, noise));
    }

    /// Gaussians of noise per output, `[streams, count]`.
    pub(crate) fn draw_outputs(self, draw: &OutputDraw<'_>, eps: &mut [i16]) {
        each!(self, isa => isa.draw_outputs(draw, eps));
    }

    /// Raw inputs `[pixels, channels]` as int8.
    pub(crate) fn quantize<T: Raw>(self, x: &[T], spec: &Quantize<'_>, out: &mut [i8]) {
        each!(self, isa => isa.quantize(x, spec, out));
    }

    /// Convolution; weights `[y.channels, kernel_h, kernel_w, x.channels]`.
    pub(crate) fn conv2d(
        self,
        conv: &Conv<'_>,
        filter: &Filter<'_>,
        scratch: &mut [i16],
        output: Output<'_>,
    ) {
        each!(self, isa => isa.conv2d(conv, filter, scratch, output));
    }

    /// Depthwise convolution; weights `[kernel_h, kernel_w, channels]`.
    pub(crate) fn depthwise(
        self,
        conv: &Conv<'_>,
        filter: &Filter<'_>,
        scratch: &mut [i16],
        output: Output<'_>,
    ) {
        each!(self, isa => isa.depthwise(conv, filter, scratch, output));
    }

    /// Whether fast code serves a layer's shape; always, where there is no other code.
    pub(crate) const fn serves(layer: &Layer) -> bool {
        #[cfg(all(feature = "cortex-m-dsp", target_os = "none"))]
        return arch::serves(layer);
        #[cfg(not(all(feature = "cortex-m-dsp", target_os = "none")))]
        matches!(layer, _)
    }

    /// As [`Self::conv2d`], without code for what [`Self::serves`] not: `None`.
    pub(crate) fn conv2d_served(
        self,
        conv: &Conv<'_>,
        filter: &Filter<'_>,
        scratch: &mut [i16],
        output: Output<'_>,
    ) -> Option<()> {
        each!(self, isa => isa.conv2d_served(conv, filter, scratch, output))
    }

    /// As [`Self::depthwise`], without code for what [`Self::serves`] not: `None`.
    pub(crate) fn depthwise_served(
        self,
        conv: &Conv<'_>,
        filter: &Filter<'_>,
        scratch: &mut [i16],
        output: Output<'_>,
    ) -> Option<()> {
        each!(self, isa => isa.depthwise_served(conv, filter, scratch, output))
    }

    /// Dense layer; weights `[outputs, inputs]`.
    pub(crate) fn dense(
        self,
        dense: &Dense<'_>,
        filter: &Filter<'_>,
        scratch: &mut [i16],
        output: Output<'_>,
    ) {
        each!(self, isa => isa.dense(dense, filter, scratch, output));
    }

    /// Maximum over windows; padding never wins.
    pub(crate) fn max_pool(self, conv: &Conv<'_>, y: &mut [i8]) {
        each!(self, isa => isa.max_pool(conv, y));
    }

    /// Mean over windows; see [`Layer::AvgPool`].
    pub(crate) fn avg_pool(self, conv: &Conv<'_>, count_padding: bool, clamp: Clamp, y: &mut [i8]) {
        each!(self, isa => isa.avg_pool(conv, count_padding, clamp, y));
    }

    /// Element-wise sum; see [`Layer::Add`]. An addend that is `None` is what `y` holds.
    pub(crate) fn add(self, add: &Add, a: Option<&[i8]>, b: Option<&[i8]>, y: &mut [i8]) {
        each!(self, isa => isa.add(add, a, b, y));
    }

    /// Any unary function by its 256 values, indexed by `q + 128`; `None` is what `y` holds.
    pub(crate) fn lookup(self, table: &[i8; 256], x: Option<&[i8]>, y: &mut [i8]) {
        each!(self, isa => isa.lookup(table, x, y));
    }
}
