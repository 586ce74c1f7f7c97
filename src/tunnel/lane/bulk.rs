//! Payload that is spliced past the lane.

use std::{
    io,
    task::{Context, Poll, ready},
};

use tokio::{io::ReadBuf, net::TcpStream};

use super::{
    super::frames::{Frame, Verdict},
    Lane,
};

/// Bytes of the longest header of a frame.
const LONGEST: usize = 14;

/// A header that was looked at where it lies, to be spliced with its payload.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    head: [u8; LONGEST],
    size: usize,
}

impl Lane {
    /// How many bytes may pass unseen: to the end of the frame, or of the next one. None, when they are to
    /// be looked at.
    pub(in super::super) fn poll_unseen(
        &mut self,
        cx: &mut Context<'_>,
        from: &TcpStream,
    ) -> Poll<io::Result<u64>> {
        self.ahead.size = 0;
        if self.is_deaf() || self.due.is_some() {
            return Poll::Ready(Ok(0));
        }
        let here = self.filter.passed();
        if !here.at_boundary() || !self.filter.held().is_empty() {
            return Poll::Ready(Ok(here.unseen()));
        }
        let mut head = ReadBuf::new(&mut self.ahead.head);
        ready!(from.poll_peek(cx, &mut head))?;
        let mut next = here;
        let first = next.walk(head.filled()).next();
        Poll::Ready(Ok(match first.map(|event| (event.frame, event)) {
            Some((Frame::Data(data), event)) if self.ear.would(&event) == Verdict::Pass => {
                self.ahead.size = event.end;
                data.length.saturating_add(event.end as u64)
            }
            _ => 0,
        }))
    }

    /// So many bytes have passed unseen. False when they ended within a header, and are to be looked at
    /// after all.
    pub(in super::super) fn skip(&mut self, bytes: usize) -> bool {
        let size = std::mem::take(&mut self.ahead.size);
        let Some(payload) = bytes.checked_sub(size) else { return false };
        let Self { ahead, filter, ear, .. } = self;
        let passed = filter.pass(&ahead.head[..size], |event| ear.judge(event));
        debug_assert!(passed.cut.is_none(), "it was judged before");
        filter.skip(payload as u64);
        true
    }
}
