//! The ordinary client: one request after the other, good ones and bad ones, on a connection that it keeps or on a new one; and now and
//! then it goes away in the middle.

use std::{
    io,
    time::{Duration, Instant},
};

use super::{
    chance::Chance,
    http::{Answer, Connection},
    requests::Request,
    shared::{Client, Shared},
    tally::{Group, Outcome},
};

/// Of a hundred requests: those that are to be refused, and clients that go away.
const REFUSED: usize = 16;
const PARTED: usize = 12;
/// Of a hundred requests: those on the connection that is kept.
const KEPT: usize = 75;

/// How a client goes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parting {
    /// It connects, and says nothing.
    Silent,
    /// In the middle of the head.
    HalfHead,
    /// In the middle of the body.
    HalfBody,
    /// After the whole request, without waiting for the answer.
    Unread,
    /// With the answer half read.
    HalfRead,
    /// In the middle of the body, with a reset.
    ResetInBody,
    /// After the whole request, with a reset.
    ResetUnread,
    /// It closes its side after the request, and reads the answer.
    HalfClosed,
    /// It closes its side in the middle of the body, and reads on.
    HalfClosedInBody,
}

impl Parting {
    const ALL: [Self; 9] = [
        Self::Silent,
        Self::HalfHead,
        Self::HalfBody,
        Self::Unread,
        Self::HalfRead,
        Self::ResetInBody,
        Self::ResetUnread,
        Self::HalfClosed,
        Self::HalfClosedInBody,
    ];
}

/// What is done next.
#[derive(Clone, Copy)]
enum Deed<'a> {
    Ask(&'a Request),
    Part(Parting, &'a Request),
}

pub struct Mixed<'a> {
    shared: &'a Shared,
    chance: Chance,
    /// Mean time between two requests.
    pause: Duration,
    /// What is done before chance decides, so that even a short run does everything once; the next one is last.
    first: Vec<Deed<'a>>,
    kept: Option<Connection>,
    /// Whether the last answer on it was a refusal. The server may close after one, when it has not read the request to its end.
    is_refused: bool,
    /// When it was used last.
    used: Instant,
    /// How long the server keeps it.
    keep_alive: Duration,
}

impl<'a> Mixed<'a> {
    pub fn new(shared: &'a Shared, chance: Chance, pause: Duration, keep_alive: Duration) -> Self {
        let requests = &shared.requests;
        let part = |(parting, request): (Parting, &'a Request)| Deed::Part(parting, request);
        let partings = Parting::ALL.into_iter().zip(&requests.good).map(part);
        let asked = requests.good.iter().chain(&requests.refused).map(Deed::Ask);
        let first = partings.chain(asked).collect();
        Self { shared, chance, pause, first, kept: None, is_refused: false, used: Instant::now(), keep_alive }
    }

    fn next(&mut self) -> Deed<'a> {
        if let Some(deed) = self.first.pop() {
            return deed;
        }
        let requests = &self.shared.requests;
        match self.chance.below(100) {
            n if n < REFUSED => Deed::Ask(self.chance.of(&requests.refused)),
            n if n < REFUSED + PARTED => Deed::Part(*self.chance.of(&Parting::ALL), self.chance.of(&requests.good)),
            _ => Deed::Ask(self.chance.of(&requests.good)),
        }
    }

    fn ask(&mut self, request: &Request) -> Result<Outcome, String> {
        if request.is_cut || !self.chance.percent(KEPT) {
            return self.shared.ask(request);
        }
        let before = self.shared.versions(request);
        let (was_kept, idle) = (self.kept.is_some(), self.used.elapsed());
        let answer = self.ask_kept(request);
        let judged = self.shared.judge(request, answer, before);
        judged.map_err(|why| if was_kept { format!("{why}; on a connection unused for {idle:?}") } else { why })
    }

    fn ask_kept(&mut self, request: &Request) -> io::Result<Answer> {
        let kept = self.kept.take();
        let was_kept = kept.is_some();
        match self.try_ask(kept, request) {
            // Whoever does not use a connection for as long may find it closed.
            Err(_) if was_kept && (self.is_refused || self.used.elapsed() >= self.keep_alive) => {
                self.try_ask(None, request)
            }
            answer => answer,
        }
    }

    fn try_ask(&mut self, kept: Option<Connection>, request: &Request) -> io::Result<Answer> {
        let mut connection = kept.map_or_else(|| self.shared.connect(), Ok)?;
        connection.send(&request.raw)?;
        let answer = connection.read()?;
        if answer.is_kept {
            self.kept = Some(connection);
        }
        self.is_refused = answer.status >= 400;
        self.used = Instant::now();
        Ok(answer)
    }

    fn part(&self, parting: Parting, request: &Request) -> Result<Outcome, String> {
        let before = self.shared.versions(request);
        let mut connection = self.shared.connect().map_err(|error| format!("no connection: {error}"))?;
        let body = request.head + (request.raw.len() - request.head) / 2;
        let mut go = || -> io::Result<Option<Answer>> {
            match parting {
                Parting::Silent => {}
                Parting::HalfHead => connection.send(&request.raw[..request.head / 2])?,
                Parting::HalfBody => connection.send(&request.raw[..body])?,
                Parting::Unread => connection.send(&request.raw)?,
                Parting::HalfRead => {
                    connection.send(&request.raw)?;
                    connection.read_some()?;
                }
                Parting::ResetInBody => {
                    connection.send(&request.raw[..body])?;
                    connection.reset_when_closed()?;
                }
                Parting::ResetUnread => {
                    connection.send(&request.raw)?;
                    connection.reset_when_closed()?;
                }
                Parting::HalfClosed => {
                    connection.send(&request.raw)?;
                    connection.close_half()?;
                    return connection.read().map(Some);
                }
                Parting::HalfClosedInBody => {
                    connection.send(&request.raw[..body])?;
                    connection.close_half()?;
                    // A refusal, or just the end.
                    while connection.read_some()? > 0 {}
                }
            }
            Ok(None)
        };
        match go() {
            Ok(None) => Ok(Outcome::Right),
            Ok(Some(answer)) => self.shared.judge(request, Ok(answer), before),
            Err(error) if parting == Parting::HalfClosedInBody && error.kind() == io::ErrorKind::ConnectionReset => {
                Ok(Outcome::Right)
            }
            Err(error) => Err(error.to_string()),
        }
    }
}

impl Client for Mixed<'_> {
    fn step(&mut self) {
        let tally = &self.shared.tally;
        match self.next() {
            Deed::Ask(request) => {
                let result = self.ask(request);
                tally.count(request.group, request.name, result);
            }
            Deed::Part(parting, request) => {
                let result = self.part(parting, request);
                tally.count(Group::Parted, &format!("{parting:?}, {}", request.name), result);
            }
        }
        let pause = self.chance.around(self.pause);
        self.shared.gate.wait(pause);
    }

    fn rest(&mut self) {
        self.kept = None;
    }
}
