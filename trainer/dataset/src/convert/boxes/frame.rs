//! What the numbers of an annotation are counted in: pixels of the image file as it is seen, as it is stored, or of the size
//! that the annotation declares; or fractions.
//!
//! An annotation that declares another size than its image has was made from another version of it: a photograph whose EXIF
//! rotation was not applied, or a copy of another size. Which one the boxes belong to is told by where they fit.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use models::host::{self, Limits, Turn};

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

    /// By how much the furthest of the boxes sticks out, as a fraction of a side; 0 where all lie inside.
    fn overhang(&self, boxes: &[[f64; 4]]) -> f64 {
        let [width, height] = self.size;
        let one = |[x1, y1, x2, y2]: &[f64; 4]| {
            [-x1 / width, -y1 / height, x2 / width - 1.0, y2 / height - 1.0].into_iter().fold(0.0, f64::max)
        };
        boxes.iter().map(one).fold(0.0, f64::max)
    }
}

/// Width and height of an image file as they are stored, and what turns it upright.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Pixels, before any EXIF rotation.
    pub size: [u32; 2],
    /// What EXIF says.
    pub turn: Turn,
}

impl Stored {
    /// Reads the header of a file; nothing where it is not there or no image.
    #[must_use]
    pub fn read(path: &Path) -> Option<Self> {
        const HEAD: u64 = 64 << 10;
        let limits = Limits::default();
        let mut file = File::open(path).ok()?;
        let size = file.metadata().ok()?.len();
        let mut bytes = Vec::new();
        file.by_ref().take(HEAD).read_to_end(&mut bytes).ok()?;
        let header = host::probe_head(&bytes, size, &limits).or_else(|error| {
            if size <= HEAD || file.take(limits.max_bytes).read_to_end(&mut bytes).is_err() {
                return Err(error);
            }
            host::probe(&bytes, &limits)
        });
        let header = header.ok()?;
        Some(Self { size: [header.width, header.height], turn: header.turn })
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
    /// Declared before the EXIF rotation; the boxes fit the image as it is seen.
    SeenUpright,
    /// Declared before the EXIF rotation, and so are the boxes.
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
                "declare the size before their EXIF rotation; their boxes are taken in the rotated image, as it is seen (--sizes stored takes the other reading)"
            }
            Self::BeforeRotation => {
                "declare the size before their EXIF rotation and have boxes that fit only there; these are turned with the image"
            }
            Self::DeclaredWrong => {
                "declare another size than their file has; their boxes fit the file and are taken in its pixels"
            }
            Self::Resized => {
                "declare another size than their file has; their boxes fit only the declared size and are scaled to the file"
            }
            Self::Asked => "declare another size than their file has; their boxes are read as --sizes asks",
        };
        let images = if images == 1 { "1 image".to_owned() } else { format!("{images} images") };
        Some(format!("{images}: annotations {what}"))
    }
}

/// Sticking out by at most this fraction of a side still fits.
const SLACK: f64 = 0.02;

/// What is known of one image whose boxes are to be measured.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evidence {
    /// Width and height that the annotation declares, in pixels.
    pub declared: Option<[u32; 2]>,
    /// What the file says, where there is one.
    pub stored: Option<Stored>,
    /// Corners `x1 y1 x2 y2` of its boxes, in pixels.
    pub boxes: Vec<[f64; 4]>,
}

/// Two readings of one image's boxes.
struct Readings {
    first: Chosen,
    second: Chosen,
    /// Whether the first holds where boxes fit both and no other image of the set decides.
    first_by_default: bool,
}

impl Readings {
    /// The reading that the boxes leave, where they fit just one.
    fn decided(&self, boxes: &[[f64; 4]]) -> Option<Chosen> {
        let fits = |chosen: &Chosen| chosen.frame.overhang(boxes) <= SLACK;
        match (fits(&self.first), fits(&self.second)) {
            (true, false) => Some(self.first),
            (false, true) => Some(self.second),
            (true, true) | (false, false) => None,
        }
    }
}

/// Decides what the boxes of each image of a set are measured in. Where they fit two readings, the other images of the set
/// decide, if these agree: a set comes from one tool.
///
/// # Errors
/// For each image what is not known: no size at all, or two sizes between which nothing decides.
pub fn choose(images: &[Evidence], sizes: Sizes) -> Vec<Result<Chosen, String>> {
    let known: Vec<Result<Result<Chosen, Readings>, String>> =
        images.iter().map(|image| readings(image, sizes)).collect();
    let decided = |(image, known): (&Evidence, &Result<Result<Chosen, Readings>, String>)| match known {
        Ok(Err(readings)) => readings.decided(&image.boxes).map(|chosen| chosen.reason),
        Ok(Ok(_)) | Err(_) => None,
    };
    let votes: BTreeSet<Reason> = images.iter().zip(&known).filter_map(decided).collect();
    let settle = |(image, known): (&Evidence, Result<Result<Chosen, Readings>, String>)| match known? {
        Ok(chosen) => Ok(chosen),
        Err(readings) => settled(image, &readings, &votes),
    };
    images.iter().zip(known).map(settle).collect()
}

fn settled(image: &Evidence, readings: &Readings, votes: &BTreeSet<Reason>) -> Result<Chosen, String> {
    let Readings { first, second, first_by_default } = readings;
    if image.boxes.is_empty() {
        return Ok(Chosen { reason: Reason::Plain, ..*first });
    }
    if let Some(chosen) = readings.decided(&image.boxes) {
        return Ok(chosen);
    }
    match (votes.contains(&first.reason), votes.contains(&second.reason)) {
        (true, false) => Ok(*first),
        (false, true) => Ok(*second),
        (true, true) | (false, false) if *first_by_default => Ok(*first),
        (true, true) | (false, false) => Err(undecided(image)),
    }
}

/// The reading that is plain, or the two that there are.
fn readings(image: &Evidence, sizes: Sizes) -> Result<Result<Chosen, Readings>, String> {
    let plain = |size: [u32; 2]| Ok(Ok(Chosen { frame: Frame::pixels(size), reason: Reason::Plain }));
    let (declared, stored) = match (image.declared, image.stored) {
        (None, None) => {
            return Err("its size is neither in the annotation nor can it be read from the image".to_owned());
        }
        (Some(declared), None) => return plain(declared),
        (None, Some(stored)) if sizes != Sizes::Stored => return plain(stored.upright()),
        (None, Some(stored)) => (stored.size, stored),
        (Some(declared), Some(stored)) => (declared, stored),
    };
    let upright = Frame::pixels(stored.upright());
    let turned = Frame { size: stored.size.map(f64::from), turn: stored.turn };
    let asked = match sizes {
        Sizes::Fitting => None,
        Sizes::Upright => Some(upright),
        Sizes::Stored => Some(turned),
        Sizes::Declared => Some(Frame::pixels(declared)),
    };
    if let Some(frame) = asked {
        let reason = if frame == upright { Reason::Plain } else { Reason::Asked };
        return Ok(Ok(Chosen { frame, reason }));
    }
    if agree(declared, stored.upright()) {
        return plain(stored.upright());
    }
    // Browsers and most tools show an image upright, so that is where its boxes were drawn, unless they do not fit there.
    let rotated = agree(declared, stored.size);
    let (first, second) = match rotated {
        true => ((upright, Reason::SeenUpright), (turned, Reason::BeforeRotation)),
        false => ((upright, Reason::DeclaredWrong), (Frame::pixels(declared), Reason::Resized)),
    };
    let chosen = |(frame, reason)| Chosen { frame, reason };
    Ok(Err(Readings { first: chosen(first), second: chosen(second), first_by_default: rotated }))
}

/// Sizes that differ by no more than rounding does.
fn agree(a: [u32; 2], b: [u32; 2]) -> bool {
    a.iter().zip(&b).all(|(a, b)| a.abs_diff(*b) <= 1)
}

fn undecided(image: &Evidence) -> String {
    let [declared, file] = [image.declared, image.stored.map(|stored| stored.upright())].map(Option::unwrap_or_default);
    format!(
        "its annotation declares {} x {} pixels and the file has {} x {}; its boxes do not show which they are counted in: say so with --sizes declared or --sizes upright",
        declared[0], declared[1], file[0], file[1]
    )
}
