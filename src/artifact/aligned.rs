//! Bytes at a multiple of 16, as [`Model::from_bytes`](super::Model::from_bytes) wants them.

/// A value at an address that is a multiple of 16; what [`include_model!`](crate::include_model)
/// puts a file into.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(16))]
pub struct Aligned<T: ?Sized>(pub T);

/// The bytes of a file, compiled into the program at a multiple of 16: `&'static [u8]`.
///
/// The path is relative to the source file, as for `include_bytes!`.
#[macro_export]
macro_rules! include_model {
    ($path:expr) => {{
        static MODEL: &$crate::artifact::Aligned<[u8]> = &$crate::artifact::Aligned(*include_bytes!($path));
        &MODEL.0
    }};
}

/// Owned bytes at a multiple of 16. Not `Clone`: a copied vector may lie elsewhere.
#[cfg(feature = "alloc")]
#[derive(Debug)]
pub struct AlignedBytes {
    /// `len` bytes from `start` on, and spare ones on both sides.
    storage: alloc::vec::Vec<u8>,
    start: usize,
    len: usize,
}

#[cfg(feature = "alloc")]
impl AlignedBytes {
    /// Copies `bytes` to an aligned place.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        let mut storage = alloc::vec![0; bytes.len() + super::ALIGNMENT - 1];
        let start = storage.as_ptr().addr().wrapping_neg() % super::ALIGNMENT;
        storage[start..start + bytes.len()].copy_from_slice(bytes);
        Self { storage, start, len: bytes.len() }
    }
}

#[cfg(feature = "alloc")]
impl core::ops::Deref for AlignedBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.storage[self.start..self.start + self.len]
    }
}
