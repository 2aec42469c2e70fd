//! What was asked, and what went wrong.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Faults that are told in words; the others are counted.
const TOLD: usize = 20;

/// A kind of traffic, in the order of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    Score,
    Infer,
    Read,
    Refused,
    Parted,
    Slow,
    Burst,
    Grpc,
    Swap,
    Idle,
}

impl Group {
    /// What the table calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Score => "/score",
            Self::Infer => "V2 inference",
            Self::Read => "page, metrics, metadata",
            Self::Refused => "refused requests",
            Self::Parted => "clients that go away",
            Self::Slow => "slow clients",
            Self::Burst => "requests in bursts",
            Self::Grpc => "gRPC calls",
            Self::Swap => "swaps of a version",
            Self::Idle => "checks of a quiet server",
        }
    }
}

/// How often something of a kind was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// All of them.
    pub done: u64,
    /// Those that were answered with "no room now" (429).
    pub without_room: u64,
}

/// How something ended that went as it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Right,
    WithoutRoom,
}

/// Everything together.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// By their kind.
    pub groups: BTreeMap<Group, Count>,
    /// Those that went wrong.
    pub failures: u64,
    /// The first of them.
    pub told: Vec<String>,
}

/// Counts of all clients.
#[derive(Default)]
pub struct Tally(Mutex<Counts>);

impl Tally {
    /// Counts one, and keeps what went wrong with it.
    pub fn count(&self, group: Group, what: &str, result: Result<Outcome, String>) {
        let mut counts = self.lock();
        let count = counts.groups.entry(group).or_default();
        count.done += 1;
        match result {
            Ok(Outcome::Right) => {}
            Ok(Outcome::WithoutRoom) => count.without_room += 1,
            Err(why) => {
                counts.failures += 1;
                if counts.told.len() < TOLD {
                    counts.told.push(format!("{}: {what}: {why}", group.name()));
                }
            }
        }
    }

    /// How much was done.
    pub fn done(&self) -> u64 {
        self.lock().groups.values().map(|count| count.done).sum()
    }

    /// All of it.
    pub fn counts(&self) -> Counts {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_wrong_is_counted_and_the_first_of_it_told() {
        let tally = Tally::default();
        tally.count(Group::Score, "a", Ok(Outcome::Right));
        tally.count(Group::Score, "a", Ok(Outcome::WithoutRoom));
        (0..30).for_each(|i| tally.count(Group::Burst, "b", Err(format!("fault {i}"))));
        let Counts { groups, failures, told } = tally.counts();
        assert_eq!(groups[&Group::Score], Count { done: 2, without_room: 1 });
        assert_eq!((failures, told.len(), tally.done()), (30, TOLD, 32));
        assert_eq!(told[0], "requests in bursts: b: fault 0");
    }
}
