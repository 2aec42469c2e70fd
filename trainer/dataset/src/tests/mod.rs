//! The data path as a whole.

mod boxes;
mod loading;
mod preparing;
