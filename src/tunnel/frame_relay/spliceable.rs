//! Payload that is spliced without being read.
//!
//! While a direction is spliced, the relay peeks at the header of the next frame. If it belongs to a large data
//! frame that passes, the header and the payload go through the pipe, and the parser [skips](FrameRelay::skip)
//! them. If the frame after it has arrived as well ([`peek_next`](FrameRelay::peek_next)), it goes into the same
//! pipe, so that one splice to the writer carries several frames. If fewer bytes than the header arrive in the
//! pipe, they are read back and [inspected](FrameRelay::reinspect) as usual.

use std::{
    io,
    task::{Context, Poll, ready},
};

use tokio::{io::ReadBuf, net::TcpStream};

use super::{
    super::{
        frames::{Boundary, Frame, MAX_HEADER},
        splice::LARGE,
    },
    FrameError, FrameRelay, Rewritten,
};

/// The next bytes of the reader that may be spliced.
#[derive(Debug, Default)]
pub(in super::super) struct Spliceable {
    /// Number of bytes: up to the end of the frame. 0 if they have to be read.
    pub(in super::super) bytes: u64,
    /// The header at their beginning, peeked at.
    header: [u8; MAX_HEADER],
    header_size: usize,
}

impl FrameRelay {
    /// Determines how many bytes may be spliced: the remaining payload of the current frame, or the whole next
    /// frame. Peeks at the next header if necessary.
    pub(in super::super) fn poll_spliceable(
        &mut self,
        cx: &mut Context<'_>,
        from: &TcpStream,
    ) -> Poll<io::Result<Spliceable>> {
        let mut spliceable = Spliceable::default();
        if self.discards() || self.injected.is_some() {
            return Poll::Ready(Ok(spliceable));
        }
        if self.passes_through() {
            spliceable.bytes = u64::MAX;
            return Poll::Ready(Ok(spliceable));
        }
        let mut parser = self.filter.output();
        if !parser.at_boundary(Boundary::Frame) || !self.filter.withheld().is_empty() {
            spliceable.bytes = if self.inspector.is_large { parser.skippable() } else { 0 };
            return Poll::Ready(Ok(spliceable));
        }
        let mut header = ReadBuf::new(&mut spliceable.header);
        ready!(from.poll_peek(cx, &mut header))?;
        if let Some(event) = parser.parse(header.filled()).next()
            && let Frame::Data(data) = event.frame
            && data.length >= LARGE as u64
            && FrameError::of(&event, self.from, &self.config).is_none()
        {
            spliceable.header_size = event.end;
            spliceable.bytes = data.length.saturating_add(event.end as u64);
        }
        Poll::Ready(Ok(spliceable))
    }

    /// Replaces `spliceable`, which is in the pipe, by the bytes after it. False when these have to be read, or
    /// have not arrived.
    pub(in super::super) fn peek_next(
        &mut self,
        cx: &mut Context<'_>,
        from: &TcpStream,
        spliceable: &mut Spliceable,
    ) -> bool {
        match self.poll_spliceable(cx, from) {
            Poll::Ready(Ok(next)) => {
                *spliceable = next;
                return spliceable.bytes > 0;
            }
            // A socket reports an error once. The bytes in the pipe are written before it counts.
            Poll::Ready(Err(error)) => self.read_error = Some(error),
            Poll::Pending => {}
        }
        false
    }

    /// Advances over `bytes` of `spliceable` that are in the pipe. False when they end within the header: then
    /// they have to be inspected.
    pub(in super::super) fn skip(&mut self, bytes: usize, spliceable: &Spliceable) -> bool {
        if self.passes_through() {
            return true;
        }
        let Some(payload) = bytes.checked_sub(spliceable.header_size) else { return false };
        let output = self.filter(&spliceable.header[..spliceable.header_size]);
        debug_assert!(output.dropped.is_none(), "the header was inspected before");
        self.filter.skip(payload as u64);
        true
    }

    /// Inspects the last `bytes` of `piped`, which was read back from the pipe.
    pub(in super::super) fn reinspect(&mut self, mut piped: Vec<u8>, bytes: usize) -> Rewritten {
        let skipped = piped.len().saturating_sub(bytes);
        match self.relay(&piped[skipped..]) {
            None => Rewritten::relayed(piped),
            Some(Rewritten { bytes, injected }) => {
                piped.truncate(skipped);
                piped.extend_from_slice(&bytes);
                Rewritten { bytes: piped, injected: skipped + injected.start..skipped + injected.end }
            }
        }
    }
}
