//! Runs plain loops compiled for the vector unit of the machine: the default build targets the
//! oldest CPU of its architecture, whose vectors are four floats wide.

/// Runs `work`, compiled for AVX2 and FMA where the CPU has them. `work` should be a closure over
/// plain loops: what it calls is compiled this way only where it is inlined. A long closure is not, since
/// there are two ways to it: those loops have kernels of their own.
#[inline(always)]
pub fn vectorize<R>(work: impl FnOnce() -> R) -> R {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx2,fma")]
        fn wide<R>(work: impl FnOnce() -> R) -> R {
            work()
        }
        if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
            // SAFETY: the two features that `wide` is compiled for were detected in the line above.
            return unsafe { wide(work) };
        }
    }
    work()
}
