//! The path of a direction through a pipe.

use std::task::{Context, Poll, ready};

use tokio::net::TcpStream;

use super::{
    super::{
        pending::Pending,
        splice::{Emptied, sockets},
    },
    CopyError, Direction, PollCopy, Step,
};

impl Direction {
    /// Writes the bytes in the pipe.
    pub(super) fn poll_piped<R, W>(&mut self, cx: &mut Context<'_>, reader: &R, writer: &W) -> PollCopy
    where
        R: 'static,
        W: 'static,
    {
        let Some((_, to)) = sockets(reader, writer) else { return Poll::Ready(Ok(())) };
        while self.splice.holds_bytes() {
            match ready!(self.splice.poll_empty(cx, to)).map_err(CopyError::write)? {
                Emptied::Written(bytes) => {
                    self.written += bytes as u64;
                    self.spliced += bytes as u64;
                }
                Emptied::Drained(bytes) => self.pending = Pending::relayed(bytes.into()),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Moves bytes from the reader into a pipe. `None` if they have to go through the scratch buffer.
    pub(super) fn poll_splice(
        &mut self,
        cx: &mut Context<'_>,
        from: &TcpStream,
        allowed: u64,
    ) -> Poll<Result<Option<Step>, CopyError>> {
        let Some(relay) = &mut self.frame_relay else {
            let filled = ready!(self.splice.poll_fill(cx, from, allowed)).map_err(CopyError::read)?;
            return Poll::Ready(Ok(filled.map(|bytes| self.piped(bytes))));
        };
        let mut spliceable = ready!(relay.poll_spliceable(cx, from)).map_err(CopyError::read)?;
        let filled = ready!(self.splice.poll_fill(cx, from, spliceable.bytes.min(allowed)));
        let Some(mut bytes) = filled.map_err(CopyError::read)? else { return Poll::Ready(Ok(None)) };
        let mut step = self.piped(bytes);
        while let Some(relay) = &mut self.frame_relay
            && bytes > 0
        {
            if !relay.skip(bytes, &spliceable) {
                // The bytes end within a header.
                let drained = self.splice.drain().map_err(CopyError::read)?;
                step = Step::Left(Pending::rewritten(relay.reinspect(drained, bytes)));
                break;
            }
            // Continues with the next frame if that has arrived.
            if bytes as u64 != spliceable.bytes
                || allowed < u64::MAX
                || !relay.peek_next(cx, from, &mut spliceable)
            {
                break;
            }
            bytes = self.splice.top_up(from, spliceable.bytes);
            self.count(bytes);
        }
        Poll::Ready(Ok(Some(step)))
    }

    fn piped(&mut self, bytes: usize) -> Step {
        self.count(bytes);
        if bytes == 0 { Step::Finished } else { Step::Moved }
    }
}
