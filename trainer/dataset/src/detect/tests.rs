//! Views for detectors: boxes go where their pixels go, and every view depends on its name alone.

use std::sync::Arc;

use models::host::mask::Outline;
use models::host::{Placement, Rgb, Tile, cut, fill, prepare};
use schemas::setting::TileGrid;
use schemas::{Fit, Interpolation, Preprocessing};

use super::{DetectorAugmentation, DetectorViews, RcnnAugmentation, Tiling, YoloAugmentation};
use crate::{
    Batch, Images, KeyedRng, Loader, LoaderOptions, Object, RejectKind, Rejection, SampleError, Target, Views,
};

const BACK: [u8; 3] = [40, 60, 80];
/// One colour per class, far from each other and from the background.
const COLOURS: [[u8; 3]; 3] = [[250, 10, 10], [10, 250, 10], [10, 10, 250]];

/// Images of a plain colour with plain rectangles for objects.
#[derive(Default)]
struct Scenes {
    scenes: Vec<(Rgb, Vec<Object>)>,
    bad: Vec<usize>,
}

impl Images for Scenes {
    fn len(&self) -> usize {
        self.scenes.len()
    }

    fn objects(&self, index: usize) -> &[Object] {
        &self.scenes[index].1
    }

    fn image(&self, index: usize) -> Result<Arc<Rgb>, SampleError> {
        if self.bad.contains(&index) {
            return Err(SampleError::Bad(RejectKind::BadImage, "torn".to_owned()));
        }
        Ok(Arc::new(self.scenes[index].0.clone()))
    }

    fn rejection(&self, index: usize, kind: RejectKind, reason: String) -> Rejection {
        Rejection { source: String::new(), line: index as u64 + 1, image_url: None, kind, reason }
    }
}

/// `n` images of odd sizes, each with at most one rectangle of each class; the last has none.
fn scenes(n: usize) -> Scenes {
    let mut rng = KeyedRng::new("scenes", &[1]);
    let mut scenes = Vec::new();
    for number in 0..n {
        let (width, height) = (90 + rng.below(80) as u32, 80 + rng.below(90) as u32);
        let mut image = Rgb::filled(width, height, BACK);
        let mut objects = Vec::new();
        for class in 0..COLOURS.len() as u32 {
            if number + 1 == n {
                continue;
            }
            // One in each third of the width, so that none hides another.
            let third = width / 3;
            let (w, h) = (10 + rng.below(u64::from(third) - 12) as u32, 12 + rng.below(40) as u32);
            let x = third * class + rng.below(u64::from(third - w)) as u32;
            let y = rng.below(u64::from(height - h)) as u32;
            paint(&mut image, Tile { x0: x, y0: y, x1: x + w, y1: y + h }, COLOURS[class as usize]);
            let share = |at: u32, of: u32| at as f32 / of as f32;
            let corners = [share(x, width), share(y, height), share(x + w, width), share(y + h, height)];
            objects.push(Object { corners, class, is_crowd: class == 2, outline: None });
        }
        scenes.push((image, objects));
    }
    Scenes { scenes, bad: Vec::new() }
}

fn paint(image: &mut Rgb, at: Tile, colour: [u8; 3]) {
    for y in at.y0..at.y1 {
        for x in at.x0..at.x1 {
            let start = ((y * image.width + x) * 3) as usize;
            image.data[start..start + 3].copy_from_slice(&colour);
        }
    }
}

fn preprocessing(fit: Fit) -> Preprocessing {
    Preprocessing { fit, interpolation: Interpolation::Bilinear, mean: [123.7, 116.3, 103.5], std: [58.0; 3] }
}

const SHORTER: Fit = Fit::Shorter { min_size: 96, max_size: 160 };
const LETTERBOX: Fit = Fit::Letterbox { side: 128 };
const YOLO: YoloAugmentation = YoloAugmentation {
    mosaic_epochs: 3,
    scale: 0.5,
    translate: 0.1,
    degrees: 0.0,
    shear: 0.0,
    hsv: 0.0,
    flip_probability: 0.5,
    multi_scale: false,
};

fn loader(scenes: Scenes, fit: Fit, augmentation: DetectorAugmentation, tiling: Tiling, workers: usize) -> Loader {
    let options = LoaderOptions {
        workers,
        batch_size: 4,
        prefetch: 2,
        cache_bytes: 0,
        ignore_data_errors: true,
        preprocessing: preprocessing(fit),
        views: Views::Detector(DetectorViews { tiling, augmentation }),
    };
    Loader::new(Arc::new(scenes), options).unwrap()
}

type Flat = (Vec<u8>, Vec<usize>, Vec<Vec<Target>>, Vec<Option<Tile>>);

fn flat(batches: impl Iterator<Item = Result<Batch, crate::DataError>>) -> Vec<Flat> {
    batches
        .map(|batch| {
            let batch = batch.unwrap();
            assert_eq!(batch.images.len(), batch.n * batch.height * batch.width * 3);
            assert!(batch.height.is_multiple_of(32) && batch.width.is_multiple_of(32));
            let lengths =
                [batch.indices.len(), batch.objects.len(), batch.sizes.len(), batch.inner.len(), batch.tiles.len()];
            assert_eq!(lengths, [batch.n; 5]);
            (batch.images.clone(), batch.indices.clone(), batch.objects.clone(), batch.tiles.clone())
        })
        .collect()
}

/// Extent of a class's colour in a view: `x1 y1 x2 y2` of pixels nearer to it than to anything else.
fn painted(batch: &Batch, view: usize, class: usize) -> Option<[f32; 4]> {
    let size = batch.height * batch.width * 3;
    let pixels = batch.images[view * size..][..size].as_chunks::<3>().0;
    let mut extent: Option<[f32; 4]> = None;
    for (at, pixel) in pixels.iter().enumerate() {
        let far = pixel.iter().zip(COLOURS[class]).map(|(a, b)| i32::from(a.abs_diff(b))).max().unwrap();
        if far < 105 {
            let (x, y) = ((at % batch.width) as f32, (at / batch.width) as f32);
            let [x1, y1, x2, y2] = extent.unwrap_or([x, y, x + 1.0, y + 1.0]);
            extent = Some([x1.min(x), y1.min(y), x2.max(x + 1.0), y2.max(y + 1.0)]);
        }
    }
    extent
}

/// Every box of single-image views surrounds its paint, within a pixel and a half.
#[track_caller]
fn boxes_fit(batch: &Batch) -> usize {
    boxes_fit_within(batch, 1.5)
}

#[track_caller]
fn boxes_fit_within(batch: &Batch, pixels: f32) -> usize {
    let mut seen = 0;
    for view in 0..batch.n {
        for target in &batch.objects[view] {
            let Some(found) = painted(batch, view, target.class) else {
                panic!("{target:?} of view {view} is not there")
            };
            let off = found.iter().zip(target.corners).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(off <= pixels, "view {view}: {target:?}, but painted {found:?}");
            assert_eq!(target.is_crowd, target.class == 2);
            seen += 1;
        }
    }
    seen
}

#[test]
fn rcnn_views_carry_boxes_exactly() {
    let always = RcnnAugmentation { frame_probability: 1.0, ..RcnnAugmentation::default() };
    for (crop_probability, flip_probability) in [(0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0)] {
        let augmentation = RcnnAugmentation { crop_probability, flip_probability, ..always.clone() };
        let loader = loader(scenes(12), SHORTER, DetectorAugmentation::Rcnn(augmentation), Tiling::NONE, 0);
        let mut seen = 0;
        for batch in loader.train_epoch(1, 0, 0) {
            let batch = batch.unwrap();
            seen += boxes_fit(&batch);
            // Around the image lies the mean.
            let [rows, columns] = batch.inner[0];
            if (columns as usize) < batch.width {
                let at = ((rows as usize - 1) * batch.width + columns as usize) * 3;
                assert_eq!(batch.images[at..at + 3], [124, 116, 104]);
            }
        }
        assert_eq!(seen, 33, "no box is lost");
    }
}

#[test]
fn rcnn_frames_change_as_often_as_they_should() {
    let loader = loader(scenes(12), SHORTER, DetectorAugmentation::Rcnn(RcnnAugmentation::default()), Tiling::NONE, 2);
    let plain = scenes(12);
    let mut changed = 0;
    for epoch in 0..20 {
        for batch in loader.train_epoch(1, epoch, 0) {
            let batch = batch.unwrap();
            for view in 0..batch.n {
                let image = &plain.scenes[batch.indices[view]].0;
                let place = Placement::of(image.width, image.height, &SHORTER);
                let widths = batch.objects[view].first().map(|target| target.corners[2] - target.corners[0]);
                let object = plain.scenes[batch.indices[view]].1.first();
                let unchanged = object.map(|o| (o.corners[2] - o.corners[0]) * place.inner_width as f32);
                changed += usize::from(widths.zip(unchanged).is_some_and(|(a, b)| (a - b).abs() > 0.01));
            }
        }
    }
    // Half of 220 views with boxes, less crops that found no room; five standard deviations are 37.
    assert!((60..150).contains(&changed), "{changed} of 220");
}

#[test]
fn letterboxed_views_carry_boxes_exactly() {
    for (scale, translate) in [(0.0, 0.0), (0.5, 0.0), (0.5, 0.2)] {
        let yolo = YoloAugmentation { mosaic_epochs: 0, scale, translate, ..YOLO };
        let loader = loader(scenes(12), LETTERBOX, DetectorAugmentation::Yolo(yolo), Tiling::NONE, 0);
        let seen: usize = loader.train_epoch(2, 0, 0).map(|batch| boxes_fit(&batch.unwrap())).sum();
        assert!(seen >= 25 && (scale > 0.0 || seen == 33), "{seen}");
    }
}

#[test]
fn mosaics_carry_boxes_exactly() {
    let loader = loader(scenes(16), LETTERBOX, DetectorAugmentation::Yolo(YOLO), Tiling::NONE, 0);
    let (mut seen, mut grey) = (0, 0);
    for epoch in 0..3 {
        for batch in loader.train_epoch(3, epoch, 0) {
            let batch = batch.unwrap();
            assert_eq!((batch.height, batch.width), (128, 128));
            let size = 128 * 128 * 3;
            for view in 0..batch.n {
                let pixel = |x: f32, y: f32| {
                    let at = view * size + (y as usize * 128 + x as usize) * 3;
                    <[u8; 3]>::try_from(&batch.images[at..at + 3]).unwrap()
                };
                grey += usize::from(pixel(0.0, 0.0) == [114; 3]);
                for target in &batch.objects[view] {
                    let [x1, y1, x2, y2] = target.corners;
                    assert!(x1 >= 0.0 && y1 >= 0.0 && x2 <= 128.0 && y2 <= 128.0 && x2 - x1 > 2.0 && y2 - y1 > 2.0);
                    // The middle has the colour, and a step outside (where the view goes on) has not.
                    assert_eq!(pixel((x1 + x2) / 2.0, (y1 + y2) / 2.0), COLOURS[target.class], "{target:?}");
                    let middle = (y1 + y2) / 2.0;
                    for x in [x1 - 2.0, x2 + 2.0] {
                        if (0.0..128.0).contains(&x) {
                            assert_ne!(pixel(x, middle), COLOURS[target.class], "{target:?} goes on at {x}");
                        }
                    }
                    seen += 1;
                }
            }
        }
    }
    assert!(seen > 100 && grey > 0 && grey < 40, "{seen} {grey}");
}

#[test]
fn turned_views_carry_boxes_and_outlines() {
    // Every rectangle is outlined, so that its box fits its paint however it is turned.
    let outlined = || {
        let mut scenes = scenes(16);
        for object in scenes.scenes.iter_mut().flat_map(|(_, objects)| objects) {
            let [x1, y1, x2, y2] = object.corners.map(f64::from);
            let ring = vec![[x1, y1], [x2, y1], [x2, y2], [x1, y2]];
            object.outline = Some(Arc::new(Outline { rings: vec![ring] }));
        }
        scenes
    };
    for (mosaic_epochs, degrees, shear) in [(0, 180.0, 0.0), (0, 0.0, 20.0), (0, 30.0, 10.0), (2, 30.0, 10.0)] {
        let yolo = YoloAugmentation { mosaic_epochs, degrees, shear, ..YOLO };
        let loader = loader(outlined(), LETTERBOX, DetectorAugmentation::Yolo(yolo), Tiling::NONE, 0);
        let mut seen = 0;
        for batch in loader.train_epoch(5, 0, 0).chain(loader.train_epoch(5, 1, 0)) {
            let batch = batch.unwrap();
            assert_eq!((batch.height, batch.width), (128, 128));
            if mosaic_epochs == 0 {
                // The last pixels of a pointed corner are mostly background.
                seen += boxes_fit_within(&batch, 4.0);
            }
            for target in batch.objects.iter().flatten() {
                let around = target.outline.as_ref().unwrap().bounds().unwrap();
                let bounds = [around.x0, around.y0, around.x1, around.y1].map(|value| value as f32);
                assert_eq!(target.corners, bounds);
                assert!(bounds[0] >= 0.0 && bounds[1] >= 0.0 && bounds[2] <= 128.0 && bounds[3] <= 128.0);
                seen += usize::from(mosaic_epochs > 0);
            }
        }
        assert!(seen >= 40, "{seen} objects");
    }
}

#[test]
fn boxes_of_turned_mosaics_hold_their_paint() {
    let yolo = YoloAugmentation { degrees: 20.0, shear: 5.0, ..YOLO };
    let loader = loader(scenes(16), LETTERBOX, DetectorAugmentation::Yolo(yolo), Tiling::NONE, 0);
    let mut seen = 0;
    for batch in loader.train_epoch(3, 0, 0) {
        let batch = batch.unwrap();
        for view in 0..batch.n {
            for target in &batch.objects[view] {
                let [x1, y1, x2, y2] = target.corners;
                let (x, y) = ((x1 + x2) / 2.0, (y1 + y2) / 2.0);
                // Where a box is cut at the edge of the view its middle may show what lies beside the object.
                if x1 > 0.0 && y1 > 0.0 && x2 < 128.0 && y2 < 128.0 && x2 - x1 > 8.0 && y2 - y1 > 8.0 {
                    let at = ((view * 128 + y as usize) * 128 + x as usize) * 3;
                    assert_eq!(batch.images[at..at + 3], COLOURS[target.class], "{target:?}");
                    seen += 1;
                }
            }
        }
    }
    assert!(seen >= 20, "{seen} objects");
}

#[test]
fn mosaics_end_when_they_are_told_to() {
    let loader = loader(scenes(8), LETTERBOX, DetectorAugmentation::Yolo(YOLO), Tiling::NONE, 0);
    let boxes =
        |epoch| loader.train_epoch(1, epoch, 0).map(|batch| batch.unwrap().objects.concat().len()).sum::<usize>();
    // Seven images with three boxes each; four images to a view have more.
    assert!(boxes(2) > 21 && boxes(3) <= 21, "{} {}", boxes(2), boxes(3));
}

#[test]
fn views_depend_on_seed_epoch_and_sample_alone() {
    let tiling = Tiling { grid: TileGrid { columns: 2, rows: 2 }, overlap: 0.25 };
    let all = [
        (SHORTER, DetectorAugmentation::Rcnn(RcnnAugmentation::default())),
        (
            LETTERBOX,
            DetectorAugmentation::Yolo(YoloAugmentation {
                hsv: 1.0,
                degrees: 9.0,
                shear: 3.0,
                multi_scale: true,
                ..YOLO
            }),
        ),
        (LETTERBOX, DetectorAugmentation::None),
    ];
    for (fit, augmentation) in all {
        for tiling in [Tiling::NONE, tiling] {
            let run = |workers| {
                let bad = Scenes { bad: vec![1, 4], ..scenes(9) };
                let loader = loader(bad, fit, augmentation.clone(), tiling, workers);
                let first = flat(loader.train_epoch(5, 0, 0));
                let fresh = flat(loader.train_epoch(5, 1, 2));
                assert!(first.iter().flat_map(|batch| &batch.1).all(|index| ![1, 4].contains(index)));
                assert!(flat(loader.train_epoch(5, 1, 0))[2..] == fresh, "an epoch can start anywhere");
                assert!(flat(loader.train_epoch(6, 0, 0)) != first);
                (first, fresh, flat(loader.eval()), loader.take_rejections().len())
            };
            let alone = run(0);
            assert_eq!(alone.3, 2);
            for workers in [1, 3] {
                assert!(run(workers) == alone, "{workers} workers");
            }
        }
    }
}

#[test]
fn batches_of_many_sizes_have_one_each() {
    let yolo = YoloAugmentation { multi_scale: true, ..YOLO };
    let loader = loader(scenes(60), LETTERBOX, DetectorAugmentation::Yolo(yolo), Tiling::NONE, 2);
    let mut sides: Vec<usize> =
        (0..3).flat_map(|epoch| loader.train_epoch(1, epoch, 0)).map(|b| b.unwrap().width).collect();
    sides.sort_unstable();
    sides.dedup();
    assert_eq!(sides, [64, 96, 128, 160, 192]);
}

#[test]
fn evaluation_is_what_is_served_in_batches_of_one_size() {
    let tiling = Tiling { grid: TileGrid { columns: 3, rows: 2 }, overlap: 0.25 };
    for (fit, tiling) in [(SHORTER, Tiling::NONE), (LETTERBOX, tiling)] {
        let plain = scenes(11);
        let loader = loader(scenes(11), fit, DetectorAugmentation::None, tiling, 2);
        let p = preprocessing(fit);
        let mut found = Vec::new();
        for batch in loader.eval() {
            let batch = batch.unwrap();
            let size = batch.height * batch.width * 3;
            for view in 0..batch.n {
                let (index, tile) = (batch.indices[view], batch.tiles[view]);
                let image = &plain.scenes[index].0;
                let part = tile.map_or_else(|| image.clone(), |tile| cut(image, tile));
                let wanted = prepare(&part, &p);
                assert_eq!((wanted.width as usize, wanted.height as usize), (batch.width, batch.height));
                assert_eq!(batch.images[view * size..][..size], wanted.data);
                assert_eq!(batch.sizes[view], [part.height, part.width]);
                let place = Placement::of(part.width, part.height, &fit);
                assert_eq!(batch.inner[view], [place.inner_height, place.inner_width]);
                let number = tile.map_or(0, |tile| {
                    1 + tiling.tiles(image.width, image.height).iter().position(|other| *other == tile).unwrap()
                });
                found.push((index, number));
                if tile.is_none() {
                    assert_eq!(batch.objects[view].len(), plain.scenes[index].1.len());
                }
            }
        }
        found.sort_unstable();
        let views = loader.views_per_image();
        let wanted: Vec<_> = (0..11).flat_map(|index| (0..views).map(move |number| (index, number))).collect();
        assert_eq!(found, wanted, "every image and every tile, once");
    }
}

#[test]
fn tiles_that_show_an_object_are_samples_of_their_own() {
    let grid = TileGrid { columns: 2, rows: 1 };
    let tiling = Tiling { grid, overlap: 0.0 };
    let object = |corners| Object { corners, class: 0, is_crowd: false, outline: None };
    let scene = |objects| (Rgb::filled(100, 80, BACK), objects);
    // On the left; on both sides; nowhere.
    let scenes =
        vec![scene(vec![object([0.1, 0.1, 0.3, 0.3])]), scene(vec![object([0.4, 0.25, 0.75, 0.5])]), scene(vec![])];
    let loader = loader(Scenes { scenes, bad: Vec::new() }, LETTERBOX, DetectorAugmentation::None, tiling, 0);
    assert_eq!(loader.images_per_epoch(), 3 + 1 + 2);
    let mut tiles = Vec::new();
    for batch in loader.train_epoch(1, 0, 0) {
        let batch = batch.unwrap();
        for view in 0..batch.n {
            let Some(tile) = batch.tiles[view] else { continue };
            tiles.push((batch.indices[view], tile.x0));
            let place = Placement::of(50, 80, &LETTERBOX);
            let corners = match (batch.indices[view], tile.x0) {
                (0, 0) => [10.0, 8.0, 30.0, 24.0],
                (1, 0) => [40.0, 20.0, 50.0, 40.0],
                _ => [0.0, 20.0, 25.0, 40.0],
            };
            let wanted = place.forward(corners, 50, 80);
            let got = batch.objects[view][0].corners;
            assert!(got.iter().zip(wanted).all(|(a, b)| (f64::from(*a) - b).abs() < 1e-4), "{got:?} {wanted:?}");
        }
    }
    tiles.sort_unstable();
    assert_eq!(tiles, [(0, 0), (1, 0), (1, 50)]);
}

#[test]
fn finished_views_are_kept_whatever_their_size() {
    for cache_bytes in [0, 1 << 22] {
        let options = LoaderOptions {
            workers: 2,
            batch_size: 3,
            prefetch: 1,
            cache_bytes,
            ignore_data_errors: true,
            preprocessing: preprocessing(SHORTER),
            views: Views::Detector(DetectorViews {
                tiling: Tiling { grid: TileGrid { columns: 2, rows: 2 }, overlap: 0.1 },
                augmentation: DetectorAugmentation::None,
            }),
        };
        let loader = Loader::new(Arc::new(scenes(7)), options).unwrap();
        assert!(flat(loader.eval()) == flat(loader.eval()));
    }
}

#[test]
fn settings_are_checked() {
    let bad = |fit, augmentation| {
        let options = LoaderOptions {
            workers: 0,
            batch_size: 1,
            prefetch: 0,
            cache_bytes: 0,
            ignore_data_errors: true,
            preprocessing: preprocessing(fit),
            views: Views::Detector(DetectorViews { tiling: Tiling::NONE, augmentation }),
        };
        Loader::new(Arc::new(scenes(2)), options).err().unwrap().to_string()
    };
    assert!(bad(SHORTER, DetectorAugmentation::Yolo(YOLO)).contains("another kind"));
    let scale = YoloAugmentation { scale: 1.0, ..YOLO };
    assert!(bad(LETTERBOX, DetectorAugmentation::Yolo(scale)).contains("augment_scale is 1"));
    let turned = YoloAugmentation { degrees: 181.0, ..YOLO };
    assert!(bad(LETTERBOX, DetectorAugmentation::Yolo(turned)).contains("augment_degrees is 181"));
    let sheared = YoloAugmentation { shear: 45.0, ..YOLO };
    assert!(bad(LETTERBOX, DetectorAugmentation::Yolo(sheared)).contains("augment_shear is 45"));
    assert!(bad(Fit::Letterbox { side: 100 }, DetectorAugmentation::None).contains("multiple of 32"));
    assert_eq!(fill(&preprocessing(LETTERBOX)), [114; 3]);
}
