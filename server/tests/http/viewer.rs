//! The viewer of the interface at `/docs`: complete, locked down, and within the program.

use std::io::{Read as _, Write as _};

use flate2::read::GzDecoder;
use serde_json::Value;

use crate::support::{Response, Server};

const POLICY: &str = "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; \
                      frame-ancestors 'none'";

/// Every file of the viewer, its type, and a text that it has in it.
const FILES: [(&str, &str, &str); 6] = [
    ("/docs", "text/html; charset=utf-8", "<main id=\"viewer\">"),
    ("/docs/viewer.js", "text/javascript; charset=utf-8", "SwaggerUIBundle({"),
    ("/docs/viewer.css", "text/css; charset=utf-8", ".dark-mode body"),
    ("/docs/swagger-ui.js", "text/javascript; charset=utf-8", "SwaggerUIBundle"),
    ("/docs/swagger-ui.css", "text/css; charset=utf-8", ".swagger-ui"),
    ("/docs/license.txt", "text/plain; charset=utf-8", "Apache License"),
];

/// Asks with these further headers, each with its line end.
fn ask(server: &Server, method: &str, path: &str, headers: &str) -> Response {
    server.send(format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n").as_bytes())
}

#[test]
fn the_viewer_is_complete_and_locked_down() {
    let server = Server::start(&[]);
    for (path, media, text) in FILES {
        for path in [path.to_owned(), format!("{path}/")] {
            let answer = server.get(&path);
            assert_eq!(answer.status, 200, "{path}");
            assert!(answer.text().contains(text), "{path}");
            for (name, value) in [
                ("content-type", media),
                ("content-security-policy", POLICY),
                ("cache-control", "no-cache"),
                ("referrer-policy", "no-referrer"),
                ("x-content-type-options", "nosniff"),
            ] {
                assert_eq!(answer.header(name), Some(value), "{path}, {name}");
            }
            assert_eq!(answer.header("content-encoding"), None, "{path}");
        }
    }
    let html = server.get("/docs").text();
    assert!(
        ["://", "<script>", "<style", "style=", "onclick", "onload"].iter().all(|part| !html.contains(part)),
        "nothing inline or from outside"
    );
    let script = server.get("/docs/viewer.js").text();
    for setting in ["url: \"/openapi.json\",", "dom_id: \"#viewer\",", "validatorUrl: null,"] {
        assert!(script.contains(setting), "{setting}");
    }
    assert!(server.get("/").text().contains("href=\"/docs\""));
}

/// What the page names is there, and what there is it names.
#[test]
fn the_viewer_names_its_own_files_and_no_others() {
    let server = Server::start(&[]);
    let html = server.get("/docs").text();
    let mut named: Vec<&str> = html
        .split("href=\"")
        .skip(1)
        .chain(html.split("src=\"").skip(1))
        .filter_map(|rest| rest.split('"').next())
        .collect();
    named.sort_unstable();
    named.dedup();
    for path in &named {
        assert_eq!(server.get(path).status, 200, "{path}");
    }
    for (path, ..) in &FILES[1..] {
        assert!(named.contains(path), "{path} is not named in {named:?}");
    }
}

#[test]
fn what_is_no_file_of_the_viewer_is_not_found() {
    let server = Server::start(&[]);
    for path in [
        "/docs/index.html",
        "/docs/swagger-initializer.js",
        "/docs/swagger-ui.js.gz",
        "/docs/swagger-ui.js/x",
        "/docs/../Cargo.toml",
        "/docs/%2e%2e/Cargo.toml",
        "/docs/viewer.html",
        "/docs//",
        "/docs//viewer.js",
        "/Docs",
        "/viewer.js",
    ] {
        let answer = server.get(path);
        assert_eq!((answer.status, answer.code().as_str()), (404, "not_found"), "{path}");
        assert_eq!(answer.header("content-type"), Some("application/json"), "{path}");
    }
    for path in ["/docs", "/docs/swagger-ui.js"] {
        let answer = ask(&server, "POST", path, "Content-Length: 0\r\n");
        assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD")), "{path}");
    }
}

#[test]
fn the_viewer_comes_compressed_to_whom_takes_it_so() {
    let server = Server::start(&[]);
    for (path, _, text) in &FILES[3..] {
        let plain = server.get(path);
        assert_eq!(plain.header("vary"), Some("accept-encoding"), "{path}");
        for takes in ["gzip, deflate, br, zstd", "gzip", "gzip;q=0.5"] {
            let answer = ask(&server, "GET", path, &format!("Accept-Encoding: {takes}\r\n"));
            assert_eq!((answer.status, answer.header("content-encoding")), (200, Some("gzip")), "{path}, {takes}");
            assert_eq!(answer.header("vary"), Some("accept-encoding"), "{path}, {takes}");
            assert!(answer.body.len() < plain.body.len() / 2, "{path}, {takes}");
            let mut undone = String::new();
            GzDecoder::new(&answer.body[..]).read_to_string(&mut undone).unwrap();
            assert!(undone == plain.text() && undone.contains(text), "{path}, {takes}");
        }
        for takes in ["identity", "br", "gzip;q=0", "*;q=0", "gzip;q=0.2, identity;q=0.9", "nonsense;;q"] {
            let answer = ask(&server, "GET", path, &format!("Accept-Encoding: {takes}\r\n"));
            assert_eq!((answer.status, answer.header("content-encoding")), (200, None), "{path}, {takes}");
            assert!(answer.body == plain.body, "{path}, {takes}");
        }
    }
}

#[test]
fn head_says_of_the_viewer_what_get_says() {
    let server = Server::start(&[]);
    for (path, ..) in FILES {
        for takes in ["", "Accept-Encoding: gzip\r\n"] {
            let mut stream = server.connect();
            write!(stream, "HEAD {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{takes}\r\n").unwrap();
            let mut all = String::new();
            stream.read_to_string(&mut all).unwrap();
            let (head, body) = all.split_once("\r\n\r\n").unwrap();
            assert_eq!(body, "", "{path}");
            let said = |head: &str| -> Vec<String> {
                let mut lines: Vec<String> = head
                    .lines()
                    .filter(|line| !line.to_ascii_lowercase().starts_with("date:"))
                    .map(str::to_owned)
                    .collect();
                lines.sort_unstable();
                lines
            };
            assert_eq!(said(head), said(&ask(&server, "GET", path, takes).head), "{path}");
        }
    }
}

/// What clients have asked for and do not read is not kept for each of them.
#[test]
fn clients_that_do_not_read_the_viewer_take_no_memory() {
    const MIB: u64 = 1 << 20;
    let server = Server::start(&[]);
    let size = server.get("/docs/swagger-ui.js").body.len() as u64;
    assert!(size > MIB, "{size}");
    let before = server.memory();
    let clients: Vec<_> = (0..200)
        .map(|_| {
            let mut stream = server.connect();
            stream.write_all(b"GET /docs/swagger-ui.js HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
            // The answer has begun.
            stream.read_exact(&mut [0; 100]).unwrap();
            stream
        })
        .collect();
    assert_eq!(server.get("/v2/health/live").status, 200);
    let more = server.memory().saturating_sub(before);
    assert!(more < 64 * MIB, "{} MiB more for {} clients", more / MIB, clients.len());
}

#[test]
fn operations_are_shown_in_groups() {
    let document = Server::start(&[]).get("/openapi.json").json();
    let names = |list: &Value| list.as_array().unwrap().iter().map(|group| group["name"].clone()).collect::<Vec<_>>();
    let groups = names(&document["tags"]);
    let mut used = Vec::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap().iter().filter(|(key, _)| *key != "parameters") {
            let [group] = &operation["tags"].as_array().unwrap()[..] else {
                panic!("{method} {path} has no one group")
            };
            assert!(groups.contains(group), "{method} {path}: {group}");
            used.push(group.clone());
        }
    }
    assert!(groups.iter().all(|group| used.contains(group)), "{groups:?}");
    let of = |path: &str, method: &str| document["paths"][path][method]["tags"][0].clone();
    assert_eq!(of("/score", "post"), "score");
    assert_eq!(of("/v2/models/{model}/infer", "post"), "v2");
    assert_eq!(of("/v2/repository/index", "post"), "repository");
    assert_eq!(of("/metrics", "get"), "operation");
    assert_eq!(of("/docs", "get"), "pages");
}
