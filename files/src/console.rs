//! Standard output and standard error. Neither is ever a reason to panic.
//!
//! A reader that has gone (`trainer models | head -1`) has read what it wanted: the rest is dropped and the exit code is that
//! of the work. Standard output that cannot be written for another reason, such as a full disk, is an error: whoever asked
//! for the answer does not have it. What standard error cannot take is dropped, since there is nowhere left to say so.

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

/// Writes an answer to standard output.
///
/// # Errors
/// When it cannot be written although somebody is there to read it.
pub fn out(text: &str) -> io::Result<()> {
    let mut stream = io::stdout().lock();
    reader_may_go(stream.write_all(text.as_bytes()).and_then(|()| stream.flush()))
}

/// As [`out`], with the end of a line.
///
/// # Errors
/// As [`out`].
pub fn line(text: &str) -> io::Result<()> {
    out(&format!("{text}\n"))
}

/// Says a line on standard error.
pub fn say(text: &str) {
    // One call, so that lines of several threads are not mixed.
    let _ = io::stderr().write_all(format!("{text}\n").as_bytes());
}

/// What printing help, a version or a wrong command line came to; `printed` is what the parser's own printing said.
///
/// # Errors
/// As [`out`].
pub fn parsed(printed: io::Result<()>) -> io::Result<()> {
    reader_may_go(printed.and_then(|()| io::stdout().flush()))
}

/// The exit code of a command whose answer was `said`: its own, unless the answer could not be given; `speaker` then begins the line
/// that says so.
#[must_use]
pub fn exit_code(said: io::Result<()>, code: i32, speaker: &str) -> ExitCode {
    match said {
        Ok(()) => ExitCode::from(u8::try_from(code).unwrap_or(1)),
        Err(error) => {
            say(&format!("{speaker}: cannot write standard output: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// The result of writing to a stream whose reader may go when it has had enough.
///
/// # Errors
/// Any error but a closed pipe.
pub fn reader_may_go(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}
