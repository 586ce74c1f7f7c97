//! The part of WebSocket (RFC 6455) that the load and its upstream need, with as little work as possible, because they
//! share two cores with the measured proxy.

mod client;
pub(crate) mod frame;
mod frame_counter;
pub(crate) mod handshake;
mod message;
mod read_buffer;
mod transport;

pub(crate) use client::{Check, WebSocket};
pub(crate) use frame_counter::FrameCounter;
pub(crate) use message::Message;
pub(crate) use read_buffer::ReadBuffer;
pub(crate) use transport::Transport;
