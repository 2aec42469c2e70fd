//! Decoded images kept in a folder for other runs on the same images, such as the trials of a sweep, so that nothing is decoded twice.
//!
//! An image is found by the SHA-256 of its file, so that a file that was changed is another image. It is written aside and gets its name
//! when it is complete. What cannot be read or written is no error: the image is then decoded.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use models::host::{DecodeError, Rgb};
use sha2::{Digest, Sha256};

/// First bytes of a kept image, with the version of what follows: width and height, 32 bits each, little-endian, then rows of RGB.
const MAGIC: [u8; 8] = *b"FovRGB\x01\n";
/// Bytes before the pixels.
const HEADER: usize = MAGIC.len() + 8;
/// How the names of kept images end.
const EXTENSION: &str = "rgb";

/// A folder of decoded images.
pub(crate) struct Kept {
    folder: PathBuf,
    /// Bytes that may still be written.
    left: Mutex<u64>,
}

impl Kept {
    /// The images in a folder, which may grow to so many bytes in all. It is made when the first is written.
    pub fn new(folder: &Path, budget: u64) -> Self {
        let used: u64 = fs::read_dir(folder)
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| entry.metadata().ok())
            .map(|m| m.len())
            .sum();
        Self { folder: folder.to_owned(), left: Mutex::new(budget.saturating_sub(used)) }
    }

    /// The image in a file with these bytes: the kept one, or what `decode` makes of it, which is then kept.
    ///
    /// # Errors
    /// Those of `decode`.
    pub fn image(&self, bytes: &[u8], decode: impl FnOnce() -> Result<Rgb, DecodeError>) -> Result<Rgb, DecodeError> {
        let name: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let path = self.folder.join(name).with_extension(EXTENSION);
        if let Some(image) = read(&path) {
            return Ok(image);
        }
        let image = decode()?;
        let size = (HEADER + image.data.len()) as u64;
        if self.takes(size) && self.write(&path, &image).is_err() {
            // Where one cannot be written, a full disk say, the next need not be tried.
            self.takes(u64::MAX);
        }
        Ok(image)
    }

    /// Whether there is room for so many bytes, which are then taken. Where there is not, there is none for less either: which images
    /// are kept shall not depend on their order.
    fn takes(&self, size: u64) -> bool {
        let Ok(mut left) = self.left.lock() else { return false };
        let fits = size <= *left;
        *left = if fits { *left - size } else { 0 };
        fits
    }

    fn write(&self, path: &Path, image: &Rgb) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        let mut file = tempfile::Builder::new().prefix(".partial-").tempfile_in(&self.folder)?;
        file.write_all(&MAGIC)?;
        file.write_all(&image.width.to_le_bytes())?;
        file.write_all(&image.height.to_le_bytes())?;
        file.write_all(&image.data)?;
        // Another run may have kept the same image in the meantime.
        file.persist(path).map(drop).map_err(|error| error.error)
    }
}

/// A kept image, if it is there and whole.
fn read(path: &Path) -> Option<Rgb> {
    let mut bytes = fs::read(path).ok()?;
    let header = bytes.get(..HEADER)?;
    let side = |at: usize| header.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes);
    let (width, height) = (side(MAGIC.len())?, side(MAGIC.len() + 4)?);
    let pixels = u64::from(width).checked_mul(u64::from(height))?.checked_mul(3)?;
    if header[..MAGIC.len()] != MAGIC || (bytes.len() - HEADER) as u64 != pixels {
        return None;
    }
    bytes.drain(..HEADER);
    Some(Rgb { width, height, data: bytes })
}

/// Removes the kept images of a folder, and the folder if nothing else is in it.
///
/// # Errors
/// When an image cannot be removed.
pub fn clear_kept(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let is_ours = path.extension().is_some_and(|e| e == EXTENSION)
            && stem.len() == 64
            && stem.bytes().all(|b| b.is_ascii_hexdigit());
        if is_ours {
            fs::remove_file(&path)?;
        }
    }
    // With something else in it, it stays.
    let _ = fs::remove_dir(folder);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(value: u8) -> Rgb {
        Rgb { width: 2, height: 1, data: vec![value; 6] }
    }

    fn never() -> Result<Rgb, DecodeError> {
        panic!("it is kept")
    }

    #[test]
    fn an_image_is_decoded_once_in_whatever_run() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("images");
        let kept = Kept::new(&place, 1 << 20);
        assert_eq!(kept.image(b"one", || Ok(image(1))).unwrap(), image(1));
        assert_eq!(kept.image(b"one", never).unwrap(), image(1));
        assert_eq!(Kept::new(&place, 0).image(b"one", never).unwrap(), image(1));
        assert_eq!(kept.image(b"other", || Ok(image(2))).unwrap(), image(2), "another file is another image");
        // What is cut off, or of another kind, is decoded again.
        for entry in fs::read_dir(&place).unwrap() {
            let path = entry.unwrap().path();
            let bytes = fs::read(&path).unwrap();
            fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        }
        assert_eq!(kept.image(b"one", || Ok(image(1))).unwrap(), image(1));
        assert_eq!(kept.image(b"one", never).unwrap(), image(1));
        fs::write(place.join("notes.txt"), "mine").unwrap();
        clear_kept(&place).unwrap();
        assert_eq!(fs::read_dir(&place).unwrap().count(), 1, "what is not ours stays");
    }

    #[test]
    fn the_budget_holds_and_a_folder_that_cannot_be_written_is_no_error() {
        let folder = tempfile::tempdir().unwrap();
        let kept = Kept::new(folder.path(), 50);
        for name in [b"a", b"b", b"c"] {
            kept.image(name, || Ok(image(0))).unwrap();
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "22 bytes each");
        assert_eq!(*Kept::new(folder.path(), 50).left.lock().unwrap(), 6);
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        assert_eq!(Kept::new(&file, 1 << 20).image(b"a", || Ok(image(3))).unwrap(), image(3));
    }
}
