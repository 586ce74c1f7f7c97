//! Splicing: bulk bytes move between two sockets inside the kernel.
//!
//! [`splice(2)`](https://man7.org/linux/man-pages/man2/splice.2.html) moves pages from a socket into a
//! pipe, and from the pipe to another socket, without a copy. It costs more system calls than a read and
//! a write, so a direction uses it only after two large reads in a row, and until a small message comes.
//! [`Splice`] detects bulk on every system; the transfers ([`linux`]) and the process-wide limit on
//! pipes ([`pipe`]) exist on Linux only.
//!
//! # Which tunnels
//!
//! Both ends must be tokio's `TcpStream`. The upgrade makes a `Tunnel<TcpStream, TcpStream>` if both
//! transports are TCP, and [`Tunnel`](super::Tunnel) compares the `TypeId`s of its streams. For this reason
//! they must be `'static`. A socket that the system does not splice is read and written through the scratch
//! buffer.
//!
//! # Bulk
//!
//! A direction is bulk after two reads of 16 KiB or more in a row, possibly with a pause between them, and
//! until a smaller message. The size of the scratch buffer is no criterion: a 64 KiB message never fills it
//! twice.
//!
//! # Pipes
//!
//! The first transfer fills an empty pipe, so that "would block" certainly refers to the socket, and tokio's
//! readiness of the socket is never cleared by mistake. A pipe is in use for the bytes of one transfer and is
//! returned when they are written: an idle direction never has one. Each thread keeps four empty pipes, and
//! the process uses at most 64 at a time. If more than half of these are in use, a direction that waits for
//! its writer drains its pipe to memory (64 KiB at most) and returns the pipe. Peers that do not read can
//! therefore not deprive others of splicing.
//!
//! # Frames
//!
//! In a WebSocket, a transfer ends at the end of the current frame. The next header is then peeked in the
//! socket. As long as a whole header is there, the next frame goes into the same pipe, so that several
//! transfers in need one transfer out. A refused transfer into a pipe that already holds bytes does not mean
//! that the socket is empty, and is not treated so.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
mod pipe;

#[cfg(not(target_os = "linux"))]
use std::convert::Infallible as Pipe;

#[cfg(target_os = "linux")]
pub(super) use linux::sockets;
#[cfg(target_os = "linux")]
use pipe::Pipe;

/// Bytes of a read that counts as bulk.
pub(super) const LARGE: usize = 16 * 1024;

/// Consecutive large reads that make a direction bulk.
#[cfg(target_os = "linux")]
const STREAK: u8 = 2;

/// Bulk detection for one direction, and its pipe while that holds bytes.
#[derive(Debug, Default)]
pub(super) struct Splice {
    /// Large reads in a row.
    streak: u8,
    /// The system does not splice these sockets.
    #[cfg(target_os = "linux")]
    refused: bool,
    /// Bytes since the reader was last found empty.
    burst: u32,
    pipe: Option<Pipe>,
}

impl Splice {
    /// Records a read.
    pub(super) fn on_read(&mut self, bytes: usize) {
        self.burst = self.burst.saturating_add(u32::try_from(bytes).unwrap_or(u32::MAX));
        if bytes >= LARGE {
            self.streak = self.streak.saturating_add(1);
        }
    }

    /// Records that the reader is empty. A small message ends the bulk.
    pub(super) fn on_reader_empty(&mut self) {
        if self.burst > 0 && (self.burst as usize) < LARGE {
            self.streak = 0;
        }
        self.burst = 0;
    }

    /// Returns true if the next bytes are worth a splice.
    #[cfg(target_os = "linux")]
    pub(super) fn is_wanted(&self) -> bool {
        self.streak >= STREAK && !self.refused
    }

    /// Returns true if the pipe holds bytes.
    pub(super) fn holds_bytes(&self) -> bool {
        self.pipe.is_some()
    }

    /// Discards the bytes in the pipe.
    pub(super) fn discard(&mut self) {
        self.pipe = None;
    }
}
