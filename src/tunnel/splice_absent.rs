//! Where there is no `splice(2)`: no direction is ever bulk.

use std::{
    io,
    task::{Context, Poll},
};

use tokio::net::TcpStream;

/// What would be worth it.
pub(super) const LARGE: usize = usize::MAX;

/// Nothing.
#[derive(Debug, Default)]
pub(super) struct Splice {}

/// See the Linux module.
#[allow(dead_code, reason = "never made here")]
pub(super) enum Emptied {
    Wrote(usize),
    Drained(Vec<u8>),
}

#[allow(clippy::unused_self, reason = "the same surface as on Linux")]
impl Splice {
    pub(super) fn read(&mut self, _: usize) {}

    pub(super) fn paused(&mut self) {}

    pub(super) fn wanted(&self) -> bool {
        false
    }

    pub(super) fn holds(&self) -> bool {
        false
    }

    pub(super) fn poll_fill(
        &mut self,
        _: &mut Context<'_>,
        _: &TcpStream,
        _: u64,
    ) -> Poll<io::Result<Option<usize>>> {
        Poll::Ready(Ok(None))
    }

    pub(super) fn fill_up(&mut self, _: &TcpStream, _: u64) -> usize {
        0
    }

    pub(super) fn take_back(&mut self) -> io::Result<Vec<u8>> {
        Ok(Vec::new())
    }

    pub(super) fn drop_pipe(&mut self) {}

    pub(super) fn poll_empty(&mut self, _: &mut Context<'_>, _: &TcpStream) -> Poll<io::Result<Emptied>> {
        Poll::Ready(Ok(Emptied::Wrote(0)))
    }
}

pub(super) fn sockets<'a, R, W>(_: &'a R, _: &'a W) -> Option<(&'a TcpStream, &'a TcpStream)> {
    None
}
