//! The ends of tunnels: sockets that are known by type, and everything else.

pub(crate) mod coalesced;
pub(crate) mod ext;
pub(crate) mod transport;
