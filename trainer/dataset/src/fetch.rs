//! Images named by `http(s)://`, fetched once into a folder of the run.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use models::weights::sha256_hex;
use tempfile::TempDir;

use crate::offline;

/// Tries before an image counts as missing; the pause doubles from the first value.
const TRIES: u32 = 4;
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const TIMEOUT: Duration = Duration::from_secs(60);

/// Fetches images into a folder. May be used by several threads at once.
pub struct Fetcher {
    folder: Option<PathBuf>,
    /// Stands for a folder that was not named, from the first image on until the fetcher is dropped.
    temporary: OnceLock<TempDir>,
    max_bytes: u64,
    /// Only what is there already may be used.
    offline: bool,
    agent: ureq::Agent,
}

enum Failure {
    /// Trying again may help.
    Transient(String),
    Final(String),
}

impl Fetcher {
    /// Files go to `folder`, under the SHA-256 of their URL; none may be larger than `max_bytes`. Without a folder they are kept in
    /// a temporary one, which is made when the first is fetched, for as long as the fetcher lives. Where [`crate::offline`] is asked
    /// for, none is fetched.
    pub fn new(folder: Option<PathBuf>, max_bytes: u64) -> Self {
        let config = ureq::Agent::config_builder().timeout_global(Some(TIMEOUT)).http_status_as_error(false).build();
        Self { folder, temporary: OnceLock::new(), max_bytes, offline: offline::is_asked_for(), agent: config.into() }
    }

    /// The local copy of `url`, fetched if it is not there yet. Statuses 408, 429 and 5xx and network errors are tried again.
    ///
    /// # Errors
    /// Why it could not be fetched.
    pub fn fetch(&self, url: &str) -> Result<PathBuf, String> {
        let name = sha256_hex(url.as_bytes());
        let earlier = self.folder.as_deref().or_else(|| self.temporary.get().map(TempDir::path));
        if let Some(path) = earlier.map(|folder| folder.join(&name)).filter(|path| path.is_file()) {
            return Ok(path);
        }
        if self.offline {
            return Err(format!("cannot fetch {url}: {} forbids it", offline::VARIABLE));
        }
        let folder = self.folder().map_err(|e| format!("cannot make a temporary folder to fetch {url} into: {e}"))?;
        let path = folder.join(name);
        let mut pause = FIRST_PAUSE;
        let mut last = String::new();
        for attempt in 1..=TRIES {
            match self.get(url, &path) {
                Ok(()) => return Ok(path),
                Err(Failure::Final(why)) => return Err(format!("cannot fetch {url}: {why}")),
                Err(Failure::Transient(why)) => last = why,
            }
            if attempt < TRIES {
                std::thread::sleep(pause);
                pause *= 2;
            }
        }
        Err(format!("cannot fetch {url} in {TRIES} tries: {last}"))
    }

    fn folder(&self) -> std::io::Result<&Path> {
        if let Some(folder) = &self.folder {
            return Ok(folder);
        }
        if self.temporary.get().is_none() {
            // Of two threads that come here at once, one has its folder kept and the other's is deleted again, empty.
            let _ = self.temporary.set(TempDir::new()?);
        }
        self.temporary.get().map(TempDir::path).ok_or_else(|| std::io::Error::other("it is gone"))
    }

    fn get(&self, url: &str, path: &Path) -> Result<(), Failure> {
        let answer = self.agent.get(url).call().map_err(|e| match e {
            ureq::Error::BadUri(_) | ureq::Error::Http(_) => Failure::Final(e.to_string()),
            other => Failure::Transient(other.to_string()),
        })?;
        let status = answer.status().as_u16();
        match status {
            200 => {}
            408 | 429 | 500..=599 => return Err(Failure::Transient(format!("the server answered {status}"))),
            _ => return Err(Failure::Final(format!("the server answered {status}"))),
        }
        let mut bytes = Vec::new();
        let body = answer.into_body().into_reader();
        body.take(self.max_bytes + 1).read_to_end(&mut bytes).map_err(|e| Failure::Transient(e.to_string()))?;
        if bytes.len() as u64 > self.max_bytes {
            return Err(Failure::Final(format!("it is larger than the limit of {} bytes", self.max_bytes)));
        }
        files::write_atomic(path, &bytes).map_err(|e| Failure::Final(e.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// Answers by path: /ok, /big, /gone, and /flaky, which fails once.
    fn server() -> (String, Arc<AtomicU32>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let hits = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&hits);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let first = lines.next().unwrap().unwrap();
                while lines.next().is_some_and(|line| !line.unwrap().is_empty()) {}
                let hit = count.fetch_add(1, Ordering::SeqCst);
                let (status, body) = match first.split(' ').nth(1).unwrap() {
                    "/ok" => ("200 OK", vec![b'x'; 100]),
                    "/big" => ("200 OK", vec![b'x'; 101]),
                    "/flaky" if hit > 0 => ("200 OK", b"fine".to_vec()),
                    "/flaky" => ("503 Busy", Vec::new()),
                    _ => ("404 Not Found", Vec::new()),
                };
                let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
                stream.write_all(head.as_bytes()).unwrap();
                stream.write_all(&body).unwrap();
            }
        });
        (address, hits)
    }

    /// Whatever the environment of the tests says.
    fn online(folder: Option<PathBuf>) -> Fetcher {
        Fetcher { offline: false, ..Fetcher::new(folder, 100) }
    }

    #[test]
    fn offline_only_what_is_there_is_used() {
        let (address, hits) = server();
        let dir = tempfile::tempdir().unwrap();
        let folder = || Some(dir.path().to_owned());
        let path = online(folder()).fetch(&format!("{address}/ok")).unwrap();
        let offline = Fetcher { offline: true, ..Fetcher::new(folder(), 100) };
        assert_eq!(offline.fetch(&format!("{address}/ok")).unwrap(), path);
        let refused = offline.fetch(&format!("{address}/other")).unwrap_err();
        assert!(refused.contains("/other") && refused.contains("FOVEA_OFFLINE forbids it"), "{refused}");
        assert_eq!(hits.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn fetches_once_within_the_limit() {
        let (address, hits) = server();
        let dir = tempfile::tempdir().unwrap();
        let fetcher = online(Some(dir.path().join("cache")));
        let path = fetcher.fetch(&format!("{address}/ok")).unwrap();
        assert_eq!(std::fs::read(&path).unwrap().len(), 100);
        assert_eq!(fetcher.fetch(&format!("{address}/ok")).unwrap(), path);
        assert_eq!(hits.load(Ordering::SeqCst), 1);
        assert!(fetcher.fetch(&format!("{address}/big")).unwrap_err().contains("limit of 100"));
        assert!(fetcher.fetch(&format!("{address}/gone")).unwrap_err().contains("404"));
        assert_eq!(hits.load(Ordering::SeqCst), 3, "neither is tried again");
    }

    #[test]
    fn without_a_folder_images_are_kept_as_long_as_the_fetcher() {
        let (address, hits) = server();
        let fetcher = online(None);
        assert!(fetcher.temporary.get().is_none(), "no folder before it is needed");
        let path = fetcher.fetch(&format!("{address}/ok")).unwrap();
        assert_eq!(fetcher.fetch(&format!("{address}/ok")).unwrap(), path);
        assert_eq!(hits.load(Ordering::SeqCst), 1);
        drop(fetcher);
        assert!(!path.parent().unwrap().exists());
    }

    #[test]
    fn tries_again_when_the_server_is_busy() {
        let (address, hits) = server();
        let dir = tempfile::tempdir().unwrap();
        let fetcher = online(Some(dir.path().into()));
        assert_eq!(std::fs::read(fetcher.fetch(&format!("{address}/flaky")).unwrap()).unwrap(), b"fine");
        assert_eq!(hits.load(Ordering::SeqCst), 2);
    }
}
