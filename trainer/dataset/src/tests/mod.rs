//! The data path as a whole.

mod boxes;
mod checking;
mod loading;
mod preparing;
