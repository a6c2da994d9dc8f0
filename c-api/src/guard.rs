//! What stands between a C caller and the runtime: panics do not cross, pointers are checked.

use crate::status::StfStatus;
use core::mem::MaybeUninit;
use core::ops::Range;

/// Runs the body of an exported function.
pub(crate) fn guard(body: impl FnOnce() -> Result<(), StfStatus>) -> StfStatus {
    #[cfg(feature = "std")]
    let result =
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)).unwrap_or(Err(StfStatus::Internal));
    #[cfg(not(feature = "std"))]
    let result = body();
    result.map_or_else(|status| status, |()| StfStatus::Ok)
}

fn check<T>(pointer: *const T) -> Result<(), StfStatus> {
    if pointer.is_null() {
        Err(StfStatus::NullPointer)
    } else if !pointer.is_aligned() {
        Err(StfStatus::Misaligned)
    } else {
        Ok(())
    }
}

/// What a pointer leads to.
///
/// # Safety
/// If it is neither NULL nor misaligned, it leads to a valid `T` that nobody changes during `'a`.
pub(crate) unsafe fn reference<'a, T>(pointer: *const T) -> Result<&'a T, StfStatus> {
    check(pointer)?;
    // SAFETY: not NULL and aligned, by the check; valid and unchanged, by the caller's contract.
    Ok(unsafe { &*pointer })
}

/// Memory that a pointer leads to, for a result.
///
/// # Safety
/// If it is neither NULL nor misaligned, it leads to `size_of::<T>()` bytes that nobody else uses
/// during `'a`.
pub(crate) unsafe fn place<'a, T>(pointer: *mut T) -> Result<&'a mut MaybeUninit<T>, StfStatus> {
    check(pointer)?;
    // SAFETY: not NULL and aligned, by the check; ours alone, by the caller's contract.
    Ok(unsafe { &mut *pointer.cast() })
}

fn check_length<T>(len: usize) -> Result<(), StfStatus> {
    let bytes = len.checked_mul(size_of::<T>()).ok_or(StfStatus::BadLength)?;
    if isize::try_from(bytes).is_ok() { Ok(()) } else { Err(StfStatus::BadLength) }
}

/// An array.
///
/// # Safety
/// If `pointer` is neither NULL nor misaligned, it leads to `len` valid `T` that nobody changes
/// during `'a`.
pub(crate) unsafe fn slice<'a, T>(pointer: *const T, len: usize) -> Result<&'a [T], StfStatus> {
    check(pointer)?;
    check_length::<T>(len)?;
    // SAFETY: not NULL, aligned and no longer than isize::MAX bytes, by the checks; valid and
    // unchanged, by the caller's contract.
    Ok(unsafe { core::slice::from_raw_parts(pointer, len) })
}

/// An array to write.
///
/// # Safety
/// If `pointer` is neither NULL nor misaligned, it leads to `len` values of `T`, for which every bit
/// pattern is valid, that nobody else uses during `'a`.
pub(crate) unsafe fn slice_mut<'a, T>(pointer: *mut T, len: usize) -> Result<&'a mut [T], StfStatus> {
    check(pointer)?;
    check_length::<T>(len)?;
    // SAFETY: not NULL, aligned and no longer than isize::MAX bytes, by the checks; ours alone, by
    // the caller's contract.
    Ok(unsafe { core::slice::from_raw_parts_mut(pointer, len) })
}

/// Addresses of `len` values.
pub(crate) fn addresses<T>(pointer: *const T, len: usize) -> Range<usize> {
    let start = pointer.addr();
    start..start.saturating_add(len.saturating_mul(size_of::<T>()))
}

/// Refuses ranges that share a byte.
pub(crate) fn disjoint(a: &Range<usize>, b: &Range<usize>) -> Result<(), StfStatus> {
    if a.start < b.end && b.start < a.end { Err(StfStatus::Overlap) } else { Ok(()) }
}
