//! How far the exported files of a trained detector are from its checkpoint, on real images.
//!
//! The best checkpoint of RUN is exported in both forms. Each file is asked about the images, about the tiles of a grid of 2x2 of them,
//! and about five pieces of odd sizes, 1, 3 and 8 at once; the first of the images and of the pieces and one among the others are
//! empty. The checkpoint is given the pixels that the network of the file gets: what the file resizes itself differs from the host's
//! by rounding, which is compared when it is exported. Then a file that looks at tiles itself is compared with the host's merge of
//! what the file without tiles finds in each.
//!
//! A box whose score lies within 0.001 of the threshold may be in one answer only and is left out. Masks are pasted into the image;
//! a pixel whose probability lies within 0.001 of the threshold may be in one of the two. FOLDER gets the files.

use std::path::Path;

use anyhow::{Context, ensure};
use dataset::loading;
use exporter::export::graph;
use exporter::{ExportSettings, Form, probe, proto};
use models::detect::Selection;
use models::host::mask::Paste;
use models::host::{self, Limits, Rgb, Tile};
use models::weights::CheckpointFile;
use ndarray::ArrayView4;
use runtime::{Data, Model, Options, Overrides, Tensor};
use schemas::Settings;
use schemas::prediction::Detection;
use tch::Device;
use trainer::nn::checkpoint::Checkpoint;
use trainer::nn::network::Network;
use trainer::tasks::detect::evaluate;

/// How a file that looks at tiles cuts its images.
const GRID: &str = "2x2";
/// Boxes below it are not compared.
const SCORE: f32 = 0.05;
const OPTIONS: Options = Options { intra_threads: 2, library: None };
/// How near two scores have to be for their boxes to be the same; also how near to [`SCORE`] a box is left out.
const NEAR: f32 = 0.001;
/// How near corners have to be in pixels, at most, for boxes to be the same.
const APART: f32 = 4.0;
/// Sizes of the odd pieces, as far as the image reaches: width and height.
const ODD: [(u32, u32); 5] = [(333, 517), (97, 101), (499, 77), (641, 479), (33, 350)];

/// What differs between two answers about a set of images.
#[derive(Default)]
struct Difference {
    boxes: usize,
    unmatched: usize,
    corners: f32,
    scores: f32,
    /// Of the probabilities of masks.
    masks: f32,
    /// Pixels of the objects of the checkpoint.
    pixels: usize,
    /// Pixels that are an object's in one of the two, and not for want of [`NEAR`].
    strays: usize,
}

impl Difference {
    fn row(&self, file: &str, images: &str, batch: usize) -> serde_json::Value {
        let &Self { boxes, unmatched, corners, scores, masks, pixels, strays } = self;
        serde_json::json!({
            "file": file, "images": images, "batch": batch, "boxes": boxes, "unmatched": unmatched, "corners": corners,
            "scores": scores, "masks": masks, "pixels": pixels, "strays": strays,
        })
    }

    fn add(&mut self, found: &[Detection], expected: &[Detection], paste: &Paste) {
        let sure = |d: &&Detection| (d.score - SCORE).abs() > NEAR;
        let mut rest: Vec<&Detection> = found.iter().collect();
        let corners =
            |a: &Detection, b: &Detection| (0..4).map(|i| (a.corners[i] - b.corners[i]).abs()).fold(0.0, f32::max);
        for e in expected.iter() {
            // The nearest of the same label whose score could be the same.
            let near =
                rest.iter().enumerate().filter(|(_, f)| f.label == e.label && (f.score - e.score).abs() <= 10.0 * NEAR);
            let best =
                near.map(|(at, f)| (at, corners(f, e))).filter(|(_, d)| *d <= APART).min_by(|a, b| a.1.total_cmp(&b.1));
            match best {
                Some((at, apart)) => {
                    let partner = rest.swap_remove(at);
                    self.boxes += 1;
                    self.corners = self.corners.max(apart);
                    self.scores = self.scores.max((partner.score - e.score).abs());
                    self.add_masks(partner, e, paste);
                }
                None if sure(&e) => self.unmatched += 1,
                None => {}
            }
        }
        self.unmatched += rest.iter().filter(|d| sure(d)).count();
    }

    fn add_masks(&mut self, found: &Detection, expected: &Detection, paste: &Paste) {
        let (Some(a), Some(b)) = (&found.mask, &expected.mask) else { return };
        let apart = a.values().iter().zip(b.values()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        self.masks = self.masks.max(apart);
        let [found, expected] = [found, expected].map(|one| Pasted::of(one, paste));
        for y in found.window.y0.min(expected.window.y0)..found.window.y1.max(expected.window.y1) {
            for x in found.window.x0.min(expected.window.x0)..found.window.x1.max(expected.window.x1) {
                let (a, b) = (found.at(x, y), expected.at(x, y));
                self.pixels += usize::from(b > paste.threshold);
                let differs = (a > paste.threshold) != (b > paste.threshold);
                self.strays += usize::from(differs && (b - paste.threshold).abs() > NEAR);
            }
        }
    }
}

/// The probabilities of a mask in its image.
struct Pasted {
    window: Tile,
    values: Vec<f32>,
}

impl Pasted {
    fn of(one: &Detection, paste: &Paste) -> Self {
        let (window, values) = paste.probabilities(one.mask.as_ref().map_or(&[0.0], |mask| mask.values()), one.corners);
        Self { window, values }
    }

    /// The probability of a pixel, 0 where the mask does not reach.
    fn at(&self, x: u32, y: u32) -> f32 {
        let Tile { x0, y0, x1, y1 } = self.window;
        if !(x0..x1).contains(&x) || !(y0..y1).contains(&y) {
            return 0.0;
        }
        self.values[((y - y0) * (x1 - x0) + x - x0) as usize]
    }
}

/// An exported file and how it is asked.
struct File {
    model: Model,
    settings: Settings,
    selection: Selection<f32>,
}

impl File {
    /// How its masks are pasted into an image.
    fn paste(&self, image: &Rgb) -> Paste {
        let threshold = self.settings.mask_pixel_score_threshold as f32;
        Paste { width: image.width, height: image.height, threshold }
    }

    fn run(&mut self, images: &[&Rgb], sizes: Option<&[[i64; 2]]>) -> anyhow::Result<Vec<Vec<Detection>>> {
        let data: Vec<u8> = images.iter().flat_map(|image| image.data.iter().copied()).collect();
        let shape = (images.len(), images[0].height as usize, images[0].width as usize, 3);
        let limits = Overrides { score_threshold: Some(self.selection.score), iou_threshold: Some(self.selection.iou) };
        Ok(self.model.detect(ArrayView4::from_shape(shape, &data)?, sizes, &limits)?)
    }

    /// Answers about images, `batch` of one size at once; a smaller group is filled with its last image.
    fn about(
        &mut self,
        images: &[Rgb],
        sizes: Option<&[[i64; 2]]>,
        batch: usize,
    ) -> anyhow::Result<Vec<Vec<Detection>>> {
        let mut answers = vec![Vec::new(); images.len()];
        let mut rest: Vec<usize> = (0..images.len()).collect();
        while let Some(&first) = rest.first() {
            let same =
                |&&i: &&usize| (images[i].width, images[i].height) == (images[first].width, images[first].height);
            let mut group: Vec<usize> = rest.iter().filter(same).take(batch).copied().collect();
            rest.retain(|i| !group.contains(i));
            let real = group.len();
            group.resize(batch, group[real - 1]);
            let together: Vec<&Rgb> = group.iter().map(|&i| &images[i]).collect();
            let sizes: Option<Vec<[i64; 2]>> = sizes.map(|sizes| group.iter().map(|&i| sizes[i]).collect());
            let found = self.run(&together, sizes.as_deref())?;
            for (&i, found) in group.iter().zip(found).take(real) {
                answers[i] = found;
            }
        }
        Ok(answers)
    }

    /// What is in images as decoded; the file without tiles of either form.
    fn answers(&mut self, pieces: &[Piece], batch: usize) -> anyhow::Result<Vec<Vec<Detection>>> {
        if self.model.form() == Form::Whole {
            let images: Vec<Rgb> = pieces.iter().map(|piece| piece.image.clone()).collect();
            return self.about(&images, None, batch);
        }
        let sizes: Vec<[i64; 2]> =
            pieces.iter().map(|p| [i64::from(p.image.height), i64::from(p.image.width)]).collect();
        let prepared: Vec<Rgb> = pieces.iter().map(|piece| piece.prepared.clone()).collect();
        self.about(&prepared, Some(&sizes), batch)
    }
}

/// An image, or a part of one, beside the pixels that the network is given of it.
struct Piece {
    image: Rgb,
    prepared: Rgb,
}

/// What prepares images as a file of one form does.
enum Preparing {
    Host(schemas::Preprocessing),
    Graph(runtime::Probe),
}

impl Preparing {
    fn of(run: &Path, form: Form) -> anyhow::Result<Self> {
        let checkpoint = CheckpointFile::open(run)?;
        let Some(graph) = probe::prepared(&graph(&checkpoint, form)?) else {
            return Ok(Self::Host(checkpoint.meta().preprocessing.clone()));
        };
        let bytes = proto::bytes(graph, &proto::Header { graph: "prepared", doc: "", metadata: &[] })?;
        Ok(Self::Graph(runtime::Probe::open(&bytes, &OPTIONS)?))
    }

    fn piece(&mut self, image: Rgb) -> anyhow::Result<Piece> {
        let prepared = match self {
            Self::Host(preprocessing) => host::prepare(&image, preprocessing),
            Self::Graph(probe) => {
                let shape = vec![1, image.height as usize, image.width as usize, 3];
                let input = Tensor { shape, data: Data::U8(image.data.clone()) };
                let found = probe.run(&[(runtime::INPUT.to_owned(), input)])?.remove(probe::PREPARED);
                let Some(Tensor { shape, data: Data::U8(data) }) = found else {
                    anyhow::bail!("the file gives its network no pixels");
                };
                Rgb { height: shape[1].try_into()?, width: shape[2].try_into()?, data }
            }
        };
        Ok(Piece { image, prepared })
    }
}

/// Of each file, kind of images and batch: how many boxes there are, how many have no partner of the same label, and the largest
/// differences.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<serde_json::Value> {
    trainer::cli::telemetry::switch_off();
    let [run, folder, paths @ ..] = arguments else {
        anyhow::bail!("detector-files takes a run, a folder and images: {}", crate::USAGE);
    };
    ensure!(paths.len() >= ODD.len(), "at least {} images, of which the odd pieces are cut", ODD.len());
    let (run, folder) = (Path::new(run), Path::new(folder));
    let images: Vec<Rgb> = paths.iter().map(|path| read(path)).collect::<Result<_, _>>()?;
    let piece = |(image, &(w, h)): (&Rgb, &(u32, u32))| {
        let (x0, y0) = (image.width.saturating_sub(w) / 2, image.height.saturating_sub(h) / 2);
        host::cut(image, Tile { x0, y0, x1: (x0 + w).min(image.width), y1: (y0 + h).min(image.height) })
    };
    let odd: Vec<Rgb> = images.iter().zip(&ODD).map(piece).collect();
    let [images, odd] = [images, odd].map(with_empty);

    let checkpoint = Checkpoint::read(run)?;
    let mut network = Network::from_meta(&checkpoint.meta, Device::Cpu)?;
    checkpoint.restore(&mut network.params)?;
    let mut tiled = export(run, folder, Form::Whole, GRID)?;
    let tiling = loading::tiling(&tiled.settings);
    let tiles = |image: &Rgb| tiling.tiles(image.width, image.height);
    let tiles_of = |images: &[Rgb]| -> Vec<Rgb> {
        images.iter().flat_map(|image| tiles(image).into_iter().map(|tile| host::cut(image, tile))).collect()
    };
    let mut rows = Vec::new();
    let mut prepared = export(run, folder, Form::Prepared, "none")?;
    let mut whole = export(run, folder, Form::Whole, "none")?;
    for (form, file) in [(Form::Prepared, &mut prepared), (Form::Whole, &mut whole)] {
        let mut preparing = Preparing::of(run, form)?;
        let kinds = [("as decoded", images.clone()), ("their tiles", tiles_of(&images)), ("odd pieces", odd.clone())];
        for (kind, images) in kinds {
            let pieces: Vec<Piece> =
                images.into_iter().map(|image| preparing.piece(image)).collect::<Result<_, _>>()?;
            let expected: Vec<Vec<Detection>> = (pieces.iter())
                .map(|piece| evaluate::in_prepared(&network, &piece.prepared, &piece.image, &file.selection))
                .collect();
            for batch in [1, 3, 8] {
                let mut difference = Difference::default();
                let found = file.answers(&pieces, batch)?;
                for (piece, (found, expected)) in pieces.iter().zip(found.iter().zip(&expected)) {
                    difference.add(found, expected, &file.paste(&piece.image));
                }
                rows.push(difference.row(form.name(), kind, batch));
            }
        }
    }
    for (kind, images) in [("as decoded", &images), ("odd pieces", &odd)] {
        let expected: Vec<Vec<Detection>> = (images.iter())
            .map(|image| {
                evaluate::in_image(image, &tiled.settings, |piece| anyhow::Ok(whole.run(&[piece], None)?.remove(0)))
            })
            .collect::<Result<_, _>>()?;
        for batch in [1, 3, 8] {
            let mut difference = Difference::default();
            let found = tiled.about(images, None, batch)?;
            for (image, (found, expected)) in images.iter().zip(found.iter().zip(&expected)) {
                difference.add(found, expected, &tiled.paste(image));
            }
            rows.push(difference.row("whole, merging its tiles", kind, batch));
        }
    }
    Ok(rows.into())
}

/// The images, one of a single grey before them and one after the second.
fn with_empty(mut images: Vec<Rgb>) -> Vec<Rgb> {
    let empty = |like: &Rgb| Rgb { data: vec![114; like.data.len()], ..like.clone() };
    for place in [0, 3] {
        let image = empty(&images[place]);
        images.insert(place, image);
    }
    images
}

fn read(path: &str) -> anyhow::Result<Rgb> {
    let bytes = std::fs::read(path).with_context(|| path.to_owned())?;
    host::decode(&bytes, &Limits::default()).with_context(|| path.to_owned())
}

fn export(run: &Path, folder: &Path, form: Form, grid: &str) -> anyhow::Result<File> {
    let output = folder.join(format!("{}-{grid}.onnx", form.name()));
    let changes = vec![("tile_grid_size".to_owned(), grid.to_owned())];
    exporter::export(run, &output, &ExportSettings { form, changes, ..ExportSettings::default() })?;
    let model = Model::open(&output, &OPTIONS)?;
    let settings = Settings::try_from(model.meta().settings.clone())?;
    let selection = Selection { score: SCORE, ..evaluate::predicting(&settings) };
    Ok(File { model, settings, selection })
}
