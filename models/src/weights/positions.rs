//! Position embeddings of a Vision Transformer for images of another size.

use schemas::Interpolation;

use crate::host;

/// A change of the grid of patches that position embeddings belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Regrid {
    from: usize,
    to: usize,
    width: usize,
}

impl Regrid {
    /// The change from `found` to `wanted`, when both are `[1, 1 + side * side, width]` of square grids; the first row is
    /// the class token's.
    #[must_use]
    pub fn between(found: &[i64], wanted: &[i64]) -> Option<Self> {
        let (&[1, from, width], &[1, to, same]) = (found, wanted) else { return None };
        let side = |rows: i64| {
            let patches = usize::try_from(rows - 1).ok().filter(|n| *n > 0)?;
            Some(patches.isqrt()).filter(|side| side * side == patches)
        };
        let width = usize::try_from(width).ok().filter(|_| width == same)?;
        Some(Self { from: side(from)?, to: side(to)?, width })
    }

    /// The embeddings on the new grid, row-major: those of the patches are an image of `width` channels, resized with the
    /// antialiased cubic filter as timm does it; the class token's stays.
    ///
    /// # Panics
    /// When there are not as many values as the old grid has.
    #[must_use]
    pub fn apply(&self, values: &[f32]) -> Vec<f32> {
        let (class, patches) = values.split_at(self.width);
        assert_eq!(patches.len(), self.from * self.from * self.width, "values of {self:?}");
        let taps = host::taps(self.from, self.to, Interpolation::Bicubic);
        let mut out = class.to_vec();
        let mut sums = vec![0.0_f64; self.width];
        for rows in &taps {
            for columns in &taps {
                sums.fill(0.0);
                for (y, down) in rows {
                    for (x, across) in columns {
                        let patch = &patches[(y * self.from + x) * self.width..][..self.width];
                        for (sum, &value) in sums.iter_mut().zip(patch) {
                            *sum += down * across * f64::from(value);
                        }
                    }
                }
                #[expect(clippy::cast_possible_truncation, reason = "embeddings are float32")]
                out.extend(sums.iter().map(|&sum| sum as f32));
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::Regrid;

    /// Values that the oracle was given too.
    fn values(rows: i32, width: i32) -> Vec<f32> {
        (0..rows * width).map(|i| f32::from(i16::try_from(i * 37 % 23).unwrap()) / 8.0 - 1.0).collect()
    }

    #[test]
    fn grids_are_resized_as_timm_resizes_them() {
        // timm 1.0.31, `resample_abs_pos_embed`.
        #[rustfmt::skip]
        let cases: [(i32, i32, i32, &[f32]); 3] = [
            (3, 2, 1, &[-1.0, 0.086_220_3, 0.517_600_7, 0.170_003_7, 0.601_384_1]),
            (2, 3, 2, &[
                -1.0, 0.75, -0.498_355, 1.642_377_4, -0.144_736_6, 0.262_335_5, 0.208_881_8, -1.117_707, 0.208_881_7, 0.615_953_8,
                0.5625, 0.15625, 0.916_118_5, -0.303_454, 0.916_118_7, -0.410_470_1, 1.269_737, 0.050_164_5, 1.623_355_5, 0.510_799_2,
            ]),
            (6, 4, 1, &[
                -1.0, 0.298_615_7, 0.761_013_2, -0.112_031_9, 0.224_102_7, 0.938_639_4, 0.157_355, 0.296_558, 0.802_656_8, 0.258_882_9,
                0.562_565_7, -0.173_416_2, 0.176_046_6, 0.853_314_2, 0.009_476_7, 0.190_101_2, 0.714_816_2,
            ]),
        ];
        for (from, to, width, expected) in cases {
            let shape = |side: i32| [1, i64::from(1 + side * side), i64::from(width)];
            let found = Regrid::between(&shape(from), &shape(to)).unwrap().apply(&values(1 + from * from, width));
            assert_eq!(found.len(), expected.len());
            for (f, e) in found.iter().zip(expected) {
                assert!((f - e).abs() < 2e-6, "{from} to {to}: {found:?}");
            }
        }
    }

    #[test]
    fn the_same_grid_changes_nothing_and_other_shapes_are_none() {
        let same = Regrid::between(&[1, 10, 2], &[1, 10, 2]).unwrap();
        assert_eq!(same.apply(&values(10, 2)), values(10, 2));
        for (found, wanted) in [
            (&[1, 10, 2][..], &[1, 5, 3][..]),
            (&[1, 9, 2], &[1, 5, 2]),
            (&[1, 1, 2], &[1, 5, 2]),
            (&[10, 2], &[5, 2]),
            (&[2, 10, 2], &[2, 5, 2]),
        ] {
            assert_eq!(Regrid::between(found, wanted), None, "{found:?} {wanted:?}");
        }
    }
}
