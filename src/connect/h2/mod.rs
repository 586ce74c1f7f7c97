//! Connections in HTTP/2, shared by the tunnels and requests that go to one upstream.
//!
//! [`pool`] holds the connections and grants a permit for one stream; [`connection`] opens a connection by the
//! settings in [`config`], [`turn`] bounds what one poll reads, and [`keep_alive`] ends one that is unused or dead; [`mod@exchange`] sends a request
//! with a permit and waits for the response head. Behind the head, [`stream`] is the upstream's side of a tunnel,
//! and [`body`] the body of any other response.
//!
//! # The `h2` crate
//!
//! The `h2` crate is used directly, without hyper's client. A tunnel is then a stream without a task and a
//! channel of its own. A reset can be distinguished from an end in both directions. `MAX_CONCURRENT_STREAMS`,
//! `ENABLE_CONNECT_PROTOCOL` and PING are accessible.
//!
//! # Sharing of connections
//!
//! A connection is identified by scheme, authority and runtime: its frames are moved by a task of the runtime
//! that opened it, and it ends with that runtime. The pool belongs to the connector, so all services of a
//! layer share it. A change of the connector, of TLS or of the HTTP/2 settings replaces it. One request at a
//! time opens the next connection, and the others wait for the result. h2's limit of streams is 0 until the
//! upstream's SETTINGS arrive, so waiting for a stream is waiting for them.
//!
//! # Windows
//!
//! A stream's window limits the memory that a client which does not read can cost. The connection has the
//! largest possible window, so that such streams take nothing from others. A window of 64 KiB would be a bad
//! choice for streams: it is slightly above one segment on the loopback interface, and a server with Nagle's
//! algorithm on then waits 40 ms for each (bulk was 20 times slower; 128 KiB was as fast as 1 MiB).
//!
//! # End of a stream
//!
//! h2 discards the queued data of a stream when it resets the stream. A stream that its tunnel has dropped is
//! therefore handed to the connection's task, which drops it after the poll that sends the queued data. The
//! last message of an aborted tunnel still arrives, as it does through a socket. Data beyond the window,
//! or beyond the socket's buffer, is lost.
//!
//! # Small unread frames
//!
//! h2 counts, for each connection, the overhead of unread frames below 256 bytes, and ends the connection
//! above a limit. One stalled tunnel could end all tunnels of its connection. While a direction waits for its
//! writer, the frames of its stream are therefore copied into one piece of memory. Its size is bounded,
//! because their window is not released before they are read. For a response body that is not read, the task of the
//! connection does that ([`receiver`], [`backlog`]). In the other direction, small writes wait while the socket accepts
//! no bytes, so that they are copied together before they become frames.

mod backlog;
pub(crate) mod body;
mod config;
mod connection;
mod exchange;
mod keep_alive;
pub(crate) mod pool;
mod receiver;
mod stream;
mod turn;

pub use config::Http2;
pub(crate) use connection::Purpose;
pub(crate) use exchange::{ConnectionLost, Http1Required, ResponseStream, Unprocessed, exchange};
