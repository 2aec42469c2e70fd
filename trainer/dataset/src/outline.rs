//! The outlines of objects: where an image is cut, and points that do not belong to them.

use models::host::mask::{Outline, Ring};

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

/// The area that a ring encloses, by the shoelace formula: parts that it goes around twice count twice.
pub(crate) fn area(ring: &[[f64; 2]]) -> f64 {
    let next = ring.iter().cycle().skip(1);
    ring.iter().zip(next).map(|(a, b)| a[0] * b[1] - b[0] * a[1]).sum::<f64>().abs() / 2.0
}

/// A point of a ring that is of no use to it.
pub(crate) struct Stray {
    /// Its place in the ring.
    pub place: usize,
    /// Whether it lies in a corner of the image, where programs begin that forget to leave their first point out.
    pub in_corner: bool,
    /// Distance in pixels from the rectangle around all other points.
    pub away: f64,
}

/// The first point of a ring, in pixels of an image of `size`, that lies far from all others while its two neighbours lie
/// together: the ring goes there and straight back.
pub(crate) fn stray(ring: &Ring, size: [f64; 2]) -> Option<Stray> {
    /// Distance of the neighbours from each other, as a share of theirs from the point.
    const NECK: f64 = 0.2;
    /// Distance from all others, as a share of the diagonal of the rectangle around them; in a corner of the image every
    /// distance is one.
    const FAR: f64 = 0.25;
    /// Nearer than this many pixels it does no harm.
    const NEAREST: f64 = 2.0;
    /// With fewer others there is no outline without the point.
    const OTHERS: usize = 3;

    let distance = |a: &[f64; 2], b: &[f64; 2]| (a[0] - b[0]).hypot(a[1] - b[1]);
    let len = ring.len();
    if len <= OTHERS {
        return None;
    }
    (0..len).find_map(|place| {
        let point = ring[place];
        // Points that are written twice are one.
        let other = |step: usize| (1..len).map(|n| &ring[(place + n * step) % len]).find(|other| **other != point);
        let (after, before) = (other(1)?, other(len - 1)?);
        let reach = distance(&point, after).min(distance(&point, before));
        if distance(after, before) > NECK * reach {
            return None;
        }
        let others: Ring = ring.iter().filter(|other| **other != point).copied().collect();
        let around = Outline { rings: vec![others] }.bounds()?;
        let [x, y] = point;
        let beyond = |value: f64, low: f64, high: f64| (low - value).max(value - high).max(0.0);
        let away = beyond(x, around.x0, around.x1).hypot(beyond(y, around.y0, around.y1));
        let in_corner = [x, y].iter().zip(size).all(|(&at, side)| at <= 1e-6 * side || at >= (1.0 - 1e-6) * side);
        let far = FAR * (around.x1 - around.x0).hypot(around.y1 - around.y0);
        (away >= NEAREST && (in_corner || away >= far)).then_some(Stray { place, in_corner, away })
    })
}

/// The outline, in fractions of an image, without points that are of no use to it, and how many those were.
pub(crate) fn without_strays(outline: &Outline, size: [u32; 2]) -> (Outline, usize) {
    let size = size.map(f64::from);
    let mut dropped = 0;
    let mut kept = outline.clone();
    for ring in &mut kept.rings {
        let pixels = |ring: &Ring| ring.iter().map(|[x, y]| [x * size[0], y * size[1]]).collect::<Ring>();
        while let Some(stray) = stray(&pixels(ring), size) {
            let point = ring[stray.place];
            ring.retain(|other| *other != point);
            dropped += 1;
        }
    }
    (kept, dropped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_far_from_all_others_is_stray_and_a_tip_is_not() {
        let size = [400.0, 300.0];
        let body: Ring = (0..24)
            .map(|n| f64::from(n) * std::f64::consts::TAU / 24.0)
            .map(|turn| [200.0 + 60.0 * turn.cos(), 150.0 + 40.0 * turn.sin()])
            .collect();
        assert!(stray(&body, size).is_none());
        for at in [0, 7, 24] {
            let mut ring = body.clone();
            ring.insert(at, [0.0, 0.0]);
            let found = stray(&ring, size).unwrap();
            assert_eq!((found.place, found.in_corner), (at, true));
            assert!((found.away - 140.0_f64.hypot(110.0)).abs() < 0.1);
            ring.insert(at, [0.0, 0.0]);
            assert_eq!(stray(&ring, size).unwrap().place, at, "written twice");
            let fractions = Outline { rings: vec![ring] }.map(|[x, y]| [x / 400.0, y / 300.0]);
            let (kept, dropped) = without_strays(&fractions, [400, 300]);
            assert_eq!((kept.points(), dropped), (24, 1));
        }
        let mut ring = body.clone();
        ring.insert(3, [390.0, 20.0]);
        assert!(!stray(&ring, size).unwrap().in_corner, "far, though in no corner");
        // A cone's tip, and an object in the corner of the image.
        assert!(stray(&vec![[200.0, 20.0], [260.0, 280.0], [140.0, 280.0], [150.0, 200.0]], size).is_none());
        assert!(stray(&vec![[0.0, 0.0], [80.0, 0.0], [80.0, 60.0], [40.0, 70.0], [0.0, 60.0]], size).is_none());
        assert!(stray(&vec![[0.0, 0.0], [9.0, 9.0], [9.0, 8.0]], size).is_none(), "nothing would be left");
    }

    fn square(from: f64, to: f64) -> Vec<[f64; 2]> {
        vec![[from, from], [to, from], [to, to], [from, to]]
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
