//! The ends of tunnels: sockets that are known by type, and everything else.

pub(crate) mod ext;
pub(crate) mod pieces;
pub(crate) mod transport;
