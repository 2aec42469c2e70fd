//! The slow client: it takes its time, within what the server allows and beyond it.

use std::{io, thread, time::Duration};

use super::{
    http::Connection,
    requests::Request,
    shared::{Client, Shared},
    tally::{Group, Outcome},
};

/// Between two pieces of what is sent, or read.
const STEP: Duration = Duration::from_millis(40);
const PIECES: usize = 10;
/// Answers that wait to be read.
const WAITING: usize = 6;
/// Bytes that the system keeps for a client that reads slowly.
const ROOM: usize = 4096;

/// What it is slow at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slowness {
    /// The head comes in pieces, in time.
    Head,
    /// The body does.
    Body,
    /// The answers are read slowly.
    Reading,
    /// The head never ends.
    HalfHead,
    /// The body never ends.
    HalfBody,
    /// The head of the second request never ends.
    HalfSecond,
    /// After an answer it says nothing more.
    Idle,
}

const ALL: [Slowness; 7] = [
    Slowness::Head,
    Slowness::Body,
    Slowness::Reading,
    Slowness::HalfBody,
    Slowness::HalfHead,
    Slowness::HalfSecond,
    Slowness::Idle,
];

pub struct Slow<'a> {
    shared: &'a Shared,
    done: usize,
}

/// Sends it in pieces.
fn trickle(connection: &mut Connection, bytes: &[u8]) -> io::Result<()> {
    for piece in bytes.chunks(bytes.len().div_ceil(PIECES).max(1)) {
        connection.send(piece)?;
        thread::sleep(STEP);
    }
    Ok(())
}

/// Waits until the server closes.
fn await_end(connection: &mut Connection) -> io::Result<()> {
    loop {
        match connection.read_some() {
            Ok(0) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(()),
            Ok(_) => {}
            Err(error) => return Err(error),
        }
    }
}

/// The end of a request that does not come: 408, or nothing at all.
fn await_refusal(connection: &mut Connection) -> Result<(), String> {
    match connection.read() {
        Ok(answer) if answer.status == 408 => {}
        Ok(answer) => return Err(format!("status {}, not 408", answer.status)),
        Err(error) if [io::ErrorKind::UnexpectedEof, io::ErrorKind::ConnectionReset].contains(&error.kind()) => {
            return Ok(());
        }
        Err(error) => return Err(format!("the server does not end it: {error}")),
    }
    await_end(connection).map_err(|error| format!("the server does not close: {error}"))
}

impl<'a> Slow<'a> {
    pub fn new(shared: &'a Shared) -> Self {
        Self { shared, done: 0 }
    }

    /// Asks on this connection, sending with `send`.
    fn ask(
        &self,
        connection: &mut Connection,
        request: &Request,
        send: impl FnOnce(&mut Connection) -> io::Result<()>,
    ) -> Result<Outcome, String> {
        let before = self.shared.versions(request);
        let answer = send(connection).and_then(|()| connection.read());
        self.shared.judge(request, answer, before)
    }

    fn go(&self, slowness: Slowness, request: &Request) -> Result<Outcome, String> {
        let said = |error: io::Error| error.to_string();
        let (head, body) = request.raw.split_at(request.head);
        let mut connection = self.shared.connect().map_err(said)?;
        let connection = &mut connection;
        match slowness {
            Slowness::Head => self.ask(connection, request, |to| {
                trickle(to, head)?;
                to.send(body)
            }),
            Slowness::Body => self.ask(connection, request, |to| {
                to.send(head)?;
                trickle(to, body)
            }),
            Slowness::Reading => {
                connection.limit_room(ROOM).map_err(said)?;
                connection.send(&request.raw.repeat(WAITING)).map_err(said)?;
                for _ in 0..WAITING {
                    thread::sleep(5 * STEP);
                    self.ask(connection, request, |_| Ok(()))?;
                }
                Ok(Outcome::Right)
            }
            Slowness::HalfHead => {
                connection.send(&head[..head.len() / 2]).map_err(said)?;
                await_refusal(connection).map(|()| Outcome::Right)
            }
            Slowness::HalfBody => {
                connection.send(head).and_then(|()| connection.send(&body[..body.len() / 2])).map_err(said)?;
                await_refusal(connection).map(|()| Outcome::Right)
            }
            Slowness::HalfSecond => {
                self.ask(connection, request, |to| to.send(&request.raw))?;
                connection.send(&head[..head.len() / 2]).map_err(said)?;
                await_refusal(connection).map(|()| Outcome::Right)
            }
            Slowness::Idle => {
                self.ask(connection, request, |to| to.send(&request.raw))?;
                await_end(connection)
                    .map_err(|error| format!("the server does not close: {error}"))
                    .map(|()| Outcome::Right)
            }
        }
    }
}

impl Client for Slow<'_> {
    fn step(&mut self) {
        let slowness = ALL[self.done % ALL.len()];
        // Those that have a body, each in its turn; what is read slowly is the longest answer that there is.
        let good = &self.shared.requests.good;
        let with_body: Vec<&Request> = good.iter().filter(|request| request.raw.len() > request.head).collect();
        let request = match slowness {
            Slowness::Reading => good.iter().find(|request| request.name == "the description").unwrap_or(with_body[0]),
            Slowness::Head
            | Slowness::Body
            | Slowness::HalfHead
            | Slowness::HalfBody
            | Slowness::HalfSecond
            | Slowness::Idle => with_body[self.done % with_body.len()],
        };
        self.done += 1;
        let result = self.go(slowness, request);
        self.shared.tally.count(Group::Slow, &format!("{slowness:?}, {}", request.name), result);
        self.shared.gate.wait(STEP);
    }

    fn rest(&mut self) {}
}
