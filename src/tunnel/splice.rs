//! Bulk bytes between two sockets, moved inside the kernel.
//!
//! [`splice(2)`](https://man7.org/linux/man-pages/man2/splice.2.html) moves pages from a socket into a
//! pipe, and from there to another socket, without copying them. It costs more calls than a read and a
//! write, so a direction uses it only while it has shown itself to be bulk.

use std::{
    any::Any,
    io,
    task::{Context, Poll, ready},
};

use tokio::{io::Interest, net::TcpStream};

use super::pipe::{CAPACITY, Pipe};

/// What arrives in pieces of this many bytes is bulk.
pub(super) const LARGE: usize = 16 * 1024;

/// Large pieces in a row that make a direction bulk.
const ENOUGH: u8 = 2;

/// Bytes taken at once while pipes are scarce: as many as the scratch path would hold back.
const MODEST: u32 = 64 * 1024;

/// Whether a direction is bulk, and the pipe while bytes stand in it.
#[derive(Debug, Default)]
pub(super) struct Splice {
    /// Large pieces in a row.
    streak: u8,
    /// The system does not splice these sockets.
    refused: bool,
    /// Bytes since the reader was last found empty.
    burst: u32,
    pipe: Option<Pipe>,
}

/// How far [`Splice::poll_empty`] got.
pub(super) enum Emptied {
    /// This many bytes were written.
    Wrote(usize),
    /// The pipe's bytes are to be written from memory.
    Drained(Vec<u8>),
}

impl Splice {
    /// So many bytes were read in one piece.
    pub(super) fn read(&mut self, bytes: usize) {
        self.burst = self.burst.saturating_add(u32::try_from(bytes).unwrap_or(u32::MAX));
        if bytes >= LARGE {
            self.streak = self.streak.saturating_add(1);
        }
    }

    /// The reader has no more for now. A message that was small ends the bulk.
    pub(super) fn paused(&mut self) {
        if self.burst > 0 && (self.burst as usize) < LARGE {
            self.streak = 0;
        }
        self.burst = 0;
    }

    /// Whether the next piece is worth a splice.
    pub(super) fn wanted(&self) -> bool {
        self.streak >= ENOUGH && !self.refused
    }

    /// Whether bytes stand in a pipe.
    pub(super) fn holds(&self) -> bool {
        self.pipe.is_some()
    }

    /// Takes what `from` has into a pipe, no more than `most`. `None` when this cannot be spliced now, or
    /// there is nothing that may be.
    pub(super) fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        from: &TcpStream,
        most: u64,
    ) -> Poll<io::Result<Option<usize>>> {
        if most == 0 {
            return Poll::Ready(Ok(None));
        }
        loop {
            ready!(from.poll_read_ready(cx))?;
            let Some(mut pipe) = Pipe::lend() else { return Poll::Ready(Ok(None)) };
            let room = if Pipe::is_scarce() { MODEST } else { CAPACITY };
            let bytes = u32::try_from(most).map_or(room, |most| most.min(room));
            let filled = from.try_io(Interest::READABLE, || pipe.fill(from, bytes));
            if pipe.is_empty() {
                pipe.give_back();
            } else {
                self.pipe = Some(pipe);
            }
            match filled {
                Ok(bytes) => return Poll::Ready(Ok(Some(bytes))),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if refused(&error) => {
                    self.refused = true;
                    return Poll::Ready(Ok(None));
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Takes up to `most` bytes more into the pipe, which holds some. Fewer, or none, say nothing about
    /// `from`.
    pub(super) fn fill_up(&mut self, from: &TcpStream, most: u64) -> usize {
        let Some(pipe) = self.pipe.as_mut().filter(|_| !Pipe::is_scarce()) else { return 0 };
        let room = pipe.room();
        let most = u32::try_from(most).map_or(room, |most| most.min(room));
        if (room as usize) < LARGE { 0 } else { pipe.fill(from, most).unwrap_or(0) }
    }

    /// Moves what stands in the pipe on to `to`.
    pub(super) fn poll_empty(&mut self, cx: &mut Context<'_>, to: &TcpStream) -> Poll<io::Result<Emptied>> {
        let Some(pipe) = &mut self.pipe else { return Poll::Ready(Ok(Emptied::Wrote(0))) };
        loop {
            if to.poll_write_ready(cx)?.is_pending() {
                if !Pipe::is_scarce() {
                    return Poll::Pending;
                }
                break;
            }
            match to.try_io(Interest::WRITABLE, || pipe.empty(to)) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(written) => {
                    self.give_back_if_empty();
                    return Poll::Ready(Ok(Emptied::Wrote(written)));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if refused(&error) => {
                    self.refused = true;
                    break;
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        let bytes = pipe.evacuate()?;
        self.give_back_if_empty();
        Poll::Ready(Ok(Emptied::Drained(bytes)))
    }

    /// What stands in the pipe, in memory.
    pub(super) fn take_back(&mut self) -> io::Result<Vec<u8>> {
        let bytes = self.pipe.as_mut().map_or_else(|| Ok(Vec::new()), Pipe::evacuate);
        self.give_back_if_empty();
        bytes
    }

    /// What stands in the pipe goes nowhere.
    pub(super) fn drop_pipe(&mut self) {
        self.pipe = None;
    }

    fn give_back_if_empty(&mut self) {
        if let Some(pipe) = self.pipe.take_if(|pipe| pipe.is_empty()) {
            pipe.give_back();
        }
    }
}

/// Both sockets, when `reader` and `writer` are nothing else.
pub(super) fn sockets<'a, R: 'static, W: 'static>(
    reader: &'a R,
    writer: &'a W,
) -> Option<(&'a TcpStream, &'a TcpStream)> {
    Some(((reader as &dyn Any).downcast_ref()?, (writer as &dyn Any).downcast_ref()?))
}

/// Whether the system says "not like this", and nothing is wrong with the connection.
fn refused(error: &io::Error) -> bool {
    use rustix::io::Errno;
    [Errno::INVAL, Errno::NOSYS, Errno::PERM, Errno::NOMEM, Errno::OPNOTSUPP]
        .iter()
        .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}
