//! Counts and timings, in Prometheus' text format. [`Guard`] is the only thing that records a request: on drop, once,
//! whatever happened to it.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use actix_web::http::StatusCode;

use crate::shadow::Comparisons;

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

/// Time per stage of one request, summed over its images, and the model that it is for. Shared with the threads that work on it.
#[derive(Default)]
pub struct Timings {
    stages: [AtomicU64; Stage::ALL.len()],
    model: OnceLock<Arc<ModelMetrics>>,
}

impl Timings {
    /// From now on this is a request for that model, where its times are kept.
    pub fn belong_to(&self, model: &Arc<ModelMetrics>) {
        // A request is for one model.
        let _ = self.model.set(Arc::clone(model));
    }

    /// Adds a time.
    pub fn add(&self, stage: Stage, time: Duration) {
        self.stages[stage as usize].fetch_add(nanoseconds(time), Ordering::Relaxed);
    }

    /// Runs `work` and adds the time it takes.
    pub fn time<T>(&self, stage: Stage, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = work();
        self.add(stage, start.elapsed());
        result
    }

    fn get(&self, stage: Stage) -> Duration {
        Duration::from_nanos(self.stages[stage as usize].load(Ordering::Relaxed))
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

    /// Writes it with these labels, such as `route="score"`.
    fn render(&self, out: &mut String, name: &str, labels: &str) -> fmt::Result {
        let mut count = 0;
        for (i, bucket) in self.buckets.iter().enumerate() {
            count += bucket.load(Ordering::Relaxed);
            match BOUNDS.get(i) {
                Some(bound) => writeln!(out, "{name}_bucket{{{labels},le=\"{bound}\"}} {count}")?,
                None => writeln!(out, "{name}_bucket{{{labels},le=\"+Inf\"}} {count}")?,
            }
        }
        let sum = Duration::from_nanos(self.sum.load(Ordering::Relaxed)).as_secs_f64();
        writeln!(out, "{name}_sum{{{labels}}} {sum}")?;
        writeln!(out, "{name}_count{{{labels}}} {count}")
    }

    fn total(&self) -> Total {
        let count = self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).sum();
        Total { count, nanoseconds: self.sum.load(Ordering::Relaxed) }
    }
}

/// How often something happened, and how long it took in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Total {
    /// How often.
    pub count: u64,
    /// How long.
    pub nanoseconds: u64,
}

/// Counts and timings of one model.
#[derive(Default)]
pub struct ModelMetrics {
    requests: Mutex<BTreeMap<Outcome, Total>>,
    stages: [Histogram; Stage::ALL.len()],
    batches: Mutex<BTreeMap<usize, Total>>,
    images: AtomicU64,
    skipped: AtomicU64,
    /// What came of its answers that were only compared.
    pub shadow: Comparisons,
    /// Milliseconds since 1970 when the last batch ended; 0 before the first.
    last: AtomicU64,
}

impl ModelMetrics {
    /// Counts a batch of so many images, which the model ran padded to `size`.
    pub fn count_batch(&self, images: usize, size: usize, time: Duration) {
        self.images.fetch_add(images as u64, Ordering::Relaxed);
        let mut batches = lock(&self.batches);
        let total = batches.entry(size).or_default();
        total.count += 1;
        total.nanoseconds += nanoseconds(time);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.last.store(u64::try_from(now.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Counts queued jobs that were not run because their clients had gone.
    pub fn count_skipped(&self, jobs: usize) {
        self.skipped.fetch_add(jobs as u64, Ordering::Relaxed);
    }

    /// Batches by their size, padding included, in rising order.
    #[must_use]
    pub fn batches(&self) -> Vec<(usize, Total)> {
        lock(&self.batches).iter().map(|(&size, &total)| (size, total)).collect()
    }

    /// Images, and tiles of images, that it has answered.
    #[must_use]
    pub fn images(&self) -> u64 {
        self.images.load(Ordering::Relaxed)
    }

    /// Jobs that were thrown away.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.skipped.load(Ordering::Relaxed)
    }

    /// Milliseconds since 1970 when the last batch ended; 0 before the first.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.last.load(Ordering::Relaxed)
    }

    /// Requests that ended well, and those that did not.
    #[must_use]
    pub fn requests(&self) -> [Total; 2] {
        let mut found = [Total::default(); 2];
        for (outcome, total) in &*lock(&self.requests) {
            let sum = &mut found[usize::from(*outcome != Outcome::Ok)];
            sum.count += total.count;
            sum.nanoseconds += total.nanoseconds;
        }
        found
    }

    /// Requests that came to a stage, and how long they were in it.
    #[must_use]
    pub fn stage(&self, stage: Stage) -> Total {
        self.stages[stage as usize].total()
    }

    fn record(&self, outcome: Outcome, time: Duration, timings: &Timings) {
        let mut requests = lock(&self.requests);
        let total = requests.entry(outcome).or_default();
        total.count += 1;
        total.nanoseconds += nanoseconds(time);
        drop(requests);
        for stage in Stage::ALL {
            let time = timings.get(stage);
            if !time.is_zero() {
                self.stages[stage as usize].observe(time);
            }
        }
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
    in_flight: AtomicI64,
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

    /// The text that Prometheus reads: these counts, those of each model by its labels, and `readings`.
    #[must_use]
    pub fn render(&self, models: &[(&str, &ModelMetrics)], readings: &[Reading]) -> String {
        let mut out = String::with_capacity(8192);
        // Writing to a String cannot fail.
        let _ = self.write(&mut out, models, readings);
        out
    }

    fn write(&self, out: &mut String, models: &[(&str, &ModelMetrics)], readings: &[Reading]) -> fmt::Result {
        head(out, "fovea_requests_total", "counter", "Requests by route and outcome.")?;
        for ((route, outcome), n) in &*lock(&self.requests) {
            writeln!(out, "fovea_requests_total{{route=\"{route}\",outcome=\"{}\"}} {n}", outcome.name())?;
        }
        head(out, "fovea_errors_total", "counter", "Refused and failed requests by error code.")?;
        for (code, n) in &*lock(&self.errors) {
            writeln!(out, "fovea_errors_total{{code=\"{code}\"}} {n}")?;
        }
        head(out, "fovea_model_requests_total", "counter", "Requests for a model by outcome.")?;
        for (model, metrics) in models {
            for (outcome, total) in &*lock(&metrics.requests) {
                let (outcome, count) = (outcome.name(), total.count);
                writeln!(out, "fovea_model_requests_total{{{model},outcome=\"{outcome}\"}} {count}")?;
            }
        }
        head(out, "fovea_images_total", "counter", "Images, and tiles of images, answered by a model.")?;
        for (model, metrics) in models {
            writeln!(out, "fovea_images_total{{{model}}} {}", metrics.images())?;
        }
        head(out, "fovea_skipped_total", "counter", "Queued jobs dropped because their client had gone.")?;
        for (model, metrics) in models {
            writeln!(out, "fovea_skipped_total{{{model}}} {}", metrics.skipped())?;
        }
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
            histogram.render(out, name, &format!("route=\"{route}\""))?;
        }
        let name = "fovea_stage_duration_seconds";
        head(out, name, "histogram", "Time per request in each stage, summed over its images.")?;
        for (model, metrics) in models {
            for stage in Stage::ALL {
                let labels = format!("{model},stage=\"{}\"", stage.name());
                metrics.stages[stage as usize].render(out, name, &labels)?;
            }
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
        let time = self.started.elapsed();
        histogram.observe(time);
        if let Some(model) = self.timings.model.get() {
            model.record(self.outcome, time, &self.timings);
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
        let model = Arc::new(ModelMetrics::default());
        let open = metrics.guard("infer");
        open.timings().belong_to(&model);
        open.timings().add(Stage::Run, Duration::from_millis(3));
        model.count_batch(3, 4, Duration::from_millis(2));
        model.count_skipped(5);
        let models = [("model=\"m\"", &*model)];
        let has = |text: &str, lines: &[&str]| {
            for line in lines {
                assert!(text.lines().any(|l| l == *line), "{line} is missing in\n{text}");
            }
        };
        has(
            &metrics.render(&models, &[]),
            &[
                "fovea_requests_total{route=\"score\",outcome=\"ok\"} 1",
                "fovea_requests_total{route=\"score\",outcome=\"client_error\"} 1",
                "fovea_requests_total{route=\"score\",outcome=\"rejected\"} 1",
                "fovea_requests_total{route=\"score\",outcome=\"cancelled\"} 1",
                "fovea_errors_total{code=\"invalid_image\"} 1",
                "fovea_in_flight_requests 1",
                "fovea_request_duration_seconds_count{route=\"score\"} 4",
                "fovea_stage_duration_seconds_count{model=\"m\",stage=\"run\"} 0",
                "fovea_images_total{model=\"m\"} 3",
                "fovea_skipped_total{model=\"m\"} 5",
            ],
        );
        drop(open);
        let values = vec![("{a=\"b\"}".to_owned(), 2.0)];
        has(
            &metrics.render(&models, &[Reading { name: "g", help: "h", kind: Kind::Counter, values }]),
            &[
                "fovea_in_flight_requests 0",
                "fovea_model_requests_total{model=\"m\",outcome=\"cancelled\"} 1",
                "fovea_stage_duration_seconds_bucket{model=\"m\",stage=\"run\",le=\"0.0025\"} 0",
                "fovea_stage_duration_seconds_bucket{model=\"m\",stage=\"run\",le=\"0.005\"} 1",
                "fovea_stage_duration_seconds_bucket{model=\"m\",stage=\"run\",le=\"+Inf\"} 1",
                "# TYPE g counter",
                "g{a=\"b\"} 2",
            ],
        );
        assert_eq!(model.stage(Stage::Run), Total { count: 1, nanoseconds: 3_000_000 });
        assert_eq!(model.batches(), [(4, Total { count: 1, nanoseconds: 2_000_000 })]);
        assert_eq!(model.requests().map(|total| total.count), [0, 1]);
    }
}
