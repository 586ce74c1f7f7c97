//! Where there is no `splice(2)`: nothing passes unseen.

use std::{
    io,
    task::{Context, Poll},
};

use tokio::net::TcpStream;

use super::{Lane, Made};

/// See the Linux module.
#[derive(Debug, Default)]
pub(in super::super) struct Unseen {
    pub(in super::super) bytes: u64,
}

#[allow(clippy::unused_self, reason = "the same surface as on Linux")]
impl Lane {
    pub(in super::super) fn poll_unseen(
        &mut self,
        _: &mut Context<'_>,
        _: &TcpStream,
    ) -> Poll<io::Result<Unseen>> {
        Poll::Ready(Ok(Unseen::default()))
    }

    pub(in super::super) fn look_ahead(
        &mut self,
        _: &mut Context<'_>,
        _: &TcpStream,
        _: &mut Unseen,
    ) -> bool {
        false
    }

    pub(in super::super) fn look_back(&mut self, bytes: Vec<u8>, _: usize) -> Made {
        Made { bytes, ours: 0..0 }
    }

    pub(in super::super) fn skip(&mut self, _: usize, _: &Unseen) -> bool {
        false
    }
}
