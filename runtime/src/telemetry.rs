//! Telemetry of ONNX Runtime, which Fovea keeps off.
//!
//! Official builds of ONNX Runtime for Linux report to their maker from the moment their environment is made: they look up a host,
//! and keep a device number and a database of events below `~/.cache`. The call that turns this off needs the environment, and so
//! comes too late. What works is the environment variable [`VARIABLE`], if the process has it before.
//!
//! A process cannot safely set a variable for C code of its own: other threads may be reading it. So [`switch_off`], the first
//! line of a program, starts the program again with the variable, and [`crate::init`] opens no library in a process that lacks it.

use std::{
    env,
    ffi::{OsStr, OsString},
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{self, Command},
    sync::OnceLock,
};

/// The environment variable that ONNX Runtime asks, when its environment is made, whether it has to be silent.
pub const VARIABLE: &str = "ORT_DISABLE_TELEMETRY";

/// The value that [`VARIABLE`] has to have. ONNX Runtime 1.31 takes `true`, `yes` and `on` as
/// well; one value is enough.
pub const VALUE: &str = "1";

/// Names the process that has started itself again, so that none does it twice.
const RESTARTED: &str = "FOVEA_RESTARTED";

/// Why [`switch_off`] could not start the program again.
static FAILURE: OnceLock<String> = OnceLock::new();

/// Whether this process has the variable, with its value.
pub fn is_off() -> bool {
    env::var_os(VARIABLE).is_some_and(|value| value == VALUE)
}

/// Makes sure that ONNX Runtime is silent in this process: where the variable is missing or has another value, the program is
/// started again with it, in the same process (`exec`). The process number, arguments, open files, standard input and ignored
/// signals stay; everything else begins anew, so call this first in `main`, before threads are started or anything is read.
///
/// It returns when the variable is there. It also returns when the program cannot be started again, because much of a program
/// works without ONNX Runtime; [`crate::init`] then refuses to open the library, and says why.
pub fn switch_off() {
    if !is_off() {
        let _ = FAILURE.set(restart());
    }
}

/// What an error has to say about the process: the value it has, and why it could not be started again.
pub(crate) fn problem() -> String {
    let found = match env::var_os(VARIABLE) {
        Some(value) => format!("it is '{}'", value.display()),
        None => "it is not set".to_owned(),
    };
    match FAILURE.get() {
        Some(reason) => format!("{found}, and the program could not set it for itself: {reason}"),
        None => found,
    }
}

/// Returns only if it fails, with the reason.
fn restart() -> String {
    let process = process::id().to_string();
    if env::var_os(RESTARTED).is_some_and(|earlier| earlier == OsStr::new(&process)) {
        return "it was started again with the variable, and something took it away".to_owned();
    }
    let program = match program() {
        Ok(program) => program,
        Err(reason) => return reason,
    };
    let mut arguments = env::args_os();
    let name = arguments.next().unwrap_or_else(|| OsString::from(&program));
    let mut again = Command::new(&program);
    again.arg0(name).args(arguments).env(VARIABLE, VALUE).env(RESTARTED, process);
    format!("cannot start {}: {}", program.display(), again.exec())
}

/// The file of this program.
fn program() -> Result<PathBuf, String> {
    let program = env::current_exe().map_err(|e| format!("cannot find its file: {e}"))?;
    // `ld-linux-x86-64.so.2 PROGRAM`: this process is the loader's, and would take the program's arguments for its own.
    let name = program.file_name().unwrap_or_default().to_string_lossy();
    if name.starts_with("ld-") || name.starts_with("ld.") {
        return Err(format!("it was started by the loader {}", program.display()));
    }
    Ok(program)
}
