//! Run lengths and bits, against pycocotools.

use models::host::Tile;
use models::host::mask::{Mask, Rle};
use proptest::prelude::*;

use super::random::{Lcg, mask};
use super::{cases, crc, number, summary, whole, wholes};

/// Both forms of a mask of `width` x `height` pixels given column by column.
fn both(width: u32, height: u32, values: &[bool]) -> (Mask, Rle) {
    let window = Tile { x0: 0, y0: 0, x1: width, y1: height };
    let bits = Mask::from_pixels(window, |x, y| values[(x * height + y) as usize]);
    let runs = values.iter().scan(false, |before, value| {
        let changed = *before != *value;
        *before = *value;
        Some(changed)
    });
    let mut lengths = vec![0_u64];
    for changed in runs {
        if changed {
            lengths.push(0);
        }
        *lengths.last_mut().expect("it began with one") += 1;
    }
    (bits, Rle::new(width, height, lengths).expect("runs of all pixels"))
}

#[test]
fn masks_are_those_of_pycocotools() {
    for case in cases("rle.json") {
        let (seed, expected) = (whole(&case["seed"]), &case["expected"]);
        let (width, height, first) = mask(&mut Lcg(seed));
        let (_, _, other) = mask(&mut Lcg(seed + 1_000_003));
        let second: Vec<bool> = other.into_iter().cycle().take(first.len()).collect();
        let ((a, a_runs), (b, b_runs)) = (both(width, height, &first), both(width, height, &second));
        for (at, (bits, runs)) in [(&a, &a_runs), (&b, &b_runs)].into_iter().enumerate() {
            assert_eq!(summary(runs), wholes(&expected[at]), "{seed}");
            assert_eq!(&bits.rle(width, height).unwrap(), runs, "{seed}");
            assert_eq!(&Mask::from(runs).rle(width, height).unwrap(), runs, "{seed}");
            assert_eq!(&Rle::from_text(width, height, &runs.text()).unwrap(), runs, "{seed}");
            assert_eq!((bits.area(), bits.bounds()), (runs.area(), runs.bounds()), "{seed}");
        }
        assert_eq!(crc(&a_runs.union(&b_runs).unwrap()), whole(&expected[2]), "{seed}");
        assert_eq!(crc(&a_runs.intersection(&b_runs).unwrap()), whole(&expected[3]), "{seed}");
        for (at, crowd) in [(4, false), (5, true)] {
            let overlap = number(&expected[at]);
            assert_eq!(a_runs.overlap(&b_runs, crowd).unwrap(), overlap, "{seed}");
            assert_eq!(a.overlap(&b, crowd), overlap, "{seed}");
            assert_eq!(Mask::from(&a_runs).overlap(&Mask::from(&b_runs), crowd), overlap, "{seed}");
        }
    }
}

proptest! {
    #[test]
    fn any_text_is_a_mask_or_an_error(width in 0_u32..70_000, height in 0_u32..70_000, text in "[0-~ é]{0,40}") {
        if let Ok(rle) = Rle::from_text(width, height, &text) {
            prop_assert_eq!(&Rle::from_text(width, height, &rle.text()), &Ok(rle));
        }
    }

    #[test]
    fn any_runs_are_a_mask_or_an_error(
        width in 0_u32..40,
        height in 0_u32..40,
        runs in proptest::collection::vec(prop_oneof![0_u64..100, any::<u64>()], 0..20),
    ) {
        if let Ok(rle) = Rle::new(width, height, runs.clone()) {
            prop_assert_eq!(rle.area(), runs.iter().skip(1).step_by(2).sum::<u64>());
            prop_assert_eq!(Mask::from(&rle).rle(width, height), Ok(rle));
        } else {
            let sum = runs.iter().try_fold(0_u64, |sum, run| sum.checked_add(*run));
            prop_assert!(width * height == 0 || sum != Some(u64::from(width * height)));
        }
    }

    #[test]
    fn windows_change_nothing(seed in any::<u64>(), offset in (0_u32..200, 0_u32..50), cut in (0_u32..60, 0_u32..60)) {
        let (width, height, values) = mask(&mut Lcg(seed));
        let place = Tile { x0: offset.0, y0: offset.1, x1: offset.0 + width, y1: offset.1 + height };
        let bits = Mask::from_pixels(place, |x, y| values[((x - offset.0) * height + y - offset.1) as usize]);
        let window = Tile { x0: offset.0 + cut.0.min(width), y0: offset.1 + cut.1.min(height), x1: offset.0 + 70, y1: offset.1 + 70 };
        let part = bits.within(window);
        let inside = |x, y| bits.contains(x, y) && x >= window.x0 && y >= window.y0;
        prop_assert_eq!(&part, &Mask::from_pixels(window, inside));
        prop_assert_eq!(part.shared(&bits), part.area());
        prop_assert_eq!(bits.shared(&part), part.area());
        if let Some(bounds) = bits.bounds() {
            prop_assert_eq!(bits.within(bounds).area(), bits.area());
        }
    }
}
