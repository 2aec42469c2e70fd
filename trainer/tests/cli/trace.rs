//! What a program asks of the system, by strace: which files it writes, whom it talks to, what it starts.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Files that are read when a name is looked up.
const RESOLVER: [&str; 4] = ["/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/host.conf"];

/// Calls that change the file system at every path they name.
const CHANGES: [&str; 27] = [
    "creat",
    "mkdir",
    "mkdirat",
    "mknod",
    "mknodat",
    "rename",
    "renameat",
    "renameat2",
    "link",
    "linkat",
    "symlink",
    "symlinkat",
    "unlink",
    "unlinkat",
    "rmdir",
    "truncate",
    "chmod",
    "fchmodat",
    "chown",
    "lchown",
    "fchownat",
    "utime",
    "utimes",
    "utimensat",
    "setxattr",
    "lsetxattr",
    "removexattr",
];

/// Why programs cannot be traced on this machine, if they cannot.
pub fn unavailable() -> Option<String> {
    match Command::new("strace").args(["-f", "-qq", "-o", "/dev/null", "true"]).output() {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(format!("strace fails here: {}", String::from_utf8_lossy(&output.stderr).trim())),
        Err(error) => Some(format!("strace cannot be started ({error}); install the package strace")),
    }
}

/// A program to be traced, in an empty home and an empty temporary folder, in an empty working folder.
pub struct Traced {
    /// strace, with the program as its last arguments.
    pub command: Command,
    program: PathBuf,
    place: PathBuf,
}

/// What a traced program may do beside reading files.
#[derive(Default)]
pub struct Allowed<'a> {
    /// Folders, and all that is in them, which it may write.
    pub written: &'a [&'a Path],
    /// It may listen on this machine for IPv4 connections to it.
    pub listens: bool,
}

impl Traced {
    /// `place` is a folder of this program's own; it must not exist.
    pub fn new(program: &Path, place: &Path) -> Self {
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-y", "-s", "4096", "-e", "trace=%file,%network"]);
        command.arg("-o").arg(place.join("trace")).arg(program).stdin(Stdio::null());
        for (name, folder) in [("HOME", "home"), ("TMPDIR", "tmp"), ("PWD", "here")] {
            fs::create_dir_all(place.join(folder)).unwrap();
            command.env(name, place.join(folder));
        }
        command.current_dir(place.join("here"));
        for name in ["ORT_DISABLE_TELEMETRY", "FOVEA_RESTARTED", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"] {
            command.env_remove(name);
        }
        Self { command, program: program.to_owned(), place: place.to_owned() }
    }

    /// The traced process, as soon as there is one.
    pub fn process(&self) -> Option<String> {
        let trace = fs::read_to_string(self.place.join("trace")).ok()?;
        Some(trace.split_once(' ')?.0.to_owned())
    }

    /// What it did and was not allowed to, line by line, and what it left where nothing may be.
    pub fn violations(&self, allowed: &Allowed) -> Vec<String> {
        let trace = fs::read_to_string(self.place.join("trace")).unwrap();
        assert!(trace.contains("execve("), "nothing was traced: {trace}");
        let mut found: Vec<String> =
            trace.lines().filter(|line| !self.permits(line, allowed)).map(ToOwned::to_owned).collect();
        for folder in ["home", "tmp", "here"] {
            let entries = fs::read_dir(self.place.join(folder)).unwrap();
            found.extend(entries.map(|entry| format!("left behind: {}", entry.unwrap().path().display())));
        }
        found
    }

    fn permits(&self, line: &str, allowed: &Allowed) -> bool {
        let Some((name, arguments)) = call(line) else { return true };
        let paths = || paths(arguments, &self.place.join("here"));
        let inside = |path: PathBuf| {
            path == Path::new("/dev/null") || allowed.written.iter().any(|folder| path.starts_with(folder))
        };
        match name {
            "execve" | "execveat" => paths().first().is_some_and(|path| *path == self.program),
            "open" | "openat" | "openat2" if writes(arguments) => paths().into_iter().all(inside),
            "open" | "openat" | "openat2" => !RESOLVER.iter().any(|file| arguments.contains(&format!("\"{file}\""))),
            "socket" => allowed.listens && arguments.starts_with("AF_INET, SOCK_STREAM"),
            "bind" => allowed.listens && arguments.contains("inet_addr(\"127.0.0.1\")"),
            "connect" => false,
            // Without an address it goes to whoever connected.
            "sendto" | "sendmsg" | "sendmmsg" => !arguments.contains("sa_family="),
            _ => !CHANGES.contains(&name) || paths().into_iter().all(inside),
        }
    }
}

/// Name and arguments of the call that begins in this line of a trace, `PROCESS NAME(ARGUMENTS...`.
fn call(line: &str) -> Option<(&str, &str)> {
    let (name, arguments) = line.split_once(' ')?.1.trim_start().split_once('(')?;
    name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_').then_some((name, arguments))
}

fn writes(arguments: &str) -> bool {
    ["O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC", "O_TMPFILE"].iter().any(|flag| arguments.contains(flag))
}

/// The paths among the arguments. A relative one follows the descriptor of its folder, which strace shows as `3</folder>`.
fn paths(arguments: &str, here: &Path) -> Vec<PathBuf> {
    let mut pieces = arguments.split('"');
    let mut found = Vec::new();
    while let (Some(before), Some(path)) = (pieces.next(), pieces.next()) {
        let folder = before.rsplit_once('<').and_then(|(_, rest)| rest.split_once('>')).map(|(folder, _)| folder);
        found.push(folder.map_or(here, Path::new).join(path));
    }
    found
}

#[test]
fn what_is_not_allowed_is_found() {
    if let Some(reason) = unavailable() {
        return skip(&reason);
    }
    let folder = tempfile::tempdir().unwrap();
    let bash = fs::canonicalize("/bin/bash").unwrap();
    let written = folder.path().join("written");
    fs::create_dir(&written).unwrap();
    let inside = format!("echo 1 > {}/file; exec 2>/dev/null", written.display());
    let cases = [
        (inside.as_str(), 0),
        ("echo 1 > beside", 2),
        ("echo 1 > $HOME/.hidden", 2),
        ("cd $TMPDIR && echo 1 > file", 2),
        // Port 1 refuses at once; nothing may be tried.
        ("exec 3<>/dev/tcp/127.0.0.1/1", 2),
        ("read line < /etc/hosts", 1),
        ("exec /bin/true", 1),
    ];
    for (at, (script, expected)) in cases.into_iter().enumerate() {
        let mut traced = Traced::new(&bash, &folder.path().join(at.to_string()));
        // Without SHELL bash asks the system's user database for it, which may be a socket.
        traced.command.env("SHELL", &bash).args(["-c", script]).output().unwrap();
        let found = traced.violations(&Allowed { written: &[&written], listens: false });
        // bash itself opens /dev/tty for writing.
        let found: Vec<_> = found.into_iter().filter(|line| !line.contains("/dev/tty")).collect();
        assert_eq!(found.len(), expected, "{script}: {found:#?}");
    }
}

/// Skips a test with a reason; fails where tests count.
pub fn skip(reason: &str) {
    assert!(std::env::var_os("CI").is_none_or(|ci| ci.is_empty()), "this may not be skipped in CI: {reason}");
    eprintln!("skipped: {reason}");
}
