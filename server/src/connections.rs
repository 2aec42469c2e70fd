//! Cutting connections that do nothing.
//!
//! The HTTP library bounds the time for a connection's first request head, and the idle time between two requests; a client that
//! has been answered once and then sends half a head would keep its connection for ever, and so would one that never
//! reads its answer. Here every connection has a clock that stands while a handler works for it; when it has run for too
//! long, the socket is shut down, and the library cleans up as after any lost client.

use std::{
    any::Any,
    net::{Shutdown, TcpStream},
    os::fd::AsFd,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use actix_web::{dev::Extensions, rt};

/// Value of [`Watch::idle_since`] while a handler works.
const BUSY: u64 = u64::MAX;

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
}

/// Stops a connection's clock until it is dropped.
pub(crate) struct Busy(Arc<Watch>);

impl Connections {
    /// Connections that are cut after `limit` without a handler at work.
    pub(crate) fn new(limit: Duration) -> Self {
        Self { start: Instant::now(), limit, open: Arc::default() }
    }

    /// Takes a new connection under watch; for `HttpServer::on_connect`.
    pub(crate) fn add(&self, connection: &dyn Any, data: &mut Extensions) {
        let Some(stream) = connection.downcast_ref::<rt::net::TcpStream>() else {
            return;
        };
        // Without a descriptor to spare there is nothing to cut it with; the library's own limits remain.
        let Ok(socket) = stream.as_fd().try_clone_to_owned() else {
            return;
        };
        let watch = Arc::new(Watch {
            socket: TcpStream::from(socket),
            start: self.start,
            idle_since: AtomicU64::new(milliseconds(self.start.elapsed())),
        });
        self.open.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&watch));
        data.insert(watch);
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
                // Fails when the client has closed it just now.
                let _ = watch.socket.shutdown(Shutdown::Both);
                false
            });
        }
    }
}

impl Busy {
    /// Stops the clock.
    pub(crate) fn new(watch: &Arc<Watch>) -> Self {
        watch.idle_since.store(BUSY, Ordering::SeqCst);
        Self(Arc::clone(watch))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.idle_since.store(milliseconds(self.0.start.elapsed()), Ordering::SeqCst);
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(BUSY - 1)
}
