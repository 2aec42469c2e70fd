//! What surrounds the network in the two forms of the file: `prepared` takes images that the host has fitted to the
//! network's input, `whole` takes images of any size and fits them in the graph.

mod classify;
mod contents;
mod detect;
mod frame;
mod paste;
mod pixels;
mod tiles;

pub use classify::{classifier, resize_and_cut};
pub use contents::Contents;
pub use detect::detector;
pub use frame::frame;
pub use paste::{Canvas, paste};
pub use tiles::places;
