//! Hostile requests: each gets a right answer or a clear 4xx, nothing leaks, the server goes on, its memory stays bounded.

use std::time::{Duration, Instant};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use image::ImageFormat::{Jpeg, Png, WebP};
use serde_json::json;

use crate::{
    images::{bmp_header, grey, grey_alpha, jpeg_header, noise, plain, png_header, rgba, sixteen_bit, tiff_loop},
    support::{Server, post, read},
};

const MIB: u64 = 1 << 20;

/// A request and the statuses that are right for it.
pub struct Case {
    name: String,
    raw: Vec<u8>,
    right: Vec<u16>,
}

pub fn case(name: &str, raw: impl Into<Vec<u8>>, right: &[u16]) -> Case {
    Case { name: name.to_owned(), raw: raw.into(), right: right.to_vec() }
}

fn image(name: &str, body: &[u8], right: &[u16]) -> Vec<Case> {
    ["tiny", "whole"]
        .iter()
        .map(|model| {
            let path = format!("/score?model={model}");
            case(&format!("{model}: {name}"), post(&path, &[("Content-Type", "application/octet-stream")], body), right)
        })
        .collect()
}

fn score(name: &str, body: impl AsRef<[u8]>, right: &[u16]) -> Case {
    case(&format!("score: {name}"), post("/score", &[("Content-Type", "application/json")], body.as_ref()), right)
}

fn infer(name: &str, body: impl AsRef<[u8]>, right: &[u16]) -> Case {
    let raw = post("/v2/models/whole/infer", &[("Content-Type", "application/json")], body.as_ref());
    case(&format!("infer: {name}"), raw, right)
}

fn binary(name: &str, length: &str, body: &[u8], right: &[u16]) -> Case {
    let headers = [("Content-Type", "application/octet-stream"), ("Inference-Header-Content-Length", length)];
    case(&format!("binary: {name}"), post("/v2/models/whole/infer", &headers, body), right)
}

fn line(name: &str, text: &str, right: &[u16]) -> Case {
    case(&format!("http: {name}"), text.as_bytes(), right)
}

fn images() -> Vec<Case> {
    let jpeg = noise(200, 150, Jpeg);
    let png = noise(60, 50, Png);
    let mut flipped = jpeg.clone();
    flipped.iter_mut().skip(300).step_by(97).for_each(|b| *b ^= 0x5a);
    let mut webp = noise(60, 50, WebP);
    webp.truncate(webp.len() / 2);
    [
        image("nothing", b"", &[400]),
        image("one byte", b"x", &[400]),
        image("zeros", &[0; 5000], &[400]),
        image("text", b"<html><body>no image</body></html>", &[400]),
        image("an SVG", b"<svg xmlns='http://www.w3.org/2000/svg'/>", &[400]),
        image("half a JPEG", &jpeg[..jpeg.len() / 2], &[400]),
        image("a JPEG's first 20 bytes", &jpeg[..20], &[400]),
        image("a JPEG with flipped bits", &flipped, &[200, 400]),
        image("half a PNG", &png[..png.len() / 2], &[400]),
        image("a PNG's signature", &png[..8], &[400]),
        image("half a WebP", &webp, &[400]),
        image("PNG of 30000x30000", &png_header(30_000, 30_000), &[413]),
        image("PNG of 16384x16384", &png_header(16_384, 16_384), &[413]),
        image("PNG of 65535x1", &png_header(65_535, 1), &[413]),
        image("PNG of 1x65535", &png_header(1, 65_535), &[413]),
        image("PNG of 2^31-1 squared", &png_header(0x7fff_ffff, 0x7fff_ffff), &[400, 413]),
        image("PNG of 2^32-1 squared", &png_header(u32::MAX, u32::MAX), &[400, 413]),
        image("PNG of 0x0", &png_header(0, 0), &[400]),
        image("PNG without its data", &png_header(4000, 4000), &[400]),
        image("JPEG of 65535x65535", &jpeg_header(65_535, 65_535), &[413]),
        image("JPEG of 9000x9000 in 600 bytes", &jpeg_header(9000, 9000), &[200, 400]),
        image("JPEG of 0x0", &jpeg_header(0, 0), &[400]),
        image("BMP of 30000x30000", &bmp_header(30_000, 30_000), &[413]),
        image("BMP of -1x-1", &bmp_header(-1, -1), &[400, 413]),
        image("BMP of 2^31-1", &bmp_header(i32::MAX, i32::MIN), &[400, 413]),
        image("a TIFF that loops", &tiff_loop(), &[400, 413]),
        image("a GIF", &read("animated.gif"), &[200]),
        image("an animated PNG", &read("animated.png"), &[200]),
        image("an animated WebP", &read("animated.webp"), &[200, 400]),
        image("CMYK", &read("cmyk.jpg"), &[200]),
        image("progressive", &read("progressive.jpg"), &[200]),
        image("EXIF orientation", &read("rotated.jpg"), &[200]),
        image("16 bits", &sixteen_bit(33, 9), &[200]),
        image("1x1", &plain(1, 1, [1, 2, 3], Png), &[200]),
        image("1x300", &plain(1, 300, [1, 2, 3], Png), &[200]),
        image("grey", &grey(9, 5), &[200]),
        image("grey with alpha", &grey_alpha(9, 5), &[200]),
        image("RGBA", &rgba(9, 5), &[200]),
        image("an image with 1 MB behind it", &[png, vec![7; 1 << 20]].concat(), &[200]),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn json_bodies() -> Vec<Case> {
    let good = STANDARD.encode(plain(16, 16, [1, 2, 3], Png));
    let v2 = |data: &str| format!(r#"{{"input_data":{{"columns":["image"],"data":{data}}}}}"#);
    let many = format!("[{}]", vec![format!("\"{good}\""); 33].join(","));
    let millions = format!("[{}\"\"]", "\"\",".repeat(2_000_000));
    vec![
        score("nothing", "", &[400]),
        score("a brace", "{", &[400]),
        score("null", "null", &[400]),
        score("a list", "[]", &[400]),
        score("a number", "5", &[400]),
        score("NaN", r#"{"image":NaN}"#, &[400]),
        score("an empty object", "{}", &[400]),
        score("image is a number", r#"{"image":1e309}"#, &[400]),
        score("image is null", r#"{"image":null}"#, &[400]),
        score("image is empty", r#"{"image":""}"#, &[400]),
        score("base64 garbage", r#"{"image":"!!!!"}"#, &[400]),
        score("base64 cut", r#"{"image":"abcde"}"#, &[400]),
        score("base64 of garbage", r#"{"image":"aGVsbG8gd29ybGQ="}"#, &[400]),
        score("escaped base64", format!(r#"{{"image":"{}"}}"#, good.replace('/', "\\/")), &[200]),
        score("a lone surrogate", r#"{"image":"\ud800"}"#, &[400]),
        score("a NUL", "{\"image\":\"a\\u0000\"}", &[400]),
        score("invalid UTF-8", [b"{\"image\":\"".as_slice(), &[0xff, 0xfe], b"\"}"].concat(), &[400]),
        score("the same key twice", format!(r#"{{"image":"{good}","image":"{good}"}}"#), &[400]),
        score("trailing text", format!(r#"{{"image":"{good}"}} x"#), &[400]),
        score("lists 100000 deep", "[".repeat(100_000), &[400]),
        score("objects 100000 deep", r#"{"image":"#.repeat(100_000), &[400]),
        score(
            "an unknown key 100000 deep",
            format!(r#"{{"a":{}{},"image":"{good}"}}"#, "[".repeat(100_000), "]".repeat(100_000)),
            &[200, 400],
        ),
        score("8 MB of brackets", "[".repeat(8 << 20), &[400]),
        score("data is a string", v2("\"aGV5\""), &[400]),
        score("data is an object", v2("{}"), &[400]),
        score("data of numbers", v2("[1,2,3]"), &[400]),
        score("data nested", v2("[[[\"aGV5\"]]]"), &[400]),
        score("data 50000 deep", v2(&"[".repeat(50_000)), &[400]),
        score("33 images", v2(&many), &[413]),
        score("2000001 images", v2(&millions), &[400, 413]),
        score("a broken cell", v2(r#"["{\"image_base64\":}"]"#), &[400]),
        score(
            "a cell with an unknown parameter of its explanation",
            v2(&format!(
                r#"["{{\"image_base64\":\"{good}\",\"model_explainability\":true,\"xai_parameters\":{{\"n\":1}}}}"]"#
            )),
            &[200],
        ),
        score("columns of another kind", r#"{"input_data":{"columns":"image","data":[]}}"#, &[400]),
        score("no columns", r#"{"input_data":{"data":["aGV5"]}}"#, &[400]),
        score("a bomb in base64", v2(&format!("[\"{}\"]", STANDARD.encode(png_header(30_000, 30_000)))), &[413]),
        score("one good, one bad", v2(&format!("[\"{good}\",\"aGV5\"]")), &[400]),
    ]
}

/// An infer request for one tensor in JSON.
fn tensor(shape: &str, data: &str) -> String {
    format!(r#"{{"inputs":[{{"name":"images","datatype":"UINT8","shape":{shape},"data":{data}}}]}}"#)
}

fn infer_documents() -> Vec<Case> {
    let good = tensor("[1,1,1,3]", "[1,2,3]");
    let classes = |output: &str, count: &str| {
        let output = format!(r#"{{"name":"{output}","parameters":{{"classification":{count}}}}}"#);
        good.replace("}]}", &format!(r#"}}],"outputs":[{output}]}}"#))
    };
    vec![
        infer("a good one", &good, &[200]),
        infer("nothing", "", &[400]),
        infer("broken", "{bad", &[400]),
        infer("no inputs", "{}", &[400]),
        infer("an empty list of inputs", r#"{"inputs":[]}"#, &[400]),
        infer(
            "two inputs",
            good.replace("}]}", r#"},{"name":"images","datatype":"UINT8","shape":[1,1,1,3],"data":[1,2,3]}]}"#),
            &[400],
        ),
        infer("inputs of numbers", r#"{"inputs":[1]}"#, &[400]),
        infer("an unknown input", good.replace("images", "pixels"), &[400]),
        infer("an unknown output", good.replace("}]}", r#"}],"outputs":[{"name":"zz"}]}"#), &[400]),
        infer("classes", classes("probabilities", "2"), &[200]),
        infer("2^64 classes", classes("probabilities", "18446744073709551616"), &[200]),
        infer("no classes", classes("probabilities", "0"), &[400]),
        infer("-1 classes", classes("probabilities", "-1"), &[400]),
        infer("1.5 classes", classes("probabilities", "1.5"), &[400]),
        infer("1e999 classes", classes("probabilities", "1e999"), &[400]),
        infer("a number of classes 10,000 deep", classes("probabilities", &"[".repeat(10_000)), &[400]),
        infer(
            "a list of 10,000 numbers of classes",
            classes("probabilities", &format!("[1{}]", ",1".repeat(9_999))),
            &[400],
        ),
        infer("classes of boxes", classes("boxes", "2"), &[400]),
        infer("a bogus datatype", good.replace("UINT8", "FP32"), &[400]),
        infer("no data", good.replace(r#","data":[1,2,3]"#, ""), &[400]),
        infer(
            "shared memory",
            good.replace(r#""data":[1,2,3]"#, r#""parameters":{"shared_memory_region":"a"}"#),
            &[400],
        ),
        infer(
            "an id of 1000 bytes",
            good.replace("{\"inputs\"", &format!("{{\"id\":\"{}\",\"inputs\"", "i".repeat(1000))),
            &[400],
        ),
        infer("an id that is a number", good.replace("{\"inputs\"", "{\"id\":7,\"inputs\""), &[400]),
        infer(
            "33 encoded images",
            json!({ "inputs": [{ "name": "images", "datatype": "BYTES", "shape": [33], "data": vec!["aGV5"; 33] }] })
                .to_string(),
            &[413],
        ),
        infer(
            "fewer encoded images than said",
            json!({ "inputs": [{ "name": "images", "datatype": "BYTES", "shape": [2], "data": ["aGV5"] }] })
                .to_string(),
            &[400],
        ),
    ]
}

fn infer_tensors() -> Vec<Case> {
    vec![
        infer("a negative shape", tensor("[-1,1,1,3]", "[1,2,3]"), &[400]),
        infer("a shape of zeros", tensor("[1,0,0,3]", "[]"), &[400]),
        infer("a shape of rank 3", tensor("[1,1,3]", "[1,2,3]"), &[400]),
        infer("a shape of rank 5", tensor("[1,1,1,1,3]", "[1,2,3]"), &[400]),
        infer("four channels", tensor("[1,1,1,4]", "[1,2,3,4]"), &[400]),
        infer("a shape of fractions", tensor("[1.5,1,1,3]", "[1,2,3]"), &[400]),
        infer("a shape of 1e309", tensor("[1e309,1,1,3]", "[1,2,3]"), &[400]),
        infer("2^64-1 images", tensor("[18446744073709551615,1,1,3]", "[1,2,3]"), &[400, 413]),
        infer("2^64 images", tensor("[18446744073709551616,1,1,3]", "[1,2,3]"), &[400]),
        infer("sides that overflow", tensor("[4,4611686018427387904,4611686018427387904,3]", "[1,2,3]"), &[400, 413]),
        infer("16384x16384", tensor("[1,16384,16384,3]", "[1,2,3]"), &[413]),
        infer("1x16384", tensor("[1,1,16384,3]", "[1,2,3]"), &[400, 413]),
        infer("too few values", tensor("[1,1,1,3]", "[1,2]"), &[400]),
        infer("too many values", tensor("[1,1,1,3]", &format!("[{}1]", "1,".repeat(3_000_000))), &[400]),
        infer("a value of 256", tensor("[1,1,1,3]", "[1,2,256]"), &[400]),
        infer("a value of -1", tensor("[1,1,1,3]", "[1,2,-1]"), &[400]),
        infer("a value of 1.0", tensor("[1,1,1,3]", "[1,2,1.0]"), &[400]),
        infer("a NaN", tensor("[1,1,1,3]", "[1,2,NaN]"), &[400]),
        infer("a string", tensor("[1,1,1,3]", "[1,2,\"3\"]"), &[400]),
        infer(
            "data 100000 deep",
            tensor("[1,1,1,3]", &format!("{}{}", "[".repeat(100_000), "]".repeat(100_000))),
            &[400],
        ),
    ]
}

fn infer_blobs() -> Vec<Case> {
    let sized = |shape: &str, size: &str| {
        format!(
            r#"{{"inputs":[{{"name":"images","datatype":"UINT8","shape":{shape},"parameters":{{"binary_data_size":{size}}}}}]}}"#
        )
    };
    let bytes = |n: u32, size: usize| {
        format!(
            r#"{{"inputs":[{{"name":"images","datatype":"BYTES","shape":[{n}],"parameters":{{"binary_data_size":{size}}}}}]}}"#
        )
    };
    let with = |json: &str, blob: &[u8], name: &str, right: &[u16]| {
        binary(name, &json.len().to_string(), &[json.as_bytes(), blob].concat(), right)
    };
    let good = tensor("[1,1,1,3]", "[1,2,3]");
    vec![
        binary("a length beyond the body", "999999", good.as_bytes(), &[400]),
        binary("a length of letters", "abc", good.as_bytes(), &[400]),
        binary("a negative length", "-1", good.as_bytes(), &[400]),
        binary("an enormous length", "99999999999999999999999", good.as_bytes(), &[400]),
        binary("a length that cuts the JSON", "10", good.as_bytes(), &[400]),
        binary("raw garbage", "0", b"garbage", &[400]),
        with(&good, b"tail", "bytes that nobody asked for", &[400]),
        with(&sized("[1,1,1,3]", "3"), &[1, 2, 3], "a good one", &[200]),
        with(&sized("[1,1,1,3]", "3"), &[1, 2], "a short blob", &[400]),
        with(&sized("[1,1,1,3]", "4"), &[1, 2, 3, 4], "a long blob", &[400]),
        with(&sized("[1,1,1,3]", "-3"), &[1, 2, 3], "a negative size", &[400]),
        with(&sized("[1,1,1,3]", "18446744073709551615"), &[1, 2, 3], "a size of 2^64-1", &[400]),
        with(
            &good.replace("\"data\"", "\"parameters\":{\"binary_data_size\":3},\"data\""),
            &[1, 2, 3],
            "both forms",
            &[400],
        ),
        with(&bytes(1, 4), &[255; 4], "an element of 4 GB", &[400]),
        with(&bytes(1, 3), &[1, 0, 0], "an element without its length", &[400]),
        with(&bytes(1, 8), &[0; 8], "more elements than said", &[400]),
        with(&bytes(1, 4), &[0; 4], "an empty element", &[400]),
    ]
}

/// The end of a request without a body.
const TAIL: &str = "Host: x\r\nConnection: close\r\n\r\n";

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\n{TAIL}")
}

/// A scoring request with these headers and this body.
fn body(headers: &str, body: &str) -> String {
    format!(
        "POST /score HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nConnection: close\r\n{headers}\r\n{body}"
    )
}

fn http_addresses() -> Vec<Case> {
    vec![
        line("an unknown path", &get("/nothing"), &[404]),
        line("a path upwards", &get("/../../../../etc/passwd"), &[400, 404]),
        line("an encoded path upwards", &get("/assets/..%2f..%2fetc%2fpasswd"), &[400, 404]),
        line("a model upwards", &get("/v2/models/..%2f..%2fetc%2fpasswd"), &[400, 404]),
        line("a model of dots", &get("/v2/models/%2e%2e/ready"), &[400, 404]),
        line("a model of NULs", &get("/v2/models/%00%00"), &[400, 404]),
        line("a model that is no UTF-8", &get("/v2/models/%ff%fe"), &[400, 404]),
        line("an absolute model", &get("/v2/models//etc/passwd"), &[400, 404]),
        line("a model of 300 letters", &get(&format!("/v2/models/{}", "m".repeat(300))), &[404]),
        line("a model of 60 KB", &get(&format!("/v2/models/{}", "m".repeat(60_000))), &[400, 404, 414, 431]),
        line("version 0", &get("/v2/models/tiny/versions/0"), &[404]),
        line("version -1", &get("/v2/models/tiny/versions/-1/ready"), &[404]),
        line("a bad escape", &get("/v2/models/%zz"), &[400, 404]),
        line("an absolute address", &get("http://elsewhere/score"), &[200, 400, 404]),
        line("DELETE /score", &format!("DELETE /score HTTP/1.1\r\n{TAIL}"), &[405]),
        line("TRACE /score", &format!("TRACE /score HTTP/1.1\r\n{TAIL}"), &[405]),
        line("POST /metrics", &format!("POST /metrics HTTP/1.1\r\n{TAIL}"), &[405]),
        line("GET infer", &get("/v2/models/tiny/infer"), &[405]),
        line("a made-up method", &format!("FROBNICATE /score HTTP/1.1\r\n{TAIL}"), &[400, 405]),
        line("CONNECT", &format!("CONNECT elsewhere:443 HTTP/1.1\r\n{TAIL}"), &[400, 404, 405]),
        line(
            "a query that is no UTF-8",
            &body("Content-Length: 2\r\n", "{}").replace("/score", "/score?model=%ff"),
            &[400, 404],
        ),
        line(
            "a model of the query that is not there",
            &body("Content-Length: 2\r\n", "{}").replace("/score", "/score?model=../tiny"),
            &[404],
        ),
        line(
            "a file name of 300 bytes",
            &body("Content-Length: 2\r\n", "{}").replace("/score", &format!("/score?filename={}", "f".repeat(300))),
            &[400],
        ),
    ]
}

fn http_bodies() -> Vec<Case> {
    vec![
        line("a form", &body("", "").replace("application/json", "application/x-www-form-urlencoded"), &[415]),
        line("multipart", &body("", "").replace("application/json", "multipart/form-data; boundary=x"), &[400]),
        line(
            "multipart without a boundary",
            &body("Content-Length: 2\r\n", "{}").replace("application/json", "multipart/form-data"),
            &[400],
        ),
        line("a content type of bytes", &body("", "").replace("application/json", "\u{80}\u{ff}"), &[400, 415]),
        line("gzip", &body("Content-Encoding: gzip\r\nContent-Length: 2\r\n", "{}"), &[400]),
        line("brotli", &body("Content-Encoding: br\r\nContent-Length: 2\r\n", "{}"), &[415]),
        line(
            "length and chunks",
            &body("Content-Length: 2\r\nTransfer-Encoding: chunked\r\n", "2\r\n{}\r\n0\r\n\r\n"),
            &[400],
        ),
        line(
            "chunks and length",
            &body("Transfer-Encoding: chunked\r\nContent-Length: 2\r\n", "2\r\n{}\r\n0\r\n\r\n"),
            &[400],
        ),
        line("two lengths", &body("Content-Length: 2\r\nContent-Length: 3\r\n", "{} "), &[400]),
        line("a negative length", &body("Content-Length: -1\r\n", "{}"), &[400]),
        line("a length with a sign", &body("Content-Length: +2\r\n", "{}"), &[400]),
        line("a length of 2^64", &body("Content-Length: 18446744073709551616\r\n", "{}"), &[400]),
        line("a length of 2^63", &body("Content-Length: 9223372036854775808\r\n", "{}"), &[400, 413]),
        line("a length of 65 MiB", &body("Content-Length: 68157440\r\n", "{}"), &[413]),
        line("an unknown transfer encoding", &body("Transfer-Encoding: frob\r\n", "{}"), &[400]),
        line("chunked, identity", &body("Transfer-Encoding: chunked, identity\r\n", "2\r\n{}\r\n0\r\n\r\n"), &[400]),
        line("a chunk of letters", &body("Transfer-Encoding: chunked\r\n", "zz\r\n{}\r\n0\r\n\r\n"), &[400]),
        line("an enormous chunk", &body("Transfer-Encoding: chunked\r\n", "ffffffffffffffffff\r\n{}"), &[400]),
        line("a good chunk", &body("Transfer-Encoding: chunked\r\n", "2\r\n{}\r\n0\r\n\r\n"), &[400]),
        line("an empty chunked body", &body("Transfer-Encoding: chunked\r\n", "0\r\n\r\n"), &[400]),
    ]
}

fn http_syntax() -> Vec<Case> {
    vec![
        line("no HTTP at all", "hello\r\n\r\n", &[400]),
        line("a TLS hello", "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\r\n\r\n", &[400]),
        line(
            "lines that end with LF alone",
            "GET /v2/health/live HTTP/1.1\nHost: x\nConnection: close\n\n",
            &[200, 400],
        ),
        line("version 9.9", "GET / HTTP/9.9\r\n\r\n", &[400, 505]),
        line("a header without a name", &format!("GET / HTTP/1.1\r\n: x\r\n{TAIL}"), &[400]),
        line("a header of 1 MB", &format!("GET / HTTP/1.1\r\nX: {}\r\n{TAIL}", "x".repeat(1 << 20)), &[400, 413, 431]),
        line("1000 headers", &format!("GET / HTTP/1.1\r\n{}{TAIL}", "X: y\r\n".repeat(1000)), &[200, 400, 413, 431]),
        case(
            "http: noise",
            (0..4096u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect::<Vec<_>>(),
            &[400],
        ),
    ]
}

#[track_caller]
pub fn check_alive(server: &Server) {
    let answer = server.post("/score", "image/png", &plain(40, 30, [255, 0, 0], Png));
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// Sends them one after the other. Each has one of its right answers, in time; refusals are error objects, nothing leaks, the
/// server's memory stays bounded, and it still answers afterwards.
#[track_caller]
pub fn check_all(server: &mut Server, cases: &[Case]) {
    check_alive(server);
    let before = server.memory();
    let mut peak = before;
    let mut wrong = Vec::new();
    for case in cases {
        let start = Instant::now();
        let answer = server.send(&case.raw);
        let took = start.elapsed();
        answer.check_no_leak();
        peak = peak.max(server.memory());
        if !case.right.contains(&answer.status) {
            wrong.push(format!("{}: {} {}", case.name, answer.status, answer.text()));
        } else if answer.status >= 400 {
            let body = serde_json::from_slice::<schemas::ErrorBody>(&answer.body);
            assert!(body.is_ok(), "{}: {body:?}", case.name);
        }
        assert!(took < Duration::from_secs(10), "{} took {took:?}", case.name);
        assert!(server.is_running(), "{} ended the server", case.name);
    }
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    check_alive(server);
    assert!(peak < before + 512 * MIB, "memory grew from {} to {} MiB", before / MIB, peak / MIB);
    let metrics = server.get("/metrics").text();
    assert!(metrics.lines().any(|l| l == "fovea_memory_reserved_bytes 0"), "{metrics}");
    assert!(!metrics.contains("server_error"), "{metrics}");
    assert!(!server.log().contains("panicked"), "{}", server.log());
}

#[test]
fn every_hostile_request_gets_a_right_answer_or_a_clear_refusal() {
    let infer = [infer_documents(), infer_tensors(), infer_blobs()].concat_cases();
    let http = [http_addresses(), http_bodies(), http_syntax()].concat_cases();
    let cases = [images(), json_bodies(), infer, http].concat_cases();
    assert!(cases.len() >= 200, "{}", cases.len());
    check_all(&mut Server::start(&[]), &cases);
}

trait Concat {
    fn concat_cases(self) -> Vec<Case>;
}

impl<const N: usize> Concat for [Vec<Case>; N] {
    fn concat_cases(self) -> Vec<Case> {
        self.into_iter().flatten().collect()
    }
}
