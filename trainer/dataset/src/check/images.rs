//! How images are stored, and their sizes.

use models::host::StoredColour;
use schemas::check::FindingKind;
use schemas::{Labels, Task};

use super::{At, Data, Found, Said, Shown};
use crate::error::DataError;
use crate::facts::Facts;

/// Images are pointed out that have to be enlarged by more than this.
const ENLARGED: u32 = 4;
/// And those that are reduced by more than this.
const REDUCED: u32 = 8;

pub(super) fn check(data: &Data, found: &mut Vec<Found>) -> Result<(), DataError> {
    let known = data.images().filter_map(|at| Some((at, data.facts(at)?))).collect();
    let mut album = Album { data, known, found };
    if has_boxes(data.task) {
        album.say(
            |facts| facts.stored.turned,
            FindingKind::TurnedImage,
            "are turned by their EXIF data",
            "boxes are taken to be of the upright image; look at some on the page of --output, and where boxes do \
             not fit, save the images upright and correct them",
        )?;
    }
    album.sizes()?;
    album.greys()?;
    album.say(
        |facts| facts.stored.wide,
        FindingKind::SixteenBit,
        "have 16 bits a channel",
        "the upper 8 are used; where the values do not span the whole range, stretch them and save 8 bits",
    )?;
    album.say(
        |facts| facts.stored.colour == StoredColour::Cmyk,
        FindingKind::Cmyk,
        "have printing colours (CMYK)",
        "they become RGB without their colour profile; save them as RGB where colours matter",
    )?;
    album.say(
        |facts| facts.stored.alpha,
        FindingKind::Alpha,
        "have an alpha channel",
        "it is dropped, and the colour below shows; put what is transparent onto a background where that matters",
    )?;
    album.say(
        |facts| facts.stored.colour == StoredColour::Palette,
        FindingKind::Palette,
        "have a palette",
        "they become RGB; nothing to do, unless they are masks by mistake",
    )
}

/// The images that were decoded.
struct Album<'a, 'd> {
    data: &'a Data<'d>,
    known: Vec<(At, &'a Facts)>,
    found: &'a mut Vec<Found>,
}

impl Album<'_, '_> {
    /// Says something of the images that `which` holds for, if there are any.
    fn say(
        &mut self,
        which: impl Fn(&Facts) -> bool,
        kind: FindingKind,
        what: &str,
        advice: &str,
    ) -> Result<(), DataError> {
        let images = self.known.iter().filter(|(_, facts)| which(facts)).map(|(at, _)| *at);
        let images: Vec<At> = images.collect();
        let Some(&first) = images.first() else { return Ok(()) };
        let (all, name) = (self.known.len(), self.data.name(first)?);
        let message = format!("{} of {all} images {what}, such as {name}", images.len());
        // Whether boxes fit a turned image is to be seen.
        let boxed = kind == FindingKind::TurnedImage;
        let shown: Vec<Shown> = images.into_iter().map(|at| self.data.with_objects(at, |_| boxed)).collect();
        self.found.push(self.data.found(Said::new(kind, message, advice), shown)?);
        Ok(())
    }

    fn greys(&mut self) -> Result<(), DataError> {
        let grey = self.known.iter().filter(|(_, facts)| facts.grey).count();
        let coloured = self.known.len() - grey;
        if grey == 0 || coloured == 0 {
            return Ok(());
        }
        // The fewer are the odd ones.
        let odd_is_grey = grey <= coloured;
        let what = if odd_is_grey { "are grey, the others coloured" } else { "are coloured, the others grey" };
        let advice = "fine where it is so of every class, and of the images to come; otherwise make all of them grey";
        self.say(|facts| facts.grey == odd_is_grey, FindingKind::MixedGrey, what, advice)
    }

    fn sizes(&mut self) -> Result<(), DataError> {
        let (side, boxes) = (self.data.side, has_boxes(self.data.task));
        // A classifier fits the shorter side, a detector the longer one.
        let fitted = |facts: &Facts| {
            let [width, height] = facts.size;
            if boxes { width.max(height) } else { width.min(height) }
        };
        let which = if boxes { "longer" } else { "shorter" };
        let (least, most) = (side.div_ceil(ENLARGED), side.saturating_mul(REDUCED));
        self.say(
            |facts| fitted(facts) < least,
            FindingKind::SmallImage,
            &format!("have a {which} side below {least} pixels, and a model sees {side}"),
            "use larger images of them, or train at a smaller size",
        )?;
        let advice = if boxes {
            "cut them into tiles (--tile_grid_size) where objects are small"
        } else {
            "save smaller copies to train faster; where details matter, train at a larger size"
        };
        self.say(
            |facts| fitted(facts) > most,
            FindingKind::LargeImage,
            &format!("have a {which} side above {most} pixels, and a model sees {side}"),
            advice,
        )
    }
}

fn has_boxes(task: Task) -> bool {
    match task.labels() {
        Labels::Boxes | Labels::Outlines => true,
        Labels::Class | Labels::Classes => false,
    }
}
