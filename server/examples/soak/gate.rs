//! What lets all clients work, or brings all of them to a stop.

use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

#[derive(Default)]
struct Inside {
    is_open: bool,
    is_over: bool,
    /// Clients that stand before it.
    standing: usize,
}

/// Closed at first.
#[derive(Default)]
pub struct Gate {
    inside: Mutex<Inside>,
    changed: Condvar,
}

impl Gate {
    /// Waits until it is open. Whether there is more to do.
    pub fn pass(&self) -> bool {
        let mut inside = self.lock();
        inside.standing += 1;
        self.changed.notify_all();
        while !inside.is_open && !inside.is_over {
            inside = self.changed.wait(inside).unwrap_or_else(PoisonError::into_inner);
        }
        inside.standing -= 1;
        !inside.is_over
    }

    /// Whether clients are to work on.
    pub fn is_open(&self) -> bool {
        let inside = self.lock();
        inside.is_open && !inside.is_over
    }

    /// Waits for so long, or until clients are to stop.
    pub fn wait(&self, time: Duration) {
        let end = Instant::now() + time;
        let mut inside = self.lock();
        while inside.is_open && !inside.is_over {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            inside = self.changed.wait_timeout(inside, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    pub fn open(&self) {
        self.lock().is_open = true;
        self.changed.notify_all();
    }

    /// Closes it, and waits until so many clients stand before it. Whether they did in that time.
    pub fn close(&self, clients: usize, patience: Duration) -> bool {
        let end = Instant::now() + patience;
        let mut inside = self.lock();
        inside.is_open = false;
        self.changed.notify_all();
        while inside.standing < clients {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            inside = self.changed.wait_timeout(inside, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// Lets every client end.
    pub fn end(&self) {
        self.lock().is_over = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        thread,
    };

    use super::*;

    #[test]
    fn a_closed_gate_stops_every_client_and_the_end_lets_them_go() {
        let (gate, steps) = (Gate::default(), AtomicUsize::new(0));
        let patience = Duration::from_secs(60);
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while gate.pass() {
                        while gate.is_open() {
                            steps.fetch_add(1, Ordering::SeqCst);
                            gate.wait(Duration::from_millis(1));
                        }
                    }
                });
            }
            assert!(gate.close(3, patience));
            assert_eq!(steps.load(Ordering::SeqCst), 0);
            gate.open();
            while steps.load(Ordering::SeqCst) < 6 {
                thread::yield_now();
            }
            assert!(gate.close(3, patience));
            let before = steps.load(Ordering::SeqCst);
            assert!(!gate.close(4, Duration::from_millis(20)), "there are three");
            assert_eq!(steps.load(Ordering::SeqCst), before);
            gate.end();
        });
    }
}
