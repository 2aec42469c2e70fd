//! The stream between a client's socket and the HTTP library, which gives the library's own refusals the body that every error
//! has.
//!
//! What is no HTTP never reaches a route: the library answers it with a bare status, 400, 408, 431 or 500 and an empty body, and
//! closes the connection. It offers no hook, so the answer is exchanged for one of the same status on its way out.
//!
//! A client that closes its side after its request still gets its answer; one that has gone is not worked for.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use actix_web::http::StatusCode;
use rustix::net::Shutdown;
use schemas::{Coded, ErrorBody};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};

use crate::{connections::Watch, error::ServerError, state::State};

const STATUS_LINE: &[u8] = b"HTTP/1.1 ";
const END_OF_HEAD: &[u8] = b"\r\n\r\n";
/// What every client has to read over, and to which the system of one that has gone answers with a reset.
const PROBE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
/// Between two looks at whether that answer has come.
const LOOK: Duration = Duration::from_millis(25);
/// How long an answer may take to be written after its handler has ended, before the end of what the client says is passed on.
const WRITING: Duration = Duration::from_secs(1);

/// A client's connection, as the HTTP library sees it.
pub(crate) struct Wire {
    watch: Arc<Watch>,
    state: Arc<State>,
    exchange: Option<Exchange>,
    half: Option<Half>,
}

/// An answer that is being written in place of another.
struct Exchange {
    text: Vec<u8>,
    written: usize,
}

impl Wire {
    /// A stream over the watched socket.
    pub(crate) fn new(watch: Arc<Watch>, state: Arc<State>) -> Self {
        Self { watch, state, exchange: None, half: None }
    }

    /// Whose connection it is.
    pub(crate) fn watch(&self) -> &Arc<Watch> {
        &self.watch
    }

    /// Runs `operation` on the socket as soon as `ready` says so.
    fn poll_io<T>(
        mut is_ready: impl FnMut() -> Poll<io::Result<()>>,
        mut operation: impl FnMut() -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        loop {
            ready!(is_ready())?;
            match operation() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result),
            }
        }
    }

    fn poll_send(&self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let socket = self.watch.socket();
        Self::poll_io(|| socket.poll_write_ready(context), || socket.try_write(bytes))
    }

    /// The answer to be written in place of the library's `head`.
    fn exchange(&self, head: &Refusal<'_>) -> Exchange {
        self.watch.refused();
        if self.watch.is_told() {
            // The route has been given the reason, and has answered.
            return Exchange { text: Vec::new(), written: 0 };
        }
        let error = ServerError::of_protocol(head.status, self.state.limits.header_timeout);
        let code = error.code();
        self.state.metrics.guard("other").finish(head.status, Some(code.as_str()));
        tracing::debug!(status = head.status.as_u16(), "refused by the HTTP parser");
        let body = serde_json::to_string(&ErrorBody::new(code, error.to_string())).unwrap_or_default();
        let text = format!(
            "{}\r\ncontent-length: {}\r\nconnection: close\r\ncontent-type: application/json\r\n\
             x-content-type-options: nosniff\r\n{}\r\n{body}",
            head.status_line,
            body.len(),
            head.date.map(|date| format!("{date}\r\n")).unwrap_or_default(),
        );
        Exchange { text: text.into_bytes(), written: 0 }
    }
}

/// An answer with an error's status and no body, as only the library makes them.
struct Refusal<'a> {
    status: StatusCode,
    status_line: &'a str,
    date: Option<&'a str>,
}

impl<'a> Refusal<'a> {
    /// Finds it at the end of what is to be written, where it always stands: nothing follows it on its connection. Returns where it
    /// begins.
    fn find(bytes: &'a [u8]) -> Option<(usize, Self)> {
        if !bytes.ends_with(END_OF_HEAD) {
            return None;
        }
        let start = bytes.windows(STATUS_LINE.len()).rposition(|part| part == STATUS_LINE)?;
        let text = std::str::from_utf8(&bytes[start..bytes.len() - END_OF_HEAD.len()]).ok()?;
        let mut lines = text.split("\r\n");
        let status_line = lines.next()?;
        let status =
            StatusCode::from_bytes(status_line.as_bytes().get(STATUS_LINE.len()..STATUS_LINE.len() + 3)?).ok()?;
        let (mut date, mut is_empty) = (None, false);
        for line in lines {
            match line.split_once(": ")? {
                ("content-length", length) => is_empty = length == "0",
                ("connection", _) => {}
                ("date", _) => date = Some(line),
                // The routes' answers have more headers.
                _ => return None,
            }
        }
        let is_error = status.is_client_error() || status.is_server_error();
        (is_empty && is_error).then_some((start, Self { status, status_line, date }))
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.half.is_none() {
            let (socket, room) = (this.watch.socket(), buffer.remaining());
            let read = Self::poll_io(|| socket.poll_read_ready(context), || socket.try_read_buf(buffer));
            match ready!(read) {
                Ok(0) if room > 0 && this.watch.is_heard() => {
                    this.half = Some(Half { look: Box::pin(sleep(LOOK)), since: Instant::now(), probed: false });
                }
                result => {
                    if result.as_ref().is_ok_and(|&read| read > 0) {
                        this.watch.heard();
                    }
                    return Poll::Ready(result.map(drop));
                }
            }
        }
        this.poll_half(context)
    }
}

/// A client that has closed its side with a request that is not answered yet.
struct Half {
    /// When it is looked at again.
    look: Pin<Box<Sleep>>,
    since: Instant,
    probed: bool,
}

impl Wire {
    /// The end of what the client says, once it has gone or has been answered. A client that has only closed its own side still
    /// reads; from one that has gone the same comes, and only its system's answer to a byte of ours tells the two apart.
    fn poll_half(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(half) = &mut self.half {
            ready!(half.look.as_mut().poll(context));
            let socket = self.watch.socket();
            let is_waiting = self.watch.is_waiting();
            if is_waiting && !half.probed {
                half.probed = true;
                // Whether it was sent shows in what becomes of the socket.
                let _ = socket.try_write(PROBE);
            }
            let is_gone = !matches!(socket.take_error(), Ok(None));
            let is_over = !is_waiting && half.since.elapsed() >= WRITING && !self.watch.is_busy_since(WRITING);
            if is_gone || is_over {
                break;
            }
            half.look.as_mut().reset(Instant::now() + LOOK);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.exchange.is_none() {
            match Refusal::find(bytes) {
                None => return self.poll_send(context, bytes),
                Some((start, _)) if start > 0 => return self.poll_send(context, &bytes[..start]),
                Some((_, refusal)) => self.exchange = Some(self.exchange(&refusal)),
            }
        }
        // The bytes are taken only when all of what stands for them is out, and are offered again until then.
        let Some(mut exchange) = self.exchange.take() else {
            return Poll::Ready(Ok(0));
        };
        while exchange.written < exchange.text.len() {
            match self.poll_send(context, &exchange.text[exchange.written..]) {
                Poll::Ready(Ok(n)) => exchange.written += n,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    self.exchange = Some(exchange);
                    return Poll::Pending;
                }
            }
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.watch.shutdown(Shutdown::Write);
        Poll::Ready(Ok(()))
    }
}
