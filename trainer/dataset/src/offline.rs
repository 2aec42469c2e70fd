//! The user's wish that nothing be fetched: the environment variable `FOVEA_OFFLINE`.

/// The variable; unset, empty and `0` allow fetching.
pub const VARIABLE: &str = "FOVEA_OFFLINE";

/// Whether nothing may be fetched, whatever it is.
pub fn is_asked_for() -> bool {
    std::env::var_os(VARIABLE).is_some_and(|value| !value.is_empty() && value != "0")
}
