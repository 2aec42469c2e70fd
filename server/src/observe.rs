//! The middleware around every route: one metrics guard per request, `Server-Timing`, and the headers that every answer has.

use std::{
    cell::RefCell,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
};

use actix_web::{
    Error, HttpMessage,
    body::{BodySize, BoxBody, MessageBody},
    dev::{Payload, ServiceRequest, ServiceResponse},
    error::PayloadError,
    http::header::{self, AcceptEncoding, Encoding, HeaderName, HeaderValue},
    middleware::Next,
    web::{Bytes, Data},
};
use futures_util::Stream;

use crate::{
    connections::{Busy, Watch},
    error::ReportedCode,
    paths,
    state::State,
};

/// The body of a request, held by its handler and by its answer's body. When an answer is out while its request's body is still
/// held and not at its end, the connection is closed after a bounded time for the client to notice; with the body let go, a
/// chunked one would be read and thrown away for as long as the client likes to send.
#[derive(Clone)]
pub(crate) struct BodyStream {
    payload: Rc<RefCell<Payload>>,
    watch: Option<Arc<Watch>>,
}

impl Stream for BodyStream {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let part = Pin::new(&mut *self.payload.borrow_mut()).poll_next(context);
        match (&part, &self.watch) {
            (Poll::Ready(Some(Err(_))), Some(watch)) => watch.told(),
            (Poll::Ready(None), Some(watch)) => watch.received(),
            (Poll::Ready(Some(Ok(_))) | Poll::Pending, _) | (Poll::Ready(_), None) => {}
        }
        part
    }
}

/// The body of an answer, holding on to the request's.
struct Holding {
    body: BoxBody,
    _request: BodyStream,
}

impl MessageBody for Holding {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.body).poll_next(context)
    }
}

/// Wraps one request.
///
/// # Errors
/// Those of the inner services, which answer for themselves.
pub(crate) async fn observe<B: MessageBody + 'static>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse, Error> {
    let Some(state) = request.app_data::<Data<State>>().cloned() else {
        return Ok(next.call(request).await?.map_into_boxed_body());
    };
    // An answer as it is, in place of actix-web's refusal (406), which is no object.
    let codings = [Encoding::identity(), Encoding::gzip(), Encoding::deflate()];
    let accepted = request.get_header::<AcceptEncoding>();
    if accepted.is_some_and(|accepted| accepted.negotiate(codings.iter()).is_none()) {
        request.headers_mut().remove(header::ACCEPT_ENCODING);
    }
    let watch = request.conn_data::<Arc<Watch>>().cloned();
    let _busy = watch.as_ref().map(Busy::new);
    let mut guard = state.metrics.guard(paths::route_name(request.path()));
    let body = BodyStream { payload: Rc::new(RefCell::new(request.take_payload())), watch };
    request.extensions_mut().insert(guard.timings());
    request.extensions_mut().insert(body.clone());
    let mut response = next.call(request).await.inspect_err(|e| {
        guard.finish(e.as_response_error().status_code(), None);
    })?;
    let code = response.response().extensions().get::<ReportedCode>().map(|c| c.0.as_str());
    guard.finish(response.status(), code);
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // What says so only kept it from being compressed.
    if headers.get(header::CONTENT_ENCODING).is_some_and(|coding| coding == "identity") {
        headers.remove(header::CONTENT_ENCODING);
    }
    if let Some(value) = guard.timings().header().and_then(|v| HeaderValue::from_str(&v).ok()) {
        headers.insert(HeaderName::from_static("server-timing"), value);
    }
    Ok(response.map_body(|_, answer| BoxBody::new(Holding { body: answer.boxed(), _request: body })))
}
