//! The V2 protocol over gRPC: `inference.GRPCInferenceService`, as Triton and others offer it.
//!
//! A thread of its own speaks HTTP/2 (`serve`). A call's messages are read under the limits of bodies (`receive`), looked at before
//! anything is made of them (`outline`), and answered by the code that answers over HTTP: [`crate::v2`], and the functions
//! behind [`crate::routes`]. tonic says how statuses travel (`reply`); the messages are written by hand (`messages`), so that no
//! build needs a compiler of the protocol's files.

mod calls;
mod infer;
pub mod messages;
mod methods;
mod outline;
mod receive;
mod reply;
mod serve;
mod watch;

pub use self::serve::{Endpoint, Options};
