//! Connections in HTTP/2 that tunnels and requests share: which there are, who gets a place on them,
//! and how they end. The upstream's side is the test's own: frames, or streams of the `h2` crate.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

mod aborted;
mod bodies;
mod churn;
mod client;
mod client_resets;
mod floods;
mod flush_before_reset;
mod frames;
mod goaway;
mod header_limits;
mod http1_fallback;
mod http2_clients;
mod keep_alive;
mod proxy;
mod requests;
mod responses;
mod runtimes;
mod stream_permits;
mod streams;
mod tls;
mod upstream;

use test_support as support;
