//! A network's masks in their image, against torchvision.

use models::host::Tile;
use models::host::mask::{Mask, Paste, Rle};
use proptest::prelude::*;

use super::random::{Lcg, paste};
use super::{cases, number, whole};

/// How far probabilities may be from torchvision's, which mixes in another order.
const NEAR: f32 = 1e-6;

#[test]
fn masks_are_pasted_as_torchvision_does() {
    let (mut worst, mut pixels, mut near) = (0.0_f32, 0, 0);
    for case in cases("paste.json") {
        let seed = whole(&case[0]);
        let (how, values, corners) = paste(&mut Lcg(seed));
        let (window, pasted) = how.probabilities(&values, corners);
        let mask = how.mask(&values, corners);
        assert_eq!(mask.window(), window, "{seed}");
        let at = |x: u32, y: u32| {
            let inside = (window.x0..window.x1).contains(&x) && (window.y0..window.y1).contains(&y);
            if inside { pasted[((y - window.y0) * window.width() + x - window.x0) as usize] } else { 0.0 }
        };
        let mean = pasted.iter().map(|value| f64::from(*value)).sum::<f64>() / f64::from(how.width * how.height);
        assert!((mean - number(&case[1])).abs() < f64::from(NEAR), "{seed}: {mean} for {}", case[1]);
        for (picked, place) in case[2].as_array().expect("a list").iter().zip([0, 7919, 104_729, 1_299_709]) {
            let place = place % (how.width * how.height);
            let off = (at(place % how.width, place / how.width) - number(picked) as f32).abs();
            assert!(off < NEAR, "{seed}: pixel {place} is off by {off}");
            worst = worst.max(off);
        }
        let text = case[3].as_str().expect("a text");
        let expected = Mask::from(&Rle::from_text(how.width, how.height, text).expect("pycocotools wrote it"));
        for (x, y) in (0..how.width).flat_map(|x| (0..how.height).map(move |y| (x, y))) {
            pixels += 1;
            if mask.contains(x, y) != expected.contains(x, y) {
                near += 1;
                assert!((at(x, y) - how.threshold).abs() < NEAR, "{seed}: pixel {x} {y} is {}", at(x, y));
            }
        }
    }
    println!(
        "paste: largest difference {worst:e}; {near} of {pixels} pixels differ, all within {NEAR:e} of the threshold"
    );
}

const HOW: Paste = Paste { width: 10, height: 8, threshold: 0.5 };

#[test]
fn a_box_is_cut_off_to_whole_pixels_and_holds_both_ends() {
    // 28 values without a change: the box [2, 2, 5, 5] becomes 3 * 30 / 28 long, from 1.89 to 5.1: pixels 1 to 5.
    let mask = HOW.mask(&[1.0; 28 * 28], [2.0, 2.0, 5.0, 5.0]);
    assert_eq!(mask.window(), Tile { x0: 1, y0: 1, x1: 6, y1: 6 });
    // Left of the image, it begins at 0 and what sticks out is left away: -0.4 is cut off to 0, not to -1.
    assert_eq!(HOW.mask(&[1.0; 28 * 28], [-0.3, 0.0, 2.5, 2.0]).window(), Tile { x0: 0, y0: 0, x1: 3, y1: 3 });
    assert_eq!(HOW.mask(&[1.0; 28 * 28], [-5.0, -4.0, 50.0, 40.0]).area(), 80);
}

#[test]
fn a_box_that_is_not_in_the_image_gives_no_pixel() {
    for corners in
        [[20.0, 1.0, 30.0, 5.0], [-30.0, 1.0, -20.0, 5.0], [1.0, f32::NAN, 3.0, 4.0], [1.0, 1.0, f32::INFINITY, 4.0]]
    {
        let mask = HOW.mask(&[1.0; 4], corners);
        assert_eq!((mask.area(), mask.bounds()), (0, None), "{corners:?}");
        assert!(HOW.probabilities(&[1.0; 4], corners).1.is_empty());
    }
}

#[test]
fn the_threshold_itself_is_outside() {
    let at = |threshold| Paste { threshold, ..HOW }.mask(&[0.5; 28 * 28], [-100.0, -100.0, 100.0, 100.0]).area();
    assert_eq!([at(0.5), at(0.499)], [0, 80]);
}

proptest! {
    #[test]
    fn any_box_and_values_are_survived(
        corners in proptest::array::uniform4(prop_oneof![any::<f32>(), -20.0_f32..40.0]),
        values in proptest::collection::vec(any::<f32>(), 9),
        size in (0_u32..30, 0_u32..30),
    ) {
        let how = Paste { width: size.0, height: size.1, threshold: 0.5 };
        for corners in [corners, [corners[1], corners[0], corners[3], corners[2]]] {
            let mask = how.mask(&values, corners);
            prop_assert!(mask.window().x1 <= size.0 && mask.window().y1 <= size.1);
            prop_assert_eq!(how.probabilities(&values, corners).0, mask.window());
        }
    }
}
