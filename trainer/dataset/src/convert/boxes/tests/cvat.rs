//! CVAT's files.

use super::super::cvat;
use super::masks::pixels;
use super::*;

fn file(shapes: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<annotations><version>1.1</version><meta><task><labels><label>\
         <name>x</name></label></labels></task></meta><image id=\"0\" name=\"sub/a.png\" width=\"40\" height=\"30\">{shapes}</image>\
         </annotations>"
    )
}

#[test]
fn shapes_become_outlines() {
    let folder = Folder::new();
    folder.image("images/sub/a.png", 40, 30);
    let shapes = "
<polygon label='p &amp; q' source='manual' occluded='0' points='1.00,2.00;11,2;11,12;1,12' z_order='0'/>
<box label='b' xtl='10' ytl='10' xbr='20' ybr='14' rotation='90'></box>
<ellipse label='e' cx='15' cy='15' rx='5' ry='4'/>
<mask label='m' rle='0, 3, 1, 2' left='4' top='5' width='3' height='2'/>
<polygon label='g' points='20,0;30,0;30,10;20,10' group_id='7'><attribute name='is_crowd'>true</attribute></polygon>
<polygon label='g' points='25,5;32,5;32,15;25,15' group_id='7'/>
<polyline label='x' points='1,1;2,2'/><points label='x' points='1,1'/><tag label='t'/>
<polygon label='x' points='1,1;2,2'/><polygon label='x' points='1,1;2;3,3'/><polygon points='1,1;2,9;3,3'/>
<mask label='x' rle='0, 3' left='4' top='5' width='3' height='2'/><cuboid label='x'/><box label='x' xtl='1'/>";
    let path = folder.write("annotations.xml", file(shapes));
    let part = cvat::read(&path, None, Sizes::Fitting).unwrap().remove(0);
    let area = |label: &str| {
        let objects = part.images[0].objects.iter().filter(|one| one.label == label).cloned().collect();
        let all = pixels(&LabelledImage { objects, ..part.images[0].clone() });
        all.iter().map(|(_, rle)| rle.area()).collect::<Vec<_>>()
    };
    assert_eq!((area("p & q"), area("m"), area("g")), (vec![100], vec![5], vec![145]));
    let turned = part.images[0].objects.iter().find(|one| one.label == "b").unwrap().corners;
    let wanted = [13.0 / 40.0, 7.0 / 30.0, 17.0 / 40.0, 17.0 / 30.0];
    assert!(turned.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-9), "{turned:?}");
    assert!((55..=70).contains(&area("e")[0]));
    assert!(part.images[0].objects.iter().any(|one| one.label == "g" && one.is_crowd));
    let reasons: Vec<&str> = part.left_out.iter().map(|one| one.reason.as_str()).collect();
    assert_eq!(reasons.len(), 8, "{reasons:?}");
    for wanted in ["encloses nothing", "2 points", "no pairs", "no label", "add up", "a cuboid", "no ytl"] {
        assert!(reasons.iter().any(|reason| reason.contains(wanted)), "{wanted}: {reasons:?}");
    }
}

#[test]
fn run_lengths_that_do_not_cover_their_mask_are_told_with_width_and_height() {
    let folder = Folder::new();
    folder.image("images/sub/a.png", 40, 30);
    let good = "<mask label='m' rle='0, 20' left='0' top='0' width='5' height='4'/>";
    for (runs, sum) in [("5, 3", "8"), ("5, 3, 100", "108"), ("18446744073709551615, 9", "18446744073709551615")] {
        let bad = format!("<mask label='m' rle='{runs}' left='0' top='0' width='5' height='4'/>");
        let path = folder.write("annotations.xml", file(&(bad + good)));
        let part = cvat::read(&path, None, Sizes::Fitting).unwrap().remove(0);
        let wanted = format!("the run lengths of its mask of 5 x 4 pixels add up to {sum}; they must cover it exactly");
        assert_eq!(part.left_out[0].reason, wanted);
    }
    let huge = "<mask label='m' rle='0, 10000000000' left='0' top='0' width='100000' height='100000'/>";
    let path = folder.write("annotations.xml", file(&(huge.to_owned() + good)));
    let part = cvat::read(&path, None, Sizes::Fitting).unwrap().remove(0);
    assert!(part.left_out[0].reason.contains("100000 x 100000 pixels"), "{:?}", part.left_out);
}

#[test]
fn files_of_other_kinds_are_refused_with_what_to_do() {
    let folder = Folder::new();
    for (text, part) in [
        ("<annotations><track id='0' label='x'/></annotations>".to_owned(), "CVAT for images 1.1"),
        ("<annotation/>".to_owned(), "trainer convert voc"),
        ("<svg/>".to_owned(), "<svg>"),
        ("<annotations>".to_owned(), "ends before"),
        ("<annotations/>".to_owned(), "lists no image"),
        (file("<box label='x' xtl='1' ytl='1' xbr='5' ybr='5'/>"), "--images FOLDER"),
    ] {
        let path = folder.write("annotations.xml", text);
        let message = cvat::read(&path, None, Sizes::Fitting).unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    }
}
