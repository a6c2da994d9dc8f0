//! Layers that treat each value by itself.

use crate::kernels::{Add, Quantize, Raw};
use crate::number;

/// See [`Kernels::quantize`](crate::kernels::Kernels).
#[inline(always)]
pub(crate) fn quantize<T: Raw>(x: &[T], spec: &Quantize<'_>, out: &mut [i8]) {
    let channels = spec.mean.len().max(1);
    for (x, out) in x.chunks(channels).zip(out.chunks_mut(channels)) {
        for (((&x, out), &mean), &m) in x.iter().zip(out).zip(spec.mean).zip(spec.multiplier) {
            *out = number::quantize(x.into(), mean, m, spec.zero_point);
        }
    }
}

/// See [`Kernels::add`](crate::kernels::Kernels).
#[inline(always)]
pub(crate) fn add(add: &Add, a: Option<&[i8]>, b: Option<&[i8]>, y: &mut [i8]) {
    let centred = |q: i8, zero_point: i8| i32::from(q) - i32::from(zero_point);
    let sum = |a: i8, b: i8| {
        let terms = [centred(a, add.zero_points[0]), centred(b, add.zero_points[1])];
        number::requantize_sum(terms, add.multipliers, add.zero_point, add.clamp)
    };
    match (a, b) {
        (Some(a), Some(b)) => y.iter_mut().zip(a).zip(b).for_each(|((y, &a), &b)| *y = sum(a, b)),
        (None, Some(b)) => y.iter_mut().zip(b).for_each(|(y, &b)| *y = sum(*y, b)),
        (Some(a), None) => y.iter_mut().zip(a).for_each(|(y, &a)| *y = sum(a, *y)),
        (None, None) => y.iter_mut().for_each(|y| *y = sum(*y, *y)),
    }
}

/// See [`Kernels::lookup`](crate::kernels::Kernels).
#[inline(always)]
pub(crate) fn lookup(table: &[i8; 256], x: Option<&[i8]>, y: &mut [i8]) {
    let apply = |q: i8| table[usize::from((q as u8) ^ 0x80)];
    match x {
        Some(x) => y.iter_mut().zip(x).for_each(|(y, &x)| *y = apply(x)),
        None => y.iter_mut().for_each(|y| *y = apply(*y)),
    }
}
