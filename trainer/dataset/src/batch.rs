//! Finished views and the batches they are put into.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::Sender;
use models::host::mask::Outline;
use models::host::{Rgb, Tile};

/// An object in a view.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// `x1 y1 x2 y2` in pixels of the network's input.
    pub corners: [f32; 4],
    /// Index into the labels.
    pub class: usize,
    /// A group of objects: trained on, but left out of metrics.
    pub is_crowd: bool,
    /// What it covers, in the same pixels, where the task outlines objects.
    pub outline: Option<Arc<Outline>>,
}

/// One finished view.
#[derive(Clone, Debug)]
pub(crate) struct View {
    /// Sample in the data set.
    pub index: usize,
    /// What the network gets.
    pub image: Arc<Rgb>,
    /// What a detector needs to know besides.
    pub scene: Option<Scene>,
}

/// What a view for a detector shows.
#[derive(Clone, Debug)]
pub(crate) struct Scene {
    /// In pixels of the view.
    pub objects: Vec<Target>,
    /// Height and width of the image or tile that the view was made of.
    pub size: [u32; 2],
    /// Rows and columns of the view that it fills.
    pub inner: [u32; 2],
    /// The tile it is of; `None` for a whole image.
    pub tile: Option<Tile>,
}

/// Some samples, ready for the network. The buffer goes back to the loader when the batch is dropped.
#[derive(Debug)]
pub struct Batch {
    /// `[n, height, width, 3]` values, RGB, 0 to 255, not normalised. Views for a detector that are smaller than others of their
    /// batch lie at the top left.
    pub images: Vec<u8>,
    /// Views.
    pub n: usize,
    /// Rows of an image.
    pub height: usize,
    /// Pixels of a row.
    pub width: usize,
    /// Classes of each sample, ascending: exactly one, or any number in multi-label classification; empty for detectors.
    pub classes: Vec<Vec<u32>>,
    /// Index of each sample in the data set.
    pub indices: Vec<usize>,
    /// Objects of each view; empty for classifiers, as are the following.
    pub objects: Vec<Vec<Target>>,
    /// Height and width, in pixels, of the image or tile that each view was made of; of a mosaic, of its first part.
    pub sizes: Vec<[u32; 2]>,
    /// Rows and columns that the resized image takes up in each view (see [`models::host::Placement`] for where).
    pub inner: Vec<[u32; 2]>,
    /// The tile that each view shows, in pixels of its image; `None` for a whole image.
    pub tiles: Vec<Option<Tile>>,
    /// How long the caller had to wait for this batch.
    pub wait: Duration,
    home: Sender<Vec<u8>>,
}

impl Batch {
    /// Puts views together; all of one size, unless they are scenes, which are framed in `fill` as far as needed, to sides that
    /// are multiples of [`schemas::STRIDE`]. `classes` gives those of a sample, `buffer` is reused.
    pub(crate) fn new<'a>(
        views: &[View],
        fill: [u8; 3],
        classes: impl Fn(usize) -> &'a [u32],
        (buffer, home): (Vec<u8>, Sender<Vec<u8>>),
    ) -> Self {
        let longest = |side: fn(&Rgb) -> u32| {
            let length = views.iter().map(|view| side(&view.image)).max().unwrap_or(0);
            let framed = views.iter().any(|view| view.scene.is_some());
            (if framed { length.next_multiple_of(schemas::STRIDE) } else { length }) as usize
        };
        let mut batch = Self {
            images: buffer,
            n: views.len(),
            height: longest(|image| image.height),
            width: longest(|image| image.width),
            classes: Vec::new(),
            indices: views.iter().map(|view| view.index).collect(),
            objects: Vec::new(),
            sizes: Vec::new(),
            inner: Vec::new(),
            tiles: Vec::new(),
            wait: Duration::ZERO,
            home,
        };
        batch.images.clear();
        batch.images.reserve(batch.n * batch.height * batch.width * 3);
        for view in views {
            batch.add_pixels(&view.image, fill);
            match &view.scene {
                None => batch.classes.push(classes(view.index).to_vec()),
                Some(scene) => {
                    batch.objects.push(scene.objects.clone());
                    batch.sizes.push(scene.size);
                    batch.inner.push(scene.inner);
                    batch.tiles.push(scene.tile);
                }
            }
        }
        batch
    }

    /// Images of the network's size and their objects, in a frame as above. For what has images and no data set.
    #[must_use]
    pub fn of_images(images: Vec<(Rgb, Vec<Target>)>, fill: [u8; 3]) -> Self {
        let view = |(index, (image, objects)): (usize, (Rgb, Vec<Target>))| {
            let size = [image.height, image.width];
            let scene = Scene { objects, size, inner: size, tile: None };
            View { index, image: Arc::new(image), scene: Some(scene) }
        };
        let views: Vec<View> = images.into_iter().enumerate().map(view).collect();
        let (home, _) = crossbeam_channel::bounded(1);
        Self::new(&views, fill, |_| &[], (Vec::new(), home))
    }

    /// Some of the views, as a batch of their own.
    ///
    /// # Panics
    /// When `range` is not within the batch.
    #[must_use]
    pub fn part(&self, range: Range<usize>) -> Self {
        fn some<T: Clone>(all: &[T], range: &Range<usize>) -> Vec<T> {
            if all.is_empty() { Vec::new() } else { all[range.clone()].to_vec() }
        }
        let bytes = self.height * self.width * 3;
        let (home, _) = crossbeam_channel::bounded(1);
        Self {
            images: self.images[range.start * bytes..range.end * bytes].to_vec(),
            n: range.len(),
            height: self.height,
            width: self.width,
            classes: some(&self.classes, &range),
            indices: some(&self.indices, &range),
            objects: some(&self.objects, &range),
            sizes: some(&self.sizes, &range),
            inner: some(&self.inner, &range),
            tiles: some(&self.tiles, &range),
            wait: Duration::ZERO,
            home,
        }
    }

    fn add_pixels(&mut self, image: &Rgb, fill: [u8; 3]) {
        let (width, height) = (image.width as usize, image.height as usize);
        if (width, height) == (self.width, self.height) {
            self.images.extend_from_slice(&image.data);
            return;
        }
        let right = fill.repeat(self.width - width);
        for row in image.data.chunks_exact(width * 3) {
            self.images.extend_from_slice(row);
            self.images.extend_from_slice(&right);
        }
        self.images.extend(fill.repeat(self.width * (self.height - height)));
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        // A full or closed pool just lets the buffer go.
        let _ = self.home.try_send(std::mem::take(&mut self.images));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(width: u32, height: u32, colour: u8) -> View {
        let scene = Scene { objects: Vec::new(), size: [1, 1], inner: [height, width], tile: None };
        View { index: 0, image: Arc::new(Rgb::filled(width, height, [colour; 3])), scene: Some(scene) }
    }

    #[test]
    fn scenes_are_framed_at_the_right_and_below() {
        let (home, _) = crossbeam_channel::bounded(1);
        let batch = Batch::new(&[view(40, 20, 1), view(32, 33, 2)], [9, 8, 7], |_| &[], (vec![5; 10], home));
        assert_eq!((batch.n, batch.height, batch.width), (2, 64, 64));
        let pixel = |n: usize, x: usize, y: usize| &batch.images[((n * 64 + y) * 64 + x) * 3..][..3];
        assert_eq!((pixel(0, 39, 19), pixel(0, 40, 0), pixel(0, 0, 20)), (&[1; 3][..], &[9, 8, 7][..], &[9, 8, 7][..]));
        assert_eq!(
            (pixel(1, 31, 32), pixel(1, 32, 0), pixel(1, 63, 63)),
            (&[2; 3][..], &[9, 8, 7][..], &[9, 8, 7][..])
        );
        assert_eq!(batch.images.len(), 2 * 64 * 64 * 3);
        let second = batch.part(1..2);
        assert_eq!((second.n, &second.images[..], second.indices.len()), (1, &batch.images[64 * 64 * 3..], 1));
        assert_eq!((second.objects.len(), &second.inner, second.classes.len()), (1, &vec![[33, 32]], 0));
        assert_eq!((batch.classes.len(), batch.objects.len(), &batch.inner), (0, 2, &vec![[20, 40], [33, 32]]));
    }
}
