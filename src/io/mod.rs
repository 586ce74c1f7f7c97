//! Connections of tunnels: sockets whose type is known, and any other IO.

pub(crate) mod any_io;
pub(crate) mod coalesced;
pub(crate) mod transport;
