//! The trials of a study. What became of each is kept in a database ([`store`]), and a coordinator ([`run`](run())) starts, watches and
//! ends them through a [`Launcher`].
//!
//! What is decided, the point of a trial and which is ended early, follows from the plan and from what the database holds. Trials that
//! run at the same time report in an order that the clock decides, so only a study of one trial at a time is the same each time.

mod error;
mod journal;
mod launcher;
mod local;
mod run;
mod store;
mod strays;

pub use error::StudyError;
pub use launcher::{Exit, Launch, Launcher, Stop};
pub use local::Local;
pub use run::{Ended, Observer, Options, run};
pub use store::{Report, State, Study, Trial};
