//! Splicing: bulk bytes move between two sockets inside the kernel.
//!
//! [`splice(2)`](https://man7.org/linux/man-pages/man2/splice.2.html) moves pages from a socket into a
//! pipe, and from the pipe to another socket, without a copy. It costs more system calls than a read and
//! a write, so a direction uses it only after two large reads in a row, and until a small message comes.
//! [`Splice`] detects bulk on every system; the transfers ([`linux`]) and the process-wide limit on
//! pipes ([`pipe`]) exist on Linux only.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
mod pipe;

#[cfg(not(target_os = "linux"))]
use std::convert::Infallible as Pipe;

#[cfg(target_os = "linux")]
pub(super) use linux::{Emptied, sockets};
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
    pub(super) fn on_empty(&mut self) {
        if self.burst > 0 && (self.burst as usize) < LARGE {
            self.streak = 0;
        }
        self.burst = 0;
    }

    /// Whether the next bytes are worth a splice.
    #[cfg(target_os = "linux")]
    pub(super) fn is_wanted(&self) -> bool {
        self.streak >= STREAK && !self.refused
    }

    /// Whether the pipe holds bytes.
    pub(super) fn holds_bytes(&self) -> bool {
        self.pipe.is_some()
    }

    /// Discards the bytes in the pipe.
    pub(super) fn discard(&mut self) {
        self.pipe = None;
    }
}
