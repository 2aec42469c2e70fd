//! One request to the server, with its tries and time limits.

use std::fmt::{self, Write as _};
use std::fs::File;
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use serde_json::Value;
use ureq::http::{HeaderValue, Method, Request, Response, Uri};

use super::MlflowError;

/// Tries of a request that may be repeated.
pub(super) const TRIES: u32 = 3;
/// Pause after the first failure; it doubles with the second.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// To find the server and reach it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// To hear from it, after all was sent.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// The same after a file was sent: the server may pass it on to a store of its own first.
const FILE_TIMEOUT: Duration = Duration::from_secs(300);
/// Of one write; a file as a whole may take longer.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes of an answer.
const LONGEST_ANSWER: u64 = 16 << 20;
/// Characters of an answer that is not MLflow's, in an error.
const LONGEST_QUOTE: usize = 200;

/// Who asks. `Debug` shows no secret.
#[derive(Clone, Default)]
pub(super) enum Credentials {
    /// Nobody in particular.
    #[default]
    None,
    /// HTTP basic authentication.
    Basic {
        /// Not empty, without a colon.
        user: String,
        /// Not empty.
        password: String,
    },
    /// Bearer authentication.
    Token(String),
}

impl Credentials {
    /// In the order of MLflow's own client, which takes empty ones for unset too.
    pub(super) fn from_environment() -> Self {
        Self::from(|name| std::env::var(name).ok())
    }

    fn from(variable: impl Fn(&str) -> Option<String>) -> Self {
        let read = |name| variable(name).filter(|value| !value.is_empty());
        match (read("MLFLOW_TRACKING_USERNAME"), read("MLFLOW_TRACKING_PASSWORD"), read("MLFLOW_TRACKING_TOKEN")) {
            (Some(user), Some(password), _) => Self::Basic { user, password },
            (_, _, Some(token)) => Self::Token(token),
            (_, _, None) => Self::None,
        }
    }

    fn header(&self) -> Result<Option<HeaderValue>, MlflowError> {
        let (variable, text) = match self {
            Self::None => return Ok(None),
            Self::Basic { user, password } => {
                let pair = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
                ("MLFLOW_TRACKING_USERNAME", format!("Basic {pair}"))
            }
            Self::Token(token) => ("MLFLOW_TRACKING_TOKEN", format!("Bearer {token}")),
        };
        let mut value = HeaderValue::from_str(&text)
            .map_err(|_| MlflowError::Credential { variable, why: "has characters that no HTTP header holds" })?;
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Basic { .. } => "Basic(...)",
            Self::Token(_) => "Token(...)",
        })
    }
}

/// What is sent.
#[derive(Clone, Copy, Debug)]
pub(super) enum Body<'a> {
    Nothing,
    Json(&'a Value),
    File(&'a Path),
}

/// Whether a request may reach the server twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repeat {
    /// Twice is as good as once.
    Harmless,
    /// Only a request that did not leave this machine is sent again.
    Unsent,
}

/// A request.
#[derive(Clone, Debug)]
pub(super) struct Call<'a> {
    /// What it does, for errors: `create the run`.
    pub what: &'a str,
    pub method: Method,
    /// After `/api/2.0/`, encoded.
    pub path: String,
    pub body: Body<'a>,
    pub repeat: Repeat,
}

/// Why a try failed.
struct Failure {
    why: String,
    /// Whether trying again may help.
    transient: bool,
    /// Whether the server may have acted.
    sent: bool,
}

/// A server's address, and what every request to it has.
#[derive(Clone, Debug)]
pub(super) struct Client {
    agent: ureq::Agent,
    base: String,
    authority: String,
    authorization: Option<HeaderValue>,
    pub(super) first_pause: Duration,
}

impl Client {
    pub(super) fn new(address: &str, credentials: &Credentials) -> Result<Self, MlflowError> {
        let (base, authority) = checked(address)?;
        let config = ureq::Agent::config_builder()
            .timeout_resolve(Some(CONNECT_TIMEOUT))
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_per_write(Some(WRITE_TIMEOUT))
            .timeout_recv_response(Some(ANSWER_TIMEOUT))
            .timeout_recv_body(Some(ANSWER_TIMEOUT))
            .http_status_as_error(false)
            // A redirected POST would arrive as a GET.
            .max_redirects(0)
            .max_redirects_will_error(false)
            // A connection that the server has closed in the meantime would fail a request that may not be sent twice.
            .max_idle_connections(0)
            .user_agent("fovea")
            .build();
        let authorization = credentials.header()?;
        Ok(Self { agent: config.into(), base, authority, authorization, first_pause: FIRST_PAUSE })
    }

    /// The address, without a slash at its end.
    pub(super) fn base(&self) -> &str {
        &self.base
    }

    /// Host and port.
    pub(super) fn authority(&self) -> &str {
        &self.authority
    }

    /// Sends a request and gives the JSON of the answer, which is null where it is empty.
    pub(super) fn call(&self, call: &Call) -> Result<Value, MlflowError> {
        let place = format!("cannot {} at {}", call.what, self.base);
        let (mut tries, mut pause) = (0, self.first_pause);
        loop {
            tries += 1;
            let failure = match self.send(call) {
                Ok(Ok((status, text))) if (200..300).contains(&status) => return answer(place, &text),
                Ok(Ok((status, text))) => {
                    let again = match call.repeat {
                        Repeat::Harmless => matches!(status, 408 | 429 | 500 | 502..=504),
                        // The server says that it has not looked at it.
                        Repeat::Unsent => status == 429,
                    };
                    if !again || tries == TRIES {
                        return Err(refusal(place, status, &text));
                    }
                    None
                }
                Ok(Err(error)) => return Err(error),
                Err(failure) => Some(failure),
            };
            if let Some(Failure { why, transient, sent }) = failure
                && (!transient || tries == TRIES || (sent && call.repeat == Repeat::Unsent))
            {
                return Err(MlflowError::Unreachable { place, why, tries });
            }
            std::thread::sleep(pause);
            pause *= 2;
        }
    }

    /// One try: status and text of the answer. The inner error is of the file that should have been sent.
    fn send(&self, call: &Call) -> Result<Result<(u16, String), MlflowError>, Failure> {
        let mut request =
            Request::builder().method(call.method.clone()).uri(format!("{}/api/2.0/{}", self.base, call.path));
        if let Some(value) = &self.authorization {
            request = request.header("Authorization", value);
        }
        let built = |e: ureq::http::Error| Failure { why: e.to_string(), transient: false, sent: false };
        let answer = match call.body {
            Body::Nothing => self.agent.run(request.body(()).map_err(built)?),
            Body::Json(value) => {
                let request =
                    request.header("Content-Type", "application/json").body(value.to_string()).map_err(built)?;
                self.agent.run(request)
            }
            Body::File(path) => {
                let file = match File::open(path) {
                    Ok(file) => file,
                    Err(source) => return Ok(Err(MlflowError::io("read", path)(source))),
                };
                let request = request.header("Content-Type", "application/octet-stream").body(file).map_err(built)?;
                let request = self.agent.configure_request(request).timeout_recv_response(Some(FILE_TIMEOUT)).build();
                self.agent.run(request)
            }
        };
        let mut answer: Response<ureq::Body> = answer.map_err(|e| failure(&e))?;
        let status = answer.status().as_u16();
        let text = answer.body_mut().with_config().limit(LONGEST_ANSWER).lossy_utf8(true).read_to_string();
        Ok(Ok((status, text.map_err(|e| failure(&e))?)))
    }
}

fn failure(error: &ureq::Error) -> Failure {
    use ureq::{Error, Timeout};
    let sent = match error {
        Error::HostNotFound | Error::ConnectionFailed | Error::Timeout(Timeout::Resolve | Timeout::Connect) => false,
        Error::Io(e) => e.kind() != std::io::ErrorKind::ConnectionRefused,
        _ => true,
    };
    let transient = !sent
        || matches!(
            error,
            Error::Timeout(_) | Error::Io(_) | Error::Protocol(_) | Error::BodyStalled | Error::ConnectProxyFailed(_)
        );
    Failure { why: error.to_string(), transient, sent }
}

fn answer(place: String, text: &str) -> Result<Value, MlflowError> {
    if text.trim().is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_str(text)
        .map_err(|_| MlflowError::Answer { place, why: format!("the answer is no JSON: {}", quoted(text)) })
}

fn refusal(place: String, status: u16, text: &str) -> MlflowError {
    let body: Value = serde_json::from_str(text).unwrap_or_default();
    let field = |name: &str| body.get(name).and_then(Value::as_str).map(str::to_owned);
    let error_code = field("error_code").unwrap_or_default();
    let message = quoted(&field("message").unwrap_or_else(|| text.to_owned()));
    MlflowError::Refused { place, status, error_code, message }
}

/// The beginning of a text, in one line.
fn quoted(text: &str) -> String {
    let line: Vec<&str> = text.split_whitespace().collect();
    let line = line.join(" ");
    if line.chars().count() <= LONGEST_QUOTE {
        return line;
    }
    line.chars().take(LONGEST_QUOTE).chain("...".chars()).collect()
}

/// The address without a slash at its end, and its host and port.
fn checked(address: &str) -> Result<(String, String), MlflowError> {
    let shown = match (address.find("://"), address.rfind('@')) {
        (Some(scheme), Some(at)) if scheme < at => format!("{}://...{}", &address[..scheme], &address[at..]),
        _ => address.to_owned(),
    };
    let refused = |why| MlflowError::Address { address: shown.clone(), why };
    let uri: Uri = address.parse().map_err(|_| refused("it is no address"))?;
    match uri.scheme_str() {
        Some("http" | "https") => {}
        Some(_) | None => return Err(refused("it begins neither with http:// nor with https://")),
    }
    let authority = uri.authority().ok_or_else(|| refused("it names no host"))?;
    if authority.as_str().contains('@') {
        return Err(refused(
            "user and password belong in MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, not in the address",
        ));
    }
    if uri.query().is_some() || address.contains('#') {
        return Err(refused("it has a query or a fragment"));
    }
    Ok((address.trim_end_matches('/').to_owned(), authority.to_string()))
}

/// A text as part of a path or a query: all but unreserved characters are `%XX`.
pub(super) fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_read_as_the_python_client_reads_them_and_never_shown() {
        let of = |pairs: &'static [(&str, &str)]| {
            let credentials = Credentials::from(|name| {
                pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
            });
            assert!(!format!("{credentials:?}").contains("secret"));
            credentials.header().unwrap().map(|value| value.to_str().unwrap().to_owned())
        };
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[("MLFLOW_TRACKING_USERNAME", "ann")]), None);
        let both = of(&[
            ("MLFLOW_TRACKING_USERNAME", "ann"),
            ("MLFLOW_TRACKING_PASSWORD", "secret"),
            ("MLFLOW_TRACKING_TOKEN", "secret2"),
        ]);
        assert_eq!(both.as_deref(), Some("Basic YW5uOnNlY3JldA=="));
        let token = of(&[
            ("MLFLOW_TRACKING_USERNAME", "ann"),
            ("MLFLOW_TRACKING_PASSWORD", ""),
            ("MLFLOW_TRACKING_TOKEN", "secret2"),
        ]);
        assert_eq!(token.as_deref(), Some("Bearer secret2"));
        let broken = Credentials::Token("secret\n".to_owned()).header().unwrap_err().to_string();
        assert!(broken.contains("MLFLOW_TRACKING_TOKEN") && !broken.contains("secret"), "{broken}");
    }

    #[test]
    fn addresses_are_checked() {
        assert_eq!(
            checked("http://localhost:5000/").unwrap(),
            ("http://localhost:5000".to_owned(), "localhost:5000".to_owned())
        );
        assert_eq!(checked("https://a.example/ml/flow//").unwrap().0, "https://a.example/ml/flow");
        for (address, why) in [
            ("localhost:5000", "begins neither"),
            ("sqlite:///mlflow.db", "no address"),
            ("file:///mlruns", "no address"),
            ("ftp://host", "begins neither"),
            ("http://ann:hidden@host:1", "belong in"),
            ("http://host/?a=b", "query"),
            ("", "no address"),
        ] {
            let error = checked(address).unwrap_err().to_string();
            assert!(error.contains(why) && !error.contains("hidden"), "{address}: {error}");
        }
    }

    #[test]
    fn paths_are_encoded() {
        assert_eq!(encoded("a b/ü.~-_"), "a%20b%2F%C3%BC.~-_");
    }
}
