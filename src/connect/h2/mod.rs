//! Connections in HTTP/2, shared by the tunnels and requests that go to one upstream.
//!
//! [`pool`] holds the connections and grants a permit for one stream; [`connection`] opens a connection, and
//! [`keep_alive`] ends one that is unused or dead; [`exchange`] sends a request with a permit and waits for
//! the response head. Behind the head, [`stream`] is the upstream's side of a tunnel, and [`body`] the body
//! of any other response.

pub(crate) mod body;
mod config;
mod connection;
mod exchange;
mod keep_alive;
pub(crate) mod pool;
mod stream;

pub use config::Http2;
pub(crate) use connection::Purpose;
pub(crate) use exchange::{ResponseStream, Unprocessed, exchange};
