//! The version of all schemas together.

/// Version of everything this crate describes; written into every file, raised when an old reader would misread a new file.
pub const SCHEMA_VERSION: u32 = 1;
