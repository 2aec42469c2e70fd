//! Arithmetic of shapes that interpreters of [`crate::ops::Ops`] share. An error says what does not fit.

use crate::ops::{Padding, Pool};

/// Where axis `axis` of a shape is; negative counts from the end.
///
/// # Errors
/// There is no such axis.
pub fn axis(shape: &[i64], axis: i64) -> Result<usize, String> {
    let at = if axis < 0 { i64::try_from(shape.len()).unwrap_or(i64::MAX) + axis } else { axis };
    let at = usize::try_from(at).ok().filter(|at| *at < shape.len());
    at.ok_or_else(|| format!("axis {axis} of {shape:?}"))
}

/// NumPy broadcasting of two shapes, aligned at the end.
///
/// # Errors
/// They do not fit.
pub fn broadcast(a: &[i64], b: &[i64]) -> Result<Vec<i64>, String> {
    let rank = a.len().max(b.len());
    let at = |d: &[i64], i: usize| (i + d.len()).checked_sub(rank).map_or(1, |j| d[j]);
    let length = |i| match (at(a, i), at(b, i)) {
        (x, y) if x == y => Ok(x),
        (1, y) => Ok(y),
        (x, 1) => Ok(x),
        _ => Err(format!("{a:?} and {b:?} do not broadcast")),
    };
    (0..rank).map(length).collect()
}

/// Shape of parts laid one after the other along `axis`.
///
/// # Errors
/// There is no part, no such axis, or another length differs.
pub fn concat(parts: &[&[i64]], axis: i64) -> Result<Vec<i64>, String> {
    let Some((first, rest)) = parts.split_first() else { return Err("no parts".to_owned()) };
    let at = self::axis(first, axis)?;
    let mut out = first.to_vec();
    for part in rest {
        let fits = part.len() == out.len() && part.iter().zip(&out).enumerate().all(|(i, (p, o))| i == at || p == o);
        if !fits {
            return Err(format!("{first:?} and {part:?} along axis {axis}"));
        }
        out[at] += part[at];
    }
    Ok(out)
}

/// What `wanted` of [`crate::ops::Ops::reshape`] means for a tensor of this shape: 0 copies, -1 is inferred.
///
/// # Errors
/// The number of elements differs, or `wanted` is no such list.
pub fn reshape(shape: &[i64], wanted: &[i64]) -> Result<Vec<i64>, String> {
    let problem = || format!("{shape:?} as {wanted:?}");
    let copied = |i: usize| wanted.get(i) == Some(&0);
    if wanted.iter().any(|&d| d < -1) || wanted.iter().filter(|&&d| d == -1).count() > 1 {
        return Err(problem());
    }
    let rest: i64 = shape.iter().enumerate().filter(|&(i, _)| !copied(i)).map(|(_, &d)| d).product();
    let known: i64 = wanted.iter().filter(|&&d| d > 0).product();
    let fits = if wanted.contains(&-1) { rest % known == 0 } else { rest == known };
    if !fits {
        return Err(problem());
    }
    let length = |(i, &d): (usize, &i64)| match d {
        0 => shape.get(i).copied().ok_or_else(problem),
        -1 => Ok(rest / known),
        d => Ok(d),
    };
    wanted.iter().enumerate().map(length).collect()
}

/// Shape of the elements `from` up to `to` of one axis, see [`crate::ops::Ops::slice`].
///
/// # Errors
/// There is no such axis.
pub fn slice(shape: &[i64], axis: i64, from: i64, to: i64) -> Result<Vec<i64>, String> {
    let at = self::axis(shape, axis)?;
    let mut out = shape.to_vec();
    out[at] = slice_length(shape[at], from, to);
    Ok(out)
}

/// Shape of each of `parts` equal parts along `axis`.
///
/// # Errors
/// There is no such axis, no part, or the length is not divisible.
pub fn split(shape: &[i64], axis: i64, parts: i64) -> Result<Vec<i64>, String> {
    let at = self::axis(shape, axis)?;
    if parts < 1 || shape[at] % parts != 0 {
        return Err(format!("{parts} equal parts of axis {axis} of {shape:?}"));
    }
    let mut out = shape.to_vec();
    out[at] /= parts;
    Ok(out)
}

/// Shape after a reduction over `axes`, which stay with length 1.
///
/// # Errors
/// There is no such axis, or none is named.
pub fn reduced(shape: &[i64], axes: &[i64]) -> Result<Vec<i64>, String> {
    if axes.is_empty() {
        return Err(format!("no axis of {shape:?}"));
    }
    let mut out = shape.to_vec();
    for &one in axes {
        out[axis(shape, one)?] = 1;
    }
    Ok(out)
}

/// Whether [`crate::ops::Ops::avg_pool`] takes this window.
///
/// # Errors
/// What it does not take.
pub fn averages(p: &Pool, count_include_pad: bool) -> Result<(), String> {
    let Padding::Explicit([top, left, bottom, right]) = p.padding else {
        return Err("padding by a rule".to_owned());
    };
    if top != bottom || left != right || 2 * top > p.kernel[0] || 2 * left > p.kernel[1] {
        return Err(format!("padding {:?} of a window of {:?}", [top, left, bottom, right], p.kernel));
    }
    if count_include_pad && p.ceil {
        return Err("padding that counts, in a size that is rounded up".to_owned());
    }
    Ok(())
}

/// How many of `length` elements lie in `[from, to)`, where negative positions count from the end.
#[must_use]
pub fn slice_length(length: i64, from: i64, to: i64) -> i64 {
    let position = |p: i64| if p < 0 { p + length } else { p }.clamp(0, length);
    (position(to) - position(from)).max(0)
}

/// Output length of a window along one axis, or `None` when the window does not fit.
fn window(size: i64, kernel: i64, stride: i64, padding: Option<(i64, i64)>, ceil: bool) -> Option<i64> {
    let Some((before, after)) = padding else { return Some((size + stride - 1) / stride) };
    let room = size + before + after - kernel;
    if room < 0 || stride < 1 {
        return None;
    }
    let mut out = room / stride + 1;
    if ceil && room % stride != 0 && out * stride < size + before {
        out += 1;
    }
    Some(out)
}

/// Output height and width of a window, or `None` when it does not fit.
#[must_use]
pub fn window_2d(hw: &[i64], kernel: [i64; 2], stride: [i64; 2], padding: Padding, ceil: bool) -> Option<[i64; 2]> {
    let (h, w) = match padding {
        Padding::Explicit([top, left, bottom, right]) => (Some((top, bottom)), Some((left, right))),
        Padding::SameUpper => (None, None),
    };
    Some([window(hw[0], kernel[0], stride[0], h, ceil)?, window(hw[1], kernel[1], stride[1], w, ceil)?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reshape_infers_beside_nothing() {
        assert_eq!(reshape(&[2, 6, 4], &[0, 3, 2, -1]), Ok(vec![2, 3, 2, 4]));
        assert_eq!(reshape(&[0, 6, 4], &[0, 3, -1]), Ok(vec![0, 3, 8]));
        assert_eq!(reshape(&[2, 0, 4], &[-1, 4]), Ok(vec![0, 4]));
        assert_eq!(reshape(&[2, 0, 4], &[0, 0, 2, -1]), Ok(vec![2, 0, 2, 2]));
        assert_eq!(reshape(&[2, 3], &[6]), Ok(vec![6]));
        for wanted in [&[4][..], &[-1, -1], &[4, -1], &[3, 2, 0], &[-2, 3], &[0, 2]] {
            assert!(reshape(&[2, 3], wanted).is_err(), "{wanted:?}");
        }
    }

    #[test]
    fn reduced_axes_stay() {
        assert_eq!(reduced(&[2, 3, 4], &[-1, 0]), Ok(vec![1, 3, 1]));
        assert!(reduced(&[2, 3], &[]).is_err() && reduced(&[2, 3], &[2]).is_err());
    }

    #[test]
    fn slices_clamp() {
        for (from, to, length) in [(0, i64::MAX, 5), (1, -1, 3), (-2, i64::MAX, 2), (4, 2, 0), (-9, 2, 2), (7, 9, 0)] {
            assert_eq!(slice_length(5, from, to), length, "{from}..{to}");
        }
    }
}
