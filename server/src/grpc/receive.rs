//! Messages of a call, as they arrive: under the limits of size, time and memory that bodies of HTTP have.

use std::{future::poll_fn, mem, pin::Pin, time::Duration};

use actix_web::web::Data;
use hyper::{
    HeaderMap,
    body::{Body as HttpBody, Incoming},
};
use prost::bytes::Bytes;
use tokio::time::timeout;

use crate::{
    admit::{Body, Patience},
    coding::Coding,
    error::ServerError,
    state::State,
};

/// What stands before a message: whether it is compressed, and its length.
const PREFIX: usize = 5;
/// Largest message of a method that takes only names. It takes no memory from the budget, so that a server that is busy still
/// tells how it is.
pub(super) const SMALL: usize = 1024;
/// Name of the header that says how messages are compressed.
const ENCODING: &str = "grpc-encoding";

/// The messages of one call.
pub(super) struct Messages {
    body: Incoming,
    /// What came with the message before.
    rest: Bytes,
    headers: HeaderMap,
    state: Data<State>,
}

/// A message as it was sent.
pub(super) struct Message {
    pub body: Body,
    pub coding: Coding,
}

impl Messages {
    pub(super) fn new(body: Incoming, headers: HeaderMap, state: Data<State>) -> Self {
        Self { body, rest: Bytes::new(), headers, state }
    }

    /// The only message of a call.
    ///
    /// # Errors
    /// None, several, one that is broken, slow or longer than `limit`; no memory for it.
    pub(super) async fn only(&mut self, limit: u64) -> Result<Message, ServerError> {
        let patience = self.state.admission.patience();
        let first = self.message(limit, &patience).await?;
        let message = first.ok_or_else(|| ServerError::Request("the call has no message".to_owned()))?;
        if self.part(&patience).await?.is_some() {
            return Err(ServerError::Request("the call has more than one message".to_owned()));
        }
        Ok(message)
    }

    /// The next message of a stream, `None` at its end. Between two messages as much time may pass as between two requests of
    /// a connection.
    ///
    /// # Errors
    /// As [`Self::only`]; nothing for too long.
    pub(super) async fn next(&mut self, limit: u64) -> Result<Option<Message>, ServerError> {
        let seconds = self.state.limits.keep_alive;
        if self.rest.is_empty() {
            let part = timeout(Duration::from_secs(seconds), self.frame()).await;
            match part.map_err(|_| ServerError::IdleStream { seconds })?? {
                Some(part) => self.rest = part,
                None => return Ok(None),
            }
        }
        let patience = self.state.admission.patience();
        self.message(limit, &patience).await
    }

    async fn message(&mut self, limit: u64, patience: &Patience) -> Result<Option<Message>, ServerError> {
        let Some(prefix) = self.prefix(patience).await? else {
            return Ok(None);
        };
        let [flag, length @ ..] = prefix;
        let length = u64::from(u32::from_be_bytes(length));
        if length > limit {
            return Err(ServerError::BodyTooLarge { limit });
        }
        let coding = self.coding(flag)?;
        let state = self.state.clone();
        let mut growing = state.admission.growing(limit, SMALL)?;
        let mut missing = usize::try_from(length).unwrap_or(usize::MAX);
        while missing > 0 {
            let mut part = self.part(patience).await?.ok_or(ServerError::BrokenBody)?;
            let own = part.split_to(part.len().min(missing));
            self.rest = part;
            missing -= own.len();
            growing.add(&own)?;
        }
        Ok(Some(Message { body: growing.whole(), coding }))
    }

    /// `None` when the call ends instead.
    async fn prefix(&mut self, patience: &Patience) -> Result<Option<[u8; PREFIX]>, ServerError> {
        let mut prefix = [0; PREFIX];
        let mut filled = 0;
        while filled < PREFIX {
            let Some(mut part) = self.part(patience).await? else {
                return if filled == 0 { Ok(None) } else { Err(ServerError::BrokenBody) };
            };
            let own = part.split_to(part.len().min(PREFIX - filled));
            prefix[filled..filled + own.len()].copy_from_slice(&own);
            filled += own.len();
            self.rest = part;
        }
        Ok(Some(prefix))
    }

    /// How a message with this flag is compressed.
    fn coding(&self, flag: u8) -> Result<Coding, ServerError> {
        let said = match self.headers.get(ENCODING) {
            Some(name) => Coding::named(name.to_str().map_err(|_| ServerError::ContentEncoding)?)?,
            None => Coding::Identity,
        };
        match (flag, said) {
            (0, _) => Ok(Coding::Identity),
            (1, Coding::Gzip | Coding::Deflate) => Ok(said),
            (1, Coding::Identity) | (2.., _) => Err(ServerError::BrokenBody),
        }
    }

    /// Some bytes, at least one; `None` at the end.
    async fn part(&mut self, patience: &Patience) -> Result<Option<Bytes>, ServerError> {
        if !self.rest.is_empty() {
            return Ok(Some(mem::take(&mut self.rest)));
        }
        patience.wait(self.frame()).await?
    }

    async fn frame(&mut self) -> Result<Option<Bytes>, ServerError> {
        loop {
            match poll_fn(|context| Pin::new(&mut self.body).poll_frame(context)).await {
                None => return Ok(None),
                Some(Err(_)) => return Err(ServerError::BrokenBody),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(part) if !part.is_empty() => return Ok(Some(part)),
                    // An empty frame, or trailers, which say nothing here.
                    Ok(_) | Err(_) => {}
                },
            }
        }
    }
}

impl Message {
    /// The message as it was before it was compressed.
    ///
    /// # Errors
    /// What is not compressed as the call says; what becomes longer than `limit`; no memory for it.
    pub(super) fn plain(self, state: &State, limit: u64) -> Result<Body, ServerError> {
        match self.coding {
            Coding::Identity => Ok(self.body),
            coding => state.admission.undo(&self.body, coding, limit),
        }
    }
}
