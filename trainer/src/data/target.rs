//! What the samples of a data set show: one class each, or objects.

use std::collections::BTreeSet;

/// An object in a picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Object {
    /// `x1 y1 x2 y2` as fractions of the picture's width and height, `x1 < x2` and `y1 < y2`.
    pub corners: [f32; 4],
    /// Index into the labels of whoever holds the object.
    pub class: u32,
    /// A group of objects: trained on, but left out of metrics.
    pub is_crowd: bool,
}

/// The objects of many pictures, one picture after the other.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Objects {
    /// End of each picture's objects in `all`.
    ends: Vec<usize>,
    all: Vec<Object>,
}

impl Objects {
    /// Adds a picture.
    pub fn push(&mut self, objects: impl IntoIterator<Item = Object>) {
        self.all.extend(objects);
        self.ends.push(self.all.len());
    }

    /// Pictures.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Objects of a picture.
    pub fn of(&self, picture: usize) -> &[Object] {
        let start = picture.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.all[start..self.ends[picture]]
    }

    /// Objects in all.
    pub fn total(&self) -> usize {
        self.all.len()
    }
}

/// What each sample of a part shows.
#[derive(Clone, Debug)]
pub enum Targets {
    /// Its class.
    Classes(Vec<u32>),
    /// Its objects.
    Objects(Objects),
}

impl Targets {
    /// Gives what is not needed back.
    pub fn shrink(&mut self) {
        match self {
            Self::Classes(classes) => classes.shrink_to_fit(),
            Self::Objects(objects) => {
                objects.ends.shrink_to_fit();
                objects.all.shrink_to_fit();
            }
        }
    }

    /// Keeps the samples at `keep`.
    pub fn retain(&mut self, keep: &[u32]) {
        match self {
            Self::Classes(classes) => *classes = keep.iter().map(|&at| classes[at as usize]).collect(),
            Self::Objects(objects) => {
                let mut kept = Objects::default();
                keep.iter().for_each(|&at| kept.push(objects.of(at as usize).iter().copied()));
                *objects = kept;
            }
        }
    }

    /// Classes that occur.
    pub fn used(&self) -> BTreeSet<u32> {
        match self {
            Self::Classes(classes) => classes.iter().copied().collect(),
            Self::Objects(objects) => objects.all.iter().map(|object| object.class).collect(),
        }
    }

    /// Replaces each class by its place in `places`, which has one for every class that occurs.
    pub fn renumber(&mut self, places: &[Option<u32>]) {
        let place = |class: &mut u32| *class = places[*class as usize].expect("every used class has a place");
        match self {
            Self::Classes(classes) => classes.iter_mut().for_each(place),
            Self::Objects(objects) => objects.all.iter_mut().for_each(|object| place(&mut object.class)),
        }
    }

    /// How often each of `n` classes occurs: samples, or objects.
    pub fn counts(&self, n: usize) -> Vec<usize> {
        let mut counts = vec![0; n];
        match self {
            Self::Classes(classes) => classes.iter().for_each(|&class| counts[class as usize] += 1),
            Self::Objects(objects) => objects.all.iter().for_each(|object| counts[object.class as usize] += 1),
        }
        counts
    }

    /// The stratum of each sample, for a split that gives every part of a data set some of each class: its class, or, of the
    /// classes of its objects, the one that fewest pictures show. Pictures without objects are a stratum of their own. Classes
    /// are numbered and, where equally rare, chosen by `ranks`, one per class.
    pub fn strata(&self, ranks: &[u32]) -> Vec<u32> {
        let objects = match self {
            Self::Classes(classes) => return classes.clone(),
            Self::Objects(objects) => objects,
        };
        let shown =
            |picture: usize| objects.of(picture).iter().map(|o| ranks[o.class as usize]).collect::<BTreeSet<_>>();
        let mut pictures = vec![0usize; ranks.len()];
        for picture in 0..objects.len() {
            shown(picture).into_iter().for_each(|rank| pictures[rank as usize] += 1);
        }
        let background = ranks.len() as u32;
        let rarest = |ranks: BTreeSet<u32>| ranks.into_iter().min_by_key(|&rank| (pictures[rank as usize], rank));
        (0..objects.len()).map(|picture| rarest(shown(picture)).unwrap_or(background)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(class: u32) -> Object {
        Object { corners: [0.0, 0.0, 0.5, 0.5], class, is_crowd: false }
    }

    fn targets(pictures: &[&[u32]]) -> Targets {
        let mut objects = Objects::default();
        pictures.iter().for_each(|classes| objects.push(classes.iter().map(|&class| object(class))));
        Targets::Objects(objects)
    }

    #[test]
    fn pictures_keep_their_objects() {
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
    fn a_picture_belongs_to_its_rarest_class() {
        let all = targets(&[&[0, 0, 1], &[0, 2], &[0], &[], &[1, 0], &[2, 1]]);
        // Pictures with class 0: 4, 1: 3, 2: 2.
        assert_eq!(all.strata(&[0, 1, 2]), [1, 2, 0, 3, 1, 2]);
        // As rare as each other: the one that ranks first.
        assert_eq!(targets(&[&[0, 1], &[1, 0]]).strata(&[1, 0]), [0, 0]);
    }
}
