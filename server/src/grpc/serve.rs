//! The listener and its connections.

use std::{
    convert::Infallible,
    io,
    net::{SocketAddr, TcpListener},
    pin::pin,
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use actix_web::web::Data;
use hyper::{Request, body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    net::TcpStream,
    runtime::{self, Runtime},
    select,
    sync::{Semaphore, oneshot, watch},
    time::{interval, sleep, timeout},
};

use super::{
    calls::Calls,
    watch::{Condition, Watch},
};
use crate::{config::Limits, state::State};

/// Most calls at once on one connection.
const STREAMS: u32 = 128;
/// Most bytes of the headers of a call.
const HEAD_BYTES: u32 = 16 * 1024;
/// Most bytes that HTTP/2 holds for a client that does not take them, for each call.
const SEND_BYTES: usize = 64 * 1024;
/// How long a client may take to answer when it is asked whether it is there.
const PONG: Duration = Duration::from_secs(20);
/// How often a connection is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// How long a client that has been told that the connection ends may take to end it, once nothing is under way.
const FAREWELL: Duration = Duration::from_secs(2);
/// Pause after a connection that could not be accepted.
const RETRY: Duration = Duration::from_millis(100);

/// What a thread that speaks with clients may take.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Connections that are open at once, at least one; further ones wait to be accepted.
    pub connections: usize,
    /// How long requests under way may take once it is told to stop.
    pub stop_timeout: Duration,
}

/// A listener for gRPC, and the thread that answers.
pub struct Endpoint {
    /// The addresses, with the real port where 0 was asked for.
    pub addresses: Vec<SocketAddr>,
    stop: watch::Sender<bool>,
    ended: oneshot::Receiver<()>,
    thread: JoinHandle<()>,
}

impl Endpoint {
    /// Answers who connects to these listeners, from now on.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub fn start(listeners: Vec<TcpListener>, state: Data<State>, options: Options) -> io::Result<Self> {
        let addresses = listeners.iter().map(TcpListener::local_addr).collect::<io::Result<Vec<_>>>()?;
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopping) = watch::channel(false);
        let (end, ended) = oneshot::channel();
        let places = options.connections.clamp(1, Semaphore::MAX_PERMITS.min(u32::MAX as usize));
        let speaker = Speaker { state, places: Arc::new(Semaphore::new(places)), total: places, stopping };
        let serve = move || {
            serve(&runtime, listeners, &speaker, options.stop_timeout);
            // What is still open is closed.
            drop(runtime);
            let _ = end.send(());
        };
        let thread = thread::Builder::new().name("grpc".to_owned()).spawn(serve)?;
        Ok(Self { addresses, stop, ended, thread })
    }

    /// What has it take no more connections and calls, and answer those that are under way.
    pub fn stopper(&self) -> impl FnOnce() + Send + 'static {
        let stop = self.stop.clone();
        move || {
            stop.send_replace(true);
        }
    }

    /// Waits until it has stopped.
    pub async fn ended(self) {
        let _ = self.ended.await;
        // It has nothing left to do.
        let _ = self.thread.join();
    }
}

fn serve(runtime: &Runtime, listeners: Vec<TcpListener>, speaker: &Speaker, stop_timeout: Duration) {
    runtime.block_on(async {
        for listener in listeners {
            tokio::spawn(speaker.clone().accept(listener));
        }
        speaker.told().await;
        // Connections hold places, and so do those who accept them.
        let all = u32::try_from(speaker.total).unwrap_or(u32::MAX);
        let _ = timeout(stop_timeout, speaker.places.acquire_many(all)).await;
    });
}

/// What each connection needs.
#[derive(Clone)]
struct Speaker {
    state: Data<State>,
    places: Arc<Semaphore>,
    total: usize,
    stopping: watch::Receiver<bool>,
}

impl Speaker {
    /// Waits until the endpoint has to stop.
    async fn told(&self) {
        // Whoever could tell has gone: that is as good.
        let _ = self.stopping.clone().wait_for(|&stop| stop).await;
    }

    async fn accept(self, listener: TcpListener) {
        let Ok(listener) = listener.set_nonblocking(true).and_then(|()| tokio::net::TcpListener::from_std(listener))
        else {
            tracing::error!("the listener for gRPC cannot be used");
            return;
        };
        loop {
            let next = async {
                let place = Arc::clone(&self.places).acquire_owned().await;
                (place, listener.accept().await)
            };
            let (place, accepted) = select! {
                next = next => next,
                () = self.told() => return,
            };
            match accepted {
                Ok((socket, _)) => {
                    let speaker = self.clone();
                    tokio::spawn(async move {
                        speaker.converse(socket).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::debug!(%error, "a connection for gRPC was not accepted");
                    sleep(RETRY).await;
                }
            }
        }
    }

    fn http(&self) -> http2::Builder<TokioExecutor> {
        let mut http = http2::Builder::new(TokioExecutor::new());
        http.timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS)
            .max_header_list_size(HEAD_BYTES)
            .max_send_buf_size(SEND_BYTES)
            .keep_alive_interval(Duration::from_secs(self.state.limits.keep_alive))
            .keep_alive_timeout(PONG);
        http
    }

    /// Answers on one connection until the client ends it, has nothing to say for too long, does not take what it is given, or the
    /// endpoint stops.
    async fn converse(&self, socket: TcpStream) {
        // Small answers are not held back for more to come.
        let _ = socket.set_nodelay(true);
        let watch = Watch::new();
        let calls = Calls::new(self.state.clone());
        let service = service_fn(|request: Request<Incoming>| {
            let answer = calls.clone().answer(request, watch.call());
            async { Ok::<_, Infallible>(answer.await) }
        });
        let mut connection = pin!(self.http().serve_connection(TokioIo::new(socket), service));
        let mut look = interval(LOOK);
        let mut leaving: Option<Instant> = None;
        loop {
            let is_over = select! {
                end = connection.as_mut() => {
                    if let Err(error) = end {
                        tracing::debug!(%error, "a connection for gRPC ended");
                    }
                    return;
                }
                () = self.told(), if leaving.is_none() => true,
                _ = look.tick() => match judge(watch.condition(), leaving, &self.state.limits) {
                    Judgement::Stay => false,
                    Judgement::Leave => true,
                    Judgement::Cut => return,
                },
            };
            if is_over {
                leaving = Some(Instant::now());
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

/// What becomes of a connection.
#[derive(Debug, PartialEq, Eq)]
enum Judgement {
    Stay,
    /// The client is told to end it.
    Leave,
    /// It is closed.
    Cut,
}

fn judge(condition: Condition, leaving: Option<Instant>, limits: &Limits) -> Judgement {
    let idle = Duration::from_secs(limits.keep_alive);
    match (condition, leaving) {
        (Condition::Used(untaken), _) if untaken > idle + Duration::from_secs(limits.header_timeout) => Judgement::Cut,
        (Condition::Used(_), _) => Judgement::Stay,
        (Condition::Quiet(quiet), Some(since)) if quiet.min(since.elapsed()) > FAREWELL => Judgement::Cut,
        (Condition::Quiet(quiet), None) if quiet > idle => Judgement::Leave,
        (Condition::Quiet(_), _) => Judgement::Stay,
    }
}
