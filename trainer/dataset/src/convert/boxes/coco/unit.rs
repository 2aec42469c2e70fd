//! Whether the boxes of a file are pixels or fractions.

use std::path::Path;

use super::super::draft::{Draft, DraftObject, Unit};
use super::super::frame::Sizes;
use super::super::geometry::{bounds, is_box, is_outline};
use super::super::{Part, wrong};
use crate::DataError;

/// What the numbers of one box look like.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Look {
    Fractions,
    Pixels,
    /// Whole numbers of 0 and 1: one pixel, or the whole image.
    Either,
}

/// A box of fractions may stick out by half an image; a box of pixels is never so small.
const REACH: std::ops::RangeInclusive<f64> = -0.5..=1.5;
/// Boxes of the other unit are taken for mistakes where they are less than one of so many.
const RARE: usize = 100;

fn look(corners: &[f64; 4]) -> Look {
    match corners.iter().all(|value| REACH.contains(value)) {
        false => Look::Pixels,
        true if corners.iter().all(|value| value.fract() == 0.0) => Look::Either,
        true => Look::Fractions,
    }
}

fn object_look(object: &DraftObject) -> Option<Look> {
    object.box_or_bounds().filter(is_box).map(|corners| look(&corners))
}

/// The unit of a file: fractions where all boxes are so, as in files of Azure's tools. A few boxes of the other unit are left
/// out, and so are outlines that are not in the unit of their box.
///
/// # Errors
/// Some boxes are fractions and others are not.
pub fn settled(part: &mut Part, path: &Path, drafts: &mut [Draft], sizes: Sizes) -> Result<Unit, DataError> {
    let objects = || drafts.iter().flat_map(|draft| &draft.objects);
    let of = |wanted: Look| objects().filter(move |object| object_look(object) == Some(wanted));
    let [fractions, pixels, either] = [Look::Fractions, Look::Pixels, Look::Either].map(|one| of(one).count());
    let (kept, other, others) = match (fractions, pixels) {
        (0, 0) if either > 0 => (Look::Fractions, Look::Pixels, 0),
        (0, _) => (Look::Pixels, Look::Fractions, 0),
        (_, 0) => (Look::Fractions, Look::Pixels, 0),
        _ if fractions * RARE < pixels => (Look::Pixels, Look::Fractions, fractions),
        _ if pixels * RARE < fractions => (Look::Fractions, Look::Pixels, pixels),
        _ => {
            let place = |look| of(look).next().map(|object| object.place.clone()).unwrap_or_default();
            let message = format!(
                "{fractions} boxes are fractions of the image ({}) and {pixels} are pixels ({}); write all of them in pixels",
                place(Look::Fractions),
                place(Look::Pixels)
            );
            return Err(wrong(path, message));
        }
    };
    let name = |look: Look| if look == Look::Fractions { "fractions of the image" } else { "pixels" };
    for draft in &mut *drafts {
        if others > 0 {
            let objects = std::mem::take(&mut draft.objects).into_iter();
            let (gone, stay): (Vec<_>, Vec<_>) = objects.partition(|object| object_look(object) == Some(other));
            draft.objects = stay;
            draft.lost += gone.len();
            for object in gone {
                let reason = format!("its box is in {}, and most others are in {}", name(other), name(kept));
                part.leave_out(path, object.place, reason);
            }
        }
        for object in draft.objects.iter_mut().filter(|object| object.corners.is_some()) {
            let outline: Vec<&Vec<f64>> = object.segments.iter().filter(|segment| is_outline(segment)).collect();
            if !outline.is_empty() && look(&bounds(outline)) == other {
                object.segments.clear();
                let reason =
                    format!("its segmentation is in {} and its box in {}; the box is used", name(other), name(kept));
                part.note(path, object.place.clone(), reason);
            }
        }
    }
    Ok(match (kept, sizes) {
        (Look::Fractions, Sizes::Stored) => Unit::StoredFractions,
        (Look::Fractions, _) => Unit::Fractions,
        (Look::Pixels | Look::Either, _) => Unit::Pixels(sizes),
    })
}
