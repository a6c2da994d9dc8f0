//! Eigenvalues and eigenvectors of a symmetric matrix by cyclic Jacobi rotations (Golub and Van Loan,
//! "Matrix Computations", section 8.5): a few hundred rows at most.

/// `matrix = vectors diag(values) vectors^T`; the eigenvectors are the columns.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Eigen {
    /// `[n]`, in no order.
    pub values: Vec<f64>,
    /// `[n, n]`, row by row.
    pub vectors: Vec<f64>,
}

/// Sweeps over all pairs; the off-diagonal part shrinks quadratically.
const SWEEPS: usize = 30;

impl Eigen {
    /// Of a symmetric matrix `[n, n]`.
    pub fn of(mut m: Vec<f64>, n: usize) -> Self {
        let mut vectors = vec![0.0; n * n];
        vectors.iter_mut().step_by(n + 1).for_each(|v| *v = 1.0);
        let total: f64 = m.iter().map(|x| x * x).sum();
        for _ in 0..SWEEPS {
            let off: f64 =
                (0..n).flat_map(|i| (0..i).map(move |j| (i, j))).map(|(i, j)| m[i * n + j].powi(2)).sum();
            if off <= 1e-24 * total {
                break;
            }
            for p in 0..n {
                for q in p + 1..n {
                    if m[p * n + q] != 0.0 {
                        rotate(&mut m, &mut vectors, n, p, q);
                    }
                }
            }
        }
        Self { values: m.into_iter().step_by(n + 1).collect(), vectors }
    }

    /// `vectors x`, where `x` is `[n, columns]`.
    pub fn times(&self, x: &[f64], columns: usize) -> Vec<f64> {
        let mut out = vec![0.0; x.len()];
        for (out, row) in out.chunks_exact_mut(columns).zip(self.vectors.chunks_exact(self.values.len())) {
            for (factor, x) in row.iter().zip(x.chunks_exact(columns)) {
                out.iter_mut().zip(x).for_each(|(out, x)| *out += factor * x);
            }
        }
        out
    }

    /// `x vectors^T`, where `x` is `[rows, n]`.
    pub fn right(&self, x: &[f64]) -> Vec<f64> {
        let n = self.values.len();
        let product = |(row, x): (&[f64], &[f64])| row.iter().zip(x).map(|(a, b)| a * b).sum::<f64>();
        let pairs = x.chunks_exact(n).flat_map(|x| self.vectors.chunks_exact(n).map(move |row| (row, x)));
        pairs.map(product).collect()
    }
}

/// Makes `m[p, q]` zero.
fn rotate(m: &mut [f64], vectors: &mut [f64], n: usize, p: usize, q: usize) {
    let theta = (m[q * n + q] - m[p * n + p]) / (2.0 * m[p * n + q]);
    let t = theta.signum() / (theta.abs() + theta.hypot(1.0));
    let t = if theta == 0.0 { 1.0 } else { t };
    let c = 1.0 / t.hypot(1.0);
    let s = t * c;
    let turn = |a: &mut f64, b: &mut f64| (*a, *b) = (c * *a - s * *b, s * *a + c * *b);
    for row in m.chunks_exact_mut(n).chain(vectors.chunks_exact_mut(n)) {
        let (left, right) = row.split_at_mut(q);
        turn(&mut left[p], &mut right[0]);
    }
    let (left, right) = m.split_at_mut(q * n);
    left[p * n..][..n].iter_mut().zip(&mut right[..n]).for_each(|(a, b)| turn(a, b));
}
