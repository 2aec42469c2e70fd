//! Fetching one large file, so that an interruption costs only what had not arrived yet.
//!
//! Bytes go to `.fovea-FILE.part` beside the target, which is locked while it grows; two programs that want the same file wait
//! for each other. What is there already is asked for no more (`Range`), in the next try as in the next run. Only a file
//! whose SHA-256 is the expected one gets its name.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use models::weights::sha256_of;
use tempfile::TempPath;

/// Tries in a row that bring no new byte, before the file counts as out of reach (the specification's number).
const TRIES: u32 = 5;
/// Pause after the first failure; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// To reach the server, and again to hear from it.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// Of one answer; a slower line continues with the next try.
const BODY_TIMEOUT: Duration = Duration::from_secs(300);

/// What is fetched, and where it goes.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// HTTP or HTTPS address.
    pub address: &'a str,
    /// File to write; its folder is made.
    pub target: &'a Path,
    /// SHA-256 in lower-case hexadecimal, or the beginning of it.
    pub sha256: &'a str,
}

/// Why a try failed.
enum Failure {
    /// Trying again may help.
    Transient(String),
    Final(String),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Final(error.to_string())
    }
}

/// Fetches a file. `on_bytes` hears how many bytes are here, and how many there will be where the server says so.
///
/// # Errors
/// Address and reason: the server's refusal, the last of five failures in a row, other contents than expected, or a
/// folder that cannot be written.
pub fn fetch(wanted: &Wanted, on_bytes: &mut dyn FnMut(u64, Option<u64>)) -> Result<(), String> {
    fetch_pausing(wanted, FIRST_PAUSE, on_bytes)
}

fn fetch_pausing(
    wanted: &Wanted,
    first_pause: Duration,
    on_bytes: &mut dyn FnMut(u64, Option<u64>),
) -> Result<(), String> {
    let failed = |why: String| format!("{}: {why}", wanted.address);
    let mut part =
        Part::open(wanted.target).map_err(|e| failed(format!("{}: {e}", part_of(wanted.target).display())))?;
    if wanted.target.is_file() {
        // Another program fetched it while this one waited for the lock.
        return Ok(());
    }
    let config = ureq::Agent::config_builder()
        .timeout_connect(Some(ANSWER_TIMEOUT))
        .timeout_recv_response(Some(ANSWER_TIMEOUT))
        .timeout_recv_body(Some(BODY_TIMEOUT))
        .http_status_as_error(false)
        .build();
    let agent: ureq::Agent = config.into();
    let (mut tries, mut pause, mut furthest) = (0, first_pause, part.have);
    loop {
        let resumed = part.have > 0;
        let why = match part.extend(&agent, wanted.address, on_bytes) {
            Ok(()) => {
                let found = sha256_of(&part.path).map_err(|e| failed(e.to_string()))?;
                if found.starts_with(wanted.sha256) {
                    return part.name(wanted.target).map_err(|e| failed(e.to_string()));
                }
                let have = part.have;
                part.clear().map_err(|e| failed(e.to_string()))?;
                let why = format!("its {have} bytes have SHA-256 {found}, {}... was expected", wanted.sha256);
                if !resumed {
                    return Err(failed(why));
                }
                // The older part may have been of another file.
                why
            }
            Err(Failure::Final(why)) => return Err(failed(why)),
            Err(Failure::Transient(why)) => why,
        };
        if part.have > furthest {
            (tries, pause, furthest) = (0, first_pause, part.have);
        }
        tries += 1;
        if tries == TRIES {
            return Err(failed(format!("{why} ({TRIES} tries)")));
        }
        std::thread::sleep(pause);
        pause *= 2;
    }
}

/// A name that nothing else has: what is there under it is appended to.
fn part_of(target: &Path) -> PathBuf {
    let mut name = OsString::from(".fovea-");
    name.push(target.file_name().unwrap_or_default());
    name.push(".part");
    target.with_file_name(name)
}

/// What has arrived of a file.
struct Part {
    path: PathBuf,
    file: File,
    /// Bytes.
    have: u64,
}

impl Part {
    /// Opens or begins the part of `target` and waits until no other program writes it.
    fn open(target: &Path) -> io::Result<Self> {
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder)?;
        }
        let path = part_of(target);
        let mut file = File::options().create(true).truncate(false).read(true).write(true).open(&path)?;
        file.lock()?;
        let have = file.seek(SeekFrom::End(0))?;
        Ok(Self { path, file, have })
    }

    fn clear(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.have = self.file.seek(SeekFrom::Start(0))?;
        Ok(())
    }

    /// One try: asks for what is missing and takes what comes.
    fn extend(
        &mut self,
        agent: &ureq::Agent,
        address: &str,
        on_bytes: &mut dyn FnMut(u64, Option<u64>),
    ) -> Result<(), Failure> {
        let mut request = agent.get(address);
        if self.have > 0 {
            request = request.header("Range", format!("bytes={}-", self.have));
        }
        let answer = request.call().map_err(|e| match e {
            ureq::Error::BadUri(_) | ureq::Error::Http(_) => Failure::Final(e.to_string()),
            other => Failure::Transient(other.to_string()),
        })?;
        let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok());
        let starts = |range: &str| range.strip_prefix("bytes ")?.split('-').next()?.parse::<u64>().ok();
        match answer.status().as_u16() {
            206 if header("content-range").and_then(starts) == Some(self.have) => {}
            // The server sends all of it, or something that does not follow what is here.
            200 | 206 if self.have > 0 => {
                self.clear()?;
                if answer.status().as_u16() == 206 {
                    return Err(Failure::Transient("the server sent another range than was asked for".to_owned()));
                }
            }
            200 => {}
            416 => {
                self.clear()?;
                return Err(Failure::Transient("the server has no more than is here already".to_owned()));
            }
            status @ (408 | 429 | 500..=599) => {
                return Err(Failure::Transient(format!("the server answered {status}")));
            }
            status => return Err(Failure::Final(format!("the server answered {status}"))),
        }
        let coming = header("content-length").and_then(|text| text.parse::<u64>().ok());
        let total = coming.map(|coming| self.have + coming);
        let mut body = answer.into_body().into_reader();
        let mut piece = vec![0; 1 << 16];
        loop {
            match body.read(&mut piece) {
                Ok(0) => break,
                Ok(n) => {
                    self.file.write_all(&piece[..n])?;
                    self.have += n as u64;
                    on_bytes(self.have, total);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(Failure::Transient(format!("{e} after {} bytes", self.have))),
            }
        }
        match total {
            Some(total) if self.have < total => {
                Err(Failure::Transient(format!("the answer ended after {} of {total} bytes", self.have)))
            }
            _ => Ok(()),
        }
    }

    /// Makes the part the file. Whatever came to be there in the meantime stays, and so does the part.
    fn name(self, target: &Path) -> io::Result<()> {
        self.file.sync_all()?;
        if let Err(error) = TempPath::try_from_path(&self.path)?.persist_noclobber(target) {
            error.path.keep()?;
            return Err(error.error);
        }
        match target.parent() {
            Some(folder) => File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::{BufRead, BufReader};
    use std::net::TcpListener;
    use std::sync::{Arc, Mutex};

    use models::weights::sha256_hex;

    use super::*;

    /// How a server of tests answers.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub(crate) enum Manner {
        Sound,
        /// Sends at most so many bytes of an answer that promises all.
        CutAt(usize),
        /// Sends all of it, whatever was asked for, and cuts the first answer.
        IgnoresRange,
        /// Answers 503 so many times.
        Busy(usize),
        /// Nothing lies there.
        Missing,
    }

    /// A server on a free port of this machine that offers `body` under every path. Gives its address and the `Range` of
    /// each request.
    pub(crate) fn serve(body: Vec<u8>, manner: Manner) -> (String, Arc<Mutex<Vec<Option<usize>>>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut range = None;
                for line in BufReader::new(stream.try_clone().unwrap()).lines() {
                    let line = line.unwrap().to_ascii_lowercase();
                    if line.is_empty() {
                        break;
                    }
                    if let Some(from) = line.strip_prefix("range: bytes=") {
                        range = Some(from.trim_end_matches('-').parse::<usize>().unwrap());
                    }
                }
                let number = {
                    let mut log = log.lock().unwrap();
                    log.push(range);
                    log.len()
                };
                let from = if manner == Manner::IgnoresRange { 0 } else { range.unwrap_or(0) };
                let (status, rest) = match manner {
                    Manner::Busy(times) if number <= times => ("503 Busy", &[][..]),
                    Manner::Missing => ("404 Not Found", &[][..]),
                    _ if from > 0 => ("206 Partial Content", &body[from..]),
                    _ => ("200 OK", &body[..]),
                };
                let sent = match manner {
                    Manner::CutAt(bytes) => rest.len().min(bytes),
                    Manner::IgnoresRange if number == 1 => rest.len() / 2,
                    _ => rest.len(),
                };
                let head = format!(
                    "HTTP/1.1 {status}\r\nContent-Length: {}\r\nContent-Range: bytes {from}-{}/{}\r\nConnection: close\r\n\r\n",
                    rest.len(),
                    body.len().saturating_sub(1),
                    body.len()
                );
                // A client that has read enough may have gone.
                let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&rest[..sent]));
            }
        });
        (address, asked)
    }

    fn contents() -> Vec<u8> {
        (0..10_000_u32).flat_map(u32::to_le_bytes).collect()
    }

    fn fetched(address: &str, target: &Path, sha256: &str) -> Result<(), String> {
        let mut last = 0;
        let wanted = Wanted { address, target, sha256 };
        fetch_pausing(&wanted, Duration::from_millis(1), &mut |done, total| {
            assert!(done > 0 && total.is_none_or(|total| done <= total));
            last = done;
        })
    }

    #[test]
    fn a_sound_file_arrives_in_one_try_and_leaves_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("deep/weights.pth");
        let (address, asked) = serve(contents(), Manner::Sound);
        fetched(&address, &target, &sha256_hex(&contents())[..8]).unwrap();
        assert_eq!(fs::read(&target).unwrap(), contents());
        assert_eq!(fs::read_dir(target.parent().unwrap()).unwrap().count(), 1);
        assert_eq!(*asked.lock().unwrap(), [None]);
    }

    #[test]
    fn a_cut_answer_continues_where_it_ended_however_often_that_happens() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("weights.pth");
        // 40,000 bytes in pieces of 6,000 are seven answers, more than the tries that may fail in a row.
        let (address, asked) = serve(contents(), Manner::CutAt(6_000));
        fetched(&address, &target, &sha256_hex(&contents())).unwrap();
        assert_eq!(fs::read(&target).unwrap(), contents());
        let expected: Vec<_> = (0..7).map(|i| (i > 0).then_some(i * 6_000)).collect();
        assert_eq!(*asked.lock().unwrap(), expected);
    }

    #[test]
    fn a_later_run_continues_an_earlier_one() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("weights.pth");
        fs::write(part_of(&target), &contents()[..25_000]).unwrap();
        let (address, asked) = serve(contents(), Manner::Sound);
        fetched(&address, &target, &sha256_hex(&contents())).unwrap();
        assert_eq!((fs::read(&target).unwrap(), &*asked.lock().unwrap()), (contents(), &vec![Some(25_000)]));
    }

    #[test]
    fn an_older_part_of_another_file_is_dropped_once_the_checksum_tells() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("weights.pth");
        fs::write(part_of(&target), [7; 100]).unwrap();
        let (address, asked) = serve(contents(), Manner::Sound);
        fetched(&address, &target, &sha256_hex(&contents())).unwrap();
        assert_eq!((fs::read(&target).unwrap(), &*asked.lock().unwrap()), (contents(), &vec![Some(100), None]));
    }

    #[test]
    fn a_server_that_knows_no_ranges_sends_all_of_it_again() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("weights.pth");
        let (address, asked) = serve(contents(), Manner::IgnoresRange);
        fetched(&address, &target, &sha256_hex(&contents())).unwrap();
        assert_eq!((fs::read(&target).unwrap(), &*asked.lock().unwrap()), (contents(), &vec![None, Some(20_000)]));
    }

    #[test]
    fn other_contents_are_an_error_at_once_and_never_get_the_name() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("weights.pth");
        let (address, asked) = serve(contents(), Manner::Sound);
        let error = fetched(&address, &target, "0123abcd").unwrap_err();
        assert!(error.contains(&address) && error.contains("0123abcd") && error.contains("40000 bytes"), "{error}");
        assert!(!target.exists());
        assert_eq!(asked.lock().unwrap().len(), 1, "it would be the same again");
    }

    #[test]
    fn busy_servers_are_tried_five_times_and_missing_files_once() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("weights.pth");
        let (address, asked) = serve(contents(), Manner::Busy(4));
        fetched(&address, &target, &sha256_hex(&contents())).unwrap();
        assert_eq!(asked.lock().unwrap().len(), 5);

        let target = folder.path().join("more.pth");
        let (address, asked) = serve(contents(), Manner::Busy(9));
        let error = fetched(&address, &target, "").unwrap_err();
        assert!(error.contains("503") && error.contains("5 tries"), "{error}");
        assert_eq!(asked.lock().unwrap().len(), 5);

        let (address, asked) = serve(contents(), Manner::Missing);
        let error = fetched(&address, &target, "").unwrap_err();
        assert!(error.contains("404"), "{error}");
        assert_eq!(asked.lock().unwrap().len(), 1);
    }

    #[test]
    fn a_refused_connection_is_tried_again_and_then_named() {
        let folder = tempfile::tempdir().unwrap();
        // A port that was free a moment ago, with nobody behind it.
        let address = format!("http://{}", TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
        let error = fetched(&address, &folder.path().join("weights.pth"), "").unwrap_err();
        assert!(error.contains(&address) && error.contains("5 tries"), "{error}");
    }
}
