//! Refusals of requests, and the code of each, from which its status follows.
//!
//! Texts are for the client: they name the place, the value and the limit, never a path, an address or a piece of the
//! program. What an operator needs to know in addition is logged where the failure happens.

use actix_web::{
    HttpResponse, ResponseError,
    http::{
        StatusCode,
        header::{self, ContentEncoding, HeaderName},
    },
};
use schemas::{Coded, ErrorBody, ErrorCode, prediction::DataError};
use thiserror::Error;

/// Most bytes of a request's head: the HTTP parser's buffer.
const HEAD_BYTES: usize = 131_072;
/// Most headers of a request, as many as the HTTP parser has room for.
const HEAD_FIELDS: usize = 96;

/// A refused or failed request.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum ServerError {
    /// A body was expected.
    #[error("the request has no body; send the bytes of an image, or JSON")]
    EmptyBody,
    /// The body ended early or its framing is broken.
    #[error("the body ended early, or is not framed or compressed as its headers say")]
    BrokenBody,
    /// The body did not arrive in time.
    #[error("the body did not arrive in time: at most {seconds} s for all of it, {pause} s between two parts")]
    SlowBody {
        /// Limit for the whole body.
        seconds: u64,
        /// Limit for a pause.
        pause: u64,
    },
    /// A stream of requests on which nothing comes.
    #[error("no request came on the stream for {seconds} s; open it again for the next one")]
    IdleStream {
        /// The limit.
        seconds: u64,
    },
    /// Not HTTP, found by the parser before any route.
    #[error(
        "the request is not valid HTTP/1.1; check its first line, its headers (Host once, and either Content-Length or \
         Transfer-Encoding: chunked), and the framing of its body"
    )]
    Malformed,
    /// The head did not arrive in time.
    #[error("the request's first line and headers did not arrive within {seconds} s; send them at once")]
    SlowHead {
        /// The limit.
        seconds: u64,
    },
    /// A head beyond the parser's limits.
    #[error(
        "the request's first line and headers are more than {HEAD_BYTES} bytes, or more than {HEAD_FIELDS} headers; send fewer"
    )]
    HeadTooLarge,
    /// Not JSON, or not of the expected shape.
    #[error("line {line}, column {column} of the JSON body: {what}")]
    Json {
        /// 1-based line.
        line: usize,
        /// 1-based column.
        column: usize,
        /// What is wrong.
        what: String,
    },
    /// JSON of the right shape that says something impossible, or headers that do.
    #[error("{0}")]
    Request(String),
    /// Text that is not base64.
    #[error("image {index}: the text is not base64 (RFC 4648, standard alphabet)")]
    Base64 {
        /// 0-based position in the request.
        index: usize,
    },
    /// Bytes that are not a usable image.
    #[error("image {index}: {reason}")]
    Image {
        /// 0-based position in the request.
        index: usize,
        /// What the decoder says.
        reason: String,
    },
    /// An image beyond a limit.
    #[error("image {index}: {reason}")]
    ImageTooLarge {
        /// 0-based position in the request.
        index: usize,
        /// Which limit, and by how much.
        reason: String,
    },
    /// A body beyond the limit.
    #[error("the body is larger than {limit} bytes")]
    BodyTooLarge {
        /// The limit.
        limit: u64,
    },
    /// More images than one request may hold.
    #[error("the request holds {given} images, the limit is {limit}; send several requests")]
    TooManyImages {
        /// Images in the request.
        given: u64,
        /// The limit.
        limit: u64,
    },
    /// More images to be explained than one request may ask for.
    #[error("the request wants {given} images explained, the limit is {limit}; send several requests")]
    TooManyExplained {
        /// Images to be explained.
        given: u64,
        /// The limit.
        limit: u64,
    },
    /// A request that needs more memory than all requests together may take.
    #[error("the request needs {needed} bytes for its images, the server's limit is {limit}")]
    TooMuchMemory {
        /// Bytes asked for.
        needed: u64,
        /// Bytes there are.
        limit: u64,
    },
    /// A content type that the route does not read.
    #[error("content type not supported; send {expected}")]
    MediaType {
        /// What the route reads.
        expected: &'static str,
    },
    /// A body that is compressed in another way.
    #[error("content encoding not supported; send the body as it is, or as gzip or deflate")]
    ContentEncoding,
    /// No such path.
    #[error("not found; GET /openapi.json lists what there is")]
    NotFound,
    /// No such model, or version of it.
    #[error("no model of this name and version is loaded; POST /v2/repository/index lists what there is")]
    UnknownModel,
    /// The path exists, the method does not.
    #[error("method not allowed; allowed: {allow}")]
    Method {
        /// The methods that are.
        allow: &'static str,
    },
    /// What clients may not do here.
    #[error("clients may not load and unload models here; start the server with --model-control explicit to let them")]
    Forbidden,
    /// A model that cannot be served.
    #[error("the model cannot be loaded: {reason}; what was served before still is")]
    Load {
        /// Why, without a place on this machine.
        reason: String,
    },
    /// No room now.
    #[error("the server is busy ({what}); try again later")]
    Overloaded {
        /// What has run out.
        what: &'static str,
    },
    /// The process is about to end, or all workers of the model are gone.
    #[error("the model is not ready")]
    NotReady,
    /// The answer was not there in time.
    #[error("the answer was not there within {milliseconds} ms; try again later, or ask for less")]
    Late {
        /// The limit.
        milliseconds: u64,
    },
    /// A thread that should have come back has not.
    #[error("{threads} of the decoding threads have been at one task for more than {seconds} s")]
    Stuck {
        /// How many.
        threads: usize,
        /// For how long at least.
        seconds: u64,
    },
    /// The model failed on an input that it should have taken. The reason is in the log only.
    #[error("the model failed on this request; the server's log says why")]
    Model,
    /// The program is wrong somewhere. The reason is in the log only.
    #[error("internal error; the server's log says more")]
    Internal,
}

impl ServerError {
    /// Whether the same request may well be answered a second later.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Overloaded { .. } | Self::Late { .. } | Self::NotReady | Self::Stuck { .. })
    }

    /// A header that goes with the status, where HTTP wants one.
    fn header(&self) -> Option<(HeaderName, &'static str)> {
        match self {
            passing if passing.is_passing() => Some((header::RETRY_AFTER, "1")),
            Self::Method { allow } => Some((header::ALLOW, allow)),
            Self::ContentEncoding => Some((header::ACCEPT_ENCODING, "gzip, deflate")),
            _ => None,
        }
    }

    /// A model that is to be loaded from other files than its own.
    #[must_use]
    pub fn other_files() -> Self {
        Self::Request(
            "a model is loaded as it is in the repository; the parameters config and file: are not supported"
                .to_owned(),
        )
    }

    /// What the HTTP parser means by the status of an answer of its own.
    #[must_use]
    pub fn of_protocol(status: StatusCode, header_timeout: u64) -> Self {
        match status {
            StatusCode::REQUEST_TIMEOUT => Self::SlowHead { seconds: header_timeout },
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => Self::HeadTooLarge,
            status if status.is_client_error() => Self::Malformed,
            _ => Self::Internal,
        }
    }

    /// A failure to read JSON, with its place and no quotation from the body.
    #[must_use]
    pub fn json(error: &serde_json::Error, expected: &str) -> Self {
        let what = match error.classify() {
            serde_json::error::Category::Eof => "it ends early".to_owned(),
            serde_json::error::Category::Syntax => "not valid JSON".to_owned(),
            serde_json::error::Category::Data | serde_json::error::Category::Io => {
                format!("not what is expected here: {expected}")
            }
        };
        Self::Json { line: error.line(), column: error.column(), what }
    }
}

impl Coded for ServerError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Malformed => ErrorCode::MalformedRequest,
            Self::SlowHead { .. } => ErrorCode::SlowHead,
            Self::HeadTooLarge => ErrorCode::HeadTooLarge,
            Self::EmptyBody => ErrorCode::EmptyBody,
            Self::BrokenBody => ErrorCode::BrokenBody,
            Self::Json { .. } => ErrorCode::InvalidJson,
            Self::Request(_) => ErrorCode::InvalidRequest,
            Self::Base64 { .. } => ErrorCode::InvalidBase64,
            Self::Image { .. } => ErrorCode::InvalidImage,
            Self::NotFound => ErrorCode::NotFound,
            Self::UnknownModel => ErrorCode::UnknownModel,
            Self::Method { .. } => ErrorCode::MethodNotAllowed,
            Self::SlowBody { .. } | Self::IdleStream { .. } => ErrorCode::SlowBody,
            Self::ImageTooLarge { .. } => ErrorCode::ImageTooLarge,
            Self::BodyTooLarge { .. } => ErrorCode::BodyTooLarge,
            Self::TooManyImages { .. } | Self::TooManyExplained { .. } => ErrorCode::TooManyImages,
            Self::TooMuchMemory { .. } => ErrorCode::TooMuchMemory,
            Self::MediaType { .. } => ErrorCode::UnsupportedMediaType,
            Self::ContentEncoding => ErrorCode::UnsupportedEncoding,
            Self::Forbidden => ErrorCode::Forbidden,
            Self::Load { .. } => ErrorCode::InvalidModelFile,
            Self::Overloaded { .. } => ErrorCode::Overloaded,
            Self::Late { .. } => ErrorCode::DeadlineExceeded,
            Self::NotReady | Self::Stuck { .. } => ErrorCode::NotReady,
            Self::Model => ErrorCode::ModelFailed,
            Self::Internal => ErrorCode::Internal,
        }
    }
}

impl From<DataError> for ServerError {
    fn from(error: DataError) -> Self {
        match error {
            DataError::TooMany { given, limit } => Self::TooManyImages { given, limit },
            DataError::Wrong(text) => Self::Request(text),
        }
    }
}

/// The code of the error that a response reports, kept with the response for the metrics.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReportedCode(pub ErrorCode);

impl ResponseError for ServerError {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.code().http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        let code = self.code();
        let mut builder = HttpResponse::build(self.status_code());
        if let Some(header) = self.header() {
            builder.insert_header(header);
        }
        // Keeps it from being compressed; no client sees it (`observe`).
        builder.insert_header(ContentEncoding::Identity);
        let mut response = builder.json(ErrorBody::new(code, self.to_string()));
        response.extensions_mut().insert(ReportedCode(code));
        response
    }
}
