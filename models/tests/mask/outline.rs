//! Polygons to pixels: COCO's rule against pycocotools, our own against its definition.

use models::host::mask::{Fill, Mask, Outline, Rle};
use models::host::{Region, Tile};
use proptest::prelude::*;

use super::random::{Lcg, polygons};
use super::{cases, summary, wholes};

fn image(width: u32, height: u32) -> Tile {
    Tile { x0: 0, y0: 0, x1: width, y1: height }
}

fn coco(outline: &Outline, width: u32, height: u32) -> Rle {
    outline.rasterise(Fill::Coco, image(width, height)).rle(width, height).expect("the window is the image")
}

#[test]
fn coco_fills_as_pycocotools_does() {
    for case in cases("polygons.json") {
        let case = wholes(&case);
        let (width, height, outline) = polygons(&mut Lcg(case[0]));
        assert_eq!(summary(&coco(&outline, width, height)), case[1..], "{}: {outline:?}", case[0]);
    }
}

#[test]
fn the_specification_leaves_out_what_two_rings_hold() {
    for seed in 1..400 {
        let (width, height, outline) = polygons(&mut Lcg(seed));
        let window = image(width, height);
        let alone =
            outline.rings.iter().map(|ring| Outline { rings: vec![ring.clone()] }.rasterise(Fill::Coco, window));
        let alone: Vec<Mask> = alone.collect();
        let odd = |x, y| alone.iter().filter(|mask| mask.contains(x, y)).count() % 2 == 1;
        assert_eq!(outline.rasterise(Fill::CocoEvenOdd, window), Mask::from_pixels(window, odd), "{seed}");
    }
}

#[test]
fn a_window_shows_what_the_image_would() {
    for seed in 1..400 {
        let (width, height, outline) = polygons(&mut Lcg(seed));
        let mut random = Lcg(seed + 1000);
        let mut span = |side: u32| {
            let ends = [0, 1].map(|_| random.below(u64::from(side) + 1) as u32);
            [ends[0].min(ends[1]), ends[0].max(ends[1])]
        };
        let ([x0, x1], [y0, y1]) = (span(width), span(height));
        let window = Tile { x0, y0, x1, y1 };
        for fill in [Fill::Coco, Fill::CocoEvenOdd, Fill::EvenOdd] {
            let whole = outline.rasterise(fill, image(width, height));
            assert_eq!(outline.rasterise(fill, window), whole.within(window), "{seed} {fill:?}");
            let reach = outline.window(width, height);
            assert_eq!(outline.rasterise(fill, reach).area(), whole.area(), "{seed} {fill:?}");
        }
    }
}

/// Distance of a point to the line between two others.
fn distance(at: [f64; 2], a: [f64; 2], b: [f64; 2]) -> f64 {
    let (along, to) = ([b[0] - a[0], b[1] - a[1]], [at[0] - a[0], at[1] - a[1]]);
    let length = along[0].powi(2) + along[1].powi(2);
    let share = if length == 0.0 { 0.0 } else { ((to[0] * along[0] + to[1] * along[1]) / length).clamp(0.0, 1.0) };
    (to[0] - share * along[0]).hypot(to[1] - share * along[1])
}

#[test]
fn even_odd_counts_the_rings_around_the_middle_of_a_pixel() {
    let (mut judged, mut held) = (0, 0);
    for seed in 1..400 {
        let (width, height, outline) = polygons(&mut Lcg(seed));
        let mask = outline.rasterise(Fill::EvenOdd, image(width, height));
        let lines = outline.rings.iter().flat_map(|ring| ring.iter().zip(ring.iter().cycle().skip(1)));
        let lines: Vec<_> = lines.map(|(a, b)| (*a, *b)).collect();
        for (x, y) in (0..width).flat_map(|x| (0..height).map(move |y| (x, y))) {
            let at = [f64::from(x) + 0.5, f64::from(y) + 0.5];
            if lines.iter().any(|(a, b)| distance(at, *a, *b) < 1e-6) {
                continue;
            }
            // Along the row, where the rule looks along the column.
            let crossed = lines.iter().filter(|(a, b)| {
                let straddles = (a[1] > at[1]) != (b[1] > at[1]);
                straddles && a[0] + (at[1] - a[1]) * (b[0] - a[0]) / (b[1] - a[1]) > at[0]
            });
            let inside = crossed.count() % 2 == 1;
            assert_eq!(mask.contains(x, y), inside, "{seed} {x} {y}");
            (judged, held) = (judged + 1, held + u32::from(inside));
        }
    }
    assert!(held > 100_000 && judged - held > 100_000, "{held} of {judged}");
}

#[test]
fn a_ring_within_a_ring_is_a_hole_but_for_coco() {
    let square = |from: f64, to: f64| vec![from, from, to, from, to, to, from, to];
    let outline = Outline::from_segments(&[square(0.1, 0.9), square(0.3, 0.7)], [10.0, 20.0]).unwrap();
    for fill in [Fill::EvenOdd, Fill::CocoEvenOdd] {
        assert_eq!(outline.rasterise(fill, image(10, 20)).area(), 8 * 16 - 4 * 8);
    }
    assert_eq!(outline.rasterise(Fill::Coco, image(10, 20)).area(), 8 * 16);
    let box_of_it = Region { x0: 1.0, y0: 2.0, x1: 9.0, y1: 18.0 };
    let scaled = outline.rasterise_box(Fill::EvenOdd, box_of_it, 4, 4);
    assert_eq!((scaled.window(), scaled.area()), (image(4, 4), 12));
    let back = outline.fractions(10, 20);
    assert!(back[1].iter().zip(square(0.3, 0.7)).all(|(a, b)| (a - b).abs() < 1e-12), "{back:?}");
}

#[test]
fn two_objects_that_share_a_line_share_no_pixel() {
    for seed in 0..200 {
        let mut random = Lcg(seed);
        let mut point = || [0, 1].map(|_| random.below(81) as f64 / 4.0);
        let [a, b] = [point(), point()];
        let side = |corners: [[f64; 2]; 2]| Outline { rings: vec![vec![a, corners[0], corners[1], b]] };
        let (left, right) = (side([[-30.0, -40.0], [-30.0, 60.0]]), side([[50.0, -40.0], [50.0, 60.0]]));
        let whole = Outline { rings: [left.rings.clone(), right.rings.clone()].concat() };
        let area = |outline: &Outline| outline.rasterise(Fill::EvenOdd, image(20, 20)).area() as i64;
        let (both, shared) = (area(&left) + area(&right) - area(&whole), {
            let mask = |outline: &Outline| outline.rasterise(Fill::EvenOdd, image(20, 20));
            mask(&left).shared(&mask(&right)) as i64
        });
        assert_eq!(both, 2 * shared, "{seed}");
    }
}

#[test]
fn segments_that_are_no_rings_are_refused() {
    let reason =
        |segment: Vec<f64>| Outline::from_segments(&[vec![0.0; 6], segment], [1.0; 2]).unwrap_err().to_string();
    assert!(reason(vec![0.0; 4]).contains("segment 1 (from 0)"));
    assert!(reason(vec![0.0; 7]).contains("7 coordinates"));
    assert!(reason(vec![0.0, 1.0, f64::NAN, 1.0, 1.0, 1.0]).contains("NaN is no coordinate"));
}

fn anything() -> impl Strategy<Value = f64> {
    prop_oneof![
        -10.0..50.0,
        proptest::num::f64::ANY,
        proptest::sample::select(vec![0.0, -0.0, 1e9, -1e9, 1e300, f64::INFINITY, f64::NAN, 4_294_967_295.0]),
    ]
}

proptest! {
    #[test]
    fn any_coordinates_are_survived(
        rings in proptest::collection::vec(proptest::collection::vec([anything(), anything()], 0..8), 0..4),
        start in (0_u32..40, 0_u32..40),
    ) {
        let outline = Outline { rings };
        let window = Tile { x0: start.0, y0: start.1, x1: 40, y1: 40 };
        for fill in [Fill::Coco, Fill::CocoEvenOdd, Fill::EvenOdd] {
            let mask: Mask = outline.rasterise(fill, window);
            prop_assert!(mask.area() <= u64::from(window.width() * window.height()));
            let area = Region { x0: 1.0, y0: 1.0, x1: 1.0, y1: 2.0 };
            prop_assert!(outline.rasterise_box(fill, area, 5, 5).area() <= 25);
        }
        prop_assert!(outline.window(40, 40).x1 <= 40);
        prop_assert_eq!(outline.fractions(0, 0).len(), outline.rings.len());
    }
}
