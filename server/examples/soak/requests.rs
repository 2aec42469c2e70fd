//! Everything that is asked, with the answers that are right: good requests of every kind, and requests that have to be refused.

use std::{fs, io::Write as _};

use anyhow::Context;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use flate2::{Compression, write::GzEncoder};
use image::ImageFormat::{Bmp, Jpeg, Png, WebP};
use serde_json::json;

use super::{
    images::{noise, plain, png_header},
    repository::fixture,
    tally::Group,
};

/// Bytes of a body that the server takes; it is started with a limit as low, so that larger ones are cheap to send.
pub const MAX_BODY: usize = 1 << 20;
const BOUNDARY: &str = "soak";
const JSON: &str = "application/json";
const BYTES: &str = "application/octet-stream";
/// How V2 says how many bytes of a body are JSON.
const JSON_LENGTH: &str = "Inference-Header-Content-Length";

/// What makes an answer right beside its status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// It is the same every time.
    Same,
    /// The same, but for the version of the model that it names.
    Versioned,
    /// It holds this text; the rest changes.
    Holds(&'static str),
}

/// A request and what is right for it.
pub struct Request {
    pub name: &'static str,
    pub group: Group,
    /// The model whose version the answer depends on.
    pub model: Option<&'static str>,
    /// Head and body.
    pub raw: Vec<u8>,
    /// Bytes of the head.
    pub head: usize,
    /// Statuses. Beside them there is always 429, when the server has no room.
    pub right: Vec<u16>,
    pub check: Check,
    /// Whether the server may close without an answer, because it says no while the client still sends.
    pub is_cut: bool,
}

impl Request {
    /// A request with a body.
    fn post(group: Group, name: &'static str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Self {
        let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let length = body.len();
        let head = format!("POST {path} HTTP/1.1\r\nHost: soak\r\n{lines}Content-Length: {length}\r\n\r\n");
        Self::raw(group, name, &head, body)
    }

    fn get(name: &'static str, path: &str, check: Check) -> Self {
        Self { check, ..Self::raw(Group::Read, name, &format!("GET {path} HTTP/1.1\r\nHost: soak\r\n\r\n"), b"") }
    }

    fn raw(group: Group, name: &'static str, head: &str, body: &[u8]) -> Self {
        Self {
            name,
            group,
            model: None,
            raw: [head.as_bytes(), body].concat(),
            head: head.len(),
            right: vec![200],
            check: Check::Same,
            is_cut: false,
        }
    }

    /// Of a model that is swapped.
    fn of(self, model: &'static str) -> Self {
        Self { model: Some(model), ..self }
    }

    fn versioned(self) -> Self {
        Self { check: Check::Versioned, ..self }
    }

    fn refused(self, right: &[u16]) -> Self {
        Self { right: right.to_vec(), ..self }
    }

    fn cut(self) -> Self {
        Self { is_cut: true, ..self }
    }

    /// The same, and the server is to close afterwards.
    pub fn closing(&self) -> Vec<u8> {
        let end = self.raw.windows(2).position(|pair| pair == b"\r\n").map_or(0, |at| at + 2);
        [&self.raw[..end], b"Connection: close\r\n", &self.raw[end..]].concat()
    }
}

/// Everything that there is to ask.
pub struct Requests {
    /// With a right answer.
    pub good: Vec<Request>,
    /// To be refused.
    pub refused: Vec<Request>,
    /// What takes long enough to decode that several at once fill the server.
    pub large: Request,
}

impl Requests {
    /// Makes them all.
    ///
    /// # Errors
    /// A file of the tests that is not there.
    pub fn new() -> anyhow::Result<Self> {
        let read = |name: &str| {
            let path = fixture(name);
            fs::read(&path).with_context(|| format!("{} cannot be read", path.display()))
        };
        let images = Images {
            jpeg: noise(200, 150, Jpeg),
            png: plain(60, 50, [200, 30, 90], Png),
            progressive: read("progressive.jpg")?,
            rotated: read("rotated.jpg")?,
            cmyk: read("cmyk.jpg")?,
            gif: read("animated.gif")?,
        };
        let mut good = images.score()?;
        good.extend(images.infer());
        good.extend(pages());
        let mut refused = images.refused_score();
        refused.extend(refused_http());
        refused.extend(images.refused_infer());
        // For a model that takes small images: ONNX Runtime would keep what a batch of large ones needs.
        let large = plain(1600, 1200, [10, 200, 60], Png);
        let large = Request::post(
            Group::Burst,
            "a large PNG",
            "/score?model=classifier",
            &[("Content-Type", "image/png")],
            &large,
        );
        let large = large.of("classifier");
        Ok(Self { good, refused, large })
    }
}

struct Images {
    jpeg: Vec<u8>,
    png: Vec<u8>,
    progressive: Vec<u8>,
    rotated: Vec<u8>,
    cmyk: Vec<u8>,
    gif: Vec<u8>,
}

fn gzip(body: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body)?;
    Ok(encoder.finish()?)
}

/// A body in chunks of this size.
fn chunked(body: &[u8], size: usize) -> Vec<u8> {
    let chunk = |part: &[u8]| [format!("{:x}\r\n", part.len()).as_bytes(), part, b"\r\n"].concat();
    let mut all: Vec<u8> = body.chunks(size).flat_map(chunk).collect();
    all.extend_from_slice(b"0\r\n\r\n");
    all
}

/// A form of images, by their names, and fields.
fn form(images: &[(&str, &[u8])], fields: &[(&str, &str)]) -> Vec<u8> {
    let mut all = Vec::new();
    for &(name, image) in images {
        let head = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
             Content-Type: image/jpeg\r\n\r\n"
        );
        all.extend([head.as_bytes(), image, b"\r\n"].concat());
    }
    for (name, value) in fields {
        let part = format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
        all.extend(part.into_bytes());
    }
    all.extend(format!("--{BOUNDARY}--\r\n").into_bytes());
    all
}

fn score(name: &'static str, query: &str, kind: &str, body: &[u8]) -> Request {
    Request::post(Group::Score, name, &format!("/score{query}"), &[("Content-Type", kind)], body)
}

fn infer(name: &'static str, model: &str, body: &serde_json::Value) -> Request {
    let path = format!("/v2/models/{model}/infer");
    Request::post(Group::Infer, name, &path, &[("Content-Type", JSON)], body.to_string().as_bytes())
}

/// V2's input of encoded images.
fn encoded(images: &[&[u8]]) -> serde_json::Value {
    let texts: Vec<String> = images.iter().map(|image| STANDARD.encode(image)).collect();
    json!({ "name": "images", "datatype": "BYTES", "shape": [texts.len()], "data": texts })
}

/// V2 with bytes behind the JSON.
fn binary(name: &'static str, model: &str, json: &str, bytes: &[u8]) -> Request {
    let path = format!("/v2/models/{model}/infer");
    let length = json.len().to_string();
    let headers = [("Content-Type", BYTES), (JSON_LENGTH, length.as_str())];
    Request::post(Group::Infer, name, &path, &headers, &[json.as_bytes(), bytes].concat())
}

impl Images {
    fn score(&self) -> anyhow::Result<Vec<Request>> {
        let text = |image: &[u8]| STANDARD.encode(image);
        let data = [text(&self.jpeg), text(&self.png), text(&self.progressive), text(&self.rotated)];
        let azure = json!({ "input_data": { "columns": ["image"], "data": data } }).to_string();
        let one = json!({ "image": text(&self.png) }).to_string();
        let explained = json!({
            "image": text(&self.jpeg), "model_explainability": true,
            "xai_parameters": { "attributions": true, "visualizations": true },
        });
        let form_type = format!("multipart/form-data; boundary={BOUNDARY}");
        let files = form(&[("a.jpg", &self.jpeg), ("b.jpg", &self.rotated)], &[]);
        let options = form(&[("a.jpg", &self.jpeg)], &[("score_threshold", "0.2"), ("iou_threshold", "0.9")]);
        let in_chunks =
            "POST /score HTTP/1.1\r\nHost: soak\r\nContent-Type: image/png\r\nTransfer-Encoding: chunked\r\n\r\n";
        let compressed = [("Content-Type", JSON), ("Content-Encoding", "gzip")];
        let compressing = [("Content-Type", "image/jpeg"), ("Accept-Encoding", "gzip")];
        Ok(vec![
            score("a JPEG", "", "image/jpeg", &self.jpeg).of("classifier"),
            score("a PNG", "?model=classifier", "image/png", &self.png).of("classifier"),
            score("a progressive JPEG", "", "image/jpeg", &self.progressive).of("classifier"),
            score("a JPEG that EXIF turns", "?filename=a.jpg", "image/jpeg", &self.rotated).of("classifier"),
            score("a JPEG in CMYK", "?model=whole", BYTES, &self.cmyk),
            score("a GIF", "?model=whole", "image/gif", &self.gif),
            score("a WebP", "?model=whole", "image/webp", &noise(70, 40, WebP)),
            score("a BMP", "?model=whole&version=1", "image/bmp", &plain(31, 17, [9, 90, 200], Bmp)),
            score("one image in JSON", "", JSON, one.as_bytes()).of("classifier"),
            score("several images in JSON", "", JSON, azure.as_bytes()).of("classifier"),
            Request::post(
                Group::Score,
                "several images in JSON, gzip",
                "/score",
                &compressed,
                &gzip(azure.as_bytes())?,
            )
            .of("classifier"),
            score("an explanation", "?model=whole", JSON, explained.to_string().as_bytes()),
            score("a form of two files", "", &form_type, &files).of("classifier"),
            score("a form with options", "?model=detector", &form_type, &options).of("detector"),
            Request::raw(Group::Score, "a PNG in chunks", in_chunks, &chunked(&self.png, 50)).of("classifier"),
            score("a JPEG, a detector", "?model=detector", "image/jpeg", &self.jpeg).of("detector"),
            score("tiles", "?model=detector&tile_grid_size=3x2&score_threshold=0.1", "image/jpeg", &self.jpeg)
                .of("detector"),
            score("several images, a detector", "?model=detector", JSON, azure.as_bytes()).of("detector"),
            score("polygons", "?model=masks", "image/jpeg", &self.jpeg).of("masks"),
            score("run lengths", "?model=masks&masks=rle", "image/png", &self.png).of("masks"),
            score("masks as images", "?model=masks&masks=png", "image/jpeg", &self.rotated).of("masks"),
            score("several images, masks", "?model=masks&masks=none", JSON, azure.as_bytes()).of("masks"),
            Request::post(Group::Score, "an answer in gzip", "/score?model=masks", &compressing, &self.jpeg)
                .of("masks"),
        ])
    }

    fn infer(&self) -> Vec<Request> {
        let images = [&self.jpeg[..], &self.png];
        let pixels: Vec<u8> = (0..16 * 16 * 3).map(|i| (i % 251) as u8).collect();
        let tensor = json!({ "name": "images", "datatype": "UINT8", "shape": [1, 16, 16, 3], "data": pixels });
        let size = pixels.len();
        let sized = |kind: &str, shape: &[usize], size: usize| {
            let parameters = json!({ "binary_data_size": size });
            json!([{ "name": "images", "datatype": kind, "shape": shape, "parameters": parameters }])
        };
        let of_pixels =
            json!({ "inputs": sized("UINT8", &[1, 16, 16, 3], size), "parameters": { "binary_data_output": true } });
        let of_images = json!({ "inputs": [encoded(&images)] });
        let in_bytes = json!({ "name": "masks", "parameters": { "binary_data": true } });
        let of_masks = json!({ "inputs": [encoded(&images[..1])], "outputs": [in_bytes] });
        let element = [&(self.png.len() as u32).to_le_bytes()[..], &self.png].concat();
        let of_bytes = json!({ "inputs": sized("BYTES", &[1], element.len()), "id": "7" });
        let raw = [("Content-Type", BYTES), (JSON_LENGTH, "0")];
        vec![
            infer("encoded images", "classifier", &of_images).of("classifier").versioned(),
            infer("encoded images, a detector", "detector", &of_images).of("detector").versioned(),
            infer("encoded images, masks", "masks", &of_masks).of("masks").versioned(),
            infer("pixels", "whole", &json!({ "inputs": [&tensor] })),
            infer("pixels, of a version", "whole/versions/1", &json!({ "inputs": [&tensor], "id": "a" })),
            binary("bytes of pixels", "classifier", &of_pixels.to_string(), &pixels).of("classifier").versioned(),
            binary("bytes of an image", "detector", &of_bytes.to_string(), &element).of("detector").versioned(),
            Request::post(Group::Infer, "an image alone", "/v2/models/classifier/infer", &raw, &self.png)
                .of("classifier")
                .versioned(),
        ]
    }

    fn refused_score(&self) -> Vec<Request> {
        let half = &self.jpeg[..self.jpeg.len() / 2];
        let many = json!({ "input_data": { "columns": ["image"], "data": vec!["aGV5"; 33] } }).to_string();
        let mixed = [STANDARD.encode(&self.png), "aGV5".to_owned()];
        let mixed = json!({ "input_data": { "columns": ["image"], "data": mixed } }).to_string();
        let form_type = format!("multipart/form-data; boundary={BOUNDARY}");
        let encoded = |coding: &str, body: &[u8]| {
            Request::post(Group::Score, "", "/score", &[("Content-Type", JSON), ("Content-Encoding", coding)], body)
        };
        let named = |name: &'static str, request: Request| Request { name, ..request };
        let all = [
            (400, score("broken JSON", "", JSON, b"{\"image\":")),
            (400, score("JSON of another shape", "", JSON, b"{\"images\":[]}")),
            (400, score("no base64", "", JSON, b"{\"image\":\"!!!!\"}")),
            (400, score("one good and one bad image", "", JSON, mixed.as_bytes())),
            (413, score("33 images", "", JSON, many.as_bytes())),
            (400, score("half a JPEG", "", "image/jpeg", half)),
            (400, score("text for an image", "?model=detector", "image/png", b"<html>no image</html>")),
            (413, score("an image of 30000x30000", "?model=whole", "image/png", &png_header(30_000, 30_000))),
            (400, score("an unknown option", "?colour=red", "image/png", &self.png)),
            (400, score("a detector's option", "?model=whole&score_threshold=0.5", "image/png", &self.png)),
            (404, score("an unknown model", "?model=nothing", "image/png", &self.png)),
            (404, score("an unknown version", "?model=whole&version=99", "image/png", &self.png)),
            (415, score("another content type", "", "text/plain", b"hello")),
            (400, score("a form without a file", "", &form_type, &form(&[], &[("score_threshold", "0.5")]))),
            (400, score("a form that is cut off", "", &form_type, &form(&[("a.jpg", half)], &[])[..200])),
            (400, score("no body", "", "image/png", b"")),
            (415, named("another encoding", encoded("br", b"{}"))),
            (400, named("no gzip", encoded("gzip", b"{\"image\":\"\"}"))),
        ];
        all.into_iter()
            .map(|(status, request)| Request { group: Group::Refused, ..request.refused(&[status]) })
            .collect()
    }

    fn refused_infer(&self) -> Vec<Request> {
        let tensor = |datatype: &str, shape: &[i64]| {
            let input = json!({ "name": "images", "datatype": datatype, "shape": shape, "data": [1, 2, 3] });
            json!({ "inputs": [input] })
        };
        let long = [("Content-Type", BYTES), (JSON_LENGTH, "99999")];
        let unknown = json!({ "inputs": [encoded(&[&self.png])], "outputs": [{ "name": "nothing" }] });
        let all = [
            (400, infer("a negative shape", "whole", &tensor("UINT8", &[-1, 1, 1, 3]))),
            (400, infer("too few values", "whole", &tensor("UINT8", &[1, 2, 2, 3]))),
            (400, infer("another datatype", "whole", &tensor("FP32", &[1, 1, 1, 3]))),
            (400, infer("an unknown output", "whole", &unknown)),
            (404, infer("inference of an unknown model", "nothing", &tensor("UINT8", &[1, 1, 1, 3]))),
            (404, infer("inference of an unknown version", "whole/versions/7", &tensor("UINT8", &[1, 1, 1, 3]))),
            (400, Request::post(Group::Infer, "JSON beyond the body", "/v2/models/whole/infer", &long, b"{}")),
            (403, Request::post(Group::Infer, "loading a model", "/v2/repository/models/whole/load", &[], b"")),
            (403, Request::post(Group::Infer, "unloading a model", "/v2/repository/models/whole/unload", &[], b"")),
        ];
        all.into_iter()
            .map(|(status, request)| Request { group: Group::Refused, ..request.refused(&[status]) })
            .collect()
    }
}

fn pages() -> Vec<Request> {
    let index =
        Request::post(Group::Read, "the repository's index", "/v2/repository/index", &[("Content-Type", JSON)], b"");
    vec![
        Request::get("the page", "/", Check::Same),
        Request::get("its script", "/assets/app.js", Check::Same),
        Request::get("its styles", "/assets/app.css", Check::Same),
        Request::get("the metrics", "/metrics", Check::Holds("process_open_fds")),
        Request::get("the description", "/openapi.json", Check::Same),
        Request::get("life", "/v2/health/live", Check::Same),
        Request::get("readiness", "/v2/health/ready", Check::Same),
        Request::get("Azure's health", "/score", Check::Same),
        Request::get("the server", "/v2", Check::Same),
        Request::get("a model", "/v2/models/whole", Check::Same),
        Request::get("a model that is swapped", "/v2/models/classifier", Check::Holds("\"task\"")),
        Request::get("a model's configuration", "/v2/models/whole/config", Check::Same),
        Request::get("a model's readiness", "/v2/models/detector/ready", Check::Same),
        Request::get("a model's statistics", "/v2/models/whole/stats", Check::Holds("model_stats")),
        Request::get("all statistics", "/v2/models/stats", Check::Holds("model_stats")),
        Request { check: Check::Holds("\"READY\""), ..index },
    ]
}

fn refused_http() -> Vec<Request> {
    let raw = |name, head: &str, body: &[u8]| Request::raw(Group::Refused, name, head, body);
    let get = |name, path: &str| raw(name, &format!("GET {path} HTTP/1.1\r\nHost: soak\r\n\r\n"), b"");
    let with = |name, headers: &str, body: &[u8]| {
        raw(name, &format!("POST /score HTTP/1.1\r\nHost: soak\r\nContent-Type: image/png\r\n{headers}\r\n"), body)
    };
    let endless = chunked(&vec![7; MAX_BODY + (MAX_BODY >> 2)], 32 * 1024);
    let chunks = "Transfer-Encoding: chunked\r\n";
    let announced = format!("Content-Length: {}\r\n", 2 * MAX_BODY);
    let crowded = format!("GET / HTTP/1.1\r\nHost: soak\r\nX: {}\r\n\r\n", "x".repeat(200_000));
    vec![
        get("an unknown path", "/nothing").refused(&[404]),
        get("a path upwards", "/v2/models/..%2f..%2fetc%2fpasswd").refused(&[400, 404]),
        raw("another method", "DELETE /score HTTP/1.1\r\nHost: soak\r\n\r\n", b"").refused(&[405]),
        raw("no HTTP", "hello\r\n\r\n", b"").refused(&[400]),
        with("two lengths", "Content-Length: 2\r\nContent-Length: 4\r\n", b"{}{}").refused(&[400]),
        // Whether the route or the parser says so depends on what has come when.
        Request {
            check: Check::Holds("\"code\""),
            ..with("no chunks", chunks, b"zz\r\n{}\r\n0\r\n\r\n").refused(&[400])
        },
        with("a body that is announced too large", &announced, b"\x89PNG").refused(&[413]).cut(),
        with("a body that grows too large", chunks, &endless).refused(&[413]).cut(),
        raw("a head of 200 kB", &crowded, b"").refused(&[431]).cut(),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_request_has_a_name_of_its_own_and_a_head_that_ends() {
        let Requests { good, refused, large } = Requests::new().unwrap();
        let all: Vec<&Request> = good.iter().chain(&refused).chain([&large]).collect();
        let names: BTreeSet<&str> = all.iter().map(|request| request.name).collect();
        assert_eq!(names.len(), all.len());
        for request in all {
            assert!(request.raw[..request.head].ends_with(b"\r\n\r\n"), "{}", request.name);
            let closing = String::from_utf8_lossy(&request.closing()).into_owned();
            assert!(closing.contains("\r\nConnection: close\r\n"), "{}", request.name);
        }
        assert!(large.raw.len() < MAX_BODY, "{} bytes", large.raw.len());
    }

    #[test]
    fn chunks_have_their_lengths() {
        assert_eq!(chunked(b"abcde", 3), b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
    }
}
