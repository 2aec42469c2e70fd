//! Small images that ask for much: their uploads hold neither the threads nor the memory that others need.

use std::{
    io::Write,
    thread,
    time::{Duration, Instant},
};

use image::ImageFormat::Png;

use crate::{
    hostile::check_alive,
    images::{jpeg_header, plain},
    support::{Response, Server, connect, post, send},
};

const MIB: u64 = 1 << 20;
/// In MiB, for the server.
const BUDGET: u64 = 256;
/// What the server's own threads may take beside it.
const SLACK: u64 = 64;
/// Far above what it takes, for machines that are busy.
const LONG: Duration = Duration::from_secs(10);

/// A TIFF of as many strips as rows, all of which are one JPEG that claims to be huge.
fn strips(rows: u16) -> Vec<u8> {
    let jpeg = jpeg_header(16_000, 6_000);
    let (n, length) = (u32::from(rows), jpeg.len() as u32);
    let directory = 8 + length.next_multiple_of(2);
    let values = directory + 2 + 8 * 12 + 4;
    let mut file = b"II*\0".to_vec();
    file.extend(directory.to_le_bytes());
    file.extend(jpeg);
    file.resize(directory as usize, 0);
    file.extend(8u16.to_le_bytes());
    let tags = [
        (256u16, 1, 64),
        (257, 1, n),
        (258, 1, 8),
        (259, 1, 7),
        (262, 1, 1),
        (273, n, values),
        (278, 1, 1),
        (279, n, values + 4 * n),
    ];
    for (tag, count, value) in tags {
        file.extend([tag.to_le_bytes(), 4u16.to_le_bytes()].concat());
        file.extend([count.to_le_bytes(), value.to_le_bytes()].concat());
    }
    file.extend([0; 4]);
    file.extend(8u32.to_le_bytes().repeat(rows.into()));
    file.extend(length.to_le_bytes().repeat(rows.into()));
    file
}

/// A PNG of 8x8 pixels with a colour profile of 1 GiB in 1 MiB.
fn profile() -> Vec<u8> {
    let png = plain(8, 8, [255, 0, 0], Png);
    let mut profile = flate2::write::ZlibEncoder::new(b"iCCPp\0\0".to_vec(), flate2::Compression::best());
    let zeros = vec![0; 1 << 20];
    (0..1024).for_each(|_| profile.write_all(&zeros).unwrap());
    let chunk = profile.finish().unwrap();
    let mut crc = flate2::Crc::new();
    crc.update(&chunk);
    let length = (chunk.len() as u32 - 4).to_be_bytes();
    [&png[..33], &length, &chunk, &crc.sum().to_be_bytes(), &png[33..]].concat()
}

#[test]
fn uploads_that_ask_for_much_are_answered_at_once_and_hold_nothing() {
    let budget = BUDGET.to_string();
    let mut server = Server::start(&["--memory", &budget, "--decode-threads", "2"]);
    check_alive(&server);
    let before = server.peak_memory();
    let files = [
        ("strips of a JPEG", "image/tiff", strips(6), 400),
        ("very many of them", "image/tiff", strips(16_000), 400),
        ("a profile of 1 GiB", "image/png", profile(), 200),
        ("a JPEG of 9300x9300", "image/jpeg", jpeg_header(9300, 9300), 400),
    ];
    let raw = |kind: &str, file: &[u8]| post("/score", &[("Content-Type", kind)], file);
    // Clients that go away before they are answered, as many as there are threads and more.
    let left: Vec<_> = files
        .iter()
        .flat_map(|file| [file; 3])
        .map(|(_, kind, file, _)| {
            let mut stream = connect(server.port);
            let _ = stream.write_all(&raw(kind, file));
            stream
        })
        .collect();
    thread::sleep(Duration::from_millis(50));
    drop(left);
    for (name, kind, file, status) in &files {
        let port = server.port;
        let raw = raw(kind, file);
        let upload = thread::spawn(move || {
            let start = Instant::now();
            (send(port, &raw), start.elapsed())
        });
        check_alive(&server);
        let (answer, took): (Response, Duration) = upload.join().unwrap();
        assert_eq!(answer.status, *status, "{name}: {}", answer.text());
        assert!(took < LONG, "{name} took {took:?}");
        assert_eq!(server.get("/v2/health/ready").status, 200, "{name}");
    }
    let taken = server.peak_memory().saturating_sub(before);
    assert!(taken < (BUDGET + SLACK) * MIB, "{} MiB above the {} at the start", taken / MIB, before / MIB);
    assert!(server.is_running());
    let metrics = server.get("/metrics").text();
    for line in ["fovea_memory_reserved_bytes 0", "fovea_stuck_threads 0"] {
        assert!(metrics.lines().any(|l| l == line), "{line}\n{metrics}");
    }
}

#[test]
fn a_small_body_that_becomes_a_large_one_is_refused_before_it_has() {
    let server = Server::start(&["--max-body", "64"]);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let zeros = vec![0; MIB as usize];
    (0..2048).for_each(|_| gzip.write_all(&zeros).unwrap());
    let body = gzip.finish().unwrap();
    let before = server.peak_memory();
    let request = post("/score", &[("Content-Type", "image/png"), ("Content-Encoding", "gzip")], &body);
    let refused = server.send(&request);
    assert_eq!((refused.status, refused.code().as_str()), (413, "body_too_large"));
    assert!(server.peak_memory() < before + (64 + SLACK) * MIB, "{} MiB", (server.peak_memory() - before) / MIB);
    check_alive(&server);
}
