//! Just enough linear algebra for a Gaussian process of a few hundred points.

/// A square matrix, row by row.
#[derive(Clone)]
pub(super) struct Square {
    pub(super) size: usize,
    numbers: Vec<f64>,
}

impl Square {
    pub(super) fn zero(size: usize) -> Self {
        Self { size, numbers: vec![0.0; size * size] }
    }

    pub(super) fn row(&self, row: usize) -> &[f64] {
        &self.numbers[row * self.size..(row + 1) * self.size]
    }

    pub(super) fn row_mut(&mut self, row: usize) -> &mut [f64] {
        &mut self.numbers[row * self.size..(row + 1) * self.size]
    }
}

/// Sum of products. In four sums, so that the compiler may use vectors; the order is fixed, and so is the result.
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let (a_fours, a_rest) = a.as_chunks::<4>();
    let (b_fours, b_rest) = b[..a.len()].as_chunks::<4>();
    let mut sums = [0.0; 4];
    for (x, y) in a_fours.iter().zip(b_fours) {
        for lane in 0..4 {
            sums[lane] += x[lane] * y[lane];
        }
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(x, y)| x * y).sum();
    (sums[0] + sums[1]) + (sums[2] + sums[3]) + rest
}

/// The lower triangle L with L Lᵀ = `matrix`, of which the lower triangle is read; `None` where it is not positive definite.
pub(super) fn cholesky(matrix: &Square) -> Option<Square> {
    let mut lower = Square::zero(matrix.size);
    for i in 0..matrix.size {
        let (above, current) = lower.numbers.split_at_mut(i * matrix.size);
        for j in 0..i {
            let row = &above[j * matrix.size..][..=j];
            current[j] = (matrix.row(i)[j] - dot(&row[..j], &current[..j])) / row[j];
        }
        let square = matrix.row(i)[i] - dot(&current[..i], &current[..i]);
        if square.is_nan() || square <= 0.0 {
            return None;
        }
        current[i] = square.sqrt();
    }
    Some(lower)
}

/// The solution x of L x = `right`.
pub(super) fn solve_lower(lower: &Square, right: &[f64]) -> Vec<f64> {
    let mut x: Vec<f64> = Vec::with_capacity(right.len());
    for (i, value) in right.iter().enumerate() {
        let row = lower.row(i);
        x.push((value - dot(&x, row)) / row[i]);
    }
    x
}

/// The inverse of L, a lower triangle too; its transpose, so that rows are columns of the inverse.
pub(super) fn inverse_transposed(lower: &Square) -> Square {
    let size = lower.size;
    let mut inverse = Square::zero(size);
    for column in 0..size {
        let into = inverse.row_mut(column);
        into[column] = 1.0 / lower.row(column)[column];
        for i in column + 1..size {
            let row = lower.row(i);
            into[i] = -dot(&into[column..i], &row[column..i]) / row[i];
        }
    }
    inverse
}

/// Rows and columns exchanged.
pub(super) fn transposed(matrix: &Square) -> Square {
    let mut found = Square::zero(matrix.size);
    for i in 0..matrix.size {
        for (j, value) in matrix.row(i).iter().enumerate() {
            found.numbers[j * matrix.size + i] = *value;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A matrix that is positive definite, and large enough for each path of `dot`.
    fn example(size: usize) -> Square {
        let mut matrix = Square::zero(size);
        for i in 0..size {
            for j in 0..size {
                matrix.row_mut(i)[j] = (-0.1 * (i as f64 - j as f64).powi(2)).exp() + if i == j { 0.1 } else { 0.0 };
            }
        }
        matrix
    }

    #[test]
    fn the_factor_times_itself_is_the_matrix_and_times_its_inverse_is_one() {
        let matrix = example(11);
        let lower = cholesky(&matrix).unwrap();
        let inverse = inverse_transposed(&lower);
        for i in 0..11 {
            for j in 0..11 {
                assert!((dot(lower.row(i), lower.row(j)) - matrix.row(i)[j]).abs() < 1e-14);
                let one = if i == j { 1.0 } else { 0.0 };
                assert!((dot(lower.row(i), inverse.row(j)) - one).abs() < 1e-12);
                assert_eq!(transposed(&inverse).row(i)[j], inverse.row(j)[i]);
            }
        }
        let right: Vec<f64> = (0..11).map(f64::from).collect();
        let solution = solve_lower(&lower, &right);
        assert!((0..11).all(|i| (dot(&lower.row(i)[..=i], &solution[..=i]) - right[i]).abs() < 1e-12));
    }

    #[test]
    fn what_is_not_positive_definite_has_no_factor() {
        let mut matrix = example(3);
        matrix.row_mut(2)[2] = -1.0;
        assert!(cholesky(&matrix).is_none());
        matrix.row_mut(2)[2] = f64::NAN;
        assert!(cholesky(&matrix).is_none());
    }
}
