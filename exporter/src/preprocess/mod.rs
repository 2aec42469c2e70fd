//! What surrounds the network in the two forms of the file: `prepared` takes pictures that the host has fitted to the
//! network's input, `whole` takes pictures of any size and fits them in the graph.

mod classify;
mod detect;
mod frame;
mod pixels;
mod tiles;

pub use classify::{classifier, resize_and_cut};
pub use detect::{Detecting, detector};
pub use frame::frame;
pub use tiles::{Tiling, places};
