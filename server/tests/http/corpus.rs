//! Bad requests made from tables: each is refused with an error object that tells nothing of the machine, and the server goes on.
//! What has a right answer of its own, and requests with one particular status, are in [`crate::hostile`].

use base64::{Engine as _, engine::general_purpose::STANDARD};
use image::ImageFormat::{Bmp, Jpeg, Png, WebP};
use server::paths::ROUTES;

use crate::{
    hostile::{Case, case, check_all},
    images::{bmp_header, jpeg_header, noise, plain, png_header, tiff_loop},
    support::{Server, post, read},
};

/// Any refusal for which the client is to blame.
const REFUSED: [u16; 10] = [400, 404, 405, 408, 411, 413, 414, 415, 429, 431];

fn refused(name: impl AsRef<str>, raw: impl Into<Vec<u8>>) -> Case {
    case(name.as_ref(), raw, &REFUSED)
}

fn line(method: &str, path: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
}

/// The path of a route, of the model `tiny`.
fn path(pattern: &str) -> String {
    pattern.replace("{model}", "tiny").replace("{version}", "1").replace("{call}", "infer")
}

/// Every route with every method that it does not have, which it says.
fn methods(server: &Server) -> Vec<Case> {
    let mut cases = Vec::new();
    for (pattern, _) in ROUTES {
        let path = path(pattern);
        let answer = server.send(line("FROB", &path).as_bytes());
        assert_eq!(answer.status, 405, "{path}: {answer:?}");
        let allowed: Vec<&str> = answer.header("allow").unwrap().split(", ").collect();
        assert!(allowed.iter().all(|method| ["GET", "HEAD", "POST"].contains(method)), "{path}: {allowed:?}");
        for method in ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "get", "POSTS"] {
            if !allowed.contains(&method) {
                cases.push(case(&format!("{method} {path}"), line(method, &path), &[400, 405]));
            }
        }
    }
    cases
}

/// Names that would lead elsewhere if they were taken for paths.
fn tricks() -> Vec<String> {
    let plain = [
        "..",
        "../..",
        "../../../../etc/passwd",
        "%2e%2e",
        "%2e%2e%2f",
        "%2e%2e/%2e%2e",
        "..%2f..%2fetc%2fpasswd",
        "..%5c..%5cetc",
        "%2fetc%2fpasswd",
        "%252e%252e%252f",
        "..%c0%af",
        "%c0%ae%c0%ae",
        "%00",
        "tiny%00",
        "tiny%00.onnx",
        "tiny%2f..%2fwhole",
        "tiny;x=1",
        "tiny%20",
        "%ff%fe",
        "%zz",
        "%",
        "~root",
        "C:%5cwindows",
        "file:%2f%2f%2fetc%2fpasswd",
        "%e2%80%ae",
        "t\u{131}ny",
        "тiny",
        "tiny%0d%0aX-A:%20b",
        "TINY",
        "{model}",
        "$(id)",
        "-1",
        "18446744073709551616",
    ];
    let long = ["n".repeat(300), "%41".repeat(300), "../".repeat(100), "é".repeat(300)];
    plain.into_iter().map(str::to_owned).chain(long).collect()
}

fn paths() -> Vec<Case> {
    let mut cases = Vec::new();
    for trick in tricks() {
        for (method, around) in [
            ("GET", "/assets/{}"),
            ("GET", "/v2/models/{}/ready"),
            ("POST", "/v2/models/{}/infer"),
            ("GET", "/v2/models/tiny/versions/{}"),
            ("POST", "/v2/models/tiny/versions/{}/infer"),
            ("POST", "/score?model={}"),
        ] {
            let path = around.replace("{}", &trick);
            cases.push(refused(format!("{method} {path}"), line(method, &path)));
        }
    }
    cases
}

/// Values of every kind that JSON has.
const VALUES: [&str; 14] = [
    "null",
    "true",
    "7",
    "-1",
    "1.5",
    "1e309",
    "18446744073709551616",
    r#""""#,
    r#""x""#,
    r#""\ud800""#,
    "[]",
    "[[]]",
    "{}",
    r#"{"a":[null]}"#,
];

/// A JSON document with a gap, and the values that are right in the gap.
type Gap = (&'static str, &'static str, &'static [&'static str]);

const SCORE_GAPS: [Gap; 8] = [
    ("the document", "@", &[]),
    ("image", r#"{"image":@}"#, &[]),
    ("input_data", r#"{"input_data":@}"#, &[]),
    ("columns", r#"{"input_data":{"columns":@,"data":["$image"]}}"#, &[]),
    ("data", r#"{"input_data":{"columns":["image"],"data":@}}"#, &["[]"]),
    ("a cell", r#"{"input_data":{"columns":["image"],"data":[@]}}"#, &[]),
    ("model_explainability", r#"{"image":"$image","model_explainability":@}"#, &["null", "true"]),
    ("xai_parameters", r#"{"image":"$image","xai_parameters":@}"#, &["null", "{}", r#"{"a":[null]}"#]),
];

const INFER_GAPS: [Gap; 8] = [
    ("the document", "@", &[]),
    ("inputs", r#"{"inputs":@}"#, &[]),
    ("an input", r#"{"inputs":[@]}"#, &[]),
    ("name", r#"{"inputs":[{"name":@,"datatype":"UINT8","shape":[1,1,1,3],"data":[1,2,3]}]}"#, &[]),
    ("datatype", r#"{"inputs":[{"name":"images","datatype":@,"shape":[1,1,1,3],"data":[1,2,3]}]}"#, &[]),
    ("shape", r#"{"inputs":[{"name":"images","datatype":"UINT8","shape":@,"data":[1,2,3]}]}"#, &[]),
    ("a length", r#"{"inputs":[{"name":"images","datatype":"UINT8","shape":[1,@,1,3],"data":[1,2,3]}]}"#, &[]),
    ("data", r#"{"inputs":[{"name":"images","datatype":"UINT8","shape":[1,1,1,3],"data":@}]}"#, &[]),
];

/// Every gap filled with every value that is wrong there.
fn shapes() -> Vec<Case> {
    let good = STANDARD.encode(plain(16, 16, [1, 2, 3], Png));
    let json = [("Content-Type", "application/json")];
    let mut cases = Vec::new();
    for (path, gaps) in [("/score", SCORE_GAPS), ("/v2/models/whole/infer", INFER_GAPS)] {
        for (gap, document, right) in gaps {
            for value in VALUES.iter().filter(|value| !right.contains(value)) {
                let body = document.replace("$image", &good).replace('@', value);
                cases.push(refused(format!("{path}: {gap} is {value}"), post(path, &json, body.as_bytes())));
            }
        }
    }
    cases
}

/// JSON and bytes after it that do not go together.
fn lengths() -> Vec<Case> {
    let json = r#"{"inputs":[{"name":"images","datatype":"BYTES","shape":[@],"parameters":{"binary_data_size":#}}]}"#;
    let mut cases = Vec::new();
    for (shape, size) in [("1", "0"), ("1", "4"), ("1", "5"), ("2", "5"), ("0", "0"), ("1", "4294967296"), ("1", "-1")]
    {
        for element in [0, 1, 0x7fff_ffff, 0xffff_ffff_u32] {
            let head = json.replace('@', shape).replace('#', size);
            let body = [head.as_bytes(), &element.to_le_bytes(), b"x"].concat();
            for length in [head.len(), head.len() - 1, head.len() + 1, body.len(), body.len() + 1] {
                let headers = [("Inference-Header-Content-Length", length.to_string())];
                let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
                let name = format!("{shape} elements of {element} in {size} bytes after {length}");
                cases.push(refused(name, post("/v2/models/whole/infer", &headers, &body)));
            }
        }
    }
    cases
}

/// Headers that are wrong, or right but twice; the body is `{}`.
const HEADERS: [&str; 32] = [
    "Content-Type: application/json\r\nContent-Length: x",
    "Content-Type: application/json\r\nContent-Length: 0x2",
    "Content-Type: application/json\r\nContent-Length: 2, 2",
    "Content-Type: application/json\r\nContent-Length: 2\r\nContent-Length: 2",
    "Content-Type: application/json\r\nContent-Length: 2\r\nContent-Length: 4",
    "Content-Type: application/json\r\nContent-Length: 2\r\nTransfer-Encoding: chunked",
    "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\nContent-Length: 2",
    "Content-Type: application/json\r\nContent-Length: 2\r\nTransfer-Encoding: identity",
    "Content-Type: application/json\r\nTransfer-Encoding: chunked, chunked",
    "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity",
    "Content-Type: application/json\r\nTransfer-Encoding: xchunked",
    "Content-Type: application/json\r\nTransfer-Encoding: \u{b}chunked",
    "Content-Type: application/json\r\nTransfer-Encoding : chunked",
    "Content-Type: application/json\r\n Content-Length: 2",
    "Content-Type: application/json\r\nContent-Length : 2",
    "Content-Type: application/json\r\nHost: y\r\nContent-Length: 2",
    "Content-Type: text/plain\r\nContent-Length: 2",
    "Content-Type: application/xml\r\nContent-Length: 2",
    "Content-Type: \r\nContent-Length: 2",
    "Content-Type: ;\r\nContent-Length: 2",
    "Content-Type: application/json\r\nContent-Encoding: br\r\nContent-Length: 2",
    "Content-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: 2",
    "Content-Type: application/json\r\nContent-Encoding: gzip, gzip\r\nContent-Length: 2",
    "Content-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Encoding: deflate\r\nContent-Length: 2",
    "Content-Type: application/json\r\nContent-Encoding: \u{80}\r\nContent-Length: 2",
    "Content-Type: application/json\r\nContent-Encoding: deflate\r\nContent-Length: 2",
    "Content-Type: application/json\r\nExpect: 200-maybe\r\nContent-Length: 2",
    "Content-Type: application/json\r\nUpgrade: websocket\r\nContent-Length: 2",
    "Content-Type: application/json\r\n: nameless\r\nContent-Length: 2",
    "Content-Type: application/json\r\nX-A: \u{0}\r\nContent-Length: 2",
    "Content-Type: application/json\r\nX-A: a\r\n\tfolded\r\nContent-Length: 2",
    "Content-Type: application/json\r\nX A: blank\r\nContent-Length: 2",
];

fn headers() -> Vec<Case> {
    let mut cases = Vec::new();
    for path in ["/score", "/v2/models/tiny/infer"] {
        for headers in HEADERS {
            let raw = format!("POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n\r\n{{}}");
            cases.push(refused(format!("{path}: {headers:?}"), raw));
        }
        for length in ["", " ", "x", "-1", "+2", "0x2", "2.0", "1e1", "99999999999999999999", "3", "1", "2, 2"] {
            let raw = post(path, &[("Inference-Header-Content-Length", length)], b"{}");
            cases.push(refused(format!("{path}: JSON of {length:?} bytes"), raw));
        }
    }
    cases
}

/// Lines that end with LF alone, and pieces of a second request in the first.
fn smuggled() -> Vec<Case> {
    let inner = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
    [
        (
            "chunks that contradict a length",
            format!("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{inner}"),
        ),
        (
            "a length that contradicts chunks",
            format!("Transfer-Encoding: chunked\r\nContent-Length: 60\r\n\r\n0\r\n\r\n{inner}"),
        ),
        ("a chunk with a sign", "Transfer-Encoding: chunked\r\n\r\n+2\r\n{}\r\n0\r\n\r\n".to_owned()),
        ("a chunk in C's notation", "Transfer-Encoding: chunked\r\n\r\n0x2\r\n{}\r\n0\r\n\r\n".to_owned()),
        ("a chunk that is too short", "Transfer-Encoding: chunked\r\n\r\n1\r\n{}\r\n0\r\n\r\n".to_owned()),
        ("a chunk that is too long", "Transfer-Encoding: chunked\r\n\r\n5\r\n{}\r\n0\r\n\r\n".to_owned()),
        ("a carriage return within a name", "Content\r-Length: 2\r\n\r\n{}".to_owned()),
        ("a length on the next line", "Content-Length:\r\n 2\r\n\r\n{}".to_owned()),
    ]
    .into_iter()
    .map(|(name, rest)| refused(name, format!("POST /score HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{rest}")))
    .collect()
}

fn forms() -> Vec<Case> {
    let part =
        |disposition: &str, content: &str| format!("--b\r\nContent-Disposition: {disposition}\r\n\r\n{content}\r\n");
    let file = |content: &str| part(r#"form-data; name="f"; filename="a.png""#, content);
    let field = |name: &str, value: &str| part(&format!(r#"form-data; name="{name}""#), value);
    let end = "--b--\r\n";
    let bodies = [
        ("nothing", String::new()),
        ("an end alone", end.to_owned()),
        ("no image", file("x") + end),
        ("an empty file", file("") + end),
        ("no end", file("x")),
        ("another boundary", file("x").replace("--b", "--c") + "--c--\r\n"),
        ("no disposition", format!("--b\r\n\r\nx\r\n{end}")),
        ("headers without end", "--b\r\nContent-Disposition: form-data".to_owned()),
        ("a header of 1 MB", part(&format!("form-data; name=\"{}\"", "n".repeat(1 << 20)), "x") + end),
        ("fields alone", field("masks", "rle") + end),
        ("an unknown field", field("colour", "red") + &file("x") + end),
        ("a field twice", field("masks", "rle") + &field("masks", "rle") + &file("x") + end),
        ("a wrong value", field("masks", "all of them") + &file("x") + end),
        ("a long field", field("masks", &"m".repeat(5000)) + &file("x") + end),
        ("33 fields", (0..33).map(|i| field(&format!("f{i}"), "x")).collect::<String>() + &file("x") + end),
        ("33 files", file("x").repeat(33) + end),
        ("100000 parts", "--b\r\n\r\n\r\n".repeat(100_000) + end),
        ("a file name upwards", part(r#"form-data; name="f"; filename="../../etc/passwd""#, "x") + end),
        ("a long file name", part(&format!(r#"form-data; name="f"; filename="{}""#, "n".repeat(300)), "x") + end),
        ("a part in base64", file("aGV5").replace("\r\n\r\n", "\r\nContent-Transfer-Encoding: base64\r\n\r\n") + end),
    ];
    let types = [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=\"b",
        "multipart/mixed; boundary=b",
    ];
    let wrong = types
        .iter()
        .map(|kind| refused(format!("a form of {kind}"), post("/score", &[("Content-Type", kind)], b"--b--\r\n")));
    let framed = bodies.iter().map(|(name, body)| {
        refused(
            format!("a form: {name}"),
            post("/score", &[("Content-Type", "multipart/form-data; boundary=b")], body.as_bytes()),
        )
    });
    wrong.chain(framed).collect()
}

/// Text in place of base64, in all places where it may stand.
fn base64() -> Vec<Case> {
    let json = [("Content-Type", "application/json")];
    let mut cases = Vec::new();
    for text in [
        "=",
        "====",
        "a",
        "ab=c",
        "ab===",
        "YQ=",
        "!!!!",
        "data:image/png;base64,aGV5",
        "aGV5-_",
        "aGV5\\u0000",
        "é",
        "aGV5",
    ] {
        for (path, document) in [
            ("/score", r#"{"image":"@"}"#),
            ("/score", r#"{"input_data":{"columns":["image"],"data":["@"]}}"#),
            ("/score", r#"{"input_data":{"columns":["image"],"data":["{\"image_base64\":\"@\"}"]}}"#),
            ("/v2/models/whole/infer", r#"{"inputs":[{"name":"images","datatype":"BYTES","shape":[1],"data":["@"]}]}"#),
        ] {
            let body = document.replace('@', text);
            cases.push(refused(format!("{path}: base64 {text:?} in {document}"), post(path, &json, body.as_bytes())));
        }
    }
    cases
}

/// Images that are cut off, empty within, or not what they say, for a model that gets them whole and one that gets them prepared.
fn images() -> Vec<Case> {
    let (jpeg, png, webp, bmp) = (noise(60, 50, Jpeg), noise(60, 50, Png), noise(60, 50, WebP), noise(60, 50, Bmp));
    let sound = [("JPEG", jpeg), ("PNG", png), ("WebP", webp), ("BMP", bmp), ("GIF", read("animated.gif"))];
    // Of the GIF two thirds are its first image, which is all that is read.
    let mut files: Vec<(String, Vec<u8>)> = Vec::new();
    for (format, file) in sound {
        for tenths in [1, 2, 3, 5] {
            files.push((format!("{tenths} tenths of a {format}"), file[..file.len() * tenths / 10].to_vec()));
        }
        files.push((format!("a {format} of zeros"), [&file[..8], &vec![0; file.len() - 8]].concat()));
        files.push((format!("a {format} behind a byte"), [b"x", &file[..]].concat()));
    }
    for (width, height) in [(0, 0), (0, 9), (9, 0), (40_000, 40_000), (65_535, 1), (1, 65_535), (1 << 31, 1 << 31)] {
        files.push((format!("a PNG of {width}x{height}"), png_header(width, height)));
    }
    files.push(("a JPEG of 65535x65535".to_owned(), jpeg_header(65_535, 65_535)));
    files.push(("a BMP of 30000x30000".to_owned(), bmp_header(30_000, 30_000)));
    files.push(("a TIFF that loops".to_owned(), tiff_loop()));
    let send = |(name, file): &(String, Vec<u8>)| {
        ["tiny", "whole"].map(|model| {
            let raw = post(&format!("/score?model={model}"), &[("Content-Type", "application/octet-stream")], file);
            refused(format!("{model}: {name}"), raw)
        })
    };
    files.iter().flat_map(send).collect()
}

#[test]
fn every_bad_request_is_refused_with_an_object() {
    // Some bodies end nowhere: an upgrade's, for example, of whatever length it says it is.
    let mut server = Server::start(&["--pause-timeout", "1", "--header-timeout", "1"]);
    let tables = [methods(&server), paths(), shapes(), lengths(), headers(), smuggled(), forms(), base64(), images()];
    let count: usize = tables.iter().map(Vec::len).sum();
    assert!(count >= 400, "{count}");
    println!("{count} requests: {:?}", tables.each_ref().map(Vec::len));
    check_all(&mut server, &tables.into_iter().flatten().collect::<Vec<_>>());
}
