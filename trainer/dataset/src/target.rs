//! What the samples of a data set show: one class each, any number of classes, or objects.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use models::host::mask::{Mask, Outline};
use schemas::Labels;

/// An object in an image.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// `x1 y1 x2 y2` as fractions of the image's width and height, `x1 < x2` and `y1 < y2`.
    pub corners: [f32; 4],
    /// Index into the labels of whoever holds the object.
    pub class: u32,
    /// A group of objects: trained on, but left out of metrics.
    pub is_crowd: bool,
    /// What it covers, as fractions of the image's width and height, where the task outlines objects; `corners` are around it.
    pub outline: Option<Arc<Outline>>,
}

impl Object {
    /// The pixels that it covers of its image of `width` x `height` pixels; `None` where the task outlines nothing.
    #[must_use]
    pub fn covered(&self, width: u32, height: u32) -> Option<Mask> {
        let outline = self.outline.as_ref()?;
        Some(outline.map(|[x, y]| [x * f64::from(width), y * f64::from(height)]).covered(width, height))
    }
}

/// A list for each of many images, kept one after the other.
#[derive(Clone, Debug, PartialEq)]
pub struct Lists<T> {
    /// End of each image's list in `all`.
    ends: Vec<usize>,
    all: Vec<T>,
}

/// The objects of many images.
pub type Objects = Lists<Object>;

impl<T> Default for Lists<T> {
    fn default() -> Self {
        Self { ends: Vec::new(), all: Vec::new() }
    }
}

impl<T> Lists<T> {
    /// Adds an image.
    pub fn push(&mut self, list: impl IntoIterator<Item = T>) {
        self.all.extend(list);
        self.ends.push(self.all.len());
    }

    /// Images.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// List of an image.
    pub fn of(&self, image: usize) -> &[T] {
        &self.all[self.range(image)]
    }

    /// Elements of all lists.
    pub fn total(&self) -> usize {
        self.all.len()
    }

    fn range(&self, image: usize) -> Range<usize> {
        image.checked_sub(1).map_or(0, |before| self.ends[before])..self.ends[image]
    }

    fn shrink(&mut self) {
        self.ends.shrink_to_fit();
        self.all.shrink_to_fit();
    }
}

impl<T: Clone> Lists<T> {
    fn retain(&mut self, keep: &[u32]) {
        let mut kept = Self::default();
        keep.iter().for_each(|&at| kept.push(self.of(at as usize).iter().cloned()));
        *self = kept;
    }
}

/// What each sample of a part shows.
#[derive(Clone, Debug)]
pub enum Targets {
    /// Its class.
    Classes(Vec<u32>),
    /// Its classes, in ascending order, each once; of some samples none.
    Sets(Lists<u32>),
    /// Its objects.
    Objects(Objects),
}

impl Targets {
    /// Nothing yet, of what the rows show.
    pub fn new(labels: Labels) -> Self {
        match labels {
            Labels::Class => Self::Classes(Vec::new()),
            Labels::Classes => Self::Sets(Lists::default()),
            Labels::Boxes | Labels::Outlines => Self::Objects(Objects::default()),
        }
    }

    /// Gives what is not needed back.
    pub fn shrink(&mut self) {
        match self {
            Self::Classes(classes) => classes.shrink_to_fit(),
            Self::Sets(sets) => sets.shrink(),
            Self::Objects(objects) => objects.shrink(),
        }
    }

    /// Keeps the samples at `keep`.
    pub fn retain(&mut self, keep: &[u32]) {
        match self {
            Self::Classes(classes) => *classes = keep.iter().map(|&at| classes[at as usize]).collect(),
            Self::Sets(sets) => sets.retain(keep),
            Self::Objects(objects) => objects.retain(keep),
        }
    }

    /// Whether no sample shows anything, so that there is nothing to learn.
    pub fn are_empty(&self) -> bool {
        match self {
            Self::Classes(classes) => classes.is_empty(),
            Self::Sets(sets) => sets.total() == 0,
            Self::Objects(objects) => objects.total() == 0,
        }
    }

    /// The classes of a sample: one, or a set; none where it has objects.
    pub fn classes(&self, sample: usize) -> &[u32] {
        match self {
            Self::Classes(classes) => std::slice::from_ref(&classes[sample]),
            Self::Sets(sets) => sets.of(sample),
            Self::Objects(_) => &[],
        }
    }

    /// Samples.
    pub fn len(&self) -> usize {
        match self {
            Self::Classes(classes) => classes.len(),
            Self::Sets(sets) => sets.len(),
            Self::Objects(objects) => objects.len(),
        }
    }

    /// The classes that a sample shows, in whatever way, each once.
    pub fn shown(&self, sample: usize) -> BTreeSet<u32> {
        match self {
            Self::Classes(_) | Self::Sets(_) => self.classes(sample).iter().copied().collect(),
            Self::Objects(objects) => objects.of(sample).iter().map(|object| object.class).collect(),
        }
    }

    /// Class of everything that is shown, sample by sample.
    fn all(&self) -> Box<dyn Iterator<Item = u32> + '_> {
        match self {
            Self::Classes(classes) | Self::Sets(Lists { all: classes, .. }) => Box::new(classes.iter().copied()),
            Self::Objects(objects) => Box::new(objects.all.iter().map(|object| object.class)),
        }
    }

    /// Classes that occur.
    pub fn used(&self) -> BTreeSet<u32> {
        self.all().collect()
    }

    /// Replaces each class by its place in `places`, which has one for every class that occurs.
    pub fn renumber(&mut self, places: &[Option<u32>]) {
        let place = |class: &mut u32| *class = places[*class as usize].expect("every used class has a place");
        match self {
            Self::Classes(classes) => classes.iter_mut().for_each(place),
            Self::Sets(sets) => {
                sets.all.iter_mut().for_each(place);
                for image in 0..sets.len() {
                    let range = sets.range(image);
                    sets.all[range].sort_unstable();
                }
            }
            Self::Objects(objects) => objects.all.iter_mut().for_each(|object| place(&mut object.class)),
        }
    }

    /// How often each of `n` classes occurs: samples, or objects.
    pub fn counts(&self, n: usize) -> Vec<usize> {
        let mut counts = vec![0; n];
        self.all().for_each(|class| counts[class as usize] += 1);
        counts
    }

    /// The stratum of each sample, for a split that gives every part of a data set some of each class: its class, or, of
    /// several classes, the one that fewest images show. Images that show nothing are a stratum of their own. Classes
    /// are numbered and, where equally rare, chosen by `ranks`, one per class.
    pub fn strata(&self, ranks: &[u32]) -> Vec<u32> {
        let shown: Vec<BTreeSet<u32>> = match self {
            Self::Classes(classes) => return classes.clone(),
            Self::Sets(sets) => ranked(sets, ranks, |&class| class),
            Self::Objects(objects) => ranked(objects, ranks, |object| object.class),
        };
        let mut images = vec![0usize; ranks.len()];
        shown.iter().flatten().for_each(|&rank| images[rank as usize] += 1);
        let background = ranks.len() as u32;
        let rarest = |ranks: &BTreeSet<u32>| ranks.iter().copied().min_by_key(|&rank| (images[rank as usize], rank));
        shown.iter().map(|ranks| rarest(ranks).unwrap_or(background)).collect()
    }
}

/// Ranks of the classes that each image shows.
fn ranked<T>(lists: &Lists<T>, ranks: &[u32], class: impl Fn(&T) -> u32) -> Vec<BTreeSet<u32>> {
    let of = |image| lists.of(image).iter().map(|one| ranks[class(one) as usize]).collect();
    (0..lists.len()).map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(class: u32) -> Object {
        Object { corners: [0.0, 0.0, 0.5, 0.5], class, is_crowd: false, outline: None }
    }

    fn targets(images: &[&[u32]]) -> Targets {
        let mut objects = Objects::default();
        images.iter().for_each(|classes| objects.push(classes.iter().map(|&class| object(class))));
        Targets::Objects(objects)
    }

    #[test]
    fn images_keep_their_objects() {
        let mut all = targets(&[&[0, 1], &[], &[2], &[0]]);
        assert_eq!(all.counts(3), [2, 1, 1]);
        all.retain(&[0, 1, 3]);
        all.renumber(&[Some(7), Some(4), None]);
        let Targets::Objects(objects) = &all else { unreachable!() };
        let classes: Vec<Vec<u32>> = (0..3).map(|at| objects.of(at).iter().map(|o| o.class).collect()).collect();
        assert_eq!(classes, [vec![7, 4], vec![], vec![7]]);
        assert_eq!(all.used(), BTreeSet::from([4, 7]));
    }

    #[test]
    fn an_image_belongs_to_its_rarest_class() {
        let all = targets(&[&[0, 0, 1], &[0, 2], &[0], &[], &[1, 0], &[2, 1]]);
        // Images with class 0: 4, 1: 3, 2: 2.
        assert_eq!(all.strata(&[0, 1, 2]), [1, 2, 0, 3, 1, 2]);
        // As rare as each other: the one that ranks first.
        assert_eq!(targets(&[&[0, 1], &[1, 0]]).strata(&[1, 0]), [0, 0]);
    }

    #[test]
    fn sets_stay_sorted_and_count_each_image_once() {
        let mut sets = Lists::default();
        [&[0, 1][..], &[], &[0, 2]].into_iter().for_each(|set| sets.push(set.iter().copied()));
        let mut all = Targets::Sets(sets);
        assert_eq!(all.strata(&[0, 1, 2]), [1, 3, 2]);
        all.renumber(&[Some(2), Some(0), Some(1)]);
        assert_eq!([all.classes(0), all.classes(1), all.classes(2)], [&[0, 2][..], &[], &[1, 2]]);
        assert_eq!(all.counts(3), [1, 1, 2]);
        all.retain(&[1]);
        assert!(all.are_empty() && all.used().is_empty());
    }
}
