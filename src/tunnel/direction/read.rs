//! The reader of a direction.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

#[cfg(target_os = "linux")]
use super::super::splice::{LARGE, sockets};
use super::{
    super::{pending::Pending, scratch::with_scratch},
    CopyError, Direction,
    write::poll_write,
};

impl Direction {
    /// Reads bytes into a pipe if that is worth it, or else through the scratch buffer. Returns their number; 0 if
    /// the reader has finished.
    pub(super) fn poll_read<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut R,
        writer: &mut W,
    ) -> Poll<Result<usize, CopyError>>
    where
        R: AsyncRead + Unpin + 'static,
        W: AsyncWrite + Unpin + 'static,
    {
        if let Some(error) = self.frame_relay.as_mut().and_then(|relay| relay.take_read_error()) {
            return Poll::Ready(Err(CopyError::read(error)));
        }
        let allowed = match &mut self.rate {
            Some(rate) if !self.frame_relay.as_ref().is_some_and(|relay| relay.discards()) => {
                rate.available(Instant::now())
            }
            // No limit for bytes that are discarded.
            _ => u64::MAX,
        };
        if allowed == 0 {
            return Poll::Pending;
        }
        #[cfg(target_os = "linux")]
        if self.splice.is_wanted()
            && allowed >= LARGE as u64
            && let Some((from, _)) = sockets(reader, writer)
            && let Some(bytes) = ready!(self.poll_splice(cx, from, allowed))?
        {
            return Poll::Ready(Ok(bytes));
        }
        self.poll_scratch(cx, reader, writer, allowed)
    }

    /// Reads into the scratch buffer, and writes as much as the writer accepts. The rest becomes pending.
    fn poll_scratch<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut R,
        writer: &mut W,
        allowed: u64,
    ) -> Poll<Result<usize, CopyError>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        with_scratch(|scratch| {
            let limit = usize::try_from(allowed).map_or(scratch.len(), |allowed| allowed.min(scratch.len()));
            let mut buf = ReadBuf::new(&mut scratch[..limit]);
            ready!(Pin::new(reader).poll_read(cx, &mut buf)).map_err(CopyError::read)?;
            let mut bytes = buf.filled();
            let read = bytes.len();
            if read == 0 {
                return Poll::Ready(Ok(0));
            }
            self.count_read(read);
            if let Some(relay) = &mut self.frame_relay
                && let Some(rewritten) = relay.relay(bytes)
            {
                self.pending = Pending::rewritten(rewritten);
                return Poll::Ready(Ok(read));
            }
            while !bytes.is_empty() {
                match poll_write(cx, writer, bytes)? {
                    Poll::Ready(written) => {
                        self.count_written(written);
                        bytes = &bytes[written..];
                    }
                    Poll::Pending => {
                        self.pending = Pending::relayed(Bytes::copy_from_slice(bytes));
                        break;
                    }
                }
            }
            Poll::Ready(Ok(read))
        })
    }
}
