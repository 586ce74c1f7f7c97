//! Properties that hold for any input, checked against simple reference implementations.
//!
//! Each property takes bytes and panics if it does not hold. The fuzz targets and the property tests share
//! the properties, so that an input found by one can be used by the other. Most inputs are lines of text, as
//! in `fuzz/seeds`. Ordinary builds do not contain this module.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a property fails by panicking")]

pub mod cookie;
pub mod detect;
pub mod forwarded;
pub mod frames;
pub mod hop_by_hop;
mod input;
pub mod path;
mod servers;
#[cfg(test)]
mod tests;
pub mod verify;
