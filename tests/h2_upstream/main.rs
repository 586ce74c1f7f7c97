//! HTTP/2 connections to upstreams, shared by tunnels and requests: pooling, limits, failures and the fallback to
//! HTTP/1.1. The upstream is the test's own, as frames or as streams of the `h2` crate.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

mod aborted;
mod bodies;
mod churn;
mod client_resets;
mod connection_auth;
mod floods;
mod flush_before_reset;
mod goaway;
mod header_limits;
mod http1_fallback;
mod http2_clients;
mod keep_alive;
mod repeat;
mod requests;
mod responses;
mod runtimes;
mod stream_permits;
mod tls;
