//! What the objects of a data set are like: how many in an image, and how large.

use super::evaluate::Outcome;
use dataset::Images;
use metrics::detection::{SIZES, Truth, size_of, size_of_area};
use report::{Bin, ObjectStatistics, PartObjects};

/// Most objects of an image in each bin but the last.
const PER_IMAGE: [usize; 8] = [0, 1, 2, 4, 8, 16, 32, 64];
const PER_IMAGE_NAMES: [&str; 9] = ["0", "1", "2", "3–4", "5–8", "9–16", "17–32", "33–64", "65 and more"];
/// Where each bin of relative sizes ends but the last.
const RELATIVE: [f32; 6] = [0.02, 0.04, 0.08, 0.16, 0.32, 0.64];
const RELATIVE_NAMES: [&str; 7] = ["below 2 %", "2–4 %", "4–8 %", "8–16 %", "16–32 %", "32–64 %", "64 % and more"];
/// Training images whose size in pixels is looked up, which takes opening them.
const SIZED: usize = 300;

/// Statistics of both parts; `outcome` is that of all of `validation`, and knows the sizes of its images.
#[must_use]
pub fn statistics(train: &dyn Images, validation: &dyn Images, outcome: &Outcome) -> ObjectStatistics {
    let per_image = |images: &dyn Images| {
        histogram(PER_IMAGE_NAMES.len(), (0..images.len()).map(|index| bin(&PER_IMAGE, images.objects(index).len())))
    };
    let relative = |images: &dyn Images| {
        let objects = (0..images.len()).flat_map(|index| images.objects(index));
        // A bin begins with its limit here, so that "2–4 %" has 2 and not 4.
        let share = |[x1, y1, x2, y2]: [f32; 4]| ((x2 - x1) * (y2 - y1)).max(0.0).sqrt();
        let place = |size: f32| RELATIVE.iter().take_while(|&&limit| limit <= size).count();
        histogram(RELATIVE_NAMES.len(), objects.map(|object| place(share(object.corners))))
    };
    let (sized_images, train_sizes) = pixel_sizes(train);
    let sizes = outcome.results.iter().flat_map(|result| match &result.masks {
        Some(masks) => masks.truth.iter().map(|&pixels| size_of_area(pixels as f64)).collect::<Vec<_>>(),
        None => result.truth.iter().map(size_of).collect(),
    });
    let validation_sizes = histogram(SIZES.len(), sizes);
    ObjectStatistics {
        train: part(train),
        validation: part(validation),
        per_image: bins(&PER_IMAGE_NAMES, &per_image(train), &per_image(validation)),
        relative: bins(&RELATIVE_NAMES, &relative(train), &relative(validation)),
        sizes: bins(&SIZES, &train_sizes, &validation_sizes),
        sized_images,
    }
}

fn part(images: &dyn Images) -> PartObjects {
    let objects = || (0..images.len()).map(|index| images.objects(index));
    PartObjects {
        images: images.len() as u64,
        background: objects().filter(|objects| objects.is_empty()).count() as u64,
        objects: objects().map(|objects| objects.len() as u64).sum(),
        crowds: objects().flatten().filter(|object| object.is_crowd).count() as u64,
    }
}

/// How many images were looked at, and the small, medium and large objects in them.
fn pixel_sizes(images: &dyn Images) -> (u64, Vec<u64>) {
    let step = images.len().div_ceil(SIZED).max(1);
    let sized: Vec<(usize, [u32; 2])> =
        (0..images.len()).step_by(step).filter_map(|index| Some((index, images.size(index).ok()?))).collect();
    let objects = sized.iter().flat_map(|&(index, size)| {
        images.objects(index).iter().map(move |object| match object.covered(size[0], size[1]) {
            Some(mask) => size_of_area(mask.area() as f64),
            None => {
                let ([width, height], [x1, y1, x2, y2]) = (size.map(f64::from), object.corners.map(f64::from));
                let corners = [x1 * width, y1 * height, x2 * width, y2 * height];
                size_of(&Truth { corners, class: object.class as usize, is_crowd: object.is_crowd })
            }
        })
    });
    (sized.len() as u64, histogram(SIZES.len(), objects))
}

/// The first bin whose limit is not below `value`.
fn bin(limits: &[usize], value: usize) -> usize {
    limits.iter().take_while(|&&limit| limit < value).count()
}

fn histogram(bins: usize, places: impl Iterator<Item = usize>) -> Vec<u64> {
    let mut counts = vec![0; bins];
    places.for_each(|place| counts[place] += 1);
    counts
}

/// Without the empty bins at both ends.
fn bins(names: &[&str], train: &[u64], validation: &[u64]) -> Vec<Bin> {
    let all = names.iter().zip(train.iter().zip(validation));
    let all = all.map(|(name, (&train, &validation))| Bin { name: (*name).to_owned(), train, validation });
    let empty = |bin: &Bin| bin.train == 0 && bin.validation == 0;
    let mut bins: Vec<Bin> = all.skip_while(empty).collect();
    while bins.last().is_some_and(empty) {
        bins.pop();
    }
    bins
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use models::host::Rgb;
    use models::host::mask::Outline;

    use super::*;
    use dataset::{Object, RejectKind, Rejection, SampleError};
    use metrics::detection::{ImageResult, Masks};

    struct Part(Vec<Vec<Object>>);

    impl Images for Part {
        fn len(&self) -> usize {
            self.0.len()
        }

        fn objects(&self, index: usize) -> &[Object] {
            &self.0[index]
        }

        fn image(&self, index: usize) -> Result<Arc<Rgb>, SampleError> {
            match index {
                0 => Ok(Arc::new(Rgb::filled(200, 100, [0; 3]))),
                _ => Err(SampleError::Bad(RejectKind::BadImage, "torn".to_owned())),
            }
        }

        fn rejection(&self, index: usize, kind: RejectKind, reason: String) -> Rejection {
            Rejection { source: String::new(), line: index as u64, image_url: None, kind, reason }
        }
    }

    fn object(side: f32, is_crowd: bool) -> Object {
        Object { corners: [0.0, 0.0, side, side], class: 0, is_crowd, outline: None }
    }

    #[test]
    fn counts_and_sizes() {
        // 0.1 of 200 x 100 pixels is 20 x 10, 0.5 is 100 x 50.
        let train = Part(vec![vec![object(0.1, false), object(0.5, true), object(0.5, false)], vec![]]);
        let validation = Part(vec![vec![object(0.03, false)]]);
        let truth = Truth { corners: [0.0, 0.0, 96.0, 96.0], class: 0, is_crowd: false };
        let results = vec![ImageResult { truth: vec![truth], found: vec![], masks: None }];
        let statistics = statistics(&train, &validation, &Outcome { results, indices: vec![0], ..Outcome::default() });
        assert_eq!(statistics.train, PartObjects { images: 2, background: 1, objects: 3, crowds: 1 });
        assert_eq!(statistics.sized_images, 1, "the other one is unreadable");
        let rows = |bins: &[Bin]| bins.iter().map(|b| (b.name.clone(), b.train, b.validation)).collect::<Vec<_>>();
        let expected = |rows: &[(&str, u64, u64)]| rows.iter().map(|r| (r.0.to_owned(), r.1, r.2)).collect::<Vec<_>>();
        assert_eq!(rows(&statistics.per_image), expected(&[("0", 1, 0), ("1", 0, 1), ("2", 0, 0), ("3–4", 1, 0)]));
        assert_eq!(
            rows(&statistics.relative),
            expected(&[("2–4 %", 0, 1), ("4–8 %", 0, 0), ("8–16 %", 1, 0), ("16–32 %", 0, 0), ("32–64 %", 2, 0)])
        );
        assert_eq!(rows(&statistics.sizes), expected(&[("small", 1, 0), ("medium", 2, 0), ("large", 0, 1)]));
    }

    #[test]
    fn outlined_objects_are_as_large_as_their_pixels() {
        // Triangles in boxes of twice their pixels: that of 6400 is medium, though its box is large.
        let triangle = |side: f64| {
            let outline = Outline { rings: vec![vec![[0.0, 0.0], [side, 0.0], [0.0, side]]] };
            Object { outline: Some(Arc::new(outline)), ..object(side as f32, false) }
        };
        let train = Part(vec![vec![triangle(1.0), triangle(0.8), triangle(0.1)]]);
        let masks = Masks { truth: vec![9215, 9216, 1023], ..Masks::default() };
        let truth = vec![Truth { corners: [0.0, 0.0, 200.0, 100.0], class: 0, is_crowd: false }; 3];
        let results = vec![ImageResult { truth, found: vec![], masks: Some(masks) }];
        let outcome = Outcome { results, indices: vec![0], ..Outcome::default() };
        let sizes = statistics(&train, &Part(vec![vec![]]), &outcome).sizes;
        let rows: Vec<_> = sizes.iter().map(|bin| (bin.name.as_str(), bin.train, bin.validation)).collect();
        assert_eq!(rows, [("small", 1, 1), ("medium", 1, 1), ("large", 1, 1)]);
    }

    #[test]
    fn no_data() {
        let statistics = statistics(&Part(vec![]), &Part(vec![]), &Outcome::default());
        assert!(statistics.per_image.is_empty() && statistics.sizes.is_empty() && statistics.relative.is_empty());
    }
}
