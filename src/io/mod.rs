//! Connections of tunnels: sockets of known types, and any other IO.
//!
//! [`transport`] has the type of a connection, [`any_io`] its operations beyond reading and writing,
//! [`coalesced`] a wrapper for streams in HTTP/2, [`bounded`] one for connections that are read as HTTP,
//! [`read_first`] one for those that may fail to take a request, and [`send_timeout`] one for the connections of a server.
//!
//! # Resets
//!
//! A tunnel that fails drops both ends. A dropped socket closes and still sends its queued data. A dropped
//! HTTP/2 stream that has not finished is reset (`CANCEL`). Only if a stream was reset before its end, the
//! socket on the other side is reset too, with a linger time of zero. A reset after the end, which HTTP/2
//! servers such as HAProxy and hyper send to refuse further data, has no such effect. Neither has the reset
//! of a socket: the last bytes of a server that closes with unread input would be lost on their way to a slow
//! client.

pub(crate) mod any_io;
pub(crate) mod bounded;
pub(crate) mod coalesced;
pub(crate) mod read_first;
pub(crate) mod send_timeout;
pub(crate) mod transport;
