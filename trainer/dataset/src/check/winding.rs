//! How often a ring goes around pixels.

use models::host::Tile;
use models::host::mask::Ring;

/// The pixels of an image that a ring goes around.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Windings {
    /// All of them.
    pub around: u64,
    /// Those that it goes around twice or another even number of times, which even-odd are a hole.
    pub holes: u64,
    /// Of the others, those that it goes around the other way than most.
    pub against: u64,
    /// Of the others, those that it goes around three times and more.
    pub again: u64,
    /// Rounds of all pixels together, whichever way.
    pub rounds: u64,
    /// Rounds that a ring which does not cross itself would not make, or would make the other way.
    pub excess: u64,
}

impl Windings {
    /// Of a ring in pixels of an image, by the middles of the pixels in a window.
    pub fn of(ring: &Ring, window: Tile) -> Self {
        /// Looked at together, so that memory is for the height of the image and not for all of it.
        const COLUMNS: u32 = 64;

        let rows = window.height() as usize + 1;
        let mut turns = vec![0_i32; rows * COLUMNS as usize];
        let mut counted = Counts::default();
        for left in (window.x0..window.x1).step_by(COLUMNS as usize) {
            let right = window.x1.min(left + COLUMNS);
            turns.fill(0);
            let ends = ring.iter().skip(1).chain(ring.first());
            for (from, to) in ring.iter().zip(ends) {
                // Always from the left, as pixels are filled.
                let ([xa, ya], [xb, yb], way) = if from[0] <= to[0] { (from, to, 1) } else { (to, from, -1) };
                let column = |x: f64| ((x - 0.5).ceil() as u32).clamp(left, right);
                for x in column(*xa)..column(*xb) {
                    let y = ya + (f64::from(x) + 0.5 - xa) * (yb - ya) / (xb - xa);
                    let row = ((y - 0.5).ceil() as u32).clamp(window.y0, window.y1) - window.y0;
                    turns[(x - left) as usize * rows + row as usize] += way;
                }
            }
            for column in turns.chunks_exact(rows).take((right - left) as usize) {
                let mut rounds = 0_i32;
                for turn in &column[..rows - 1] {
                    rounds += turn;
                    counted.add(rounds);
                }
            }
        }
        counted.windings()
    }
}

/// Pixels and their rounds, by number and way.
#[derive(Default)]
struct Counts {
    /// Pixels of an odd number of rounds: one way and the other.
    odd: [u64; 2],
    /// Pixels of an even number of rounds, but 0.
    even: u64,
    again: u64,
    rounds: u64,
}

impl Counts {
    fn add(&mut self, rounds: i32) {
        let times = u64::from(rounds.unsigned_abs());
        if times == 0 {
            return;
        }
        self.rounds += times;
        match times % 2 {
            0 => self.even += 1,
            _ => {
                self.odd[usize::from(rounds < 0)] += 1;
                self.again += u64::from(times > 1);
            }
        }
    }

    fn windings(self) -> Windings {
        let [most, against] = [self.odd[0].max(self.odd[1]), self.odd[0].min(self.odd[1])];
        Windings {
            around: most + against + self.even,
            holes: self.even,
            against,
            again: self.again,
            rounds: self.rounds,
            // One round the right way is as it should be; one the wrong way is one too many, and one that lacks.
            excess: self.rounds - most + against,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IMAGE: Tile = Tile { x0: 0, y0: 0, x1: 200, y1: 100 };

    fn square(from: f64, to: f64) -> Ring {
        vec![[from, from], [to, from], [to, to], [from, to]]
    }

    #[test]
    fn rounds_are_counted_by_hand() {
        let plain = Windings { around: 400, rounds: 400, ..Windings::default() };
        assert_eq!(Windings::of(&square(10.0, 30.0), IMAGE), plain);
        let backwards: Ring = square(10.0, 30.0).into_iter().rev().collect();
        assert_eq!(Windings::of(&backwards, IMAGE), plain);
        // Columns 60 to 79, across the stretch that is looked at together, and cut at the edge of the image.
        let wide = vec![[60.0, 50.0], [80.0, 50.0], [80.0, 150.0], [60.0, 150.0]];
        assert_eq!(Windings::of(&wide, IMAGE), Windings { around: 1000, rounds: 1000, ..Windings::default() });
        let twice = [square(10.0, 30.0), square(10.0, 20.0)].concat();
        let found = Windings::of(&twice, IMAGE);
        assert_eq!(found, Windings { around: 400, holes: 100, rounds: 500, excess: 200, ..Windings::default() });
        let thrice = [square(10.0, 30.0), square(10.0, 20.0), square(10.0, 20.0)].concat();
        let found = Windings::of(&thrice, IMAGE);
        assert_eq!(found, Windings { around: 400, again: 100, rounds: 600, excess: 200, ..Windings::default() });
        // Two triangles that meet in the middle: nearly 100 pixels each, one the other way.
        let tie = vec![[10.0, 10.0], [30.0, 30.0], [30.0, 10.0], [10.0, 30.0]];
        let found = Windings::of(&tie, IMAGE);
        assert_eq!((found.around, found.against, found.holes), (found.rounds, found.around / 2, 0), "{found:?}");
        assert!(found.around.abs_diff(200) <= 20 && found.excess == 2 * found.against, "{found:?}");
    }
}
