//! What must hold of any input, and straightforward references to compare with.
//!
//! Each property takes bytes and panics when it does not hold. The fuzz targets and the property tests
//! share them, so that a finding of one is an input of the other. Most inputs are lines of text, as in
//! `fuzz/seeds`. Ordinary builds don't have this module.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a property fails")]

pub mod detect;
pub mod forwarded;
pub mod frames;
pub mod hop_by_hop;
mod input;
pub mod path;
#[cfg(test)]
mod tests;
pub mod verify;
