//! Connections in HTTP/2 that tunnels and requests share: which there are, who gets a place on them,
//! and how they end. The upstream's side is the test's own: frames, or streams of the `h2` crate.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

mod abandoned;
mod answers;
mod bodies;
mod broken;
mod churn;
mod client;
mod floods;
mod frames;
mod heads;
mod keeping;
mod leaving;
mod parting;
mod places;
mod proxy;
mod requests;
mod reverse;
mod runtimes;
mod streams;
mod tls;
mod upstream;
mod versions;

use test_support as support;
