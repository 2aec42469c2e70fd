//! Detectors: images in; boxes in their pixels, scores and labels out.

use models::detect::{self, Detections, Detector, Images, Selection, mask_rcnn, tiling};
use models::ops::{DType, Ops};
use runtime::Form;
use schemas::CheckpointMeta;
use schemas::prediction::{DetectionSettings, Tiling};

use super::contents::Contents;
use super::frame::{frame, size};
use super::paste::{Canvas, paste};
use super::pixels::{Sizes, Window, cut};
use super::tiles::places;
use crate::builder::{BuildError, Builder, Value};
use crate::graph::{DecisionKind, Dim, Graph};
use crate::source::ParamSource;

/// The detector as a graph. Tiling is in the `whole` form only: whoever prepares images prepares tiles. So are pixels of objects:
/// the originals of prepared images differ in size.
///
/// # Errors
/// When a parameter cannot be had or the definition does not fit together.
pub fn detector(
    network: &Detector,
    meta: &CheckpointMeta,
    settings: &DetectionSettings,
    contents: impl Into<Contents>,
    source: &dyn ParamSource,
) -> Result<Graph, BuildError> {
    let Contents { form, pixels, .. } = contents.into();
    let b = Builder::new(source);
    let images = |doc: &str| {
        let dims = [Dim::Named("N"), Dim::Named("H"), Dim::Named("W"), Dim::Fixed(3)];
        b.input(runtime::INPUT, DType::U8, &dims, doc)
    };
    let with_thresholds = || {
        let score = "boxes with a score that is not above it are left out; in [0, 1]";
        let iou = "of two boxes of a class that overlap by more than this (intersection over union), the less certain one \
                   is left out; in [0, 1]";
        let selection = Selection {
            score: b.optional_input(runtime::SCORE_THRESHOLD, settings.thresholds.score_threshold, score),
            iou: b.optional_input(runtime::IOU_THRESHOLD, settings.thresholds.iou_threshold, iou),
            cap: i64::from(settings.max_boxes),
        };
        Finder { b: &b, network, meta, selection }
    };
    let (found, canvas) = match form {
        Form::Prepared => {
            let prepared = images(
                "RGB images, already resized and framed as metadata 'fovea' says under 'preprocessing'; sides are multiples of 32",
            );
            let doc = "height and width of each original image; boxes are in its pixels";
            let sizes = b.input(runtime::SIZES, DType::I64, &[Dim::Named("N"), Dim::Fixed(2)], doc);
            (with_thresholds().found(prepared, sizes), None)
        }
        Form::Whole => {
            let whole = images("RGB images of any height and width, at least 1 pixel each");
            let finder = with_thresholds();
            let pasted = pixels.then(|| {
                let doc = "a pixel whose probability is above it is the object's; in [0, 1]";
                let threshold = b.optional_input(runtime::MASK_THRESHOLD, settings.mask_threshold, doc);
                let s = Sizes { b: &b };
                Canvas { height: s.dim(&whole, 1), width: s.dim(&whole, 2), threshold }
            });
            let tiling = &settings.tiling;
            let found = if tiling.grid.is_none() { finder.whole(&whole) } else { finder.tiled(&whole, tiling) };
            (found, pasted)
        }
    };
    let pixels = canvas.zip(found.masks.as_ref());
    let pixels = pixels.map(|(canvas, masks)| paste(&b, &found.boxes, &found.labels, masks, &canvas));
    let (n, d) = (Dim::Named("N"), Dim::Named("D"));
    let doc = "left, top, right, bottom in pixels of the image, by falling score; meaningless where the label is -1";
    b.output(&found.boxes, runtime::BOXES, &[n.clone(), d.clone(), Dim::Fixed(4)], doc);
    b.output(&found.scores, runtime::SCORES, &[n.clone(), d.clone()], "confidence; 0 where the label is -1");
    let doc = "place of the class in the labels of the metadata; -1 is padding";
    b.output(&found.labels, runtime::LABELS, &[n.clone(), d.clone()], doc);
    if let Some(masks) = &found.masks {
        let doc = "probability that a part of the box is the object, for 28 x 28 equal parts of it, row by row; meaningless where \
                   the label is -1";
        let side = Dim::Fixed(mask_rcnn::SIDE);
        b.output(masks, runtime::MASKS, &[n.clone(), d.clone(), side.clone(), side], doc);
    }
    if let Some(pixels) = pixels {
        let doc = "1 where a pixel of the image is the object's, else 0; all 0 where the label is -1";
        b.output(&pixels, runtime::PIXELS, &[n, d, Dim::Named("H"), Dim::Named("W")], doc);
    }
    b.finish()
}

/// The network and what it is run with.
struct Finder<'a, 's> {
    b: &'a Builder<'s>,
    network: &'a Detector,
    meta: &'a CheckpointMeta,
    selection: Selection<Value>,
}

impl Finder<'_, '_> {
    /// What is in `uint8 [N, h, w, 3]` that are the network's input already; `sizes` are those of the originals.
    fn found(&self, prepared: Value, sizes: Value) -> Detections<Value> {
        let classes = i64::try_from(self.meta.labels.len()).unwrap_or(i64::MAX);
        let images = Images { prepared, sizes };
        self.b.at("normalise");
        let model = detect::Model { detector: self.network, preprocessing: &self.meta.preprocessing, classes };
        detect::detections(self.b, &model, &images, &self.selection)
    }

    /// What is in `uint8 [N, H, W, 3]` of any size.
    fn whole(&self, images: &Value) -> Detections<Value> {
        let prepared = frame(self.b, images, &self.meta.preprocessing);
        self.b.decide(DecisionKind::Pixels, &[], &[&prepared]);
        let sizes = self.b.repeat(&size(self.b, images), images);
        self.found(prepared, sizes)
    }

    /// The same, looking also at each tile. The network is run once for the whole images and once for each tile, one after
    /// the other, so that no more memory is needed than without tiles.
    fn tiled(&self, images: &Value, tiling: &Tiling) -> Detections<Value> {
        let (b, cap) = (self.b, self.selection.cap);
        let places = places(b, images, tiling);
        b.decide(DecisionKind::Places, &[], &[&places]);
        let found = b.scan(&places, |place| {
            let found = self.in_place(images, place);
            let dims = [Dim::Named("N"), Dim::Fixed(cap)];
            let of_each = |rest: &[Dim]| [dims.as_slice(), rest].concat();
            let mut parts = vec![
                (found.boxes, "tile_boxes", of_each(&[Dim::Fixed(4)])),
                (found.scores, "tile_scores", dims.to_vec()),
                (found.labels, "tile_labels", dims.to_vec()),
            ];
            let side = Dim::Fixed(mask_rcnn::SIDE);
            parts.extend(found.masks.map(|masks| (masks, "tile_masks", of_each(&[side.clone(), side]))));
            parts
        });
        b.decide(DecisionKind::Found, &[], &found.iter().collect::<Vec<_>>());
        b.at("merge");
        let how = tiling::Merge { sources: i64::from(tiling.sources()), each: cap, threshold: tiling.threshold, cap };
        let mut found = found.into_iter();
        match (found.next(), found.next(), found.next()) {
            (Some(boxes), Some(scores), Some(labels)) => {
                let found = Detections { boxes, scores, labels, masks: found.next() };
                tiling::merge(b, &tiling::Sources { places, found }, &how)
            }
            // Only after an error.
            _ => self.whole(images),
        }
    }

    /// What is in one place (I64 `[4]`: first row and column, row and column after the last), in pixels of the image;
    /// exactly `cap` rows.
    fn in_place(&self, images: &Value, place: &Value) -> Detections<Value> {
        let (b, cap) = (self.b, self.selection.cap);
        b.at("tile");
        let end = |at: i64| b.slice(place, 0, at, at + 1);
        let [top, left, bottom, right] = [0, 1, 2, 3].map(end);
        let window = Window { top: &top, left: &left, bottom: &bottom, right: &right };
        let found = self.whole(&cut(&Sizes { b }, images, &window));
        b.at("tile");
        let origin = b.cast(&b.concat(&[&left, &top, &left, &top], 0), DType::F32);
        let boxes = b.add(found.boxes, &origin);
        let rows = usize::try_from(cap).unwrap_or(0);
        // How many rows there are depends on the size of the tile; padded, all sources have as many.
        let padded = |x: &Value, padding: &Value| {
            let both = b.concat(&[x, &b.repeat(padding, x)], 1);
            b.slice(&both, 1, 0, cap)
        };
        Detections {
            boxes: padded(&boxes, &b.constant(&vec![0.0; 4 * rows], &[1, cap, 4])),
            scores: padded(&found.scores, &b.constant(&vec![0.0; rows], &[1, cap])),
            labels: padded(&found.labels, &b.integers(&vec![-1; rows], &[1, cap])),
            masks: found.masks.map(|masks| {
                // The sum of a column and a mask is as large as all masks; the file holds the two.
                let column = b.constant(&vec![0.0; rows], &[1, cap, 1, 1]);
                let side = mask_rcnn::SIDE;
                let mask = b.constant(&vec![0.0; usize::try_from(side * side).unwrap_or(0)], &[1, 1, side, side]);
                padded(&masks, &b.add(column, &mask))
            }),
        }
    }
}
