//! A fixed number of threads for work that would block an HTTP thread: parsing, decoding, resizing. How long each has been at
//! its task is known, so that one that does not come back is noticed.

use std::{
    any::Any,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use crossbeam_channel::{Sender, TrySendError, bounded};
use tokio::sync::oneshot;

use crate::{busy::Busy, error::ServerError};

type Task = Box<dyn FnOnce() + Send>;

/// The threads and their bounded queue. Dropping it finishes what is queued and joins the threads.
pub struct Pool {
    queue: Option<Sender<Task>>,
    threads: Vec<JoinHandle<()>>,
    busy: Vec<Arc<Busy>>,
}

impl Pool {
    /// Starts `threads` (at least one) threads that share a queue of `waiting` tasks.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub fn new(threads: usize, waiting: usize) -> io::Result<Self> {
        let (queue, tasks) = bounded::<Task>(waiting);
        let busy: Vec<Arc<Busy>> = (0..threads.max(1)).map(|_| Arc::new(Busy::new())).collect();
        let threads = busy
            .iter()
            .enumerate()
            .map(|(i, busy)| {
                let (tasks, busy) = (tasks.clone(), Arc::clone(busy));
                let work = move || {
                    for task in tasks {
                        busy.with(task);
                    }
                };
                thread::Builder::new().name(format!("decode-{i}")).spawn(work)
            })
            .collect::<io::Result<_>>()?;
        Ok(Self { queue: Some(queue), threads, busy })
    }

    /// How many threads have been at one task for longer than `limit`.
    #[must_use]
    pub fn stuck(&self, limit: Duration) -> usize {
        self.busy.iter().filter(|busy| busy.is_stuck(limit)).count()
    }

    /// Runs `work` on one of the threads. When the returned future is dropped before its turn comes, because the client
    /// has gone, the work is skipped.
    ///
    /// # Errors
    /// What `work` returns; [`ServerError::Overloaded`] when the queue is full; [`ServerError::Internal`] when it panics.
    pub async fn run<T, W>(&self, work: W) -> Result<T, ServerError>
    where
        T: Send + 'static,
        W: FnOnce() -> Result<T, ServerError> + Send + 'static,
    {
        self.run_while_wanted(|_| work()).await
    }

    /// The same for work that takes long: it gets a question to ask now and then, whether the future is still there, and
    /// should end when it is not.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn run_while_wanted<T, W>(&self, work: W) -> Result<T, ServerError>
    where
        T: Send + 'static,
        W: FnOnce(&dyn Fn() -> bool) -> Result<T, ServerError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let task: Task = Box::new(move || {
            if reply.is_closed() {
                return;
            }
            let result = caught(|| work(&|| !reply.is_closed()));
            // The client may have gone meanwhile; then nobody wants the result.
            let _ = reply.send(result);
        });
        let queue = self.queue.as_ref().ok_or(ServerError::NotReady)?;
        match queue.try_send(task) {
            Ok(()) => answer.await.unwrap_or(Err(ServerError::NotReady)),
            Err(TrySendError::Full(_)) => Err(ServerError::Overloaded { what: "decoding" }),
            Err(TrySendError::Disconnected(_)) => Err(ServerError::NotReady),
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.queue = None;
        for thread in self.threads.drain(..) {
            // Tasks are caught one by one, so a thread ends only because the queue has.
            let _ = thread.join();
        }
    }
}

/// What `work` returns; a panic is an error of one request, and is logged.
pub(crate) fn caught<T>(work: impl FnOnce() -> Result<T, ServerError>) -> Result<T, ServerError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        tracing::error!(reason = panic_text(&*panic), "a task panicked");
        Err(ServerError::Internal)
    })
}

/// The text of a panic, for the log.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        task::{Context, Waker},
    };

    use super::*;

    #[actix_web::test]
    async fn a_panic_is_one_tasks_error_and_the_pool_goes_on() {
        let pool = Pool::new(1, 4).unwrap();
        let failed = pool.run(|| -> Result<(), _> { panic!("on purpose") }).await;
        assert_eq!(failed, Err(ServerError::Internal));
        assert_eq!(pool.run(|| Ok(7)).await, Ok(7));
    }

    #[actix_web::test]
    async fn a_full_queue_refuses_and_a_dropped_future_skips_its_work() {
        let pool = Pool::new(1, 1).unwrap();
        let ran = Arc::new(AtomicUsize::new(0));
        let (release, blocked) = bounded::<()>(0);
        let mut first = Box::pin(pool.run(move || {
            let _ = blocked.recv();
            Ok(())
        }));
        assert!(first.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        while pool.queue.as_ref().is_some_and(|q| !q.is_empty()) {
            thread::yield_now();
        }
        let count = Arc::clone(&ran);
        let mut second = Box::pin(pool.run(move || {
            count.fetch_add(1, Ordering::SeqCst);
            Ok(())
        }));
        assert!(second.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        assert_eq!(pool.run(|| Ok(())).await, Err(ServerError::Overloaded { what: "decoding" }));
        drop(second);
        release.send(()).unwrap();
        assert_eq!(first.await, Ok(()));
        while pool.queue.as_ref().is_some_and(|q| !q.is_empty()) {
            thread::yield_now();
        }
        assert_eq!(pool.run(|| Ok(1)).await, Ok(1));
        assert_eq!(ran.load(Ordering::SeqCst), 0);
    }

    #[actix_web::test]
    async fn work_learns_that_nobody_waits_for_it_and_a_thread_that_stays_is_counted() {
        let pool = Pool::new(1, 4).unwrap();
        let (ended, end) = bounded::<()>(1);
        let mut long = Box::pin(pool.run_while_wanted(move |wanted| {
            while wanted() {
                thread::yield_now();
            }
            ended.send(()).unwrap();
            Ok(())
        }));
        assert!(long.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        while pool.stuck(Duration::from_millis(50)) == 0 {
            thread::yield_now();
        }
        assert_eq!(pool.stuck(Duration::from_secs(3600)), 0);
        drop(long);
        end.recv().unwrap();
        assert_eq!(pool.run(|| Ok(1)).await, Ok(1));
        while pool.stuck(Duration::ZERO) > 0 {
            thread::yield_now();
        }
    }
}
