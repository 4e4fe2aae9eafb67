//! How does a scenario go on where time, sockets and files are real?

pub mod possible;
#[cfg(not(madsim))]
mod course;

#[cfg(not(madsim))]
pub use course::{Course, told};
