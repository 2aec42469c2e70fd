//! The outlines of objects where an image is cut.

use models::host::mask::Outline;

/// What of an outline lies within `left, top, right, bottom`; `None` if nothing does. Each ring is cut at one border after the
/// other (Sutherland and Hodgman 1974), which keeps what an odd number of rings enclose.
pub(crate) fn within(outline: &Outline, [left, top, right, bottom]: [f64; 4]) -> Option<Outline> {
    let cut = |ring: &Vec<[f64; 2]>| {
        let ring = half(ring.clone(), 0, left, |x| x - left);
        let ring = half(ring, 0, right, |x| right - x);
        let ring = half(ring, 1, top, |y| y - top);
        half(ring, 1, bottom, |y| bottom - y)
    };
    let rings: Vec<_> = outline.rings.iter().map(cut).filter(|ring| ring.len() >= 3).collect();
    (!rings.is_empty()).then_some(Outline { rings })
}

/// What of a ring lies where `depth` of the coordinate on `axis` is not negative, which it is on one side of `border`.
fn half(ring: Vec<[f64; 2]>, axis: usize, border: f64, depth: impl Fn(f64) -> f64) -> Vec<[f64; 2]> {
    let mut kept = Vec::with_capacity(ring.len() + 2);
    let Some(mut before) = ring.last().copied() else { return kept };
    for point in ring {
        let (from, to) = (depth(before[axis]), depth(point[axis]));
        if (from < 0.0) != (to < 0.0) {
            let share = from / (from - to);
            // On the border itself, not a rounding beside it.
            let cut = |at: usize| if at == axis { border } else { before[at] + share * (point[at] - before[at]) };
            kept.push([0, 1].map(cut));
        }
        if to >= 0.0 {
            kept.push(point);
        }
        before = point;
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn square(from: f64, to: f64) -> Vec<[f64; 2]> {
        vec![[from, from], [to, from], [to, to], [from, to]]
    }

    fn area(ring: &[[f64; 2]]) -> f64 {
        let next = ring.iter().cycle().skip(1);
        ring.iter().zip(next).map(|(a, b)| a[0] * b[1] - b[0] * a[1]).sum::<f64>().abs() / 2.0
    }

    fn bounds(outline: &Outline) -> [f64; 4] {
        let around = outline.bounds().unwrap();
        [around.x0, around.y0, around.x1, around.y1]
    }

    #[test]
    fn rings_are_cut_at_a_border_and_gone_beyond_it() {
        let outline = Outline { rings: vec![square(0.0, 8.0), square(2.0, 4.0)] };
        let part = within(&outline, [3.0, 0.0, 20.0, 20.0]).unwrap();
        assert_eq!(bounds(&part), [3.0, 0.0, 8.0, 8.0]);
        assert_eq!(part.rings.iter().map(|ring| area(ring)).collect::<Vec<_>>(), [40.0, 2.0]);
        assert_eq!(within(&outline, [5.0, 5.0, 9.0, 9.0]).unwrap().rings.len(), 1, "the hole lies elsewhere");
        assert_eq!(within(&outline, [9.0, 0.0, 20.0, 20.0]), None);
        assert_eq!(within(&outline, [-1.0, -1.0, 9.0, 9.0]), Some(outline));
        let triangle = Outline { rings: vec![vec![[0.0, 0.0], [4.0, 4.0], [0.0, 8.0]]] };
        assert_eq!(bounds(&within(&triangle, [2.0, 0.0, 9.0, 9.0]).unwrap()), [2.0, 2.0, 4.0, 6.0]);
    }
}
