//! The samples of one part (training, validation, test): classes or objects, row, and image on demand.

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use models::host::{self, DecodeError, Limits, Rgb};
use schemas::dataset::parse_object;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::error::DataError;
use super::fetch::Fetcher;
use super::index::{Entry, Files};
use super::kept::Kept;
use super::location::Location;
use super::reject::{RejectKind, Rejection};
use super::target::{Object, Targets};

/// What a loader draws from. [`Dataset`] is the real one.
pub trait Images: Send + Sync {
    /// Number of samples.
    fn len(&self) -> usize;
    /// Whether there is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Classes of a sample, ascending: one, or, where a sample may have any number, so many; none where it has objects.
    fn classes(&self, index: usize) -> &[u32] {
        let _ = index;
        &[]
    }
    /// Objects of a sample; none where it has classes.
    fn objects(&self, index: usize) -> &[Object] {
        let _ = index;
        &[]
    }
    /// The decoded image.
    ///
    /// # Errors
    /// [`SampleError`].
    fn image(&self, index: usize) -> Result<Arc<Rgb>, SampleError>;
    /// The decoded image, or only its first rows: where that saves work, `rows` is asked once, with width and height of the
    /// image, how many rows are needed. If it is not asked, the image is whole.
    ///
    /// # Errors
    /// [`SampleError`].
    fn top(&self, index: usize, rows: &mut dyn FnMut(u32, u32) -> u32) -> Result<Arc<Rgb>, SampleError> {
        let _ = rows;
        self.image(index)
    }
    /// Width and height of an image in pixels, decoding as little of it as possible.
    ///
    /// # Errors
    /// [`SampleError`].
    fn size(&self, index: usize) -> Result<[u32; 2], SampleError> {
        let mut size = None;
        let image = self.top(index, &mut |width, height| {
            size = Some([width, height]);
            1
        })?;
        Ok(size.unwrap_or([image.width, image.height]))
    }
    /// Name of the image, for people: the end of its `image_url`.
    fn name(&self, index: usize) -> String {
        let row = self.rejection(index, RejectKind::BadImage, String::new());
        let url = row.image_url.unwrap_or_default();
        url.rsplit('/').next().unwrap_or_default().to_owned()
    }
    /// The row of a sample as a rejection.
    fn rejection(&self, index: usize, kind: RejectKind, reason: String) -> Rejection;
}

/// Why a sample has no image.
#[derive(Debug)]
pub enum SampleError {
    /// The image is at fault; the sample can be left out.
    Bad(RejectKind, String),
    /// The data set is at fault.
    Fatal(DataError),
}

impl From<DataError> for SampleError {
    fn from(error: DataError) -> Self {
        Self::Fatal(error)
    }
}

/// Images kept in memory: all of a kind, or none, so that what fits is decided once.
pub(crate) enum Cache {
    None,
    /// File contents, where only these fit the budget.
    Encoded(Vec<OnceLock<Arc<[u8]>>>),
    /// Decoded images.
    Decoded(Vec<OnceLock<Arc<Rgb>>>),
}

impl Cache {
    /// The best kind whose total stays within `budget` bytes for `n` images of so many bytes in all.
    pub fn plan(n: usize, sizes: Sizes, budget: u64) -> Self {
        if n == 0 || budget == 0 {
            Self::None
        } else if sizes.decoded <= budget {
            Self::Decoded((0..n).map(|_| OnceLock::new()).collect())
        } else if sizes.encoded <= budget {
            Self::Encoded((0..n).map(|_| OnceLock::new()).collect())
        } else {
            Self::None
        }
    }

    /// Keeps the slots at `keep`, which is strictly ascending.
    pub fn retain(&mut self, keep: &[u32]) {
        fn pick<T>(slots: &mut Vec<T>, keep: &[u32]) {
            let mut wanted = keep.iter().peekable();
            let mut at = 0u32;
            slots.retain(|_| {
                let kept = wanted.next_if(|&&k| k == at).is_some();
                at += 1;
                kept
            });
        }
        match self {
            Self::None => {}
            Self::Encoded(slots) => pick(slots, keep),
            Self::Decoded(slots) => pick(slots, keep),
        }
    }
}

/// Bytes of a set of images.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// As files.
    pub encoded: u64,
    /// As RGB.
    pub decoded: u64,
}

/// Where rows and images are read from; shared by the parts of a data set.
pub(crate) struct Reader {
    pub files: Files,
    pub fetcher: Fetcher,
    pub limits: Limits,
    /// What stands for the cloud storage in addresses.
    pub data_root: Option<PathBuf>,
    /// Images that were decoded before.
    pub kept: Option<Kept>,
}

impl Reader {
    /// Local path of a row's image, fetched if it has a URL.
    pub fn local(&self, entry: &Entry) -> Result<PathBuf, SampleError> {
        match self.files.location(entry)?.1 {
            Location::File(path) => Ok(path),
            Location::Http(url) => self.fetcher.fetch(&url).map_err(|e| SampleError::Bad(RejectKind::MissingFile, e)),
        }
    }

    /// Path and size of a regular file within the limits.
    pub fn sized(&self, entry: &Entry) -> Result<(PathBuf, u64), SampleError> {
        let missing = |reason| SampleError::Bad(RejectKind::MissingFile, reason);
        let path = self.local(entry)?;
        let facts = std::fs::metadata(&path).map_err(|e| missing(format!("{}: {e}", path.display())))?;
        if !facts.is_file() {
            return Err(missing(format!("{} is not a file", path.display())));
        }
        let limit = self.limits.max_bytes;
        if facts.len() > limit {
            let reason = format!("{} has {} bytes, the limit is {limit}", path.display(), facts.len());
            return Err(SampleError::Bad(RejectKind::BadImage, reason));
        }
        Ok((path, facts.len()))
    }

    /// Contents of a row's image file.
    pub fn bytes(&self, entry: &Entry) -> Result<Vec<u8>, SampleError> {
        let (path, _) = self.sized(entry)?;
        std::fs::read(&path).map_err(|e| SampleError::Bad(RejectKind::MissingFile, format!("{}: {e}", path.display())))
    }

    pub fn decode(&self, bytes: &[u8]) -> Result<Rgb, SampleError> {
        let decode = || host::decode(bytes, &self.limits);
        let image = self.kept.as_ref().map_or_else(decode, |kept| kept.image(bytes, decode));
        image.map_err(|error| bad_image(&error))
    }

    pub fn rejection(&self, entry: &Entry, kind: RejectKind, reason: String) -> Rejection {
        Rejection {
            source: self.files.path(entry).display().to_string(),
            line: u64::from(entry.line),
            image_url: self.files.location(entry).ok().map(|(url, _)| url),
            kind,
            reason,
        }
    }
}

fn bad_image(error: &DecodeError) -> SampleError {
    SampleError::Bad(RejectKind::BadImage, error.to_string())
}

/// Names of the classes.
#[derive(Clone)]
pub(crate) struct Labels {
    /// In the order of the model's outputs.
    pub names: Arc<[String]>,
    /// Whether rows write them as numbers.
    pub are_integers: bool,
}

/// The samples of one part. Costs 28 bytes a sample, or 32 and 4 a class or 24 an object, plus what the cache was allowed.
pub struct Dataset {
    labels: Labels,
    entries: Vec<Entry>,
    targets: Targets,
    reader: Arc<Reader>,
    cache: Cache,
    checked: bool,
}

impl Dataset {
    pub(crate) fn new(
        labels: Labels,
        entries: Vec<Entry>,
        targets: Targets,
        reader: Arc<Reader>,
        cache: Cache,
    ) -> Self {
        Self { labels, entries, targets, reader, cache, checked: false }
    }

    /// Says whether every image has been decoded in full. Only then may [`Images::top`] decode less: damage below the
    /// part that is needed would otherwise be found or not, depending on the crop.
    pub(crate) fn checked(self, checked: bool) -> Self {
        Self { checked, ..self }
    }

    /// Whether every image was decoded in full before training.
    pub fn is_checked(&self) -> bool {
        self.checked
    }

    /// Class names, in the order of the model's outputs.
    pub fn labels(&self) -> &[String] {
        &self.labels.names
    }

    /// Samples of each class, or objects where samples have objects.
    pub fn class_counts(&self) -> Vec<usize> {
        self.targets.counts(self.labels.names.len())
    }

    /// `image_url` as written.
    ///
    /// # Errors
    /// The JSONL file changed or cannot be read.
    pub fn image_url(&self, index: usize) -> Result<String, DataError> {
        self.reader.files.location(&self.entries[index]).map(|(url, _)| url)
    }

    /// `file:line` of the row.
    pub fn place(&self, index: usize) -> String {
        let entry = &self.entries[index];
        format!("{}:{}", self.reader.files.path(entry).display(), entry.line)
    }

    /// Lower-case hexadecimal SHA-256 over labels and rows (`image_url` as written and classes or objects, in order). Equal for the same
    /// data on another machine.
    ///
    /// # Errors
    /// The JSONL file changed or cannot be read.
    pub fn fingerprint(&self) -> Result<String, DataError> {
        let mut hash = Sha256::new();
        let mut part = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        self.labels.names.iter().for_each(|label| part(label.as_bytes()));
        for index in 0..self.entries.len() {
            part(self.image_url(index)?.as_bytes());
            match &self.targets {
                Targets::Classes(_) | Targets::Sets(_) => {
                    part(
                        &self.targets.classes(index).iter().flat_map(|class| class.to_le_bytes()).collect::<Vec<u8>>(),
                    );
                }
                Targets::Objects(objects) => {
                    let bytes = |o: &Object| {
                        let corners = o.corners.iter().flat_map(|value| value.to_le_bytes());
                        let rings = o.outline.iter().flat_map(|outline| &outline.rings);
                        let points = rings.flatten().flatten().flat_map(|value| value.to_le_bytes());
                        let class = o.class.to_le_bytes();
                        corners.chain(class).chain([u8::from(o.is_crowd)]).chain(points).collect::<Vec<u8>>()
                    };
                    part(&objects.of(index).iter().flat_map(bytes).collect::<Vec<u8>>());
                }
            }
        }
        Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// The row as JSON, its `image_url` made absolute; everything else as written, except that the label of a detection row
    /// lists the objects as they are used, which read back as the same.
    pub(crate) fn row(&self, index: usize) -> Result<Map<String, Value>, DataError> {
        let entry = &self.entries[index];
        let (_, location) = self.reader.files.location(entry)?;
        let text = self.reader.files.text(entry)?;
        let changed = |reason: String| DataError::Source {
            path: self.reader.files.path(entry).clone(),
            message: format!("line {}: {reason}", entry.line),
        };
        let mut row = parse_object(&text).map_err(|e| changed(e.to_string()))?;
        if let Targets::Objects(objects) = &self.targets {
            // What the older forms of a detection row hold beside the list.
            for key in ["imageUrl", "topX", "topY", "bottomX", "bottomY", "isCrowd"] {
                row.shift_remove(key);
            }
            let label = objects.of(index).iter().map(|object| self.object_json(object)).collect();
            row.insert("label".to_owned(), Value::Array(label));
        }
        row.insert("image_url".to_owned(), location.to_image_url().into());
        Ok(row)
    }

    fn object_json(&self, object: &Object) -> Value {
        let name = &self.labels.names[object.class as usize];
        let label = match name.parse::<i64>() {
            Ok(number) if self.labels.are_integers => Value::from(number),
            Ok(_) | Err(_) => Value::from(name.as_str()),
        };
        if let Some(outline) = &object.outline {
            let polygon: Vec<&[f64]> = outline.rings.iter().map(|ring| ring.as_flattened()).collect();
            return json!({ "label": label, "polygon": polygon, "isCrowd": object.is_crowd });
        }
        let [top_x, top_y, bottom_x, bottom_y] = object.corners.map(shortest);
        json!({
            "label": label, "topX": top_x, "topY": top_y, "bottomX": bottom_x, "bottomY": bottom_y,
            "isCrowd": object.is_crowd,
        })
    }
}

/// The number of fewest digits that reads back as `value`.
fn shortest(value: f32) -> f64 {
    let short = value.to_string().parse::<f64>().unwrap_or_default();
    if short as f32 == value { short } else { f64::from(value) }
}

impl Images for Dataset {
    fn len(&self) -> usize {
        self.entries.len()
    }

    fn classes(&self, index: usize) -> &[u32] {
        self.targets.classes(index)
    }

    fn objects(&self, index: usize) -> &[Object] {
        match &self.targets {
            Targets::Classes(_) | Targets::Sets(_) => &[],
            Targets::Objects(objects) => objects.of(index),
        }
    }

    fn image(&self, index: usize) -> Result<Arc<Rgb>, SampleError> {
        image(&self.reader, &self.cache, &self.entries[index], index)
    }

    fn top(&self, index: usize, rows: &mut dyn FnMut(u32, u32) -> u32) -> Result<Arc<Rgb>, SampleError> {
        if !self.checked || matches!(self.cache, Cache::Decoded(_)) {
            return self.image(index);
        }
        let bytes = encoded(&self.reader, &self.cache, &self.entries[index], index)?;
        host::decode_top(&bytes, &self.reader.limits, rows).map(Arc::new).map_err(|error| bad_image(&error))
    }

    fn rejection(&self, index: usize, kind: RejectKind, reason: String) -> Rejection {
        self.reader.rejection(&self.entries[index], kind, reason)
    }
}

/// The image of a row, from the cache where it is there, into it where there is room.
pub(crate) fn image(reader: &Reader, cache: &Cache, entry: &Entry, slot: usize) -> Result<Arc<Rgb>, SampleError> {
    if let Cache::Decoded(slots) = cache
        && let Some(image) = slots[slot].get()
    {
        return Ok(Arc::clone(image));
    }
    decoded(reader, cache, &encoded(reader, cache, entry, slot)?, slot)
}

/// The image of a row whose file is at hand, into the cache where there is room.
pub(crate) fn decoded(reader: &Reader, cache: &Cache, bytes: &[u8], slot: usize) -> Result<Arc<Rgb>, SampleError> {
    let image = Arc::new(reader.decode(bytes)?);
    match cache {
        Cache::None | Cache::Encoded(_) => Ok(image),
        Cache::Decoded(slots) => Ok(Arc::clone(slots[slot].get_or_init(|| image))),
    }
}

/// The file of a row, from the cache or into it if that keeps files.
pub(crate) fn encoded<'a>(
    reader: &Reader,
    cache: &'a Cache,
    entry: &Entry,
    slot: usize,
) -> Result<Cow<'a, [u8]>, SampleError> {
    let Cache::Encoded(slots) = cache else { return reader.bytes(entry).map(Cow::Owned) };
    let bytes = match slots[slot].get() {
        Some(bytes) => bytes,
        None => {
            let bytes = reader.bytes(entry)?;
            slots[slot].get_or_init(|| bytes.into())
        }
    };
    Ok(Cow::Borrowed(bytes))
}
