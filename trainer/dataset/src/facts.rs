//! What is known of an image once it has been decoded.

use models::host::{self, Stored};
use sha2::{Digest, Sha256};

use super::look::{Look, look};
use crate::dataset::{self, Cache, Reader, SampleError};
use crate::index::Entry;
use crate::reject::RejectKind;

/// What the checks ask of an image.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    /// Of the file's bytes: equal for copies.
    pub digest: [u8; 16],
    /// How it is stored.
    pub stored: Stored,
    /// Width and height of the upright image in pixels.
    pub size: [u32; 2],
    /// No pixel has a colour, however it is stored.
    pub grey: bool,
    /// What it looks like; nothing where it is of one colour.
    pub look: Option<Look>,
}

/// Decodes the image of a row, into the cache where there is room, and says what is to be known of it.
pub(crate) fn of(reader: &Reader, cache: &Cache, entry: &Entry, slot: usize) -> Result<Facts, SampleError> {
    let bytes = dataset::encoded(reader, cache, entry, slot)?;
    let stored = host::stored(&bytes, &reader.limits)
        .map_err(|error| SampleError::Bad(RejectKind::BadImage, error.to_string()))?;
    let image = dataset::decoded(reader, cache, &bytes, slot)?;
    let mut digest = [0; 16];
    digest.copy_from_slice(&Sha256::digest(&bytes)[..16]);
    let (look, grey) = look(&image);
    Ok(Facts { digest, stored, size: [image.width, image.height], grey, look })
}
