//! The data path as a whole.

mod loading;
mod preparing;
