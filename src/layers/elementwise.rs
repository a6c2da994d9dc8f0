//! Layers that treat each value by itself.

use super::{Frame, range, to_outputs};
use crate::artifact::{Clamp, Tensor};
use crate::number;

/// Element-wise sum.
#[derive(Debug, Clone, Copy)]
pub(super) struct Add<'t> {
    a: &'t Tensor,
    b: &'t Tensor,
    y: &'t Tensor,
    multipliers: [f32; 2],
    clamp: Clamp,
}

impl<'t> Add<'t> {
    pub(super) fn new(
        a: &'t Tensor,
        b: &'t Tensor,
        y: &'t Tensor,
        multipliers: [f32; 2],
        clamp: Clamp,
    ) -> Self {
        Self { a, b, y, multipliers, clamp }
    }

    #[inline(always)]
    fn sum(&self, a: i8, b: i8) -> i8 {
        let centred = |q: i8, t: &Tensor| i32::from(q) - i32::from(t.zero_point);
        let terms = [centred(a, self.a), centred(b, self.b)];
        number::requantize_sum(terms, self.multipliers, self.y.zero_point, self.clamp)
    }

    /// The output may lie on either addend, and the addends may be one tensor.
    pub(super) fn run(&self, arena: &mut [i8]) -> Option<()> {
        let [a, b, y] = [self.a, self.b, self.y].map(range);
        if a == y && b == y {
            arena.get_mut(y)?.iter_mut().for_each(|q| *q = self.sum(*q, *q));
        } else if a == y {
            let [b, y] = arena.get_disjoint_mut([b, y]).ok()?;
            y.iter_mut().zip(b).for_each(|(q, &mut b)| *q = self.sum(*q, b));
        } else if b == y {
            let [a, y] = arena.get_disjoint_mut([a, y]).ok()?;
            y.iter_mut().zip(a).for_each(|(q, &mut a)| *q = self.sum(a, *q));
        } else if a == b {
            let [a, y] = arena.get_disjoint_mut([a, y]).ok()?;
            y.iter_mut().zip(a).for_each(|(q, &mut a)| *q = self.sum(a, a));
        } else {
            let [a, b, y] = arena.get_disjoint_mut([a, b, y]).ok()?;
            y.iter_mut().zip(a).zip(b).for_each(|((q, &mut a), &mut b)| *q = self.sum(a, b));
        }
        Some(())
    }
}

/// Any unary function by its table of 256 values.
pub(super) fn lookup(first: bool, x: &Tensor, y: &Tensor, table: &[i8], frame: &mut Frame<'_>) -> Option<()> {
    let table: &[i8; 256] = table.try_into().ok()?;
    let apply = |q: i8| table[usize::from((q as u8) ^ 0x80)];
    if !first && range(x) == range(y) {
        frame.arena.get_mut(range(y))?.iter_mut().for_each(|q| *q = apply(*q));
    } else {
        let (x, y, _) = frame.ends(first, x, y)?;
        y.iter_mut().zip(x).for_each(|(y, &x)| *y = apply(x));
    }
    Some(())
}

/// `f32(q - zero_point) * scale`.
pub(super) fn dequantize(first: bool, x: &Tensor, frame: &mut Frame<'_>) -> Option<()> {
    let (zero_point, scale) = (i32::from(x.zero_point), x.scale);
    let (values, outputs) = to_outputs(first, x, frame)?;
    for (output, &q) in outputs.iter_mut().zip(values) {
        *output = (i32::from(q) - zero_point) as f32 * scale;
    }
    Some(())
}
