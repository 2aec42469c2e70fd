//! The viewer of the interface at `/docs`: Swagger UI, told where the description lies, all inside the program.

use std::{
    io::{self, Read as _},
    sync::OnceLock,
};

use actix_web::{
    HttpResponse,
    body::SizedStream,
    http::header::{self, AcceptEncoding, Encoding, HeaderValue},
    web::{Bytes, Header},
};
use flate2::read::GzDecoder;
use futures_util::stream;
use tracing::error;

use super::page::part;
use crate::error::ServerError;

/// Scripts, styles and requests: our own only. Images: our own, and the arrows that Swagger UI's style holds within itself.
const POLICY: &str = "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; \
                      form-action 'self'; frame-ancestors 'none'";

/// Bytes of a file that are handed over at once. Whatever is handed over is copied for each client and stays until it has read it.
const PIECE: usize = 16 * 1024;

/// The encodings that a client may choose from.
type Accepted = Option<Header<AcceptEncoding>>;

static LIBRARY: Packed =
    Packed::new("text/javascript; charset=utf-8", include_bytes!(concat!(env!("OUT_DIR"), "/swagger-ui.js.gz")));
static LIBRARY_STYLE: Packed =
    Packed::new("text/css; charset=utf-8", include_bytes!(concat!(env!("OUT_DIR"), "/swagger-ui.css.gz")));
static LICENSE: Packed =
    Packed::new("text/plain; charset=utf-8", include_bytes!(concat!(env!("OUT_DIR"), "/license.txt.gz")));

pub(crate) async fn index() -> HttpResponse {
    part(POLICY, "text/html; charset=utf-8", include_str!("../../web/viewer.html"))
}

pub(crate) async fn script() -> HttpResponse {
    part(POLICY, "text/javascript; charset=utf-8", include_str!("../../web/viewer.js"))
}

pub(crate) async fn style() -> HttpResponse {
    part(POLICY, "text/css; charset=utf-8", include_str!("../../web/viewer.css"))
}

pub(crate) async fn library(accepted: Accepted) -> Result<HttpResponse, ServerError> {
    LIBRARY.answer(accepted)
}

pub(crate) async fn library_style(accepted: Accepted) -> Result<HttpResponse, ServerError> {
    LIBRARY_STYLE.answer(accepted)
}

pub(crate) async fn license(accepted: Accepted) -> Result<HttpResponse, ServerError> {
    LICENSE.answer(accepted)
}

/// A file of Swagger UI, which the program holds compressed.
struct Packed {
    content_type: &'static str,
    gzip: &'static [u8],
    /// As it was, from the first client on that asks for it so: all of them share it.
    plain: OnceLock<Bytes>,
}

impl Packed {
    const fn new(content_type: &'static str, gzip: &'static [u8]) -> Self {
        Self { content_type, gzip, plain: OnceLock::new() }
    }

    /// The file, compressed for whom takes that.
    fn answer(&self, accepted: Accepted) -> Result<HttpResponse, ServerError> {
        let codings = [Encoding::gzip(), Encoding::identity()];
        let chosen = accepted.and_then(|accepted| accepted.negotiate(codings.iter()));
        let is_compressed = chosen == Some(Encoding::gzip());
        let bytes = if is_compressed { Bytes::from_static(self.gzip) } else { self.plain()? };
        let mut answer = part(POLICY, self.content_type, in_pieces(bytes));
        answer.headers_mut().insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        if is_compressed {
            answer.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        Ok(answer)
    }

    fn plain(&self) -> Result<Bytes, ServerError> {
        if let Some(plain) = self.plain.get() {
            return Ok(plain.clone());
        }
        let mut plain = Vec::new();
        GzDecoder::new(self.gzip).read_to_end(&mut plain).map_err(|error| {
            error!("a file of the viewer ({}) cannot be unpacked: {error}", self.content_type);
            ServerError::Internal
        })?;
        Ok(self.plain.get_or_init(|| plain.into()).clone())
    }
}

/// A body whose next piece is asked for when the last one has been sent.
fn in_pieces(bytes: Bytes) -> SizedStream<impl futures_util::Stream<Item = io::Result<Bytes>>> {
    let length = bytes.len();
    let pieces = (0..length).step_by(PIECE).map(move |at| Ok(bytes.slice(at..length.min(at + PIECE))));
    SizedStream::new(length as u64, stream::iter(pieces))
}
