//! Transfers between a socket and a pipe.

use std::{
    any::Any,
    io,
    task::{Context, Poll, ready},
};

use tokio::{io::Interest, net::TcpStream};

use super::{
    LARGE, Splice,
    pipe::{CAPACITY, Pipe},
};

/// Bytes per transfer while pipes are scarce: one read into the scratch buffer.
const SCARCE_CAPACITY: u32 = 64 * 1024;

impl Splice {
    /// Moves up to `limit` bytes from `from` into a pipe. `None` if `limit` is 0, if there is no pipe, or if
    /// the system does not splice this socket.
    pub(in super::super) fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        from: &TcpStream,
        limit: u64,
    ) -> Poll<io::Result<Option<usize>>> {
        if limit == 0 {
            return Poll::Ready(Ok(None));
        }
        loop {
            ready!(from.poll_read_ready(cx))?;
            let Some(mut pipe) = Pipe::acquire() else { return Poll::Ready(Ok(None)) };
            let room = if Pipe::is_scarce() { SCARCE_CAPACITY } else { CAPACITY };
            let bytes = u32::try_from(limit).map_or(room, |limit| limit.min(room));
            let filled = from.try_io(Interest::READABLE, || pipe.fill(from, bytes));
            if pipe.is_empty() {
                pipe.release();
            } else {
                self.pipe = Some(pipe);
            }
            match filled {
                Ok(bytes) => return Poll::Ready(Ok(Some(bytes))),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if is_refusal(&error) => {
                    self.refused = true;
                    return Poll::Ready(Ok(None));
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Moves up to `limit` more bytes into a pipe that holds some. A smaller number, or 0, does not mean that
    /// `from` is empty.
    pub(in super::super) fn top_up(&mut self, from: &TcpStream, limit: u64) -> usize {
        let Some(pipe) = self.pipe.as_mut().filter(|_| !Pipe::is_scarce()) else { return 0 };
        let room = pipe.room();
        let limit = u32::try_from(limit).map_or(room, |limit| limit.min(room));
        if (room as usize) < LARGE { 0 } else { pipe.fill(from, limit).unwrap_or(0) }
    }

    /// Moves bytes from the pipe to `to`. `None` if the pipe is to be [drained](Self::drain) instead: because
    /// `to` is not writable while pipes are scarce, or because the system does not splice it.
    pub(in super::super) fn poll_empty(
        &mut self,
        cx: &mut Context<'_>,
        to: &TcpStream,
    ) -> Poll<io::Result<Option<usize>>> {
        let Some(pipe) = &mut self.pipe else { return Poll::Ready(Ok(Some(0))) };
        loop {
            if to.poll_write_ready(cx)?.is_pending() {
                return if Pipe::is_scarce() { Poll::Ready(Ok(None)) } else { Poll::Pending };
            }
            match to.try_io(Interest::WRITABLE, || pipe.empty(to)) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(written) => {
                    self.release_if_empty();
                    return Poll::Ready(Ok(Some(written)));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if is_refusal(&error) => {
                    self.refused = true;
                    return Poll::Ready(Ok(None));
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Drains the pipe to memory.
    pub(in super::super) fn drain(&mut self) -> io::Result<Vec<u8>> {
        let bytes = self.pipe.as_mut().map_or_else(|| Ok(Vec::new()), Pipe::drain);
        self.release_if_empty();
        bytes
    }

    fn release_if_empty(&mut self) {
        if let Some(pipe) = self.pipe.take_if(|pipe| pipe.is_empty()) {
            pipe.release();
        }
    }
}

/// Returns both ends as sockets if they are `TcpStream`s.
pub(in super::super) fn sockets<'a, R: 'static, W: 'static>(
    reader: &'a R,
    writer: &'a W,
) -> Option<(&'a TcpStream, &'a TcpStream)> {
    Some(((reader as &dyn Any).downcast_ref()?, (writer as &dyn Any).downcast_ref()?))
}

/// Returns true if the system does not splice these sockets, and the connection itself is intact.
fn is_refusal(error: &io::Error) -> bool {
    use rustix::io::Errno;
    [Errno::INVAL, Errno::NOSYS, Errno::PERM, Errno::NOMEM, Errno::OPNOTSUPP]
        .iter()
        .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}
