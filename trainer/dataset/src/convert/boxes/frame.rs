//! What the numbers of an annotation are counted in: pixels of the image file as it is seen, as it is stored, or of the size
//! that the annotation declares; or fractions.
//!
//! An annotation that declares another size than its image has was made from another version of it: a photograph whose EXIF
//! rotation was not applied, or a copy of another size. Which one the boxes belong to is told by where they fit.

use std::collections::BTreeSet;
use std::path::Path;

use models::host::{Limits, Turn};

use crate::header;

/// What boxes are measured against.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Frame {
    /// Width and height in the unit of the boxes: pixels, or 1 where they are fractions.
    pub size: [f64; 2],
    /// What turns the frame into the upright image.
    pub turn: Turn,
}

impl Frame {
    /// Of boxes that are fractions of the image as it is seen.
    pub const FRACTIONS: Self = Self { size: [1.0, 1.0], turn: Turn::NONE };

    /// Of boxes in pixels of an image that is seen with `size`.
    #[must_use]
    pub fn pixels(size: [u32; 2]) -> Self {
        Self { size: size.map(f64::from), turn: Turn::NONE }
    }

    /// Points `x1 y1 x2 y2 ..`, fractions of the frame, as fractions of the upright image.
    #[must_use]
    pub fn upright(&self, points: &[f64]) -> Vec<f64> {
        points.chunks_exact(2).flat_map(|point| self.turn.point([point[0], point[1]])).collect()
    }

    /// Whether a box lies inside, or sticks out by no more than people and rounding let it.
    fn holds(&self, [x1, y1, x2, y2]: &[f64; 4]) -> bool {
        let [across, down] = self.size.map(|side| (SLACK * side).max(SLACK_PIXELS.min(SMALL_SLACK * side)));
        let [width, height] = self.size;
        *x1 >= -across && *y1 >= -down && *x2 <= width + across && *y2 <= height + down
    }
}

/// Sticking out by at most this fraction of a side still fits ...
const SLACK: f64 = 0.02;
/// ... or by so many pixels, if these are at most this fraction.
const SLACK_PIXELS: f64 = 3.0;
const SMALL_SLACK: f64 = 0.1;

/// Width and height of an image file as they are stored, and what turns it upright.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredSize {
    /// Pixels, before any EXIF rotation.
    pub size: [u32; 2],
    /// What EXIF says.
    pub turn: Turn,
}

impl StoredSize {
    /// Reads the header of a file; nothing where it is not there or no image.
    #[must_use]
    pub fn read(path: &Path) -> Option<Self> {
        let size = std::fs::metadata(path).ok()?.len();
        let header = header::of_file(path, size, &Limits::default()).ok()?.ok()?;
        Some(Self { size: [header.width, header.height], turn: header.turn })
    }

    /// The frame of boxes from before the rotation.
    #[must_use]
    pub fn frame(&self) -> Frame {
        Frame { size: self.size.map(f64::from), turn: self.turn }
    }

    /// Width and height as they are seen.
    #[must_use]
    pub fn upright(&self) -> [u32; 2] {
        self.turn.size(self.size)
    }
}

/// Which version of the images boxes are counted in, where an annotation declares another size than the file has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sizes {
    /// The one that all boxes fit, or else it is not known.
    #[default]
    Fitting,
    /// The file, as it is seen.
    Upright,
    /// The file, before its EXIF rotation.
    Stored,
    /// The declared size, whatever the file has.
    Declared,
}

/// A frame that was chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Chosen {
    /// What to measure boxes against.
    pub frame: Frame,
    /// Why, where sizes differed.
    pub reason: Reason,
}

/// Why a frame was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// Nothing contradicts it.
    Plain,
    /// The declared size does not know of the EXIF rotation or does not show it; the boxes fit the image as it is seen.
    SeenUpright,
    /// The boxes fit only the image before its EXIF rotation, or those of others of the set do.
    BeforeRotation,
    /// The declared size is wrong; the boxes fit the file.
    DeclaredWrong,
    /// The boxes fit the declared size and not the file, which is a copy of another size.
    Resized,
    /// As asked for.
    Asked,
}

impl Reason {
    /// What was assumed, of so many images; nothing for a plain case.
    #[must_use]
    pub fn note(self, images: usize) -> Option<String> {
        let what = match self {
            Self::Plain => return None,
            Self::SeenUpright => {
                "the declared size does not show whether boxes are from before or after the EXIF rotation; they are taken in the image as it is seen (--sizes stored takes the other reading)"
            }
            Self::BeforeRotation => {
                "boxes are from before the EXIF rotation, where alone they or those of other images fit; they are turned with the image"
            }
            Self::DeclaredWrong => {
                "the declared size is not the file's; boxes fit the file and are taken in its pixels"
            }
            Self::Resized => {
                "the declared size is not the file's; boxes fit only the declared size and are scaled to the file"
            }
            Self::Asked => "the declared size is not the file's; boxes are read as --sizes asks",
        };
        let images = if images == 1 { "1 image".to_owned() } else { format!("{images} images") };
        Some(format!("{images}: {what}"))
    }
}

/// What is known of one image whose boxes are to be measured.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evidence {
    /// Width and height that the annotation declares, in pixels.
    pub declared: Option<[u32; 2]>,
    /// What the file says, where there is one.
    pub stored: Option<StoredSize>,
    /// Corners `x1 y1 x2 y2` of its boxes, in pixels.
    pub boxes: Vec<[f64; 4]>,
}

/// What may be known of the frame of an image.
enum Known {
    /// There is one reading.
    One(Chosen),
    /// There are two.
    Two(Readings),
}

/// Two readings of one image's boxes.
struct Readings {
    first: Chosen,
    second: Chosen,
    /// What holds where boxes fit both and no other image of the set decides.
    otherwise: Otherwise,
    /// Why the second cannot be used, though boxes may fit it alone.
    unusable: Option<String>,
}

/// What holds where nothing decides between two readings.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Otherwise {
    First,
    Neither,
}

impl Readings {
    /// The reading that the boxes leave: all of them fit it but for a few, and fewer fit the other.
    fn decided(&self, boxes: &[[f64; 4]]) -> Option<&Chosen> {
        let misfits = |chosen: &Chosen| boxes.iter().filter(|one| !chosen.frame.holds(one)).count();
        let (first, second) = (misfits(&self.first), misfits(&self.second));
        let better = |few: usize, many: usize| few < many && few * 10 <= boxes.len();
        match (better(first, second), better(second, first)) {
            (true, _) => Some(&self.first),
            (_, true) => Some(&self.second),
            (false, false) => None,
        }
    }

    /// What this image says about the others of its set.
    fn vote(&self, boxes: &[[f64; 4]]) -> Option<Reason> {
        match (self.decided(boxes).map(|chosen| chosen.reason), self.first.reason) {
            // The declared size itself knows of the rotation.
            (None | Some(Reason::Plain), Reason::Plain) => Some(Reason::SeenUpright),
            (decided, _) => decided,
        }
    }

    fn undecided(&self, image: &Evidence) -> String {
        let Frame { size: [width, height], .. } = self.second.frame;
        let Frame { size: [across, down], .. } = self.first.frame;
        let others = if self.unusable.is_some() { "" } else { " or --sizes declared" };
        let boxes = if image.boxes.len() == 1 { "box does" } else { "boxes do" };
        format!(
            "its annotation declares {width} x {height} pixels and the file has {across} x {down}; its {boxes} not show which is meant: say so with --sizes upright{others}"
        )
    }

    fn settled(self, image: &Evidence, votes: &BTreeSet<Reason>) -> Result<Chosen, String> {
        if image.boxes.is_empty() {
            return Ok(Chosen { reason: Reason::Plain, ..self.first });
        }
        let voted = || match (votes.contains(&self.first.reason), votes.contains(&self.second.reason)) {
            (true, false) => Some(&self.first),
            (false, true) => Some(&self.second),
            (true, true) | (false, false) => None,
        };
        let otherwise = || (self.otherwise == Otherwise::First).then_some(&self.first);
        let chosen =
            self.decided(&image.boxes).or_else(voted).or_else(otherwise).ok_or_else(|| self.undecided(image))?;
        match self.unusable {
            Some(reason) if *chosen == self.second => Err(reason),
            Some(_) | None => Ok(*chosen),
        }
    }
}

/// Decides what the boxes of each image of a set are measured in. Where they fit two readings, the other images of the set
/// decide, if these agree: a set comes from one tool.
///
/// # Errors
/// For each image what is not known: no size at all, or two sizes between which nothing decides.
pub fn choose(images: &[Evidence], sizes: Sizes) -> Vec<Result<Chosen, String>> {
    let known: Vec<Result<Known, String>> = images.iter().map(|image| known(image, sizes)).collect();
    let vote = |(image, known): (&Evidence, &Result<Known, String>)| match known {
        Ok(Known::Two(readings)) => readings.vote(&image.boxes),
        Ok(Known::One(_)) | Err(_) => None,
    };
    let votes: BTreeSet<Reason> = images.iter().zip(&known).filter_map(vote).collect();
    let settled = |(image, known): (&Evidence, Result<Known, String>)| match known? {
        Known::One(chosen) => Ok(chosen),
        Known::Two(readings) => readings.settled(image, &votes),
    };
    images.iter().zip(known).map(settled).collect()
}

/// The frame that is known, or the two that it may be.
fn known(image: &Evidence, sizes: Sizes) -> Result<Known, String> {
    let plain = |size: [u32; 2]| Ok(Known::One(Chosen { frame: Frame::pixels(size), reason: Reason::Plain }));
    let stored = match (image.declared, image.stored) {
        (None, None) => {
            return Err("its size is neither in the annotation nor can it be read from the image".to_owned());
        }
        (Some(declared), None) => return plain(declared),
        (_, Some(stored)) => stored,
    };
    let upright = Frame::pixels(stored.upright());
    let asked = match sizes {
        Sizes::Fitting => return Ok(fitting(image.declared, stored)),
        Sizes::Upright => upright,
        Sizes::Stored => stored.frame(),
        Sizes::Declared => image.declared.map_or(upright, |declared| declared_frame(declared, stored)),
    };
    let reason = if asked == upright { Reason::Plain } else { Reason::Asked };
    Ok(Known::One(Chosen { frame: asked, reason }))
}

/// The frames that boxes may fit. Browsers and most tools show an image upright, so that is where its boxes were drawn,
/// unless they do not fit there.
fn fitting(declared: Option<[u32; 2]>, stored: StoredSize) -> Known {
    let upright = Chosen { frame: Frame::pixels(stored.upright()), reason: Reason::Plain };
    let [seen, wrong] = [Reason::SeenUpright, Reason::DeclaredWrong].map(|reason| Chosen { reason, ..upright });
    let turned = Chosen { frame: stored.frame(), reason: Reason::BeforeRotation };
    let rotation =
        |first: Chosen| Known::Two(Readings { first, second: turned, otherwise: Otherwise::First, unusable: None });
    let is_turned = stored.turn != Turn::NONE;
    let as_seen = declared.is_some_and(|declared| agree(declared, stored.upright()));
    let as_stored = declared.is_none_or(|declared| agree(declared, stored.size));
    match (declared, as_seen, as_stored) {
        (_, true, false) if is_turned => rotation(upright),
        (_, _, true) if is_turned => rotation(seen),
        (None, _, _) | (_, true, _) => Known::One(upright),
        (Some(declared), false, _) => {
            let second = Chosen { frame: declared_frame(declared, stored), reason: Reason::Resized };
            let [width, height] = stored.size;
            let unusable = agree(declared, [height, width]).then(|| sideways(declared, stored));
            Known::Two(Readings { first: wrong, second, otherwise: Otherwise::Neither, unusable })
        }
    }
}

/// The declared version of an image, made before its rotation where its shape shows that.
fn declared_frame(declared: [u32; 2], stored: StoredSize) -> Frame {
    // Shapes as logarithms, so that wide and tall differ from a square by the same.
    let shape = |[width, height]: [u32; 2]| (f64::from(width) / f64::from(height)).ln();
    let distance = |size: [u32; 2]| (shape(declared) - shape(size)).abs();
    let before = distance(stored.size) < distance(stored.upright());
    Frame { size: declared.map(f64::from), turn: if before { stored.turn } else { Turn::NONE } }
}

/// Sizes that differ by no more than rounding does.
fn agree(a: [u32; 2], b: [u32; 2]) -> bool {
    a.iter().zip(&b).all(|(a, b)| a.abs_diff(*b) <= 1)
}

fn sideways([width, height]: [u32; 2], stored: StoredSize) -> String {
    let [across, down] = stored.upright();
    format!(
        "its annotation declares {width} x {height} pixels and the file has {across} x {down}; its boxes fit only the declared size, as if the file had been rotated since: rotate it back"
    )
}
