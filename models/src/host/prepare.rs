//! From a decoded image to the network's input, and the geometry that training shares with it.

use schemas::preprocessing::{Fit, Interpolation, Preprocessing};

use super::resize::{Axis, Resizer, resize};
use super::rgb::{Region, Rgb};
use super::tiles::Tile;

/// Size after the shorter side is resized to `resize` pixels: the longer becomes `resize * long / short`, rounded down.
#[must_use]
pub fn prepared_size(width: u32, height: u32, resize: u32) -> (u32, u32) {
    let resize = resize.max(1);
    let (short, long) = (width.min(height).max(1), width.max(height).max(1));
    let longer = u64::from(resize) * u64::from(long) / u64::from(short);
    let longer = u32::try_from(longer).unwrap_or(u32::MAX);
    if width <= height { (resize, longer) } else { (longer, resize) }
}

/// The network's input for an image, as [`Fit`] says.
///
/// For a classifier it equals torchvision's `Resize` and `CenterCrop` on a Pillow image. Only pixels inside the square are
/// computed. When `crop` is above `resize` (a plan never is), what is missing on either side is black, as it is there. The
/// result is always `crop` x `crop` pixels. For a detector see [`super::Placement`].
///
/// # Panics
/// When the fields of `src` contradict each other.
#[must_use]
pub fn prepare(src: &Rgb, p: &Preprocessing) -> Rgb {
    Resizer::default().prepare(src, p)
}

impl Resizer {
    /// As the function [`prepare`].
    ///
    /// # Panics
    /// When the fields of `src` contradict each other.
    #[must_use]
    pub fn prepare(&mut self, src: &Rgb, p: &Preprocessing) -> Rgb {
        src.check();
        match p.fit {
            Fit::Crop { resize, crop } => self.cut(src, resize, crop.max(1), p.interpolation),
            Fit::Letterbox { .. } | Fit::Shorter { .. } => self.frame(src, p),
        }
    }

    /// Cuts `from` out of `src`, resizes it to `width` x `height` pixels, and returns what of that lies in `window`; only this is
    /// computed.
    ///
    /// # Panics
    /// When `from` does not lie in `src`, or `window` not in the result.
    #[must_use]
    pub fn resize_part(
        &mut self,
        src: &Rgb,
        from: Tile,
        (width, height): (u32, u32),
        window: Tile,
        filter: Interpolation,
    ) -> Rgb {
        assert!(from.x1 <= src.width && from.y1 <= src.height, "{from:?} of {}x{} pixels", src.width, src.height);
        assert!(window.x1 <= width && window.y1 <= height, "{window:?} of {width}x{height} pixels");
        let x = Axis { skip: window.x0, keep: window.width(), ..Axis::whole(from.x0, from.width(), width) };
        let y = Axis { skip: window.y0, keep: window.height(), ..Axis::whole(from.y0, from.height(), height) };
        self.window(src, x, y, filter)
    }

    fn cut(&mut self, src: &Rgb, resize: u32, crop: u32, filter: Interpolation) -> Rgb {
        let (width, height) = prepared_size(src.width, src.height, resize);
        let (x, left) = centred(src.width, width, crop);
        let (y, top) = centred(src.height, height, crop);
        let window = self.window(src, x, y, filter);
        if (window.width, window.height) == (crop, crop) {
            return window;
        }
        let mut padded = Rgb::filled(crop, crop, [0; 3]);
        let stride = padded.stride();
        for (line, source) in
            padded.data.chunks_exact_mut(stride).skip(top as usize).zip(window.data.chunks_exact(window.stride()))
        {
            line[left as usize * 3..][..source.len()].copy_from_slice(source);
        }
        padded
    }

    /// As the function [`crop_resize`].
    ///
    /// # Panics
    /// When the fields of `src` contradict each other.
    #[must_use]
    pub fn crop_resize(&mut self, src: &Rgb, region: Region, width: u32, height: u32, filter: Interpolation) -> Rgb {
        src.check();
        let edge = |value: f64, most: u32| {
            let value = if value.is_nan() { 0.0 } else { value };
            value.round_ties_even().clamp(0.0, f64::from(most)) as u32
        };
        let left = edge(region.x0, src.width - 1);
        let top = edge(region.y0, src.height - 1);
        let right = edge(region.x1, src.width).max(left + 1);
        let bottom = edge(region.y1, src.height).max(top + 1);
        let x = Axis::whole(left, right - left, width);
        let y = Axis::whole(top, bottom - top, height);
        self.window(src, x, y, filter)
    }
}

/// Cuts whole pixels out, then resizes the piece: torchvision's `resized_crop`. It differs from [`resize`] with the same
/// region at the edges, where the filter there still sees the pixels around. Edges of the region are rounded to whole
/// pixels (halves to even) and moved inside the image; an empty one becomes a single pixel.
///
/// # Panics
/// When the fields of `src` contradict each other.
#[must_use]
pub fn crop_resize(src: &Rgb, region: Region, width: u32, height: u32, filter: Interpolation) -> Rgb {
    Resizer::default().crop_resize(src, region, width, height, filter)
}

/// The part of a resize along one axis that a centred crop keeps, and where in the crop it starts.
fn centred(size: u32, full: u32, crop: u32) -> (Axis, u32) {
    let all = Axis::whole(0, size, full);
    if full < crop {
        return (all, (crop - full) / 2);
    }
    let spare = full - crop;
    // Half of an odd number lies between two offsets: the even one.
    let skip = spare / 2 + u32::from(spare % 4 == 3);
    let axis = Axis { skip, keep: crop, ..all };
    (axis, 0)
}

/// Mirrors left and right.
pub fn flip_horizontal(image: &mut Rgb) {
    let stride = image.stride();
    for row in image.data.chunks_exact_mut(stride.max(1)) {
        row.as_chunks_mut::<3>().0.reverse();
    }
}

/// Shrinks so that the longer side is `max_side` pixels (at least 1), keeping the proportions; a smaller image is returned as
/// it is.
///
/// # Panics
/// When the fields of `image` contradict each other.
#[must_use]
pub fn thumbnail(image: &Rgb, max_side: u32) -> Rgb {
    let long = image.width.max(image.height);
    let max_side = max_side.max(1);
    if long <= max_side {
        return image.clone();
    }
    let scaled = |side: u32| {
        let rounded = (u64::from(side) * u64::from(max_side) + u64::from(long) / 2) / u64::from(long);
        u32::try_from(rounded).unwrap_or(max_side).max(1)
    };
    let (width, height) = (scaled(image.width), scaled(image.height));
    resize(image, Region::whole(image), width, height, Interpolation::Bicubic)
}
