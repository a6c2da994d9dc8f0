//! Vectors of floats, as wide as an instruction set has them.

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
    unsafe fn plus_product(self, a: Self, b: Self) -> Self {
        [self[0] + a[0] * b[0], self[1] + a[1] * b[1], self[2] + a[2] * b[2], self[3] + a[3] * b[3]]
    }
}
