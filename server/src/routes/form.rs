//! Forms as browsers and many clients send them (multipart/form-data): files, and fields beside them.

use std::convert::Infallible;

use actix_web::{HttpRequest, http::header, web::Bytes};
use futures_util::{FutureExt as _, stream};
use multer::{Constraints, Multipart, SizeLimit};
use schemas::prediction::MAX_FILENAME;

use crate::error::ServerError;

/// Most fields beside the files, and the longest of them.
const FIELDS: usize = 32;
const FIELD_BYTES: u64 = 4096;

/// What a form holds.
pub(super) struct Form {
    /// Name and content of each file, in their order.
    pub files: Vec<(Option<String>, Vec<u8>)>,
    /// Name and text of each other field.
    pub fields: Vec<(String, String)>,
}

fn bad<T>(text: String) -> Result<T, ServerError> {
    Err(ServerError::Request(text))
}

/// What stands between the parts of a form, as its content type says.
///
/// # Errors
/// When it does not.
pub(super) fn boundary(request: &HttpRequest) -> Result<String, ServerError> {
    let value = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let found = value.and_then(|value| multer::parse_boundary(value).ok());
    found.ok_or_else(|| ServerError::Request("the Content-Type of a form has to name its boundary".to_owned()))
}

/// Reads a form whose bytes are here.
///
/// # Errors
/// Parts that are not framed as they should be, no file or more than `limit`, too many or too long fields.
pub(super) fn read(bytes: Vec<u8>, boundary: &str, limit: u64) -> Result<Form, ServerError> {
    // The parser is made for bytes that are still to come; nothing is waited for where all are here.
    parts(bytes, boundary, limit).now_or_never().unwrap_or(Err(ServerError::Internal))
}

async fn parts(bytes: Vec<u8>, boundary: &str, limit: u64) -> Result<Form, ServerError> {
    let limits = Constraints::new().size_limit(SizeLimit::new().whole_stream(bytes.len() as u64));
    let whole = stream::iter([Ok::<Bytes, Infallible>(Bytes::from(bytes))]);
    let mut parts = Multipart::with_constraints(whole, boundary, limits);
    let mut form = Form { files: Vec::new(), fields: Vec::new() };
    let broken = |_| ServerError::Request("the form is broken: its parts are not framed as they should be".to_owned());
    while let Some(part) = parts.next_field().await.map_err(broken)? {
        let name = part.name().unwrap_or_default().to_owned();
        // What has no file name and is no image is a field, as in HTML.
        let is_image =
            part.content_type().is_some_and(|kind| kind.type_() == "image" || kind.subtype() == "octet-stream");
        let file = part.file_name().map(str::to_owned);
        if file.is_none() && !is_image {
            if form.fields.len() == FIELDS {
                return bad(format!("the form has more than {FIELDS} fields beside its files"));
            }
            let value = part.bytes().await.map_err(broken)?;
            if value.len() as u64 > FIELD_BYTES {
                return bad(format!("a field of the form has more than {FIELD_BYTES} bytes; files have a filename"));
            }
            let value = String::from_utf8(value.to_vec());
            form.fields
                .push((name, value.map_err(|_| ServerError::Request("a field of the form is not UTF-8".to_owned()))?));
            continue;
        }
        let given = form.files.len() as u64 + 1;
        if given > limit {
            return Err(ServerError::TooManyImages { given, limit });
        }
        if file.as_ref().is_some_and(|name| name.len() > MAX_FILENAME) {
            return bad(format!("a file name in the form has more than {MAX_FILENAME} bytes"));
        }
        let content = part.bytes().await.map_err(broken)?;
        form.files.push((file.filter(|name| !name.is_empty()), content.to_vec()));
    }
    if form.files.is_empty() {
        return bad("the form holds no file; send each image as one".to_owned());
    }
    Ok(form)
}
