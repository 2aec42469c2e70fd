//! Counts and timings, in Prometheus' text format. [`Guard`] is the only thing that records a request: on drop, once,
//! whatever happened to it.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use actix_web::http::StatusCode;

/// What part of a request's work a time belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Bytes to pixels, base64 included.
    Decode,
    /// Resizing and cropping.
    Prepare,
    /// Waiting for a worker of the model.
    Queue,
    /// The model.
    Run,
    /// Writing the answer.
    Render,
}

impl Stage {
    /// All of them, in the order in which a request passes through them.
    pub const ALL: [Self; 5] = [Self::Decode, Self::Prepare, Self::Queue, Self::Run, Self::Render];

    /// Name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Decode => "decode",
            Self::Prepare => "prepare",
            Self::Queue => "queue",
            Self::Run => "run",
            Self::Render => "render",
        }
    }
}

/// Time per stage of one request, summed over its images. Shared with the threads that work on it.
#[derive(Default)]
pub struct Timings([AtomicU64; Stage::ALL.len()]);

impl Timings {
    /// Adds a time.
    pub fn add(&self, stage: Stage, time: Duration) {
        self.0[stage as usize].fetch_add(nanoseconds(time), Ordering::Relaxed);
    }

    /// Runs `work` and adds the time it takes.
    pub fn time<T>(&self, stage: Stage, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = work();
        self.add(stage, start.elapsed());
        result
    }

    fn get(&self, stage: Stage) -> Duration {
        Duration::from_nanos(self.0[stage as usize].load(Ordering::Relaxed))
    }

    /// Value of a `Server-Timing` header in milliseconds; `None` when no stage was reached.
    #[must_use]
    pub fn header(&self) -> Option<String> {
        let reached: Vec<String> = Stage::ALL
            .into_iter()
            .map(|stage| (stage, self.get(stage)))
            .filter(|(_, time)| !time.is_zero())
            .map(|(stage, time)| format!("{};dur={:.3}", stage.name(), time.as_secs_f64() * 1e3))
            .collect();
        (!reached.is_empty()).then(|| reached.join(", "))
    }
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// 2xx.
    Ok,
    /// 4xx other than 429: the client's mistake.
    ClientError,
    /// 429 or 503: no room, or not ready.
    Rejected,
    /// Any other 5xx: our mistake.
    ServerError,
    /// The client went away before the answer.
    Cancelled,
}

impl Outcome {
    fn of(status: StatusCode) -> Self {
        match status {
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => Self::Rejected,
            status if status.is_client_error() => Self::ClientError,
            status if status.is_server_error() => Self::ServerError,
            _ => Self::Ok,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::ClientError => "client_error",
            Self::Rejected => "rejected",
            Self::ServerError => "server_error",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Upper bounds of the histograms' buckets, in seconds.
const BOUNDS: [f64; 14] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

#[derive(Default)]
struct Histogram {
    buckets: [AtomicU64; BOUNDS.len() + 1],
    sum: AtomicU64,
}

impl Histogram {
    fn observe(&self, time: Duration) {
        let seconds = time.as_secs_f64();
        let bucket = BOUNDS.iter().position(|&bound| seconds <= bound).unwrap_or(BOUNDS.len());
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(nanoseconds(time), Ordering::Relaxed);
    }

    fn render(&self, out: &mut String, name: &str, label: &str, value: &str) -> fmt::Result {
        let mut count = 0;
        for (i, bucket) in self.buckets.iter().enumerate() {
            count += bucket.load(Ordering::Relaxed);
            match BOUNDS.get(i) {
                Some(bound) => writeln!(out, "{name}_bucket{{{label}=\"{value}\",le=\"{bound}\"}} {count}")?,
                None => writeln!(out, "{name}_bucket{{{label}=\"{value}\",le=\"+Inf\"}} {count}")?,
            }
        }
        let sum = Duration::from_nanos(self.sum.load(Ordering::Relaxed)).as_secs_f64();
        writeln!(out, "{name}_sum{{{label}=\"{value}\"}} {sum}")?;
        writeln!(out, "{name}_count{{{label}=\"{value}\"}} {count}")
    }
}

/// How many batches of each size a model has run.
#[derive(Default)]
pub struct BatchSizes(Mutex<BTreeMap<usize, u64>>);

impl BatchSizes {
    /// Counts a batch of this size.
    pub fn count(&self, size: usize) {
        *lock(&self.0).entry(size).or_default() += 1;
    }

    /// Sizes and counts, in rising order.
    #[must_use]
    pub fn all(&self) -> Vec<(usize, u64)> {
        lock(&self.0).iter().map(|(&size, &n)| (size, n)).collect()
    }
}

/// What kind of value a [`Reading`] is.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// It goes up and down.
    Gauge,
    /// It only goes up.
    Counter,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Counter => "counter",
        }
    }
}

/// A value that is read when the metrics are.
pub struct Reading {
    /// Name of the metric.
    pub name: &'static str,
    /// What it counts.
    pub help: &'static str,
    /// How it moves.
    pub kind: Kind,
    /// Labels (as written between braces, or empty) and values.
    pub values: Vec<(String, f64)>,
}

/// All counts and timings of the process.
#[derive(Default)]
pub struct Metrics {
    requests: Mutex<BTreeMap<(&'static str, Outcome), u64>>,
    errors: Mutex<BTreeMap<&'static str, u64>>,
    durations: Mutex<BTreeMap<&'static str, Arc<Histogram>>>,
    stages: [Histogram; Stage::ALL.len()],
    in_flight: AtomicI64,
    images: AtomicU64,
    skipped: AtomicU64,
}

impl Metrics {
    /// Starts the record of one request on `route`.
    #[must_use]
    pub fn guard(self: &Arc<Self>, route: &'static str) -> Guard {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        Guard {
            metrics: Arc::clone(self),
            route,
            started: Instant::now(),
            timings: Arc::default(),
            outcome: Outcome::Cancelled,
            code: None,
        }
    }

    /// Counts images that a model has answered.
    pub fn count_images(&self, n: usize) {
        self.images.fetch_add(n as u64, Ordering::Relaxed);
    }

    /// Counts a queued job that was not run because its client had gone.
    pub fn count_skipped(&self) {
        self.skipped.fetch_add(1, Ordering::Relaxed);
    }

    /// The text that Prometheus reads, with `readings` added.
    #[must_use]
    pub fn render(&self, readings: &[Reading]) -> String {
        let mut out = String::with_capacity(8192);
        // Writing to a String cannot fail.
        let _ = self.write(&mut out, readings);
        out
    }

    fn write(&self, out: &mut String, readings: &[Reading]) -> fmt::Result {
        head(out, "fovea_requests_total", "counter", "Requests by route and outcome.")?;
        for ((route, outcome), n) in &*lock(&self.requests) {
            writeln!(out, "fovea_requests_total{{route=\"{route}\",outcome=\"{}\"}} {n}", outcome.name())?;
        }
        head(out, "fovea_errors_total", "counter", "Refused and failed requests by error code.")?;
        for (code, n) in &*lock(&self.errors) {
            writeln!(out, "fovea_errors_total{{code=\"{code}\"}} {n}")?;
        }
        head(out, "fovea_images_total", "counter", "Images, and tiles of images, answered by a model.")?;
        writeln!(out, "fovea_images_total {}", self.images.load(Ordering::Relaxed))?;
        head(out, "fovea_skipped_total", "counter", "Queued jobs dropped because their client had gone.")?;
        writeln!(out, "fovea_skipped_total {}", self.skipped.load(Ordering::Relaxed))?;
        head(out, "fovea_in_flight_requests", "gauge", "Requests being read, worked on or answered.")?;
        writeln!(out, "fovea_in_flight_requests {}", self.in_flight.load(Ordering::Relaxed))?;
        for reading in readings {
            head(out, reading.name, reading.kind.name(), reading.help)?;
            for (labels, value) in &reading.values {
                writeln!(out, "{}{labels} {value}", reading.name)?;
            }
        }
        let name = "fovea_request_duration_seconds";
        head(out, name, "histogram", "Time from a request's head to its answer, reading the body included.")?;
        for (route, histogram) in &*lock(&self.durations) {
            histogram.render(out, name, "route", route)?;
        }
        let name = "fovea_stage_duration_seconds";
        head(out, name, "histogram", "Time per request in each stage, summed over its images.")?;
        for stage in Stage::ALL {
            self.stages[stage as usize].render(out, name, "stage", stage.name())?;
        }
        Ok(())
    }
}

fn head(out: &mut String, name: &str, kind: &str, help: &str) -> fmt::Result {
    writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}")
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// The record of one request. Counts it as cancelled unless [`Self::finish`] was called before it is dropped.
pub struct Guard {
    metrics: Arc<Metrics>,
    route: &'static str,
    started: Instant,
    timings: Arc<Timings>,
    outcome: Outcome,
    code: Option<&'static str>,
}

impl Guard {
    /// Where the request's stages are timed.
    #[must_use]
    pub fn timings(&self) -> Arc<Timings> {
        Arc::clone(&self.timings)
    }

    /// States the answer, and the code of the error that it reports, if it does.
    pub fn finish(&mut self, status: StatusCode, code: Option<&'static str>) {
        self.outcome = Outcome::of(status);
        self.code = code;
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let metrics = &self.metrics;
        metrics.in_flight.fetch_sub(1, Ordering::Relaxed);
        *lock(&metrics.requests).entry((self.route, self.outcome)).or_default() += 1;
        if let Some(code) = self.code {
            *lock(&metrics.errors).entry(code).or_default() += 1;
        }
        let histogram = Arc::clone(lock(&metrics.durations).entry(self.route).or_default());
        histogram.observe(self.started.elapsed());
        for stage in Stage::ALL {
            let time = self.timings.get(stage);
            if !time.is_zero() {
                metrics.stages[stage as usize].observe(time);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_is_counted_once_with_its_outcome() {
        let metrics = Arc::new(Metrics::default());
        metrics.guard("score").finish(StatusCode::OK, None);
        metrics.guard("score").finish(StatusCode::BAD_REQUEST, Some("invalid_image"));
        metrics.guard("score").finish(StatusCode::TOO_MANY_REQUESTS, Some("overloaded"));
        drop(metrics.guard("score"));
        let open = metrics.guard("infer");
        open.timings().add(Stage::Run, Duration::from_millis(3));
        let text = metrics.render(&[]);
        for line in [
            "fovea_requests_total{route=\"score\",outcome=\"ok\"} 1",
            "fovea_requests_total{route=\"score\",outcome=\"client_error\"} 1",
            "fovea_requests_total{route=\"score\",outcome=\"rejected\"} 1",
            "fovea_requests_total{route=\"score\",outcome=\"cancelled\"} 1",
            "fovea_errors_total{code=\"invalid_image\"} 1",
            "fovea_in_flight_requests 1",
            "fovea_request_duration_seconds_count{route=\"score\"} 4",
            "fovea_stage_duration_seconds_count{stage=\"run\"} 0",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is missing in\n{text}");
        }
        drop(open);
        let values = vec![("{a=\"b\"}".to_owned(), 2.0)];
        let text = metrics.render(&[Reading { name: "g", help: "h", kind: Kind::Counter, values }]);
        for line in [
            "fovea_in_flight_requests 0",
            "fovea_stage_duration_seconds_bucket{stage=\"run\",le=\"0.0025\"} 0",
            "fovea_stage_duration_seconds_bucket{stage=\"run\",le=\"0.005\"} 1",
            "fovea_stage_duration_seconds_bucket{stage=\"run\",le=\"+Inf\"} 1",
            "# TYPE g counter",
            "g{a=\"b\"} 2",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is missing in\n{text}");
        }
    }
}
