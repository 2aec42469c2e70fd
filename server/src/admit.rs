//! Admission of requests: a memory budget that bodies and decoded images are taken from, a number of permits for requests being
//! worked on, and the reading of a body under both.

use std::{sync::Arc, time::Duration};

use actix_web::{
    error::PayloadError,
    http::header::{self, HeaderMap},
    web::Bytes,
};
use futures_util::{Stream, StreamExt};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout_at},
};

use crate::{
    coding::{Coding, Undoing},
    config::Limits,
    error::ServerError,
};

/// Memory is counted in this unit, so that a 32-bit count of permits reaches far enough.
const UNIT: u64 = 4096;
/// A body takes memory from the budget in steps of this size.
const STEP: usize = 64 * 1024;

/// Memory for all requests together.
#[derive(Clone)]
pub struct Budget {
    free: Arc<Semaphore>,
    total: u64,
}

impl Budget {
    /// A budget of `bytes`, at most 16 TiB.
    #[must_use]
    pub fn new(bytes: u64) -> Self {
        let units = (bytes / UNIT).min(u64::from(u32::MAX));
        let free = Semaphore::new(usize::try_from(units).unwrap_or(Semaphore::MAX_PERMITS).min(Semaphore::MAX_PERMITS));
        Self { free: Arc::new(free), total: units * UNIT }
    }

    /// Bytes taken now.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.total.saturating_sub(self.free.available_permits() as u64 * UNIT)
    }

    /// Takes `bytes` until the reservation is dropped.
    ///
    /// # Errors
    /// [`ServerError::TooMuchMemory`] when there never will be as much, [`ServerError::Overloaded`] when there is not now.
    pub fn reserve(&self, bytes: u64) -> Result<Reservation, ServerError> {
        let units = self.units(bytes)?;
        match Arc::clone(&self.free).try_acquire_many_owned(units) {
            Ok(permit) => Ok(Reservation { permit }),
            Err(_) => Err(ServerError::Overloaded { what: "memory for images" }),
        }
    }

    /// Takes `bytes` as soon as there are as many, until the reservation is dropped. Those who wait are served in the order in
    /// which they came.
    ///
    /// # Errors
    /// [`ServerError::TooMuchMemory`] when there never will be as much.
    pub(crate) async fn wait(&self, bytes: u64) -> Result<Reservation, ServerError> {
        let units = self.units(bytes)?;
        // Nobody closes it.
        let permit = Arc::clone(&self.free).acquire_many_owned(units).await.map_err(|_| ServerError::Internal)?;
        Ok(Reservation { permit })
    }

    /// Whether `bytes` can ever be taken.
    ///
    /// # Errors
    /// [`ServerError::TooMuchMemory`] when they cannot.
    pub(crate) fn check(&self, bytes: u64) -> Result<(), ServerError> {
        if bytes > self.total { Err(ServerError::TooMuchMemory { needed: bytes, limit: self.total }) } else { Ok(()) }
    }

    fn units(&self, bytes: u64) -> Result<u32, ServerError> {
        self.check(bytes)?;
        Ok(u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX))
    }
}

/// A part of the [`Budget`]; given back when dropped.
pub struct Reservation {
    permit: OwnedSemaphorePermit,
}

impl Reservation {
    /// Adds another reservation of the same budget to this one.
    pub fn absorb(&mut self, other: Self) {
        self.permit.merge(other.permit);
    }

    /// Gives back all but `bytes`.
    pub fn shrink_to(&mut self, bytes: u64) {
        let keep = usize::try_from(bytes.div_ceil(UNIT)).unwrap_or(usize::MAX);
        drop(self.permit.split(self.permit.num_permits().saturating_sub(keep)));
    }
}

/// A permit to work on a request, of which there is a fixed number; given back when dropped. Shared by the jobs of one request, so that work
/// that outlives its client still counts.
#[derive(Clone)]
pub struct Permit {
    _permit: Arc<OwnedSemaphorePermit>,
}

/// Why a request gets no permit.
const NO_PERMIT: ServerError = ServerError::Overloaded { what: "requests" };

/// The two together.
pub struct Admission {
    /// Memory for all requests together.
    pub budget: Budget,
    permits: Arc<Semaphore>,
    limits: Limits,
}

/// A body and the memory it takes.
pub struct Body {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Their share of the budget.
    pub reservation: Reservation,
}

impl Admission {
    /// Admission under `limits`.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        let permits = usize::try_from(limits.max_concurrent).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        Self {
            budget: Budget::new(limits.memory << 20),
            permits: Arc::new(Semaphore::new(permits)),
            limits: limits.clone(),
        }
    }

    /// Takes a permit for a request whose body is here. Before that a slow body costs nothing but its connection and the
    /// bytes that have arrived.
    ///
    /// # Errors
    /// [`ServerError::Overloaded`] when all are taken.
    pub fn enter(&self) -> Result<Permit, ServerError> {
        match Arc::clone(&self.permits).try_acquire_owned() {
            Ok(permit) => Ok(Permit { _permit: Arc::new(permit) }),
            Err(_) => Err(NO_PERMIT),
        }
    }

    /// Whether all permits are taken now.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.permits.available_permits() == 0
    }

    /// Why a request is refused while all permits are taken. Its body is thrown away as it comes, so that it takes no memory and its
    /// connection can be used again.
    pub async fn turn_away<S>(&self, headers: &HeaderMap, payload: S) -> ServerError
    where
        S: Stream<Item = Result<Bytes, PayloadError>> + Unpin,
    {
        let (limit, mut length) = (self.limits.body_bytes(), 0);
        let count = |part: &[u8]| {
            length += part.len() as u64;
            if length > limit { Err(ServerError::BodyTooLarge { limit }) } else { Ok(()) }
        };
        self.receive(headers, payload, count).await.err().unwrap_or(NO_PERMIT)
    }

    /// Reads a body as sent, without undoing any content encoding, under the limits of size, time and memory.
    ///
    /// # Errors
    /// An empty, broken, slow or large body, and an exhausted budget.
    pub async fn read_body<S>(&self, headers: &HeaderMap, payload: S) -> Result<Body, ServerError>
    where
        S: Stream<Item = Result<Bytes, PayloadError>> + Unpin,
    {
        let mut growing = self.growing(self.limits.body_bytes(), 0)?;
        self.receive(headers, payload, |part| growing.add(part)).await?;
        growing.whole().filled()
    }

    /// Gives each part of a body to `take` as it comes, under the limit of time; one that is announced too large is refused at once.
    async fn receive<S>(
        &self,
        headers: &HeaderMap,
        mut payload: S,
        mut take: impl FnMut(&[u8]) -> Result<(), ServerError>,
    ) -> Result<(), ServerError>
    where
        S: Stream<Item = Result<Bytes, PayloadError>> + Unpin,
    {
        let limit = self.limits.body_bytes();
        let announced = headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
        if announced.is_some_and(|n| n > limit) {
            return Err(ServerError::BodyTooLarge { limit });
        }
        let patience = self.patience();
        while let Some(part) = patience.wait(payload.next()).await? {
            take(&part.map_err(|_| ServerError::BrokenBody)?)?;
        }
        Ok(())
    }

    /// How long is waited for a body that begins now.
    pub(crate) fn patience(&self) -> Patience {
        let Limits { body_timeout, pause_timeout, .. } = self.limits;
        Patience {
            end: Instant::now() + Duration::from_secs(body_timeout),
            pause: Duration::from_secs(pause_timeout),
            slow: ServerError::SlowBody { seconds: body_timeout, pause: pause_timeout },
        }
    }

    /// Undoes the coding of a body, under the limits of size and memory. That takes long enough to hold up an HTTP thread.
    ///
    /// # Errors
    /// A body that is not of that coding, or becomes larger than `limit`; an exhausted budget.
    pub(crate) fn undo(&self, body: &Body, coding: Coding, limit: u64) -> Result<Body, ServerError> {
        let (mut growing, mut undoing) = (self.growing(limit, 0)?, Undoing::new(coding));
        let mut take = |piece: &[u8]| growing.add(piece);
        undoing.feed(&body.bytes, &mut take)?;
        undoing.end(&mut take)?;
        Ok(growing.whole())
    }

    /// A body of at most `limit` bytes, of which the first `free` take nothing from the budget.
    ///
    /// # Errors
    /// None but those of [`Budget::reserve`].
    pub(crate) fn growing(&self, limit: u64, free: usize) -> Result<Growing<'_>, ServerError> {
        let reservation = self.budget.reserve(0)?;
        Ok(Growing { bytes: Vec::new(), reservation, reserved: free, budget: &self.budget, limit })
    }
}

impl Body {
    /// Itself, unless it is empty.
    ///
    /// # Errors
    /// [`ServerError::EmptyBody`].
    pub(crate) fn filled(self) -> Result<Self, ServerError> {
        if self.bytes.is_empty() { Err(ServerError::EmptyBody) } else { Ok(self) }
    }
}

/// How long is waited for the parts of a body.
pub(crate) struct Patience {
    end: Instant,
    pause: Duration,
    slow: ServerError,
}

impl Patience {
    /// Waits for the next part.
    ///
    /// # Errors
    /// [`ServerError::SlowBody`] when the pause, or all together, has lasted too long.
    pub(crate) async fn wait<F: Future>(&self, part: F) -> Result<F::Output, ServerError> {
        timeout_at(self.end.min(Instant::now() + self.pause), part).await.map_err(|_| self.slow.clone())
    }
}

/// A body of which not all is here yet.
pub(crate) struct Growing<'a> {
    bytes: Vec<u8>,
    reservation: Reservation,
    reserved: usize,
    budget: &'a Budget,
    limit: u64,
}

impl Growing<'_> {
    /// Takes the next part.
    ///
    /// # Errors
    /// [`ServerError::BodyTooLarge`] beyond the limit, and those of [`Budget::reserve`].
    pub(crate) fn add(&mut self, piece: &[u8]) -> Result<(), ServerError> {
        let length = self.bytes.len() + piece.len();
        if length as u64 > self.limit {
            return Err(ServerError::BodyTooLarge { limit: self.limit });
        }
        if length > self.reserved {
            let step = (length - self.reserved).next_multiple_of(STEP);
            self.reservation.absorb(self.budget.reserve(step as u64)?);
            self.reserved += step;
        }
        self.bytes.extend_from_slice(piece);
        Ok(())
    }

    /// All that has come.
    pub(crate) fn whole(self) -> Body {
        Body { bytes: self.bytes, reservation: self.reservation }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix_web::test]
    async fn what_is_turned_away_is_read_to_its_end_and_takes_no_memory() {
        let limits = Limits::of(&["--max-concurrent", "1", "--max-body", "1", "--memory", "16"]);
        let admission = Admission::new(&limits);
        assert!(!admission.is_full());
        let permit = admission.enter().unwrap();
        assert!(admission.is_full());
        let parts = |count: usize| (0..count).map(|_| Ok(Bytes::from_static(&[0; 1 << 10])));
        let mut sent = futures_util::stream::iter(parts(1 << 10));
        assert_eq!(admission.turn_away(&HeaderMap::new(), &mut sent).await, NO_PERMIT);
        assert!(sent.next().await.is_none());
        assert_eq!(admission.budget.used(), 0);
        let large = futures_util::stream::iter(parts(1 << 11));
        assert_eq!(admission.turn_away(&HeaderMap::new(), large).await, ServerError::BodyTooLarge { limit: 1 << 20 });
        drop(permit);
        assert!(!admission.is_full());
    }

    #[test]
    fn a_budget_is_given_back_and_never_overdrawn() {
        let budget = Budget::new(10 * UNIT);
        let mut first = budget.reserve(6 * UNIT).unwrap();
        assert_eq!(budget.used(), 6 * UNIT);
        assert!(matches!(budget.reserve(5 * UNIT), Err(ServerError::Overloaded { .. })));
        assert!(matches!(budget.reserve(11 * UNIT), Err(ServerError::TooMuchMemory { .. })));
        first.absorb(budget.reserve(3 * UNIT + 1).unwrap());
        assert_eq!(budget.used(), 10 * UNIT);
        first.shrink_to(UNIT + 1);
        assert_eq!(budget.used(), 2 * UNIT);
        first.shrink_to(100 * UNIT);
        assert_eq!(budget.used(), 2 * UNIT);
        drop(first);
        assert_eq!(budget.used(), 0);
    }
}
