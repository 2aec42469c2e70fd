//! The page at `/` and its parts, all inside the program; the metrics and the description of the interface.

use actix_web::{
    HttpResponse,
    http::header::{self, ContentType},
    web::Data,
};

use crate::state::State;

/// Scripts, styles and requests: our own only. Pictures: our own, and those that the page makes of files on the visitor's
/// machine.
const POLICY: &str = "default-src 'self'; img-src 'self' blob:; object-src 'none'; base-uri 'none'; \
                      form-action 'self'; frame-ancestors 'none'";

fn part(content_type: &'static str, body: &'static str) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, content_type))
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .body(body)
}

pub(crate) async fn index() -> HttpResponse {
    part("text/html; charset=utf-8", include_str!("../../web/index.html"))
}

pub(crate) async fn script() -> HttpResponse {
    part("text/javascript; charset=utf-8", include_str!("../../web/app.js"))
}

pub(crate) async fn style() -> HttpResponse {
    part("text/css; charset=utf-8", include_str!("../../web/app.css"))
}

pub(crate) async fn icon() -> HttpResponse {
    part("image/svg+xml", include_str!("../../web/icon.svg"))
}

pub(crate) async fn openapi() -> HttpResponse {
    HttpResponse::Ok().content_type(ContentType::json()).body(crate::app::OPENAPI)
}

pub(crate) async fn metrics(state: Data<State>) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8"))
        .body(state.render_metrics())
}
