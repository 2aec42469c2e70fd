//! Batches: the same for every number of workers, from any starting point, whatever images are bad.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use models::host::{Limits, Rgb, decode, decode_top, encode_jpeg, encode_png};
use schemas::{Fit, Interpolation, Preprocessing};

use crate::{
    Augmentation, ClassifierViews, DataError, Images, KeyedRng, Loader, LoaderOptions, RejectKind, Rejection,
    SampleError, Views,
};

/// Noise images of odd sizes; some bad, one that panics.
#[derive(Default)]
struct Pictures {
    n: usize,
    bad: Vec<usize>,
    panics: Option<usize>,
    decoded: AtomicUsize,
}

impl Images for Pictures {
    fn len(&self) -> usize {
        self.n
    }

    fn classes(&self, index: usize) -> &[u32] {
        &[0, 1, 2][index % 3..][..1]
    }

    fn image(&self, index: usize) -> Result<Arc<Rgb>, SampleError> {
        self.decoded.fetch_add(1, Ordering::Relaxed);
        assert_ne!(Some(index), self.panics, "as the test wants");
        if self.bad.contains(&index) {
            return Err(SampleError::Bad(RejectKind::BadImage, "torn".to_owned()));
        }
        let (width, height) = (20 + index as u32 % 7, 15 + index as u32 % 11);
        let mut rng = KeyedRng::new("picture", &[index as u64]);
        let data = (0..width * height * 3).map(|_| rng.below(256) as u8).collect();
        Ok(Arc::new(Rgb { width, height, data }))
    }

    fn rejection(&self, index: usize, kind: RejectKind, reason: String) -> Rejection {
        let image_url = Some(format!("{index}.png"));
        Rejection { source: "a.jsonl".to_owned(), line: index as u64 + 1, image_url, kind, reason }
    }
}

fn views(train_crop: u32, augmentation: Option<Augmentation>) -> Views {
    Views::Classifier(ClassifierViews { train_crop, augmentation })
}

fn options(workers: usize) -> LoaderOptions {
    LoaderOptions {
        workers,
        batch_size: 4,
        prefetch: 2,
        cache_bytes: 0,
        ignore_data_errors: true,
        preprocessing: Preprocessing {
            fit: Fit::Crop { resize: 14, crop: 12 },
            interpolation: Interpolation::Bilinear,
            mean: [0.0; 3],
            std: [1.0; 3],
        },
        views: views(10, Some(Augmentation::default())),
    }
}

fn loader(images: Pictures, options: LoaderOptions) -> Loader {
    Loader::new(Arc::new(images), options).unwrap()
}

type Flat = (Vec<u8>, Vec<Vec<u32>>, Vec<usize>);

fn flat(batches: impl Iterator<Item = Result<crate::Batch, DataError>>) -> Vec<Flat> {
    batches
        .map(|batch| {
            let batch = batch.unwrap();
            assert_eq!(batch.images.len(), batch.n * batch.height * batch.width * 3);
            assert_eq!((batch.classes.len(), batch.indices.len()), (batch.n, batch.n));
            (batch.images.clone(), batch.classes.clone(), batch.indices.clone())
        })
        .collect()
}

fn images(n: usize, bad: &[usize]) -> Pictures {
    Pictures { n, bad: bad.to_vec(), ..Pictures::default() }
}

#[test]
fn the_number_of_workers_changes_nothing() {
    for bad in [&[][..], &[3, 4, 17]] {
        let run = |workers| {
            let loader = loader(images(27, bad), options(workers));
            let train = flat(loader.train_epoch(5, 1, 0));
            let second = flat(loader.train_epoch(5, 2, 0));
            let eval = flat(loader.eval());
            let rejected: Vec<u64> = loader.take_rejections().iter().map(|row| row.line).collect();
            assert!(loader.take_rejections().is_empty(), "told twice");
            (train, second, eval, rejected)
        };
        let alone = run(0);
        assert_ne!(alone.0, alone.1);
        assert_eq!(alone.3, bad.iter().map(|&i| i as u64 + 1).collect::<Vec<_>>());
        for workers in [1, 2, 7] {
            assert!(run(workers) == alone, "{workers} workers, bad {bad:?}");
        }
    }
}

/// Images behind files, of which a top may be asked.
struct Encoded {
    files: Vec<Vec<u8>>,
    partial: bool,
    shortened: AtomicUsize,
}

impl Images for Encoded {
    fn len(&self) -> usize {
        self.files.len()
    }

    fn image(&self, index: usize) -> Result<Arc<Rgb>, SampleError> {
        Ok(Arc::new(decode(&self.files[index], &Limits::default()).unwrap()))
    }

    fn top(&self, index: usize, rows: &mut dyn FnMut(u32, u32) -> u32) -> Result<Arc<Rgb>, SampleError> {
        let whole = self.image(index)?;
        if !self.partial {
            return Ok(whole);
        }
        let top = decode_top(&self.files[index], &Limits::default(), rows).unwrap();
        self.shortened.fetch_add(usize::from(top.height < whole.height), Ordering::Relaxed);
        Ok(Arc::new(top))
    }

    fn rejection(&self, index: usize, kind: RejectKind, reason: String) -> Rejection {
        Rejection { source: String::new(), line: index as u64 + 1, image_url: None, kind, reason }
    }
}

#[test]
fn views_of_a_top_equal_views_of_the_whole() {
    let mut rng = KeyedRng::new("picture", &[1]);
    let mut picture = |width: u32, height: u32| Rgb {
        width,
        height,
        data: (0..width * height * 3).map(|_| rng.below(256) as u8).collect(),
    };
    let files: Vec<_> = (0..12).map(|i| picture(40 + i, 90 - 7 * i)).collect();
    let files: Vec<_> = files
        .iter()
        .enumerate()
        .map(|(i, image)| if i % 4 == 3 { encode_png(image) } else { encode_jpeg(image, 85) })
        .collect();
    let views = |partial| {
        let images = Arc::new(Encoded { files: files.clone(), partial, shortened: AtomicUsize::new(0) });
        let loader = Loader::new(Arc::clone(&images) as Arc<dyn Images>, options(2)).unwrap();
        let views: Vec<_> = (0..4).map(|epoch| flat(loader.train_epoch(3, epoch, 0))).collect();
        (views, images.shortened.load(Ordering::Relaxed))
    };
    let ((top, shortened), (whole, none)) = (views(true), views(false));
    assert!(top == whole);
    assert!(shortened > 10 && none == 0, "{shortened} {none}");
}

#[test]
fn an_epoch_can_start_anywhere() {
    let whole = loader(images(27, &[2]), options(2));
    let _ = flat(whole.train_epoch(9, 0, 0));
    let epoch = flat(whole.train_epoch(9, 1, 0));
    assert_eq!(epoch.len(), whole.batches_per_epoch());
    let fresh = loader(images(27, &[2]), options(1));
    assert!(flat(fresh.train_epoch(9, 1, 0)) == epoch);
    assert!(flat(fresh.train_epoch(9, 1, 3)) == epoch[3..]);
    assert!(flat(fresh.train_epoch(9, 1, epoch.len())).is_empty());
}

#[test]
fn training_sees_each_sample_once_and_fills_up_for_bad_ones() {
    let good = loader(images(13, &[]), options(2));
    let mut seen: Vec<usize> = flat(good.train_epoch(1, 0, 0)).into_iter().flat_map(|batch| batch.2).collect();
    seen.sort_unstable();
    assert_eq!(seen, (0..13).collect::<Vec<_>>());
    // 13 = 4 + 4 + 5: the left-over sample joins the batch before it.
    assert_eq!(good.batches_per_epoch(), 3);

    let torn = loader(images(13, &[0, 5, 6]), options(2));
    let batches = flat(torn.train_epoch(1, 0, 0));
    assert_eq!(batches.iter().map(|batch| batch.2.len()).collect::<Vec<_>>(), [4, 4, 5]);
    assert!(batches.iter().flat_map(|batch| &batch.2).all(|index| ![0, 5, 6].contains(index)));

    let none = loader(images(3, &[0, 1, 2]), options(2));
    assert!(matches!(none.train_epoch(1, 0, 0).next(), Some(Err(DataError::Empty { .. }))));
    assert!(none.eval().next().is_none());
}

#[test]
fn evaluation_is_in_order_and_leaves_bad_ones_out() {
    let loader = loader(images(10, &[4, 5, 6, 7]), options(3));
    let batches = flat(loader.eval());
    let indices: Vec<Vec<usize>> = batches.into_iter().map(|batch| batch.2).collect();
    assert_eq!(indices, [vec![0, 1, 2, 3], vec![8, 9]]);
}

#[test]
fn finished_views_are_kept_within_their_budget() {
    for (cache_bytes, decoded) in [(0, 20), (10 * 12 * 12 * 3 - 1, 20), (10 * 12 * 12 * 3, 10)] {
        let pictures = Arc::new(images(10, &[]));
        let images: Arc<dyn Images> = pictures.clone();
        let loader = Loader::new(images, LoaderOptions { cache_bytes, ..options(2) }).unwrap();
        assert!(flat(loader.eval()) == flat(loader.eval()));
        assert_eq!(pictures.decoded.load(Ordering::Relaxed), decoded, "{cache_bytes} bytes");
    }
}

#[test]
fn the_first_bad_image_is_fatal_when_errors_are_not_ignored() {
    for workers in [0, 2] {
        let strict = LoaderOptions { ignore_data_errors: false, ..options(workers) };
        let loader = loader(images(10, &[6]), strict);
        let results: Vec<_> = loader.eval().collect();
        assert_eq!(results.len(), 2, "nothing after an error");
        let message = results[1].as_ref().unwrap_err().to_string();
        assert!(message.contains("a.jsonl:7") && message.contains("torn"), "{message}");
    }
}

#[test]
fn a_panic_names_the_image_and_the_loader_lives_on() {
    for workers in [0, 2] {
        let loader = loader(Pictures { n: 8, panics: Some(2), ..Pictures::default() }, options(workers));
        for _ in 0..3 {
            let error = loader.eval().next().unwrap().unwrap_err();
            assert!(
                matches!(&error, DataError::Panic { image, message } if image == "2.png" && message.contains("as the test wants")),
                "{error}"
            );
        }
    }
}

#[test]
fn a_pass_may_be_left_early() {
    let loader = loader(images(60, &[]), options(3));
    for _ in 0..20 {
        assert!(loader.train_epoch(1, 0, 0).next().unwrap().is_ok());
    }
    let (mut first, mut second) = (loader.eval(), loader.eval());
    assert_eq!(first.next().unwrap().unwrap().images, second.next().unwrap().unwrap().images);
}

#[test]
fn without_augmentation_training_sees_the_evaluation_view() {
    let plain = LoaderOptions { views: views(12, None), ..options(1) };
    let loader = loader(images(6, &[]), plain);
    let eval: Vec<u8> = flat(loader.eval()).into_iter().flat_map(|batch| batch.0).collect();
    let size = 12 * 12 * 3;
    for (images, _, indices) in flat(loader.train_epoch(3, 0, 0)) {
        for (at, index) in indices.into_iter().enumerate() {
            assert_eq!(images[at * size..][..size], eval[index * size..][..size]);
        }
    }
}

#[test]
fn settings_are_checked() {
    let bad = |change: fn(&mut LoaderOptions)| {
        let mut options = options(0);
        change(&mut options);
        Loader::new(Arc::new(images(1, &[])), options).err().unwrap().to_string()
    };
    assert!(bad(|o| o.batch_size = 0).contains("batch size is 0"));
    assert!(bad(|o| o.views = views(0, None)).contains("crop size"));
    assert!(
        bad(|o| o.views = views(9, Some(Augmentation { hue: 2.0, ..Augmentation::default() }))).contains("hue is 2")
    );
}
