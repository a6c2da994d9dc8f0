//! Matrix products in f32: one checked door to the `gemm` crate's kernels, on the calling thread.

/// A matrix inside a slice: element (i, j) is at `i * row_stride + j * col_stride`.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a> {
    /// The values.
    pub values: &'a [f32],
    /// Distance of neighbouring rows.
    pub row_stride: usize,
    /// Distance of neighbouring columns.
    pub col_stride: usize,
}

impl<'a> Matrix<'a> {
    /// Rows one after another, `columns` values each.
    #[must_use]
    pub const fn rows(values: &'a [f32], columns: usize) -> Self {
        Self { values, row_stride: columns, col_stride: 1 }
    }

    /// The transpose of [`Self::rows`].
    #[must_use]
    pub const fn transposed(values: &'a [f32], columns: usize) -> Self {
        Self { values, row_stride: 1, col_stride: columns }
    }

    /// Whether all of a `rows` x `columns` matrix lies inside the slice.
    fn holds(&self, rows: usize, columns: usize) -> bool {
        fits(self.values.len(), rows, columns, self.row_stride, self.col_stride)
    }
}

/// `c = a b`, or `c += a b`: `a` is `m x k`, `b` is `k x n`, `c` has rows of stride `c_stride` in
/// which the first `n` values are written.
///
/// # Panics
/// If a matrix does not lie inside its slice: a mistake of the caller, never of its input data.
pub fn gemm(
    [m, n, k]: [usize; 3],
    a: Matrix<'_>,
    b: Matrix<'_>,
    c: &mut [f32],
    c_stride: usize,
    accumulate: bool,
) {
    assert!(a.holds(m, k) && b.holds(k, n), "gemm operands must hold {m} x {k} and {k} x {n}");
    assert!(n <= c_stride && fits(c.len(), m, n, c_stride, 1), "gemm result must hold {m} x {n}");
    if m == 0 || n == 0 {
        return;
    }
    let kernel = gemm_f32::gemm::f32::get_gemm_fn();
    // SAFETY: the kernel reads a (m x k) and b (k x n) and writes c (m x n) at the strides given; the
    // assertions above show that all of them lie inside their slices. `c` is borrowed exclusively, so
    // it overlaps neither operand, and its rows do not overlap each other because n <= c_stride.
    unsafe {
        kernel(
            m,
            n,
            k,
            c.as_mut_ptr(),
            1,
            c_stride as isize,
            accumulate,
            a.values.as_ptr(),
            a.col_stride as isize,
            a.row_stride as isize,
            b.values.as_ptr(),
            b.col_stride as isize,
            b.row_stride as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            gemm_common::Parallelism::None,
        );
    }
}

fn fits(len: usize, rows: usize, columns: usize, row_stride: usize, col_stride: usize) -> bool {
    if rows == 0 || columns == 0 {
        return true;
    }
    let last = (rows - 1).checked_mul(row_stride).zip((columns - 1).checked_mul(col_stride));
    last.and_then(|(row, col)| row.checked_add(col)).is_some_and(|last| last < len)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(count: usize, seed: u32) -> Vec<f32> {
        (0..count as u32)
            .map(|i| ((i.wrapping_mul(2654435761).wrapping_add(seed) >> 20) as f32 - 2048.0) / 2048.0)
            .collect()
    }

    #[test]
    fn equals_the_triple_loop_in_every_orientation() {
        for [m, n, k] in [[1, 1, 1], [3, 5, 7], [16, 16, 27], [65, 6, 25], [2, 400, 33], [4, 3, 0]] {
            for orientation in 0..8 {
                let (ta, tb, accumulate) = (orientation & 1 > 0, orientation & 2 > 0, orientation & 4 > 0);
                let (a, b) = (numbers(m * k, 1), numbers(k * n, 2));
                let a = if ta { Matrix::transposed(&a, m) } else { Matrix::rows(&a, k) };
                let b = if tb { Matrix::transposed(&b, k) } else { Matrix::rows(&b, n) };
                let stride = n + 2;
                let mut c = numbers(m * stride, 3);
                let mut expected = c.clone();
                for i in 0..m {
                    for j in 0..n {
                        let dot: f32 = (0..k)
                            .map(|l| {
                                a.values[i * a.row_stride + l * a.col_stride]
                                    * b.values[l * b.row_stride + j * b.col_stride]
                            })
                            .sum();
                        let old = if accumulate { expected[i * stride + j] } else { 0.0 };
                        expected[i * stride + j] = old + dot;
                    }
                }
                gemm([m, n, k], a, b, &mut c, stride, accumulate);
                for (got, wanted) in c.iter().zip(&expected) {
                    assert!((got - wanted).abs() < 1e-4, "{m} {n} {k} {orientation}: {got} {wanted}");
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "gemm operands")]
    fn a_short_operand_is_caught() {
        gemm([2, 2, 2], Matrix::rows(&[0.0; 3], 2), Matrix::rows(&[0.0; 4], 2), &mut [0.0; 4], 2, false);
    }
}
