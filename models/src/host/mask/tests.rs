use super::*;
use crate::host::{Limits, Tile, decode};

fn tile(x0: u32, y0: u32, x1: u32, y1: u32) -> Tile {
    Tile { x0, y0, x1, y1 }
}

#[test]
fn runs_go_down_the_columns() {
    // 4 x 5 (width, height), rows 1 to 3 of columns 1 and 2.
    let rle = Rle::new(4, 5, [6, 3, 2, 3, 6]).unwrap();
    assert_eq!((rle.area(), rle.bounds()), (6, Some(tile(1, 1, 3, 4))));
    assert_eq!(Rle::new(4, 5, [4, 2, 14]).unwrap().bounds(), Some(tile(0, 0, 2, 5)));
    assert_eq!(Rle::new(4, 5, [0, 20]).unwrap().bounds(), Some(tile(0, 0, 4, 5)));
    assert_eq!(Rle::new(4, 5, [20]).unwrap().bounds(), None);
    let mask = Mask::from(&rle);
    assert!(mask.contains(1, 1) && mask.contains(2, 3) && !mask.contains(3, 1) && !mask.contains(1, 4));
}

#[test]
fn the_shortest_form_is_kept() {
    let shortest = Rle::new(4, 5, [6, 5, 9]).unwrap();
    for runs in [vec![6, 5, 9, 0], vec![0, 0, 6, 2, 0, 3, 9], vec![6, 5, 4, 0, 5, 0, 0]] {
        assert_eq!(Rle::new(4, 5, runs.clone()).unwrap(), shortest, "{runs:?}");
    }
    assert_eq!(Rle::new(4, 5, [0, 0, 0, 20, 0]).unwrap().runs(), [0, 20]);
}

#[test]
fn what_is_no_mask_is_refused_with_the_reason() {
    let text = |text: &str| Rle::from_text(4, 5, text).unwrap_err().to_string();
    for (reason, part) in [
        (Rle::new(0, 5, [0]).unwrap_err().to_string(), "0 x 5"),
        (Rle::new(70_000, 70_000, [4_900_000_000]).unwrap_err().to_string(), "at most 1073741824 pixels"),
        (Rle::new(4, 5, []).unwrap_err().to_string(), "add up to 0;"),
        (Rle::new(4, 5, [4, 2, 13]).unwrap_err().to_string(), "add up to 19;"),
        (Rle::new(4, 5, [4, 20, 1]).unwrap_err().to_string(), "add up to 24 or more;"),
        (Rle::new(4, 5, [4, u64::MAX]).unwrap_err().to_string(), "or more;"),
        (text("\u{1F600}"), "character 1 "),
        (text("4p"), "character 2 "),
        (text("o"), "ends within a number"),
        (text("oooooooooooooo"), "too long"),
        (text("O"), "no whole number"),
        (text("4000@"), "no whole number"),
    ] {
        assert!(reason.contains(part), "{reason}");
    }
    let (a, b) = (Rle::new(4, 5, [20]).unwrap(), Rle::new(5, 4, [20]).unwrap());
    assert_eq!(a.overlap(&b, false), Err(MaskError::TwoImages { sizes: [[4, 5], [5, 4]] }));
    assert!(Mask::empty(tile(2, 0, 5, 1)).rle(4, 5).unwrap_err().to_string().contains("column 5 and row 1"));
}

#[test]
fn text_is_cocos() {
    // By hand: 6 is "6", 3 "3", 2 "2"; then 3 - 3 and 6 - 2. 40 takes two groups: 8 with more to follow, 1.
    assert_eq!(Rle::new(4, 5, [6, 3, 2, 3, 6]).unwrap().text(), "63204");
    assert_eq!(Rle::new(8, 5, [40]).unwrap().text(), "X1");
    assert_eq!(Rle::new(9, 5, [5, 20, 5, 10, 5]).unwrap().text(), "5d05F0");
}

#[test]
fn an_image_of_a_mask_shows_it() {
    let mask = Mask::from_pixels(tile(3, 1, 6, 3), |x, y| x + y == 5);
    assert_eq!(mask.grey(tile(2, 1, 5, 4)), [0, 0, 255, 0, 255, 0, 0, 0, 0]);
    let image = decode(&mask.png(tile(2, 1, 5, 4)), &Limits::default()).unwrap();
    assert_eq!((image.width, image.height, image.data[6], image.data[9]), (3, 3, 255, 0));
}
