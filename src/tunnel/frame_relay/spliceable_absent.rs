//! Where there is no `splice(2)`: nothing passes unseen.

use std::{
    io,
    task::{Context, Poll},
};

use tokio::net::TcpStream;

use super::{FrameRelay, Rewritten};

/// See the Linux module.
#[derive(Debug, Default)]
pub(in super::super) struct Spliceable {
    pub(in super::super) bytes: u64,
}

#[allow(clippy::unused_self, reason = "the same surface as on Linux")]
impl FrameRelay {
    pub(in super::super) fn poll_spliceable(
        &mut self,
        _: &mut Context<'_>,
        _: &TcpStream,
    ) -> Poll<io::Result<Spliceable>> {
        Poll::Ready(Ok(Spliceable::default()))
    }

    pub(in super::super) fn peek_next(
        &mut self,
        _: &mut Context<'_>,
        _: &TcpStream,
        _: &mut Spliceable,
    ) -> bool {
        false
    }

    pub(in super::super) fn reinspect(&mut self, bytes: Vec<u8>, _: usize) -> Rewritten {
        Rewritten { bytes, injected: 0..0 }
    }

    pub(in super::super) fn skip(&mut self, _: usize, _: &Spliceable) -> bool {
        false
    }
}
