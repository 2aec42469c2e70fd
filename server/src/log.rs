//! The program's log on stderr, which never blocks whoever logs and cannot be flooded.
//!
//! A line goes into a bounded queue, and one thread writes the queue out. While nobody takes what it writes, lines are lost and
//! counted, and the program goes on. A place in the program that warns or reports errors again and again, as clients can make it
//! do, is heard [`BURST`] times in a [`WINDOW`]; the rest is counted and said in one line afterwards.

use std::{
    io::{self, IsTerminal, Write},
    panic,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::{
    EnvFilter, Layer,
    layer::{Context, Filter, SubscriberExt},
    util::SubscriberInitExt,
};

/// What is logged unless the environment variable [`VARIABLE`] says otherwise. The HTTP parser reports every client that goes
/// away or sends nonsense as an error; the metrics count them.
const DEFAULT: &str = "info,ort=warn,actix_server=warn,actix_http=off";
/// Directives in it come after the default ones.
const VARIABLE: &str = "FOVEA_LOG";
/// Lines that may wait to be written.
const WAITING: usize = 1024;
/// Longest line in bytes; what is longer is cut.
const LONGEST: usize = 8 * 1024;
/// How often one place is heard within a [`WINDOW`].
const BURST: u64 = 10;
/// How long a place that has been heard that often is silent.
const WINDOW: Duration = Duration::from_secs(60);
/// How often it is looked whether there is something to say about lost lines.
const TICK: Duration = Duration::from_secs(1);
/// Pause before writing again to an output that says "not now".
const RETRY: Duration = Duration::from_millis(20);

/// The way to the thread that writes.
#[derive(Clone)]
pub struct Log(Queue);

enum Message {
    Line(Vec<u8>),
    /// Everything before it has been written once the sender is used.
    Flush(Sender<()>),
}

impl Log {
    /// Starts the thread, and makes it what the program's events and panics are reported to.
    ///
    /// # Errors
    /// When the system refuses a thread, or the program has another log already.
    pub fn start() -> io::Result<Self> {
        let (messages, waiting) = bounded(WAITING);
        let queue = Queue { messages, lost: Arc::default() };
        let limiter = Limiter::default();
        let writer = Writer { lost: Arc::clone(&queue.lost), failed: 0, limiter: limiter.clone() };
        thread::Builder::new().name("log".to_owned()).spawn(move || writer.run(&waiting))?;
        let (filter, refused) = filter(std::env::var(VARIABLE).ok());
        let make = queue.clone();
        let lines = tracing_subscriber::fmt::layer()
            .with_writer(move || make.clone())
            .with_ansi(io::stderr().is_terminal())
            .log_internal_errors(false)
            .with_filter(limiter);
        tracing_subscriber::registry().with(filter).with(lines).try_init().map_err(io::Error::other)?;
        if let Some(reason) = refused {
            tracing::warn!("{VARIABLE} is not used: {reason}; write it as in `info,server=debug`");
        }
        // The hook that panics have otherwise writes to stderr itself, and would wait there for ever.
        panic::set_hook(Box::new(|panic| tracing::error!("{panic}")));
        Ok(Self(queue))
    }

    /// Waits until everything logged so far is written, at most for `limit`.
    pub fn flush(&self, limit: Duration) {
        let end = Instant::now() + limit;
        let (done, written) = bounded(1);
        if self.0.messages.send_deadline(Message::Flush(done), end).is_ok() {
            // Nobody takes the lines, or in time; they are given up.
            let _ = written.recv_deadline(end);
        }
    }
}

/// The default filter with the user's directives behind it, and why those could not be used.
fn filter(given: Option<String>) -> (EnvFilter, Option<String>) {
    let Some(given) = given.filter(|text| !text.trim().is_empty()) else {
        return (EnvFilter::new(DEFAULT), None);
    };
    match EnvFilter::builder().parse(format!("{DEFAULT},{given}")) {
        Ok(filter) => (filter, None),
        Err(error) => (EnvFilter::new(DEFAULT), Some(error.to_string())),
    }
}

/// Takes one line at a time, without ever waiting.
#[derive(Clone)]
struct Queue {
    messages: Sender<Message>,
    lost: Arc<AtomicU64>,
}

impl Write for Queue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut kept = line[..line.len().min(LONGEST)].to_vec();
        if kept.len() < line.len() {
            kept.extend_from_slice(b" ...\n");
        }
        if self.messages.try_send(Message::Line(kept)).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What the thread works with.
struct Writer {
    lost: Arc<AtomicU64>,
    /// Lines that the output refused since it last took one.
    failed: u64,
    limiter: Limiter,
}

impl Writer {
    fn run(mut self, messages: &Receiver<Message>) {
        let mut next = Instant::now() + TICK;
        loop {
            match messages.recv_deadline(next) {
                Ok(Message::Line(line)) => self.write(&line),
                Ok(Message::Flush(done)) => {
                    // Whoever asked may have stopped waiting.
                    let _ = done.try_send(());
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if Instant::now() >= next {
                self.tell();
                next = Instant::now() + TICK;
            }
        }
    }

    fn write(&mut self, line: &[u8]) {
        if write_patiently(&mut io::stderr(), line).is_ok() {
            self.lost.fetch_add(std::mem::take(&mut self.failed), Ordering::Relaxed);
        } else {
            self.failed += 1;
        }
    }

    /// Logs what was not logged.
    fn tell(&self) {
        let lines = self.lost.swap(0, Ordering::Relaxed);
        if lines > 0 {
            tracing::warn!(lines, "lines of this log are lost: they were not taken in time");
        }
        for (place, lines) in self.limiter.take_silenced(Instant::now()) {
            let (file, line) = (place.file().unwrap_or_default(), place.line().unwrap_or_default());
            tracing::warn!(lines, "more lines like those of {} ({file}:{line}) are left out", place.target());
        }
    }
}

/// Writes all of `bytes`. An output that others have made non-blocking is asked again.
///
/// # Errors
/// Those of the output.
pub fn write_patiently(out: &mut impl Write, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match out.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => bytes = &bytes[n..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(RETRY),
            Err(error) => return Err(error),
        }
    }
    out.flush()
}

/// Silences places that repeat warnings and errors. Lines of other levels pass: clients cause none of `info`, and whoever asks for
/// `debug` wants all of them.
#[derive(Clone, Default)]
struct Limiter(Arc<Mutex<Vec<Place>>>);

/// A place in the program that has warned or reported an error in the present window.
struct Place {
    metadata: &'static Metadata<'static>,
    since: Instant,
    heard: u64,
    silenced: u64,
}

impl Limiter {
    /// Whether the place may be heard now.
    fn hears(&self, metadata: &'static Metadata<'static>, now: Instant) -> bool {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(place) = places.iter_mut().find(|p| p.metadata.callsite() == metadata.callsite()) else {
            places.push(Place { metadata, since: now, heard: 1, silenced: 0 });
            return true;
        };
        if place.heard < BURST {
            place.heard += 1;
            return true;
        }
        place.silenced += 1;
        false
    }

    /// Ends the windows that are over; returns which places were silent in them, and how many lines they left out.
    fn take_silenced(&self, now: Instant) -> Vec<(&'static Metadata<'static>, u64)> {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let over = places.extract_if(.., |p| now.saturating_duration_since(p.since) >= WINDOW);
        over.filter(|p| p.silenced > 0).map(|p| (p.metadata, p.silenced)).collect()
    }
}

impl<S: Subscriber> Filter<S> for Limiter {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        *event.metadata().level() > Level::WARN || self.hears(event.metadata(), Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repeat(times: usize) {
        for i in 0..times {
            tracing::warn!(i, "again");
            tracing::info!(i, "news");
        }
    }

    #[test]
    fn a_place_that_repeats_itself_is_silenced_and_counted() {
        let (messages, lines) = bounded(1000);
        let queue = Queue { messages, lost: Arc::default() };
        let limiter = Limiter::default();
        let make = queue.clone();
        let layer = tracing_subscriber::fmt::layer().with_writer(move || make.clone()).with_filter(limiter.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            repeat(50);
            assert_eq!(lines.try_iter().count(), 50 + usize::try_from(BURST).unwrap());
            assert!(limiter.take_silenced(Instant::now()).is_empty());
            let silenced = limiter.take_silenced(Instant::now() + WINDOW);
            assert_eq!(silenced.iter().map(|(_, lines)| *lines).collect::<Vec<_>>(), [50 - BURST]);
            // A new window begins.
            repeat(1);
            assert_eq!(lines.try_iter().count(), 2);
        });
        assert_eq!(queue.lost.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn what_does_not_fit_is_counted_or_cut_and_nobody_waits() {
        let (messages, lines) = bounded(1);
        let mut queue = Queue { messages, lost: Arc::default() };
        queue.write_all(&[b'x'; LONGEST + 1]).unwrap();
        queue.write_all(b"second").unwrap();
        assert_eq!(queue.lost.load(Ordering::Relaxed), 1);
        let Ok(Message::Line(line)) = lines.recv() else { panic!("no line") };
        assert!(line.len() < LONGEST + 10 && line.ends_with(b" ...\n"));
    }

    #[test]
    fn directives_are_added_to_the_default() {
        for (given, expected) in [("debug", "debug"), ("server=trace", "server=trace"), (" ", "info")] {
            let (filter, refused) = filter(Some(given.to_owned()));
            assert!(refused.is_none(), "{given}");
            let text = filter.to_string();
            let parts: Vec<&str> = text.split(',').collect();
            assert!(parts.contains(&expected) && parts.contains(&"actix_http=off"), "{given}: {text}");
        }
        assert!(filter(Some("a=b=c".to_owned())).1.is_some());
    }
}
