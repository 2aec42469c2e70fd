//! Which images are run together. That follows from the images alone, never from what is ready when: a batch of other images may
//! answer otherwise in the last digit, and a run that was resumed must not.

use crate::prepare::Need;

/// Images that go together, counted as they come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Filling {
    most: usize,
    memory: u64,
    /// Sound ones in the present unit.
    images: usize,
    /// Those that cannot be read: they take no place in the batch.
    faults: usize,
    /// Bytes that the present unit takes once it is prepared.
    kept: u64,
}

/// A unit takes at most this share of the memory, so that several are under way.
const SHARE: u64 = 4;
/// Images that cannot be read before a unit ends, so that they are written.
const MOST_FAULTS: usize = 256;

impl Filling {
    /// Units of at most `most` images, in `memory` bytes.
    pub(super) fn new(most: usize, memory: u64) -> Self {
        Self { most: most.max(1), memory, images: 0, faults: 0, kept: 0 }
    }

    /// Takes the next image, `None` when it cannot be read, and says whether a new unit begins with it. The images of a unit,
    /// prepared but for the last, and that one while it is decoded, always fit into the memory: so those before it can wait for it.
    pub(super) fn begins(&mut self, need: Option<Need>) -> bool {
        let begins = match need {
            None => self.faults == MOST_FAULTS,
            Some(need) => {
                let is_crowded = self.kept + need.kept > self.memory / SHARE || self.kept + need.peak > self.memory;
                self.images == self.most || (self.images > 0 && is_crowded)
            }
        };
        if begins {
            (self.images, self.faults, self.kept) = (0, 0, 0);
        }
        match need {
            None => self.faults += 1,
            Some(need) => {
                self.images += 1;
                self.kept += need.kept;
            }
        }
        begins
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begins(filling: &mut Filling, needs: &[Option<(u64, u64)>]) -> Vec<usize> {
        let begins = |need: &Option<(u64, u64)>| filling.begins(need.map(|(peak, kept)| Need { peak, kept }));
        let begins: Vec<bool> = needs.iter().map(begins).collect();
        (0..begins.len()).filter(|&at| begins[at]).collect()
    }

    #[test]
    fn a_unit_is_full_of_sound_images() {
        let (sound, broken) = (Some((2, 1)), None);
        let mut filling = Filling::new(2, 1000);
        assert_eq!(begins(&mut filling, &[sound, broken, broken, sound, broken, sound, sound, sound]), [5, 7]);
    }

    #[test]
    fn a_unit_leaves_room_for_its_last_image_and_for_other_units() {
        let mut filling = Filling::new(10, 100);
        // At most 25 are kept.
        assert_eq!(begins(&mut filling, &[Some((20, 10)), Some((20, 10)), Some((20, 10))]), [2]);
        let mut filling = Filling::new(10, 100);
        assert_eq!(begins(&mut filling, &[Some((20, 10)), Some((90, 10)), Some((91, 1))]), [2]);
        let mut filling = Filling::new(10, 100);
        // One that is large alone has a unit of its own.
        assert_eq!(begins(&mut filling, &[Some((100, 90)), Some((100, 90)), Some((2, 1))]), [1, 2]);
    }

    #[test]
    fn images_that_cannot_be_read_are_written_before_long() {
        let mut filling = Filling::new(10, 100);
        assert_eq!(begins(&mut filling, &vec![None; 2 * MOST_FAULTS + 1]), [MOST_FAULTS, 2 * MOST_FAULTS]);
    }
}
