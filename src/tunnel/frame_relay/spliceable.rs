//! Payload that is spliced past the lane.

use std::{
    io,
    task::{Context, Poll, ready},
};

use tokio::{io::ReadBuf, net::TcpStream};

use super::{
    super::{
        frames::{Frame, MAX_HEADER},
        splice::LARGE,
    },
    FrameError, FrameRelay, Rewritten,
};

/// What may pass without being looked at.
#[derive(Debug, Default)]
pub(in super::super) struct Spliceable {
    /// Bytes.
    pub(in super::super) bytes: u64,
    /// The header they begin with, which was looked at where it lies.
    header: [u8; MAX_HEADER],
    size: usize,
}

impl FrameRelay {
    /// How much may pass unseen: to the end of the frame, or of the next one. None, when it is to be looked
    /// at.
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
        let mut here = self.filter.output();
        if !here.at_boundary() || !self.filter.withheld().is_empty() {
            spliceable.bytes = if self.inspector.large { here.skippable() } else { 0 };
            return Poll::Ready(Ok(spliceable));
        }
        let mut header = ReadBuf::new(&mut spliceable.header);
        ready!(from.poll_peek(cx, &mut header))?;
        if let Some(event) = here.parse(header.filled()).next()
            && let Frame::Data(data) = event.frame
            && data.length >= LARGE as u64
            && FrameError::of(&event, self.from, &self.config).is_none()
        {
            spliceable.size = event.end;
            spliceable.bytes = data.length.saturating_add(event.end as u64);
        }
        Poll::Ready(Ok(spliceable))
    }

    /// Looks at what comes behind what has passed unseen. False when it can't pass so too, or is not there
    /// yet.
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
            // It is told once only, and what stands in the pipe goes first.
            Poll::Ready(Err(error)) => self.read_error = Some(error),
            Poll::Pending => {}
        }
        false
    }

    /// The last `bytes` of what was piped are to be looked at after all.
    pub(in super::super) fn reinspect(&mut self, mut piped: Vec<u8>, bytes: usize) -> Rewritten {
        let spliceable = piped.len().saturating_sub(bytes);
        match self.pass(&piped[spliceable..]) {
            None => Rewritten { bytes: piped, injected: 0..0 },
            Some(Rewritten { bytes, injected }) => {
                piped.truncate(spliceable);
                piped.extend_from_slice(&bytes);
                Rewritten { bytes: piped, injected: spliceable + injected.start..spliceable + injected.end }
            }
        }
    }

    /// So many bytes have passed unseen. False when they ended within a header, and are to be looked at
    /// after all.
    pub(in super::super) fn skip(&mut self, bytes: usize, spliceable: &Spliceable) -> bool {
        if self.passes_through() {
            return true;
        }
        let Some(payload) = bytes.checked_sub(spliceable.size) else { return false };
        let passed = self.filter(&spliceable.header[..spliceable.size]);
        debug_assert!(passed.dropped.is_none(), "it was judged before");
        self.filter.skip(payload as u64);
        true
    }
}
