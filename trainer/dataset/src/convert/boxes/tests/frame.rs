//! What boxes are counted in, where annotations and files differ.

use super::super::frame::{Chosen, Evidence, Frame, Reason, Sizes, StoredSize, choose};
use super::super::geometry::fitted;
use super::Folder;

/// Stored 80 x 40, so that boxes tell the frames apart.
const STORED: [u32; 2] = [80, 40];

fn evidence(declared: Option<[u32; 2]>, stored: StoredSize, boxes: &[[f64; 4]]) -> Evidence {
    Evidence { declared, stored: Some(stored), boxes: boxes.to_vec() }
}

fn stored(orientation: u8) -> StoredSize {
    let folder = Folder::new();
    let stored = StoredSize::read(&folder.turned("a.png", STORED, orientation)).unwrap();
    assert_eq!(stored.size, STORED);
    stored
}

fn one(image: Evidence, sizes: Sizes) -> Result<Chosen, String> {
    choose(&[image], sizes).remove(0)
}

#[track_caller]
fn check(found: &Result<Chosen, String>, reason: Reason, size: [u32; 2]) {
    let found = found.as_ref().unwrap();
    assert_eq!((found.reason, found.frame.size), (reason, size.map(f64::from)));
}

/// The corner (0, 0)-(0.25, 0.5) of the stored image, and where each orientation shows it.
const CORNER: [(u8, [f64; 4]); 8] = [
    (1, [0.0, 0.0, 0.25, 0.5]),
    (2, [0.75, 0.0, 1.0, 0.5]),
    (3, [0.75, 0.5, 1.0, 1.0]),
    (4, [0.0, 0.5, 0.25, 1.0]),
    (5, [0.0, 0.0, 0.5, 0.25]),
    (6, [0.5, 0.0, 1.0, 0.25]),
    (7, [0.5, 0.75, 1.0, 1.0]),
    (8, [0.0, 0.75, 0.5, 1.0]),
];

#[test]
fn every_orientation_turns_boxes_that_were_drawn_before_it() {
    for (orientation, shown) in CORNER {
        let stored = stored(orientation);
        let declared = Frame::pixels(STORED);
        for sizes in [Sizes::Stored, Sizes::Declared] {
            let image = evidence(Some(STORED), stored, &[[0.0, 0.0, 20.0, 20.0]]);
            let chosen = one(image, sizes).unwrap();
            let found = fitted([0.0, 0.0, 20.0, 20.0], &chosen.frame).unwrap();
            // A size does not tell of a rotation by a half, so that only `stored` asks for one.
            if sizes == Sizes::Stored || stored.turn.swaps_sides() {
                assert_eq!(found.corners, shown, "orientation {orientation}");
            } else {
                assert_eq!(chosen.frame, declared);
            }
        }
    }
}

#[test]
fn boxes_tell_which_side_of_the_rotation_they_are_from() {
    for orientation in 5..=8 {
        let stored = stored(orientation);
        let upright = [40, 80];
        let (wide, tall, small) = ([60.0, 5.0, 78.0, 30.0], [5.0, 60.0, 30.0, 78.0], [5.0, 5.0, 30.0, 30.0]);
        for declared in [Some(STORED), Some([81, 40]), None] {
            check(&one(evidence(declared, stored, &[wide, small]), Sizes::Fitting), Reason::BeforeRotation, STORED);
            check(&one(evidence(declared, stored, &[tall, small]), Sizes::Fitting), Reason::SeenUpright, upright);
            check(&one(evidence(declared, stored, &[small]), Sizes::Fitting), Reason::SeenUpright, upright);
            check(&one(evidence(declared, stored, &[]), Sizes::Fitting), Reason::Plain, upright);
        }
        check(&one(evidence(Some(upright), stored, &[small]), Sizes::Fitting), Reason::Plain, upright);
        check(&one(evidence(Some(upright), stored, &[wide]), Sizes::Fitting), Reason::BeforeRotation, STORED);
        check(&one(evidence(Some(STORED), stored, &[wide]), Sizes::Upright), Reason::Plain, upright);
        // A few pixels over the edge decide nothing.
        let over = [-2.0, 5.0, 42.0, 30.0];
        check(&one(evidence(Some(STORED), stored, &[over]), Sizes::Fitting), Reason::SeenUpright, upright);
        // One wrong box of many neither.
        let mut boxes = vec![wide; 19];
        boxes.push([5.0, 5.0, 70.0, 700.0]);
        check(&one(evidence(Some(STORED), stored, &boxes), Sizes::Fitting), Reason::BeforeRotation, STORED);
    }
}

#[test]
fn other_images_of_the_set_decide() {
    let (small, wide, tall) = ([5.0, 5.0, 30.0, 30.0], [60.0, 5.0, 78.0, 30.0], [5.0, 60.0, 30.0, 78.0]);
    let open = || [6, 3].map(|orientation| evidence(Some(STORED), stored(orientation), &[small]));
    let with = |other: Evidence| {
        let images: Vec<Evidence> = open().into_iter().chain([other]).collect();
        let found = choose(&images, Sizes::Fitting);
        [&found[0], &found[1]].map(|found| found.as_ref().unwrap().reason)
    };
    assert_eq!(with(evidence(Some(STORED), stored(8), &[wide])), [Reason::BeforeRotation; 2]);
    assert_eq!(with(evidence(Some(STORED), stored(8), &[tall])), [Reason::SeenUpright; 2]);
    assert_eq!(with(evidence(Some([40, 80]), stored(8), &[small])), [Reason::SeenUpright; 2]);
    assert_eq!(with(evidence(Some(STORED), stored(1), &[wide])), [Reason::SeenUpright; 2]);
    // Where others disagree, as without any.
    let mut images = open().to_vec();
    images.extend([wide, tall].map(|one| evidence(Some(STORED), stored(6), &[one])));
    assert_eq!(choose(&images, Sizes::Fitting)[0].as_ref().unwrap().reason, Reason::SeenUpright);
}

#[test]
fn wrong_sizes_and_copies_are_told_by_where_boxes_fit() {
    let plain = stored(1);
    let fitting = |declared, boxes: &[[f64; 4]]| one(evidence(Some(declared), plain, boxes), Sizes::Fitting);
    let (inside, beyond) = ([5.0, 5.0, 30.0, 15.0], [100.0, 20.0, 150.0, 70.0]);
    check(&fitting([80, 40], &[inside]), Reason::Plain, STORED);
    check(&fitting([79, 41], &[beyond]), Reason::Plain, STORED);
    check(&fitting([160, 80], &[beyond, inside]), Reason::Resized, [160, 80]);
    check(&fitting([40, 20], &[[50.0, 20.0, 75.0, 38.0]]), Reason::DeclaredWrong, STORED);
    for (declared, boxes) in
        [([160, 80], vec![inside]), ([40, 20], vec![inside]), ([160, 80], vec![[0.0, 0.0, 900.0, 900.0]])]
    {
        let message = fitting(declared, &boxes).unwrap_err();
        assert!(message.contains("80 x 40") && message.contains("--sizes upright or --sizes declared"), "{message}");
    }
    check(&fitting([160, 80], &[]), Reason::Plain, STORED);
    for (sizes, size) in [(Sizes::Declared, [160, 80]), (Sizes::Upright, STORED)] {
        assert_eq!(one(evidence(Some([160, 80]), plain, &[inside]), sizes).unwrap().frame, Frame::pixels(size));
    }
    // The set decides for what is open alone.
    let images = [[160, 80], [200, 100]].map(|declared| evidence(Some(declared), plain, &[inside]));
    let sure = evidence(Some([160, 80]), plain, &[beyond]);
    let found = choose(&[images.to_vec(), vec![sure]].concat(), Sizes::Fitting);
    check(&found[0], Reason::Resized, [160, 80]);
    check(&found[1], Reason::Resized, [200, 100]);
}

#[test]
fn swapped_width_and_height_are_no_copy() {
    let plain = stored(1);
    let fitting = |boxes: &[[f64; 4]]| one(evidence(Some([40, 80]), plain, boxes), Sizes::Fitting);
    check(&fitting(&[[50.0, 5.0, 78.0, 38.0]]), Reason::DeclaredWrong, STORED);
    let message = fitting(&[[5.0, 50.0, 30.0, 78.0]]).unwrap_err();
    assert!(message.contains("rotate it back"), "{message}");
    let message = fitting(&[[5.0, 5.0, 30.0, 30.0]]).unwrap_err();
    assert!(message.ends_with("--sizes upright"), "{message}");
}

#[test]
fn a_copy_from_before_the_rotation_turns_too() {
    let stored = stored(6);
    let image = evidence(Some([160, 80]), stored, &[[0.0, 0.0, 40.0, 40.0], [100.0, 0.0, 150.0, 40.0]]);
    let chosen = one(image, Sizes::Fitting).unwrap();
    assert_eq!(chosen.reason, Reason::Resized);
    assert_eq!(fitted([0.0, 0.0, 40.0, 40.0], &chosen.frame).unwrap().corners, [0.5, 0.0, 1.0, 0.25]);
    let image = evidence(Some([80, 160]), stored, &[[0.0, 100.0, 40.0, 150.0]]);
    assert_eq!(one(image, Sizes::Fitting).unwrap().frame, Frame::pixels([80, 160]));
}

#[test]
fn without_a_file_the_declared_size_counts() {
    let image = Evidence { declared: Some([10, 20]), stored: None, boxes: vec![[0.0, 0.0, 500.0, 500.0]] };
    for sizes in [Sizes::Fitting, Sizes::Upright, Sizes::Stored, Sizes::Declared] {
        check(&one(image.clone(), sizes), Reason::Plain, [10, 20]);
    }
    assert!(one(Evidence::default(), Sizes::Fitting).unwrap_err().contains("size"));
}

#[test]
fn notes_count_images_and_read_as_sentences() {
    assert_eq!(Reason::Plain.note(3), None);
    for reason in [Reason::SeenUpright, Reason::BeforeRotation, Reason::DeclaredWrong, Reason::Resized, Reason::Asked] {
        assert!(reason.note(1).unwrap().starts_with("1 image: "), "{reason:?}");
        assert!(reason.note(2).unwrap().starts_with("2 images: "), "{reason:?}");
    }
}
