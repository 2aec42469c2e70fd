//! The trials of a study: what became of each is kept in a database, and a coordinator starts, watches and ends them.
