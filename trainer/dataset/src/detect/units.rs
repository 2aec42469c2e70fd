//! Training samples: whole images and tiles.

use models::host::{self, Tile};
use schemas::setting::TileGrid;

use super::super::dataset::Images;
use super::super::target::Object;

/// Tiles that images are cut into beside being seen as a whole.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tiling {
    /// Columns and rows.
    pub grid: TileGrid,
    /// Overlap of neighbours, as a share of their side, in [0, 1).
    pub overlap: f64,
}

impl Tiling {
    /// Whole images only.
    pub const NONE: Self = Self { grid: TileGrid::NONE, overlap: 0.0 };

    /// The tiles of an image; none where images are not cut.
    #[must_use]
    pub fn tiles(&self, width: u32, height: u32) -> Vec<Tile> {
        host::tiles(width, height, self.grid, self.overlap)
    }

    /// Views of an image: the whole and its tiles.
    #[must_use]
    pub fn per_image(&self) -> usize {
        if self.grid.is_none() { 1 } else { 1 + self.grid.count() as usize }
    }
}

/// One training sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unit {
    /// Sample in the data set.
    pub image: usize,
    /// Number of the tile; `None` for all of it.
    pub tile: Option<usize>,
}

/// All training samples.
pub(crate) enum Units {
    /// Each image is one.
    Pictures(usize),
    /// Image, and number of the tile plus 1, or 0 for all of it.
    Tiles(Vec<(u32, u16)>),
}

impl Units {
    /// `n` images.
    pub fn images(n: usize) -> Self {
        Self::Pictures(n)
    }

    /// Every image and, after it, those of its tiles that hold a part of an object.
    ///
    /// That is decided without the image's size, for which it would have to be opened. A tile that holds less than a pixel of
    /// an object therefore counts here, and shows no object then: a rare negative sample.
    pub fn of(images: &dyn Images, tiling: Tiling) -> Self {
        /// Side of the square that stands for any image; exact in `f32`.
        const SIDE: u32 = 1 << 20;
        let tiles = tiling.tiles(SIDE, SIDE);
        if tiles.is_empty() {
            return Self::Pictures(images.len());
        }
        let mut units = Vec::new();
        for image in 0..images.len() {
            units.push((image as u32, 0));
            let objects = images.objects(image);
            let shown = |tile: &Tile| objects.iter().any(|object| overlaps(object, tile, SIDE));
            let numbers = tiles.iter().zip(1u16..).filter(|(tile, _)| shown(tile));
            units.extend(numbers.map(|(_, number)| (image as u32, number)));
        }
        units.shrink_to_fit();
        Self::Tiles(units)
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        match self {
            Self::Pictures(n) => *n,
            Self::Tiles(units) => units.len(),
        }
    }

    /// Sample `at`.
    pub fn get(&self, at: usize) -> Unit {
        match self {
            Self::Pictures(_) => Unit { image: at, tile: None },
            Self::Tiles(units) => {
                let (image, tile) = units[at];
                Unit { image: image as usize, tile: (tile as usize).checked_sub(1) }
            }
        }
    }
}

fn overlaps(object: &Object, tile: &Tile, side: u32) -> bool {
    let [x1, y1, x2, y2] = object.corners.map(|value| f64::from(value) * f64::from(side));
    let within = |from: f64, to: f64, start: u32, end: u32| to.min(f64::from(end)) > from.max(f64::from(start));
    within(x1, x2, tile.x0, tile.x1) && within(y1, y2, tile.y0, tile.y1)
}
