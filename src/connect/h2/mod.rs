//! Connections in HTTP/2, shared by everything that goes to one upstream.
//!
//! [`pool`] knows which connections there are and lends a place for one stream; [`connection`]
//! opens one, and [`keep_alive`] says when it is to end; [`exchange`] sends a request on a place and
//! waits for the head of its answer; [`stream`] is what is left after that when both agreed on a
//! tunnel, and [`body`] when not.

pub(crate) mod body;
mod config;
mod connection;
mod exchange;
pub(crate) mod pool;
mod stream;

pub(crate) use config::ATTEMPTS;
pub use config::Http2;
pub(crate) use exchange::{ResponseStream, Unprocessed, exchange};
