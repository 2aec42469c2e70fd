//! However a run ends, it goes on from there, and the result is the one of an undisturbed run.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use crate::support::{Place, Scored};

const MODEL: &str = "tiny_detector_tiled.onnx";

/// Waits until something is so, or the program has ended.
fn wait_for(child: &mut Child, what: impl Fn() -> bool) {
    while !what() && child.try_wait().unwrap().is_none() {
        thread::sleep(Duration::from_millis(2));
    }
}

/// Images that the state beside an output counts.
fn reached(state: &Path) -> u64 {
    let read = fs::read(state).ok().and_then(|bytes| serde_json::from_slice::<serde_json::Value>(&bytes).ok());
    read.and_then(|state| state["reached"]["images"].as_u64()).unwrap_or(0)
}

fn signal(name: &str, child: &Child) {
    let sent = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

#[test]
fn killed_at_any_moment_it_makes_the_same_bytes() {
    let place = Place::with_list(4000);
    for (format, names) in [("answer", &["out.jsonl"][..]), ("rows", &["out.jsonl", "out.jsonl.errors.jsonl"])] {
        let options = ["--format", format, "--resume", "--json", "--max-batch", "4", "--decode-threads", "1"];
        place.score(MODEL, "list.jsonl", &[&options[..], &["--output", "whole.jsonl"]].concat()).ended(1);
        let (mut draw, mut went_on) = (7_u64, 0);
        let state = place.path("out.jsonl.partial.json");
        for n in 0..10 {
            let before = reached(&state);
            let mut child = place.command(MODEL, "list.jsonl", &options).spawn().unwrap();
            draw = draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            // Every other one is killed while it writes, the others maybe before.
            if n % 2 == 1 {
                wait_for(&mut child, || reached(&state) > before);
            }
            thread::sleep(Duration::from_millis((draw >> 33) % 400));
            let is_over = child.try_wait().unwrap().is_some();
            child.kill().unwrap();
            child.wait().unwrap();
            if is_over {
                break;
            }
            went_on += u64::from(reached(&state) > before);
        }
        if !place.path("out.jsonl").exists() {
            let last = place.score(MODEL, "list.jsonl", &options).ended(1).json();
            assert_eq!((&last["images"], &last["failed"]), (&4000.into(), &97.into()));
            assert_eq!(last["resumed_after"].as_u64().unwrap() > 0, went_on > 0);
        }
        assert!(went_on > 0, "no run was killed while it wrote");
        for name in names {
            let whole = name.replace("out", "whole");
            assert_eq!(fs::read(place.path(name)).unwrap(), fs::read(place.path(&whole)).unwrap(), "{name}");
            fs::remove_file(place.path(name)).unwrap();
            fs::remove_file(place.path(&whole)).unwrap();
        }
        assert_eq!(place.outputs(), [""; 0]);
    }
}

#[test]
fn told_to_stop_it_writes_what_is_under_way() {
    let place = Place::with_list(6000);
    place.score(MODEL, "list.jsonl", &["--output", "whole.jsonl"]).ended(1);
    let mut stopped = 0;
    for name in ["TERM", "INT"] {
        let mut child =
            place.command(MODEL, "list.jsonl", &["--resume", "--json", "--decode-threads", "1"]).spawn().unwrap();
        let before = reached(&place.path("out.jsonl.partial.json"));
        wait_for(&mut child, || reached(&place.path("out.jsonl.partial.json")) > before);
        signal(name, &child);
        let ended = Scored(child.wait_with_output().unwrap()).ended(75);
        assert_eq!(ended.json()["code"], "interrupted");
        stopped = reached(&place.path("out.jsonl.partial.json"));
        assert!(ended.json()["error"].as_str().unwrap().contains(&format!("{stopped} of 6000")), "{}", ended.log());
        assert!(stopped > before && stopped < 6000);
    }
    let last = place.score(MODEL, "list.jsonl", &["--resume", "--json"]).ended(1).json();
    assert_eq!(last["resumed_after"], stopped);
    assert_eq!(fs::read(place.path("out.jsonl")).unwrap(), fs::read(place.path("whole.jsonl")).unwrap());
    assert_eq!(place.outputs(), ["out.jsonl"]);
}

#[test]
fn a_full_disk_is_said_and_what_was_scored_is_kept() {
    let place = Place::with_list(3000);
    place.score(MODEL, "list.jsonl", &["--output", "whole.jsonl"]).ended(1);
    let command = place.command(MODEL, "list.jsonl", &["--resume"]);
    let arguments: Vec<String> =
        command.get_args().map(|argument| format!("'{}'", argument.to_str().unwrap())).collect();
    // No file may have more than 200 blocks of 512 or 1024 bytes.
    let script =
        format!("trap '' XFSZ; ulimit -f 200; exec '{}' {}", env!("CARGO_BIN_EXE_server"), arguments.join(" "));
    let mut shell = Command::new("sh");
    shell.args(["-c", &script]).current_dir(place.path(".")).stdin(Stdio::null());
    let scored = Scored(shell.output().unwrap()).ended(1);
    assert!(scored.log().contains("cannot write") && scored.log().contains("make room"), "{}", scored.log());
    place.score(MODEL, "list.jsonl", &["--resume"]).ended(1);
    assert_eq!(fs::read(place.path("out.jsonl")).unwrap(), fs::read(place.path("whole.jsonl")).unwrap());
}

#[test]
fn an_input_that_changes_under_way_is_found_out() {
    let place = Place::with_list(4000);
    let mut child = place.command(MODEL, "list.jsonl", &[]).spawn().unwrap();
    wait_for(&mut child, || reached(&place.path("out.jsonl.partial.json")) > 0);
    let mut list = fs::OpenOptions::new().append(true).open(place.path("list.jsonl")).unwrap();
    std::io::Write::write_all(&mut list, b"{\"image_url\": \"images/000.png\"}\n").unwrap();
    let scored = Scored(child.wait_with_output().unwrap()).ended(2);
    assert!(scored.log().contains("has changed"), "{}", scored.log());
    assert!(!place.path("out.jsonl").exists());
}
