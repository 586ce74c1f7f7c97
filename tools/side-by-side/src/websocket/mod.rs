//! As much of WebSocket (RFC 6455) as load and its upstream need, and no more work than that: all of it shares
//! two cores with the proxy that is measured.

mod client;
pub(crate) mod frame;
pub(crate) mod handshake;
mod inbox;
mod message;
mod skim;
mod transport;

pub(crate) use client::{Check, WebSocket};
pub(crate) use inbox::Inbox;
pub(crate) use message::Message;
pub(crate) use skim::Skim;
pub(crate) use transport::Transport;
