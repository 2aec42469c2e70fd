//! Cutting connections that do nothing.
//!
//! The HTTP library bounds the time for a connection's first request head, and the idle time between two requests; a client that
//! has been answered once and then sends half a head would keep its connection for ever, and so would one that never
//! reads its answer. Here every connection has a clock that stands while a handler works for it; when it has run for too
//! long, the socket is shut down, and the library cleans up as after any lost client. The socket is shared with the stream that
//! the library uses, so a connection takes one descriptor.

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use rustix::net::Shutdown;
use tokio::{net::TcpStream, time::timeout};

/// Value of [`Watch::idle_since`] while a handler works.
const BUSY: u64 = u64::MAX;
/// How long a refused client is listened to, so that it can read why.
const LINGER: Duration = Duration::from_secs(1);

/// All open connections.
#[derive(Clone)]
pub(crate) struct Connections {
    start: Instant,
    limit: Duration,
    open: Arc<Mutex<Vec<Weak<Watch>>>>,
}

/// One connection, as long as it is open.
pub(crate) struct Watch {
    socket: TcpStream,
    start: Instant,
    /// Milliseconds after `start`.
    idle_since: AtomicU64,
    refused: AtomicBool,
    told: AtomicBool,
    /// Whether the client has said something that is not answered.
    heard: AtomicBool,
    /// Whether the body of the request under way is here.
    received: AtomicBool,
}

/// Stops a connection's clock until it is dropped.
pub(crate) struct Busy(Arc<Watch>);

impl Connections {
    /// Connections that are cut after `limit` without a handler at work.
    pub(crate) fn new(limit: Duration) -> Self {
        Self { start: Instant::now(), limit, open: Arc::default() }
    }

    /// Takes a new connection under watch.
    pub(crate) fn add(&self, socket: TcpStream) -> Arc<Watch> {
        let watch = Arc::new(Watch {
            socket,
            start: self.start,
            idle_since: AtomicU64::new(milliseconds(self.start.elapsed())),
            refused: AtomicBool::new(false),
            told: AtomicBool::new(false),
            heard: AtomicBool::new(false),
            received: AtomicBool::new(false),
        });
        self.open.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&watch));
        watch
    }

    /// Cuts what has been idle for too long, once a second, for ever.
    pub(crate) async fn sweep(self) {
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let now = milliseconds(self.start.elapsed());
            let limit = milliseconds(self.limit);
            self.open.lock().unwrap_or_else(PoisonError::into_inner).retain(|watch| {
                let Some(watch) = watch.upgrade() else {
                    return false;
                };
                let since = watch.idle_since.load(Ordering::SeqCst);
                if since == BUSY || now.saturating_sub(since) <= limit {
                    return true;
                }
                watch.shutdown(Shutdown::Both);
                false
            });
        }
    }
}

impl Watch {
    /// The client's socket.
    pub(crate) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// Ends the connection in one or both directions.
    pub(crate) fn shutdown(&self, how: Shutdown) {
        // Fails when the client has closed it just now.
        let _ = rustix::net::shutdown(&self.socket, how);
    }

    /// The body of the request under way is here.
    pub(crate) fn received(&self) {
        self.received.store(true, Ordering::SeqCst);
    }

    /// Whether the client has said all of its request and waits for the answer.
    pub(crate) fn is_waiting(&self) -> bool {
        self.received.load(Ordering::SeqCst) && self.idle_since.load(Ordering::SeqCst) == BUSY
    }

    /// The client says something.
    pub(crate) fn heard(&self) {
        self.heard.store(true, Ordering::SeqCst);
    }

    /// Whether the client has said something that is not answered.
    pub(crate) fn is_heard(&self) -> bool {
        self.heard.load(Ordering::SeqCst)
    }

    /// Whether a handler has worked for the client within that time.
    pub(crate) fn is_busy_since(&self, time: Duration) -> bool {
        let since = self.idle_since.load(Ordering::SeqCst);
        since != BUSY && milliseconds(self.start.elapsed()).saturating_sub(since) < milliseconds(time)
    }

    /// The HTTP library has refused what the client sends, and will close.
    pub(crate) fn refused(&self) {
        self.refused.store(true, Ordering::SeqCst);
    }

    /// A route has been given the error in its request's body, and answers it.
    pub(crate) fn told(&self) {
        self.told.store(true, Ordering::SeqCst);
    }

    /// Whether a route answers, or has answered, the error in its request's body.
    pub(crate) fn is_told(&self) -> bool {
        self.told.load(Ordering::SeqCst)
    }

    /// After the HTTP library has let go of a refused client: reads and throws away what still comes, for a moment. Closed with
    /// something unread, the connection would be reset, and the client might never see the answer.
    pub(crate) async fn linger(&self) {
        if !self.refused.load(Ordering::SeqCst) {
            return;
        }
        self.shutdown(Shutdown::Write);
        let mut buffer = [0; 4096];
        let rest = async {
            while self.socket.readable().await.is_ok() {
                match self.socket.try_read(&mut buffer) {
                    Ok(0) => return,
                    Err(error) if error.kind() != io::ErrorKind::WouldBlock => return,
                    Ok(_) | Err(_) => {}
                }
            }
        };
        // Time is up, or the client has closed.
        let _ = timeout(LINGER, rest).await;
    }
}

impl Busy {
    /// Stops the clock.
    pub(crate) fn new(watch: &Arc<Watch>) -> Self {
        watch.received.store(false, Ordering::SeqCst);
        watch.idle_since.store(BUSY, Ordering::SeqCst);
        Self(Arc::clone(watch))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.heard.store(false, Ordering::SeqCst);
        self.0.idle_since.store(milliseconds(self.0.start.elapsed()), Ordering::SeqCst);
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(BUSY - 1)
}
