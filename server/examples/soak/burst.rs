//! The client that comes with many requests at the same moment, more than the server has room for.

use std::{io, time::Duration};

use super::{
    chance::Chance,
    http::Connection,
    requests::Request,
    shared::{Client, Shared},
    tally::Group,
};

pub struct Burst<'a> {
    shared: &'a Shared,
    chance: Chance,
    /// Requests at once.
    many: usize,
    /// Mean time between two bursts.
    pause: Duration,
}

impl<'a> Burst<'a> {
    pub fn new(shared: &'a Shared, chance: Chance, many: usize, pause: Duration) -> Self {
        Self { shared, chance, many, pause }
    }
}

/// Sends so many of a request at the same moment: all but the last byte of each, and then these. Counts the answers, of which each is the
/// right one or says that there is no room; where `is_room` there has to be.
pub fn ask_at_once(shared: &Shared, (request, group): (&Request, Group), many: usize, is_room: bool) {
    let before = shared.versions(request);
    let (last, most) = request.raw.split_last().map_or((0, &[][..]), |(last, most)| (*last, most));
    let begin = || -> io::Result<Connection> {
        let mut connection = shared.connect()?;
        connection.send(most)?;
        Ok(connection)
    };
    let mut begun: Vec<io::Result<Connection>> = (0..many).map(|_| begin()).collect();
    let mut ended = Vec::new();
    for connection in &mut begun {
        // Why it could not be begun shows when its answer is read.
        ended.push(connection.as_mut().map_or(Ok(()), |connection| connection.send(&[last])));
    }
    for (connection, ended) in begun.into_iter().zip(ended) {
        let answer = connection.and_then(|mut connection| ended.and_then(|()| connection.read()));
        let refused = answer.as_ref().is_ok_and(|answer| answer.status == 429);
        let result = if is_room && refused {
            Err("there is no room, and nobody else is there".to_owned())
        } else {
            shared.judge(request, answer, before)
        };
        shared.tally.count(group, request.name, result);
    }
}

impl Client for Burst<'_> {
    fn step(&mut self) {
        let pause = self.chance.around(self.pause);
        self.shared.gate.wait(pause);
        if self.shared.gate.is_open() {
            ask_at_once(self.shared, (&self.shared.requests.large, Group::Burst), self.many, false);
        }
    }

    fn rest(&mut self) {}
}
