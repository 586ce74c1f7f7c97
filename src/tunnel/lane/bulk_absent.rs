//! Where there is no `splice(2)`: nothing passes unseen.

use std::{
    io,
    task::{Context, Poll},
};

use tokio::net::TcpStream;

use super::Lane;

/// Nothing.
#[derive(Debug, Default)]
pub(super) struct Ahead {}

#[allow(clippy::unused_self, reason = "the same surface as on Linux")]
impl Lane {
    pub(in super::super) fn poll_unseen(
        &mut self,
        _: &mut Context<'_>,
        _: &TcpStream,
    ) -> Poll<io::Result<u64>> {
        Poll::Ready(Ok(0))
    }

    pub(in super::super) fn skip(&mut self, _: usize) -> bool {
        false
    }
}
