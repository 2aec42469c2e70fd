//! What all clients share.

use std::{io, net::SocketAddr};

use super::{
    gate::Gate,
    http::{Answer, Connection},
    requests::{Request, Requests},
    tally::{Outcome, Tally},
    truth::{Truth, Versions},
};

pub struct Shared {
    pub http: SocketAddr,
    pub grpc: SocketAddr,
    pub requests: Requests,
    pub truth: Truth,
    pub tally: Tally,
    pub gate: Gate,
}

/// A client, which does one thing after the other.
pub trait Client {
    /// Does the next thing, and counts it.
    fn step(&mut self);

    /// Lets go of its connections, before a quiet moment.
    fn rest(&mut self);
}

impl Shared {
    /// Lets a client work while the gate is open, until the end.
    pub fn work(&self, client: &mut dyn Client) {
        while self.gate.pass() {
            while self.gate.is_open() {
                client.step();
            }
            client.rest();
        }
    }

    pub fn connect(&self) -> io::Result<Connection> {
        Connection::open(self.http)
    }

    /// The versions that may answer a request that begins now.
    pub fn versions(&self, request: &Request) -> Versions {
        self.truth.versions(request.model)
    }

    /// Judges what became of a request that began when these versions might answer.
    ///
    /// # Errors
    /// What is wrong.
    pub fn judge(&self, request: &Request, answer: io::Result<Answer>, before: Versions) -> Result<Outcome, String> {
        match answer {
            Ok(answer) => self.truth.judge(request, &answer, before),
            Err(_) if request.is_cut => Ok(Outcome::Right),
            Err(error) => Err(format!("no answer: {error}")),
        }
    }

    /// Asks on a connection of its own.
    ///
    /// # Errors
    /// What is wrong with the answer.
    pub fn ask(&self, request: &Request) -> Result<Outcome, String> {
        let before = self.versions(request);
        let ask = || -> io::Result<Answer> {
            let mut connection = self.connect()?;
            // The server may say no, and close, while it is still told the rest.
            let sent = connection.send(&request.closing());
            connection.read().or_else(|error| sent.and(Err(error)))
        };
        self.judge(request, ask(), before)
    }
}
