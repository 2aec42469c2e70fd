//! Images and objects as an annotation describes them, in pixels of a size that is yet to be settled.

use std::collections::BTreeMap;
use std::path::PathBuf;

use models::host::Turn;
use models::host::mask::Fill;

use super::frame::{Chosen, Evidence, Frame, Reason, Sizes, StoredSize, choose};
use super::geometry::{Fitted, Outlined, are_apart, bounds, fitted, is_box, is_outline, none_usable, outline, united};
use super::{LabelledImage, LabelledObject, Part};

/// An image as described.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    /// The annotation file that describes it.
    pub source: PathBuf,
    /// Its place there.
    pub place: String,
    /// Its file; absolute.
    pub path: PathBuf,
    /// Width and height in pixels, where the annotation says so.
    pub declared: Option<[u32; 2]>,
    /// What it shows.
    pub objects: Vec<DraftObject>,
    /// Objects besides that cannot be used, as their descriptions show.
    pub lost: usize,
}

/// An object as described.
#[derive(Clone, Debug, PartialEq)]
pub struct DraftObject {
    /// Its place in the annotation file.
    pub place: String,
    /// Its class.
    pub label: String,
    /// `x1 y1 x2 y2`; without them the box around its outline.
    pub corners: Option<[f64; 4]>,
    /// Outline as segments `x1 y1 x2 y2 ..`; empty where none is known.
    pub segments: Vec<Vec<f64>>,
    /// What several segments hold together.
    pub fill: Fill,
    /// A group of objects.
    pub is_crowd: bool,
}

/// The unit of all numbers of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Pixels of a size that `Sizes` tells.
    Pixels(Sizes),
    /// Fractions of the image as it is seen.
    Fractions,
    /// Fractions of the image before its EXIF rotation.
    StoredFractions,
}

impl DraftObject {
    /// Its corners, or those of the box around its outline; nothing where it has neither.
    pub fn box_or_bounds(&self) -> Option<[f64; 4]> {
        let outlined = || self.outlines().next().is_some().then(|| bounds(self.outlines()));
        self.corners.or_else(outlined)
    }

    fn outlines(&self) -> impl Iterator<Item = &Vec<f64>> {
        self.segments.iter().filter(|segment| is_outline(segment))
    }

    /// `size`: that of the upright image, in pixels, where it is known.
    fn settled(self, frame: &Frame, size: Option<[u32; 2]>) -> Result<Settled, String> {
        let mut apart = self.apart();
        let Outlined { segments: polygon, mut faults, cut } = outline(self.segments, frame);
        if polygon.is_empty()
            && let Some(reason) = none_usable(&faults)
        {
            if self.corners.is_none() {
                return Err(reason);
            }
            // The box says where the object is, whatever became of its outline.
            (faults, apart) = (Vec::new(), Some(box_used(&reason)));
        }
        let given = self.corners.filter(|_| polygon.is_empty() || apart.is_none());
        let fitted = match given {
            Some(corners) => fitted(corners, frame)?,
            None if polygon.is_empty() => return Err("it has no box and no outline".to_owned()),
            None => Fitted { corners: bounds(&polygon), cut },
        };
        let united = match self.fill {
            Fill::Coco => size.and_then(|size| united(&polygon, size)),
            Fill::CocoEvenOdd | Fill::EvenOdd => None,
        };
        let (label, is_crowd, is_united) = (self.label, self.is_crowd, united.is_some());
        let polygon = united.unwrap_or(polygon);
        let object = LabelledObject { label, corners: fitted.corners, is_crowd, polygon };
        Ok(Settled { object, cut: fitted.cut, united: is_united, faults, apart })
    }

    /// That its corners have nothing to do with its outline, where that is so.
    fn apart(&self) -> Option<String> {
        let corners = self.corners.filter(is_box)?;
        self.outlines().next()?;
        are_apart(&corners, &bounds(self.outlines())).then(|| apart(&corners))
    }
}

/// An object whose numbers are fractions of its image.
struct Settled {
    object: LabelledObject,
    /// Its box stuck out of the image.
    cut: bool,
    /// Its segments overlapped and became the outline of all their pixels.
    united: bool,
    /// Segments of its outline that were dropped: place, from 0, and why.
    faults: Vec<(usize, String)>,
    /// Why its corners, or its outline, were not used.
    apart: Option<String>,
}

/// That an outline cannot be used, for this reason, where there is a box besides.
pub fn box_used(reason: &str) -> String {
    format!("{reason}; its box is used")
}

/// That a box, with corners as they were written, lies elsewhere than the outline of its object.
pub fn apart([x1, y1, x2, y2]: &[f64; 4]) -> String {
    format!("its box {x1} {y1} {x2} {y2} and its outline lie apart; the box around the outline is used")
}

/// Adds the images to a part, once it is settled what their boxes are counted in: images for which that cannot be told, and
/// objects that cannot be used, are left out; what was assumed is noted.
pub fn settle(part: &mut Part, drafts: Vec<Draft>, unit: Unit) {
    let evidence: Vec<Evidence> = drafts.iter().map(evidence).collect();
    let chosen: Vec<Result<Chosen, String>> = match unit {
        Unit::Pixels(sizes) => choose(&evidence, sizes),
        Unit::Fractions => evidence.iter().map(|_| Ok(of_fractions(Turn::NONE))).collect(),
        Unit::StoredFractions => {
            let turn = |image: &Evidence| image.stored.map_or(Turn::NONE, |stored| stored.turn);
            evidence.iter().map(|image| Ok(of_fractions(turn(image)))).collect()
        }
    };
    let mut reasons: BTreeMap<Reason, usize> = BTreeMap::new();
    let mut united = 0;
    for ((draft, evidence), chosen) in drafts.into_iter().zip(evidence).zip(chosen) {
        match chosen {
            Err(reason) => {
                let reason = format!("{}: {reason}", draft.path.display());
                part.leave_out_image(&draft.source, draft.place, reason, draft.objects.len());
            }
            Ok(chosen) => {
                *reasons.entry(chosen.reason).or_default() += 1;
                let size = evidence.stored.map(|stored| stored.upright()).or(draft.declared);
                united += add(part, draft, &chosen.frame, size);
            }
        }
    }
    part.assumed.extend(reasons.into_iter().filter_map(|(reason, images)| reason.note(images)));
    note_united(part, united);
}

/// Width and height in pixels that a description has under two names; nothing where one of them is no size.
pub fn declared(number: impl Fn(&str) -> Option<f64>, names: [&str; 2]) -> Option<[u32; 2]> {
    let side = |name| number(name).filter(|side| (1.0..1e9).contains(side)).map(|side| side.round() as u32);
    side(names[0]).zip(side(names[1])).map(Into::into)
}

/// Says how many objects had segments that overlap.
pub fn note_united(part: &mut Part, united: usize) {
    let objects = match united {
        0 => return,
        1 => "1 object has".to_owned(),
        several => format!("{several} objects have"),
    };
    part.assumed.push(format!(
        "{objects} segments that overlap, which this layout unites and rows would take for holes; each became the outline of \
         its pixels"
    ));
}

/// The frame of boxes that are fractions of an image that is yet to be turned.
fn of_fractions(turn: Turn) -> Chosen {
    let reason = if turn == Turn::NONE { Reason::Plain } else { Reason::Asked };
    Chosen { frame: Frame { turn, ..Frame::FRACTIONS }, reason }
}

fn evidence(draft: &Draft) -> Evidence {
    Evidence {
        declared: draft.declared,
        stored: StoredSize::read(&draft.path),
        boxes: draft.objects.iter().filter_map(DraftObject::box_or_bounds).filter(is_box).collect(),
    }
}

/// Adds an image of `size` pixels whose numbers are of `frame`; and how many of its objects had segments that overlap.
pub fn add(part: &mut Part, draft: Draft, frame: &Frame, size: Option<[u32; 2]>) -> usize {
    let mut united = 0;
    let (path, described) = (draft.path.clone(), draft.objects.len() + draft.lost);
    let mut image = LabelledImage { path: draft.path, size, objects: Vec::with_capacity(draft.objects.len()) };
    for object in draft.objects {
        let place = object.place.clone();
        match object.settled(frame, size) {
            Ok(settled) => {
                part.cut += usize::from(settled.cut);
                united += usize::from(settled.united);
                for (segment, reason) in settled.faults {
                    part.note(&draft.source, format!("{place}, segment {segment}"), reason);
                }
                if let Some(reason) = settled.apart {
                    part.note(&draft.source, place, reason);
                }
                image.objects.push(settled.object);
            }
            Err(reason) => part.leave_out(&draft.source, place, reason),
        }
    }
    if described > 0 && image.objects.is_empty() {
        // Without its objects it would teach that nothing is there.
        let reason = format!("{}: none of its objects can be used, so that the image is left out too", path.display());
        part.leave_out_image(&draft.source, draft.place, reason, 0);
        part.barren += 1;
        return united;
    }
    part.images.push(image);
    united
}
