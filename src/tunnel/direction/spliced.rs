//! The path of a direction through a pipe.

use std::task::{Context, Poll, ready};

use tokio::net::TcpStream;

use super::{
    super::{pending::Pending, splice::sockets},
    CopyError, Direction, PollCopy,
};

impl Direction {
    /// Writes the bytes in the pipe. They become pending if the pipe has to be drained.
    pub(super) fn poll_piped<R, W>(&mut self, cx: &mut Context<'_>, reader: &R, writer: &W) -> PollCopy
    where
        R: 'static,
        W: 'static,
    {
        let Some((_, to)) = sockets(reader, writer) else { return Poll::Ready(Ok(())) };
        while self.splice.holds_bytes() {
            match ready!(self.splice.poll_empty(cx, to)).map_err(CopyError::write)? {
                Some(bytes) => {
                    self.written += bytes as u64;
                    self.spliced += bytes as u64;
                }
                None => {
                    let drained = self.splice.drain().map_err(CopyError::write)?;
                    self.pending = Pending::relayed(drained.into());
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Reads bytes into a pipe. Returns their number; 0 if the reader has finished, and `None` if the bytes have
    /// to go through the scratch buffer.
    pub(super) fn poll_splice(
        &mut self,
        cx: &mut Context<'_>,
        from: &TcpStream,
        allowed: u64,
    ) -> Poll<Result<Option<usize>, CopyError>> {
        let Some(relay) = &mut self.frame_relay else {
            let read = ready!(self.splice.poll_fill(cx, from, allowed)).map_err(CopyError::read)?;
            self.count_read(read.unwrap_or(0));
            return Poll::Ready(Ok(read));
        };
        let mut spliceable = ready!(relay.poll_spliceable(cx, from)).map_err(CopyError::read)?;
        let filled = ready!(self.splice.poll_fill(cx, from, spliceable.bytes.min(allowed)));
        let Some(read) = filled.map_err(CopyError::read)? else { return Poll::Ready(Ok(None)) };
        self.count_read(read);
        let mut bytes = read;
        while let Some(relay) = &mut self.frame_relay
            && bytes > 0
        {
            if !relay.skip(bytes, &spliceable) {
                // The bytes end within a header.
                let drained = self.splice.drain().map_err(CopyError::read)?;
                self.pending = Pending::rewritten(relay.reinspect(drained, bytes));
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
            self.count_read(bytes);
        }
        Poll::Ready(Ok(Some(read)))
    }
}
