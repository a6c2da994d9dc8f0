//! Vectors of floats, as wide as an instruction set has them.

#![expect(
    clippy::needless_range_loop,
    reason = "sums stay in registers only if every loop over them is unrolled"
)]

/// A vector of floats.
///
/// # Safety
/// The methods may only be called where the CPU has the instructions of the implementing type.
pub(super) unsafe trait Vector: Copy {
    const LANES: usize;

    /// All lanes `value`.
    unsafe fn splat(value: f32) -> Self;

    /// # Safety
    /// `from` must be valid for reads of `LANES` floats.
    unsafe fn load(from: *const f32) -> Self;

    /// # Safety
    /// `to` must be valid for writes of `LANES` floats.
    unsafe fn store(self, to: *mut f32);

    /// As [`Self::load`] of the first `count` lanes; the others are zero.
    ///
    /// # Safety
    /// `from` must be valid for reads of `count` floats, at most `LANES`.
    unsafe fn load_part(from: *const f32, count: usize) -> Self;

    /// As [`Self::store`] of the first `count` lanes.
    ///
    /// # Safety
    /// `to` must be valid for writes of `count` floats, at most `LANES`.
    unsafe fn store_part(self, to: *mut f32, count: usize);

    /// `self + a * b`, per lane.
    unsafe fn plus_product(self, a: Self, b: Self) -> Self;
}

// SAFETY: plain arithmetic, which every CPU has.
unsafe impl Vector for [f32; 4] {
    const LANES: usize = 4;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        [value; 4]
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller vouches for four readable floats; an array of floats is aligned as one.
        unsafe { from.cast::<Self>().read() }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller vouches for four writable floats; an array of floats is aligned as one.
        unsafe { to.cast::<Self>().write(self) }
    }

    #[inline(always)]
    unsafe fn load_part(from: *const f32, count: usize) -> Self {
        let mut lanes = [0.0; 4];
        for (lane, value) in lanes.iter_mut().enumerate().take(count) {
            // SAFETY: the caller vouches for `count` readable floats.
            *value = unsafe { *from.add(lane) };
        }
        lanes
    }

    #[inline(always)]
    unsafe fn store_part(self, to: *mut f32, count: usize) {
        for (lane, value) in self.iter().enumerate().take(count) {
            // SAFETY: the caller vouches for `count` writable floats.
            unsafe { *to.add(lane) = *value };
        }
    }

    #[inline(always)]
    unsafe fn plus_product(self, a: Self, b: Self) -> Self {
        [self[0] + a[0] * b[0], self[1] + a[1] * b[1], self[2] + a[2] * b[2], self[3] + a[3] * b[3]]
    }
}

/// `sums[p] += image[p * step + value] * weight`, for one value: `weight` points at `N` vectors.
///
/// # Safety
/// The CPU must have `V`'s instructions; `image` must be valid for reads at `p * step + value` for all
/// `p < P`, `weight` for reads of `N` vectors.
#[inline(always)]
pub(super) unsafe fn multiply_add<V: Vector, const N: usize, const P: usize>(
    image: *const f32,
    step: usize,
    value: usize,
    weight: *const f32,
    sums: &mut [[V; N]; P],
) {
    // SAFETY: the caller vouches for the CPU and for what is read.
    unsafe {
        let mut weights = [V::splat(0.0); N];
        for n in 0..N {
            weights[n] = V::load(weight.add(n * V::LANES));
        }
        for p in 0..P {
            let x = V::splat(*image.add(p * step).add(value));
            for n in 0..N {
                sums[p][n] = sums[p][n].plus_product(x, weights[n]);
            }
        }
    }
}

/// `sums[p] += sum over values of image[p * step + value] * weight[value]`, where the vectors of one
/// value lie `padded` floats behind those of the one before. Returns where the next value's weights are.
///
/// # Safety
/// As [`multiply_add`], for all `value < values`.
#[inline(always)]
pub(super) unsafe fn multiply_add_row<V: Vector, const N: usize, const P: usize>(
    (image, step): (*const f32, usize),
    values: usize,
    (mut weight, padded): (*const f32, usize),
    sums: &mut [[V; N]; P],
) -> *const f32 {
    let mut value = 0;
    // SAFETY: all values are below `values`, for which the caller vouches.
    unsafe {
        // Unrolled, so that the address of each position is worked out once for four values.
        while value + 4 <= values {
            for ahead in 0..4 {
                multiply_add(image.add(value), step, ahead, weight.add(ahead * padded), sums);
            }
            weight = weight.wrapping_add(4 * padded);
            value += 4;
        }
        while value < values {
            multiply_add(image.add(value), step, 0, weight, sums);
            weight = weight.wrapping_add(padded);
            value += 1;
        }
    }
    weight
}

/// Independent sums that keep every multiply-add unit busy.
pub(super) const PEAK_SUMS: usize = 12;

/// `rounds` multiply-adds on each of [`PEAK_SUMS`] vectors; returns something that depends on all.
///
/// # Safety
/// The CPU must have `V`'s instructions.
#[inline(always)]
pub(super) unsafe fn peak<V: Vector>(rounds: u64) -> f32 {
    // SAFETY: the caller vouches for the CPU; the sum is written to as many floats as any vector has.
    unsafe {
        let (factor, term) = (V::splat(std::hint::black_box(0.999)), V::splat(std::hint::black_box(1e-3)));
        let mut sums = [V::splat(1.0); PEAK_SUMS];
        for _ in 0..rounds {
            for n in 0..PEAK_SUMS {
                sums[n] = sums[n].plus_product(term, factor);
            }
        }
        let mut lanes = [0.0; 16];
        for sum in sums {
            V::load(lanes.as_ptr()).plus_product(sum, factor).store(lanes.as_mut_ptr());
        }
        lanes.iter().sum()
    }
}

/// Visits all pairs below `(P, N)`. A loop over sums that is too long to be unrolled would keep them in
/// memory, and each product would be stored: only short loops of constant length may touch them.
#[inline(always)]
pub(super) fn each<const N: usize, const P: usize>(mut visit: impl FnMut(usize, usize)) {
    for p in 0..P {
        for n in 0..N {
            visit(p, n);
        }
    }
}

/// Calls a tile of `$size` (1 to 16), which is known only at run time, with that constant; sizes beyond
/// the constant `$max` are compiled away.
macro_rules! of_size {
    ($size:expr, $max:expr, $job:ident.$tile:ident::<$($before:ty),* ; $($n:ident),*>($($argument:expr),*)) => {
        of_size!(@ $size, $max, $job, $tile, [$($before),*], [$($n),*], ($($argument),*),
            1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16)
    };
    (@ $size:expr, $max:expr, $job:ident, $tile:ident, $before:tt, $n:tt, $arguments:tt, $($p:literal)*) => {
        match $size {
            $($p if $p <= $max => of_size!(! $job, $tile, $before, $n, $p, $arguments),)*
            _ => {}
        }
    };
    (! $job:ident, $tile:ident, [$($before:ty),*], [$($n:ident),*], $p:literal, ($($argument:expr),*)) => {
        $job.$tile::<$($before,)* $($n,)* $p>($($argument),*)
    };
}
pub(super) use of_size;

/// The size of the next tile of `left` positions, as even as tiles of at most `max` can be.
#[inline(always)]
pub(super) const fn even(left: usize, max: usize) -> usize {
    left.div_ceil(left.div_ceil(max))
}
