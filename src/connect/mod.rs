//! Connections to upstreams: TCP, TLS, a unix socket, or the application's own connector.
//!
//! [`dial`] opens a connection. [`h2::pool`] shares connections in HTTP/2 and uses [`dial`] to open them.
//! [`connector`] selects the version of HTTP for a request, and with it a connection of its own or a stream of the
//! pool.
//!
//! In HTTP/1.1 an upgrade gets a connection of its own ([`h1`]): the tunnel would consume a pooled one, and
//! a connection on which ALPN selected `h2` cannot be upgraded. In HTTP/2 ([`h2`]) an upgrade gets a stream
//! of a shared connection. Ordinary requests share the connections of [`h1::pool`] or [`h2::pool`], except those that
//! [`connection_auth`] keeps for one client. [`response_connection`] is either of them after the response head, and
//! [`body`] the body of a response that is no tunnel, which [`stall`] ends if the client takes nothing of it.
//! [`interim`] limits interim responses. [`ports`] remembers where no local port is free.

pub(crate) mod body;
pub(crate) mod connection_auth;
mod connector;
pub(crate) mod dial;
pub(crate) mod h1;
pub(crate) mod h2;
pub(crate) mod header_case;
pub(crate) mod interim;
mod ports;
mod response_connection;
mod stall;
mod sweep;
mod tcp;
#[cfg(feature = "rustls")]
pub(crate) mod tls;

pub(crate) use connection_auth::ClientConnection;
pub(crate) use connector::{ATTEMPTS, Connector, Http2Attempt, Http2Request, report_repeat};
pub(crate) use dial::ConnectTimeouts;
pub(crate) use h2::{Purpose, Unprocessed};
pub(crate) use response_connection::ResponseConnection;
pub(crate) use stall::StallWatch;
