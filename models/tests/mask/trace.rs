//! Pixels to outlines, exactly and with fewer points.

use models::host::Tile;
use models::host::mask::{Fill, Mask, Outline};
use proptest::prelude::*;

use super::random::{Lcg, mask};

/// A mask from rows of text, `#` for a pixel, at column 61 and row 2 of its image.
fn drawn(rows: &[&str]) -> Mask {
    let window = Tile { x0: 61, y0: 2, x1: 61 + rows[0].len() as u32, y1: 2 + rows.len() as u32 };
    Mask::from_pixels(window, |x, y| rows[(y - 2) as usize].as_bytes()[(x - 61) as usize] == b'#')
}

fn back(outline: &Outline, window: Tile) -> Mask {
    outline.rasterise(Fill::EvenOdd, window)
}

#[test]
fn a_pixel_is_four_points_clockwise() {
    let outline = drawn(&["#"]).outline();
    assert_eq!(outline.rings, [[[62.0, 2.0], [62.0, 3.0], [61.0, 3.0], [61.0, 2.0]]]);
    assert_eq!(drawn(&["...", "..."]).outline().rings.len(), 0);
    assert_eq!(Mask::empty(Tile { x0: 3, y0: 3, x1: 3, y1: 9 }).outline().rings.len(), 0);
}

#[test]
fn pixels_that_touch_at_a_corner_are_two_parts() {
    let two = drawn(&["#.", ".#"]);
    assert_eq!(two.outline().rings.iter().map(Vec::len).collect::<Vec<_>>(), [4, 4]);
    let other = drawn(&[".#", "#."]);
    assert_eq!(other.outline().rings.iter().map(Vec::len).collect::<Vec<_>>(), [4, 4]);
    for mask in [two, other] {
        assert_eq!(back(&mask.outline(), mask.window()), mask);
        assert_eq!(mask.outline().rasterise(Fill::Coco, mask.window()), mask);
    }
}

#[test]
fn holes_are_rings_of_their_own() {
    let mask = drawn(&["######", "#.##.#", "#..###", "######"]);
    let outline = mask.outline();
    assert_eq!(outline.rings.iter().map(Vec::len).collect::<Vec<_>>(), [4, 4, 6]);
    assert_eq!(back(&outline, mask.window()), mask);
    assert_eq!(outline.rasterise(Fill::Coco, mask.window()).area(), 24, "COCO knows no holes");
    // Pixels of a hole that touch at a corner are one hole, and the object within it has its own ring.
    let mask = drawn(&["######", "#.####", "##.###", "#..#.#", "######"]);
    assert_eq!(mask.outline().rings.len(), 3);
    let mask = drawn(&["#####", "#...#", "#.#.#", "#...#", "#####"]);
    assert_eq!(mask.outline().rings.len(), 3);
    assert_eq!(back(&mask.outline(), mask.window()), mask);
}

#[test]
fn a_hole_survives_few_points() {
    let inside = |x: u32, y: u32| (f64::from(x) - 60.0).hypot(f64::from(y) - 60.0);
    let ring = Mask::from_pixels(Tile { x0: 0, y0: 0, x1: 120, y1: 120 }, |x, y| (20.0..55.0).contains(&inside(x, y)));
    let exact = ring.outline();
    assert!(exact.points() > 250, "{}", exact.points());
    let few = exact.simplified(40);
    assert_eq!((few.rings.len(), few.points()), (2, 40));
    let overlap = back(&few, ring.window()).overlap(&ring, false);
    assert!(overlap > 0.98, "{overlap}");
    assert!(!back(&few, ring.window()).contains(60, 60));
    assert_eq!(exact.simplified(exact.points()), exact, "as many as there are change nothing");
}

#[test]
fn specks_go_before_the_object_does() {
    // 60 specks of a pixel beside a disc: their 240 points would leave none for the disc.
    let disc = |x: u32, y: u32| (f64::from(x) - 50.0).hypot(f64::from(y) - 50.0) < 40.0;
    let speck = |x: u32, y: u32| x >= 100 && x.is_multiple_of(2) && y.is_multiple_of(10);
    let mask = Mask::from_pixels(Tile { x0: 0, y0: 0, x1: 112, y1: 100 }, |x, y| disc(x, y) || speck(x, y));
    assert_eq!(mask.outline().rings.len(), 61);
    let few = mask.outline().simplified(60);
    let overlap = back(&few, mask.window()).overlap(&mask, false);
    assert!(few.points() <= 60 && overlap > 0.975, "{overlap} with {} rings", few.rings.len());
}

#[test]
fn no_limit_is_too_small() {
    for rows in [&["#"][..], &["#.#", "...", "#.#"], &["###", "#.#", "###"], &["##.", "###", ".##"]] {
        let exact = drawn(rows).outline();
        for limit in 0..20 {
            let few = exact.simplified(limit);
            assert!((3..=limit.max(3)).contains(&few.points()), "{rows:?} {limit}: {}", few.points());
            assert!(few.rings.iter().all(|ring| ring.len() >= 3));
        }
    }
    let lines = Outline { rings: vec![vec![[1.0, 1.0], [5.0, 5.0]], vec![[0.0; 2]; 9]] };
    assert_eq!(lines.simplified(4).points(), 4);
}

proptest! {
    #[test]
    fn an_exact_outline_is_the_mask(seed in any::<u64>(), offset in (0_u32..200, 0_u32..50), limit in 0_usize..200) {
        let (width, height, values) = mask(&mut Lcg(seed));
        let window = Tile { x0: offset.0, y0: offset.1, x1: offset.0 + width, y1: offset.1 + height };
        let mask = Mask::from_pixels(window, |x, y| values[((x - offset.0) * height + y - offset.1) as usize]);
        let exact = mask.outline();
        prop_assert_eq!(&back(&exact, window), &mask);
        prop_assert!(exact.rings.iter().flatten().all(|[x, y]| x.fract() == 0.0 && y.fract() == 0.0));
        // Rows hold it without loss, whichever of the rules with holes reads them.
        let row = Outline::from_segments(&exact.fractions(250, 100), [250.0, 100.0]).expect("rings");
        for fill in [Fill::EvenOdd, Fill::CocoEvenOdd] {
            prop_assert_eq!(&row.rasterise(fill, window), &mask);
        }
        // Clockwise around the parts, the other way round around the holes: the areas add up.
        let twice: f64 = exact.rings.iter().map(|ring| {
            let ends = ring.iter().cycle().skip(1);
            ring.iter().zip(ends).map(|(a, b)| a[0] * b[1] - a[1] * b[0]).sum::<f64>()
        }).sum();
        prop_assert_eq!(twice, 2.0 * mask.area() as f64);
        let few = exact.simplified(limit);
        prop_assert!(few.points() <= limit.max(3));
        prop_assert_eq!(few, exact.simplified(limit));
    }

    #[test]
    fn any_rings_are_simplified(
        rings in proptest::collection::vec(proptest::collection::vec(proptest::array::uniform2(prop_oneof![
            -5.0..5.0, (0_u8..4).prop_map(f64::from), proptest::num::f64::ANY,
        ]), 0..30), 0..6),
        limit in 0_usize..40,
    ) {
        let outline = Outline { rings };
        let few = outline.simplified(limit);
        prop_assert!(few.points() <= limit.max(3));
    }
}
