//! Trials that a killed coordinator left running: nobody would stop or count them, and their folders are locked.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long a killed process may take to be gone.
const PATIENCE: Duration = Duration::from_secs(20);

/// Ends every process that was started as `... --output FOLDER/...`. Returns how many there were.
pub(super) fn end(folder: &Path) -> io::Result<usize> {
    let mut ended = 0;
    for process in processes(folder)? {
        // It may be gone by now.
        if kill_process(process, Signal::KILL).is_ok() {
            ended += 1;
        }
    }
    let started = Instant::now();
    while !processes(folder)?.is_empty() && started.elapsed() < PATIENCE {
        thread::sleep(Duration::from_millis(50));
    }
    Ok(ended)
}

fn processes(folder: &Path) -> io::Result<Vec<Pid>> {
    let mut inside = folder.as_os_str().as_bytes().to_vec();
    inside.push(b'/');
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let entry = entry?;
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw) else {
            continue;
        };
        // Those of others cannot be read, and are not ours; of one that is gone but not waited for, nothing is left.
        let Ok(line) = fs::read(entry.path().join("cmdline")) else { continue };
        let words: Vec<&[u8]> = line.split(|&byte| byte == 0).collect();
        let is_ours = words.windows(2).any(|pair| pair[0] == b"--output" && pair[1].starts_with(&inside));
        if is_ours {
            found.push(pid);
        }
    }
    Ok(found)
}
