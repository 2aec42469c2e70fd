//! Room for connections among the process's file descriptors.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors that a thread which speaks HTTP needs for itself, rounded up.
const PER_THREAD: u64 = 8;
/// Descriptors that everything else may need: outputs, listeners, signals, a library or a model that is opened, rounded up.
const OTHERS: u64 = 40;

/// How many connections each of `threads` may hold, at most `wanted`: each takes one descriptor. Raises the process's soft limit
/// on descriptors as far as needed and allowed. At least one, whatever the limit.
pub(crate) fn connections_per_thread(threads: u64, wanted: u64) -> u64 {
    let needed = threads.saturating_mul(wanted.saturating_add(PER_THREAD)).saturating_add(OTHERS);
    let limit = raise(needed);
    let room = (limit.saturating_sub(OTHERS) / threads.max(1)).saturating_sub(PER_THREAD).max(1);
    if room < wanted {
        tracing::warn!(
            "the limit of {limit} open files leaves room for {room} connections per HTTP thread, not for the {wanted} of \
             --max-connections; further ones wait to be accepted. `ulimit -n {needed}` would do"
        );
    }
    room.min(wanted)
}

/// Raises the soft limit to `needed`, or as far as the hard one allows. Returns what holds then.
fn raise(needed: u64) -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let Some(current) = current else {
        return u64::MAX;
    };
    let target = maximum.map_or(needed, |m| m.min(needed));
    if current >= target {
        return current;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: Some(target), maximum }) {
        Ok(()) => target,
        Err(_) => current,
    }
}
