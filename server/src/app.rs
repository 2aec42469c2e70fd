//! The routes, and the HTTP server around them.

use std::{
    io,
    net::{SocketAddr, TcpListener, ToSocketAddrs},
    sync::Arc,
    time::Duration,
};

use actix_http::{Extensions, HttpService, KeepAlive, Response, body::BoxBody};
use actix_server::GracefulShutdownSignal;
use actix_service::{IntoServiceFactory, Service, ServiceFactory, ServiceFactoryExt, apply_fn_factory, map_config};
use actix_web::{
    App, FromRequest, Handler, Resource, Responder,
    dev::{AppConfig, Server, ServerHandle},
    middleware::{Compress, from_fn},
    rt,
    web::{self, Data, ServiceConfig},
};
use anyhow::Context;
use tokio::net::{TcpSocket, TcpStream};

use crate::{
    config::{Config, Limits},
    connections::Connections,
    descriptors,
    error::ServerError,
    grpc::{Endpoint, Options},
    observe::observe,
    routes::{health, infer, page, repository, score, viewer},
    state::{Loaded, State},
    wire::Wire,
};

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 1024;
/// How old the time may be from which the HTTP library counts its own limits: it reads the clock twice a second. Without this much
/// more, a client that comes back just within [`Limits::keep_alive`] would find its connection closed.
const CLOCK: Duration = Duration::from_millis(500);

/// Adds every route and what answers for the paths and methods that there are none for.
pub fn configure(config: &mut ServiceConfig, state: &Data<State>) {
    let refuse = |allow: &'static str| {
        web::route().to(move || async move { Err::<actix_web::HttpResponse, _>(ServerError::Method { allow }) })
    };
    // Some clients put a slash at the end of every path.
    let both = |path: &str| if path == "/" { vec![path.to_owned()] } else { vec![path.to_owned(), format!("{path}/")] };
    let read = move |path: &str| web::resource(both(path)).default_service(refuse("GET, HEAD"));
    let write = move |path: &str| web::resource(both(path)).default_service(refuse("POST"));
    config.app_data(state.clone());
    config.service(get(read("/"), page::index));
    config.service(get(read("/assets/app.js"), page::script));
    config.service(get(read("/assets/app.css"), page::style));
    config.service(get(read("/assets/icon.svg"), page::icon));
    config.service(get(read("/docs"), viewer::index));
    config.service(get(read("/docs/viewer.js"), viewer::script));
    config.service(get(read("/docs/viewer.css"), viewer::style));
    config.service(get(read("/docs/swagger-ui.js"), viewer::library));
    config.service(get(read("/docs/swagger-ui.css"), viewer::library_style));
    config.service(get(read("/docs/license.txt"), viewer::license));
    config.service(get(read("/metrics"), page::metrics));
    config.service(get(read("/openapi.json"), page::openapi));
    config.service(get(read("/swagger.json"), page::openapi));
    config.service(get(read("/healthz"), health::live));
    config.service(
        web::resource(both("/score"))
            .route(web::get().to(score::health))
            .route(web::head().to(score::health))
            .route(web::post().to(score::score))
            .default_service(refuse("GET, HEAD, POST"))
            .wrap(Compress::default()),
    );
    config.service(get(read("/v2"), health::server));
    config.service(get(read("/v2/health/live"), health::live));
    config.service(get(read("/v2/health/ready"), health::ready));
    config.service(write("/v2/repository/index").route(web::post().to(repository::index)));
    config.service(write("/v2/repository/models/{model}/load").route(web::post().to(repository::load)));
    config.service(write("/v2/repository/models/{model}/unload").route(web::post().to(repository::unload)));
    // Before the model that would have this name.
    config.service(get(read("/v2/models/stats"), health::all_stats));
    for base in ["/v2/models/{model}", "/v2/models/{model}/versions/{version}"] {
        config.service(get(read(base), health::model));
        config.service(get(read(&format!("{base}/ready")), health::model_ready));
        config.service(get(read(&format!("{base}/config")), health::config));
        config.service(get(read(&format!("{base}/stats")), health::stats));
        // Only predictions: a client of Triton's undoes the compression of nothing else.
        let infer = write(&format!("{base}/infer")).route(web::post().to(infer::infer));
        config.service(infer.wrap(Compress::default()));
    }
    config.default_service(web::route().to(|| async { Err::<actix_web::HttpResponse, _>(ServerError::NotFound) }));
}

/// What answers GET with the handler, and HEAD with what that would say.
fn get<F, Args>(resource: Resource, handler: F) -> Resource
where
    F: Handler<Args> + Copy,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    resource.route(web::get().to(handler)).route(web::head().to(handler))
}

/// A server that listens, before it is awaited.
pub struct Listening {
    /// Await it to serve; it ends when [`Self::handle`] is told to stop.
    pub server: Server,
    /// The addresses, with the real port where 0 was asked for.
    pub addresses: Vec<SocketAddr>,
    /// What answers over gRPC, where that was asked for.
    pub grpc: Option<Endpoint>,
    /// What routes share.
    pub state: Data<State>,
}

impl Listening {
    /// What stops the server.
    #[must_use]
    pub fn handle(&self) -> ServerHandle {
        self.server.handle()
    }

    /// Where gRPC is spoken, if it is.
    #[must_use]
    pub fn grpc_address(&self) -> Option<SocketAddr> {
        self.grpc.as_ref()?.addresses.first().copied()
    }
}

/// Listens, and begins to load the models. Until they are loaded, the server is live and not ready. Call it within an Actix system.
///
/// # Errors
/// Those of [`State::start`], and an address that cannot be listened on.
pub fn listen(config: &Config) -> anyhow::Result<(Listening, Loaded)> {
    let (state, loaded) = State::start(config)?;
    let state = Arc::new(state);
    let threads = config.http_threads.max(1) + usize::from(config.grpc.is_some());
    let options = Options { connections: room(threads, &state), stop_timeout: config.stop_timeout };
    let mut listening = listen_http(Arc::clone(&state), &config.bind, config.http_threads, options)?;
    if let Some(bind) = &config.grpc {
        listening.grpc = Some(listen_grpc(state, bind, options)?);
    }
    Ok((listening, loaded))
}

/// Listens for gRPC, beside HTTP. Call it within an Actix system.
///
/// # Errors
/// An address that cannot be listened on.
pub fn listen_grpc(state: Arc<State>, bind: &str, options: Options) -> anyhow::Result<Endpoint> {
    let listeners = bind_all(bind).with_context(|| format!("cannot listen on {bind} for gRPC"))?;
    Ok(Endpoint::start(listeners, Data::from(state), options)?)
}

/// How many connections each of so many threads may hold.
fn room(threads: usize, state: &State) -> usize {
    let room = descriptors::connections_per_thread(threads as u64, state.limits.max_connections);
    usize::try_from(room).unwrap_or(usize::MAX)
}

/// Listens with models that are already running. Call it within an Actix system.
///
/// # Errors
/// An address that cannot be listened on.
pub fn listen_with(
    state: Arc<State>,
    bind: &str,
    http_threads: usize,
    stop_timeout: Duration,
) -> anyhow::Result<Listening> {
    let connections = room(http_threads.max(1), &state);
    listen_http(state, bind, http_threads, Options { connections, stop_timeout })
}

fn listen_http(state: Arc<State>, bind: &str, http_threads: usize, options: Options) -> anyhow::Result<Listening> {
    let state = Data::from(state);
    let listeners = bind_all(bind).with_context(|| format!("cannot listen on {bind}"))?;
    let addresses = listeners.iter().map(TcpListener::local_addr).collect::<io::Result<Vec<_>>>()?;
    let mut builder = Server::build()
        .workers(http_threads.max(1))
        .max_concurrent_connections(options.connections)
        .shutdown_timeout(options.stop_timeout.as_secs().max(1))
        .disable_signals();
    let Limits { header_timeout, keep_alive, .. } = state.limits;
    let connections = Connections::new(Duration::from_secs(keep_alive + header_timeout));
    rt::spawn(connections.clone().sweep());
    let speaker = Speaker { state, connections, stopping: builder.graceful_shutdown_signal() };
    for listener in listeners {
        let speaker = speaker.clone();
        builder = builder.listen("http", listener, move || speaker.service())?;
    }
    Ok(Listening { server: builder.run(), addresses, grpc: None, state: speaker.state })
}

/// Listens on every address that `bind` stands for.
fn bind_all(bind: &str) -> io::Result<Vec<TcpListener>> {
    let mut refused = io::Error::new(io::ErrorKind::InvalidInput, "the name stands for no address");
    let mut listeners = Vec::new();
    for address in bind.to_socket_addrs()? {
        match listen_on(address) {
            Ok(listener) => listeners.push(listener),
            Err(error) => refused = error,
        }
    }
    if listeners.is_empty() { Err(refused) } else { Ok(listeners) }
}

fn listen_on(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // So that a server can be started again at once where one has just ended.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?.into_std()
}

/// What each HTTP thread needs to speak HTTP with its clients.
#[derive(Clone)]
struct Speaker {
    state: Data<State>,
    connections: Connections,
    stopping: GracefulShutdownSignal,
}

impl Speaker {
    /// Answers on one connection after the other. This is what `HttpServer` would do, with a stream of our own ([`Wire`]) in place
    /// of the socket.
    fn service(&self) -> impl ServiceFactory<TcpStream, Config = (), InitError = ()> + use<> {
        let Self { state, connections, stopping } = self.clone();
        let Limits { header_timeout, keep_alive, .. } = state.limits;
        let shared = state.clone();
        let app = App::new().wrap(from_fn(observe)).configure(|config| configure(config, &shared));
        let app = app.into_factory().map_err(|error: actix_web::Error| Response::<BoxBody>::from(error));
        let http = HttpService::build()
            .client_request_timeout(Duration::from_secs(header_timeout) + CLOCK)
            .client_disconnect_timeout(Duration::from_secs(5))
            .keep_alive(KeepAlive::Timeout(Duration::from_secs(keep_alive) + CLOCK))
            // A client that is gone: its request is dropped, and with it what waits for a worker. Of one that has closed its side only,
            // the stream does not say so before it is answered.
            .h1_allow_half_closed(false)
            .graceful_shutdown_signal(move || {
                let stopping = stopping.clone();
                async move { stopping.notified().await }
            })
            .on_connect_ext(|wire: &Wire, data: &mut Extensions| {
                data.insert(Arc::clone(wire.watch()));
            })
            .h1(map_config(app, |()| AppConfig::default()));
        apply_fn_factory(http, move |socket: TcpStream, http| {
            let address = socket.peer_addr().ok();
            let watch = connections.add(socket);
            let answered = http.call((Wire::new(Arc::clone(&watch), state.clone().into_inner()), address));
            async move {
                let end = answered.await;
                watch.linger().await;
                end
            }
        })
    }
}
