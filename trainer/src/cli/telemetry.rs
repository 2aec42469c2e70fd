//! Telemetry of ONNX Runtime, kept off in programs that link libtorch.

use runtime::telemetry::{self, VALUE, VARIABLE};

/// As [`runtime::telemetry::switch_off`], for the first line of `main`: the variable is set in this process where that is safe,
/// because to start again would be to load libtorch again, which takes a quarter of a second.
pub fn switch_off() {
    if !telemetry::is_off() && bridge::set_variable(VARIABLE, VALUE).is_err() {
        telemetry::switch_off();
    }
}
