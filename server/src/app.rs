//! The routes, and the HTTP server around them.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use actix_web::{
    App, HttpServer, Resource,
    dev::{Server, ServerHandle},
    http::KeepAlive,
    middleware::from_fn,
    rt,
    web::{self, Data, ServiceConfig},
};
use anyhow::Context;

use crate::{
    config::{Config, Limits},
    connections::Connections,
    error::ServerError,
    observe::observe,
    routes::{health, infer, page, score},
    state::State,
};

/// The description of the interface, an OpenAPI 3.1 document.
pub const OPENAPI: &str = include_str!("openapi.json");

/// Paths, in the notation of the OpenAPI document, with the name that each has in the metrics.
pub const ROUTES: [(&str, &str); 16] = [
    ("/", "page"),
    ("/assets/app.js", "page"),
    ("/assets/app.css", "page"),
    ("/assets/icon.svg", "page"),
    ("/score", "score"),
    ("/metrics", "metrics"),
    ("/openapi.json", "openapi"),
    ("/v2", "v2_server"),
    ("/v2/health/live", "live"),
    ("/v2/health/ready", "ready"),
    ("/v2/repository/index", "v2_index"),
    ("/v2/models/{model}", "v2_model"),
    ("/v2/models/{model}/ready", "v2_ready"),
    ("/v2/models/{model}/infer", "v2_infer"),
    ("/v2/models/{model}/versions/{version}", "v2_model"),
    ("/v2/models/{model}/versions/{version}/{call}", "v2_versioned"),
];

/// Name of the route that a path belongs to, `other` when it belongs to none. Never a piece of the path itself, so that
/// clients cannot make up metrics.
#[must_use]
pub fn route_name(path: &str) -> &'static str {
    let matches = |pattern: &str| {
        let (mut pattern, mut path) = (pattern.split('/'), path.split('/'));
        loop {
            match (pattern.next(), path.next()) {
                (None, None) => return true,
                (Some(p), Some(s)) if p == s || p.starts_with('{') => {}
                _ => return false,
            }
        }
    };
    match ROUTES.iter().find(|(pattern, _)| matches(pattern)) {
        Some((_, "v2_versioned")) if path.ends_with("/infer") => "v2_infer",
        Some((_, "v2_versioned")) if path.ends_with("/ready") => "v2_ready",
        Some((_, "v2_versioned")) | None => "other",
        Some((_, name)) => name,
    }
}

/// Adds every route and what answers for the paths and methods that there are none for.
pub fn configure(config: &mut ServiceConfig, state: &Data<State>) {
    let refuse = |allow: &'static str| {
        web::route().to(move || async move { Err::<actix_web::HttpResponse, _>(ServerError::Method { allow }) })
    };
    let read = move |path: &str| web::resource(path.to_owned()).default_service(refuse("GET, HEAD"));
    let write = move |path: &str| web::resource(path.to_owned()).default_service(refuse("POST"));
    config.app_data(state.clone());
    config.service(get(read("/"), || web::get().to(page::index), || web::head().to(page::index)));
    config.service(get(read("/assets/app.js"), || web::get().to(page::script), || web::head().to(page::script)));
    config.service(get(read("/assets/app.css"), || web::get().to(page::style), || web::head().to(page::style)));
    config.service(get(read("/assets/icon.svg"), || web::get().to(page::icon), || web::head().to(page::icon)));
    config.service(get(read("/metrics"), || web::get().to(page::metrics), || web::head().to(page::metrics)));
    config.service(get(read("/openapi.json"), || web::get().to(page::openapi), || web::head().to(page::openapi)));
    config.service(
        web::resource("/score")
            .route(web::get().to(score::health))
            .route(web::head().to(score::health))
            .route(web::post().to(score::score))
            .default_service(refuse("GET, HEAD, POST")),
    );
    config.service(get(read("/v2"), || web::get().to(health::server), || web::head().to(health::server)));
    config.service(get(read("/v2/health/live"), || web::get().to(health::live), || web::head().to(health::live)));
    config.service(get(read("/v2/health/ready"), || web::get().to(health::ready), || web::head().to(health::ready)));
    config.service(write("/v2/repository/index").route(web::post().to(health::index)));
    for base in ["/v2/models/{model}", "/v2/models/{model}/versions/{version}"] {
        config.service(get(read(base), || web::get().to(health::model), || web::head().to(health::model)));
        config.service(get(
            read(&format!("{base}/ready")),
            || web::get().to(health::model_ready),
            || web::head().to(health::model_ready),
        ));
        config.service(write(&format!("{base}/infer")).route(web::post().to(infer::infer)));
    }
    config.default_service(web::route().to(|| async { Err::<actix_web::HttpResponse, _>(ServerError::NotFound) }));
}

fn get(resource: Resource, read: fn() -> actix_web::Route, head: fn() -> actix_web::Route) -> Resource {
    resource.route(read()).route(head())
}

/// A server that listens, before it is awaited.
pub struct Listening {
    /// Await it to serve; it ends when [`Self::handle`] is told to stop.
    pub server: Server,
    /// The addresses, with the real port where 0 was asked for.
    pub addresses: Vec<SocketAddr>,
    /// What routes share.
    pub state: Data<State>,
}

impl Listening {
    /// What stops the server.
    #[must_use]
    pub fn handle(&self) -> ServerHandle {
        self.server.handle()
    }
}

/// Opens the models and listens.
///
/// # Errors
/// Those of [`State::open`], and an address that cannot be listened on.
pub fn listen(config: &Config) -> anyhow::Result<Listening> {
    let state = State::open(config)?;
    listen_with(Arc::new(state), &config.bind, config.http_threads, config.stop_timeout)
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
    let state = Data::from(state);
    let shared = state.clone();
    let Limits { max_connections, header_timeout, keep_alive, .. } = state.limits;
    let connections = Connections::new(Duration::from_secs(keep_alive + header_timeout));
    rt::spawn(connections.clone().sweep());
    let server =
        HttpServer::new(move || App::new().wrap(from_fn(observe)).configure(|config| configure(config, &shared)))
            .on_connect(move |connection, data| connections.add(connection, data))
            .workers(http_threads.max(1))
            .max_connections(usize::try_from(max_connections).unwrap_or(usize::MAX))
            .client_request_timeout(Duration::from_secs(header_timeout))
            .client_disconnect_timeout(Duration::from_secs(5))
            .keep_alive(KeepAlive::Timeout(Duration::from_secs(keep_alive)))
            // A client that closes its side is gone: its request is dropped, and with it what waits for a worker.
            .h1_allow_half_closed(false)
            .shutdown_timeout(stop_timeout.as_secs().max(1))
            .disable_signals()
            .bind(bind)
            .with_context(|| format!("cannot listen on {bind}"))?;
    let addresses = server.addrs();
    Ok(Listening { server: server.run(), addresses, state })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_have_bounded_names() {
        for (path, name) in [
            ("/", "page"),
            ("/score", "score"),
            ("/v2/models/x/infer", "v2_infer"),
            ("/v2/models/x/versions/1/infer", "v2_infer"),
            ("/v2/models/x/versions/1/ready", "v2_ready"),
            ("/v2/models/x/versions/1", "v2_model"),
            ("/v2/models/x/versions/1/other", "other"),
            ("/v2/models", "other"),
            ("/score/", "other"),
            ("/../etc/passwd", "other"),
            ("", "other"),
        ] {
            assert_eq!(route_name(path), name, "{path}");
        }
    }
}
