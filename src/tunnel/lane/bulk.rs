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
    Fault, Lane, Made,
};

/// What may pass without being looked at.
#[derive(Debug, Default)]
pub(in super::super) struct Unseen {
    /// Bytes.
    pub(in super::super) bytes: u64,
    /// The header they begin with, which was looked at where it lies.
    header: [u8; MAX_HEADER],
    size: usize,
}

impl Lane {
    /// How much may pass unseen: to the end of the frame, or of the next one. None, when it is to be looked
    /// at.
    pub(in super::super) fn poll_unseen(
        &mut self,
        cx: &mut Context<'_>,
        from: &TcpStream,
    ) -> Poll<io::Result<Unseen>> {
        let mut unseen = Unseen::default();
        if self.is_deaf() || self.due.is_some() {
            return Poll::Ready(Ok(unseen));
        }
        if self.is_opaque() {
            unseen.bytes = u64::MAX;
            return Poll::Ready(Ok(unseen));
        }
        let mut here = self.filter.output();
        if !here.at_boundary() || !self.filter.held().is_empty() {
            unseen.bytes = if self.ear.large { here.skippable() } else { 0 };
            return Poll::Ready(Ok(unseen));
        }
        let mut header = ReadBuf::new(&mut unseen.header);
        ready!(from.poll_peek(cx, &mut header))?;
        if let Some(event) = here.parse(header.filled()).next()
            && let Frame::Data(data) = event.frame
            && data.length >= LARGE as u64
            && Fault::of(&event, self.from, &self.config).is_none()
        {
            unseen.size = event.end;
            unseen.bytes = data.length.saturating_add(event.end as u64);
        }
        Poll::Ready(Ok(unseen))
    }

    /// Looks at what comes behind what has passed unseen. False when it can't pass so too, or is not there
    /// yet.
    pub(in super::super) fn look_ahead(
        &mut self,
        cx: &mut Context<'_>,
        from: &TcpStream,
        unseen: &mut Unseen,
    ) -> bool {
        match self.poll_unseen(cx, from) {
            Poll::Ready(Ok(next)) => {
                *unseen = next;
                return unseen.bytes > 0;
            }
            // It is told once only, and what stands in the pipe goes first.
            Poll::Ready(Err(error)) => self.error = Some(error),
            Poll::Pending => {}
        }
        false
    }

    /// The last `bytes` of what was piped are to be looked at after all.
    pub(in super::super) fn look_back(&mut self, mut piped: Vec<u8>, bytes: usize) -> Made {
        let unseen = piped.len().saturating_sub(bytes);
        match self.pass(&piped[unseen..]) {
            None => Made { bytes: piped, ours: 0..0 },
            Some(Made { bytes, ours }) => {
                piped.truncate(unseen);
                piped.extend_from_slice(&bytes);
                Made { bytes: piped, ours: unseen + ours.start..unseen + ours.end }
            }
        }
    }

    /// So many bytes have passed unseen. False when they ended within a header, and are to be looked at
    /// after all.
    pub(in super::super) fn skip(&mut self, bytes: usize, unseen: &Unseen) -> bool {
        if self.is_opaque() {
            return true;
        }
        let Some(payload) = bytes.checked_sub(unseen.size) else { return false };
        let passed = self.filter(&unseen.header[..unseen.size]);
        debug_assert!(passed.dropped.is_none(), "it was judged before");
        self.filter.skip(payload as u64);
        true
    }
}
