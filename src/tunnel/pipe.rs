//! Kernel pipes, lent for as long as bytes stand in them.

use std::{
    cell::RefCell,
    fs, io,
    os::fd::{AsFd, OwnedFd},
    sync::OnceLock,
};

use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_getpipe_size, fcntl_setpipe_size, pipe_with, splice};

use crate::{sync::atomic::AtomicUsize, sync::atomic::Ordering};

/// Bytes a pipe is asked to hold. The kernel lets every user have 64 MiB of pipes of this size and
/// smaller; it may grant less.
pub(super) const CAPACITY: u32 = 256 * 1024;

/// A pipe that holds less than one read into the scratch buffer is not worth its system calls.
const WORTHWHILE: usize = 64 * 1024;

/// Pipes that hold bytes at the same time, in the whole process: 16 MiB.
const MOST: usize = 64;

/// Empty pipes that a thread keeps for the next time.
const KEPT: usize = 4;

static LENT: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static EMPTY: RefCell<Vec<(OwnedFd, OwnedFd)>> = const { RefCell::new(Vec::new()) };
}

/// Both ends of a pipe, and how many bytes stand in it.
#[derive(Debug)]
pub(super) struct Pipe {
    reader: OwnedFd,
    writer: OwnedFd,
    held: u32,
    _permit: PipePermit,
}

/// Counts one pipe among those that are out.
#[derive(Debug)]
struct PipePermit;

impl Pipe {
    /// An empty pipe of the thread's, or a new one. `None` when too many are out, when the system
    /// refuses one, or when writing into a closed socket would kill the process.
    pub(super) fn lend() -> Option<Self> {
        let _permit = PipePermit::one_more()?;
        let kept = EMPTY.try_with(|empty| empty.try_borrow_mut().ok()?.pop());
        let (reader, writer) = kept.ok().flatten().or_else(open)?;
        Some(Self { reader, writer, held: 0, _permit })
    }

    /// Gives the pipe back to the thread when it is empty; one that holds bytes is closed.
    pub(super) fn give_back(self) {
        if self.held > 0 {
            return;
        }
        let _ = EMPTY.try_with(|empty| {
            let Ok(mut empty) = empty.try_borrow_mut() else { return };
            if empty.len() < KEPT {
                empty.push((self.reader, self.writer));
            }
        });
    }

    /// Whether so many pipes are out that none should wait for a slow reader.
    pub(super) fn is_scarce() -> bool {
        LENT.load(Ordering::Relaxed) > MOST / 2
    }

    pub(super) fn is_empty(&self) -> bool {
        self.held == 0
    }

    /// Moves what `socket` has into the pipe, `most` bytes at most. Only when the pipe is empty does
    /// `WouldBlock` mean the socket for sure.
    pub(super) fn fill(&mut self, socket: impl AsFd, most: u32) -> io::Result<usize> {
        let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
        let moved = splice(socket, None, &self.writer, None, most as usize, flags)?;
        self.held = self.held.saturating_add(u32::try_from(moved).unwrap_or(u32::MAX));
        Ok(moved)
    }

    /// How much more it should take, once it holds something.
    pub(super) fn room(&self) -> u32 {
        CAPACITY.saturating_sub(self.held)
    }

    /// Moves what stands in the pipe to `socket`, as far as that takes it.
    pub(super) fn empty(&mut self, socket: impl AsFd) -> io::Result<usize> {
        let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
        let moved = splice(&self.reader, None, socket, None, self.held as usize, flags)?;
        self.held = self.held.saturating_sub(u32::try_from(moved).unwrap_or(u32::MAX));
        Ok(moved)
    }

    /// Copies what stands in the pipe to memory.
    pub(super) fn evacuate(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; self.held as usize];
        let mut filled = 0;
        while filled < bytes.len() {
            match rustix::io::read(&self.reader, &mut bytes[filled..])? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => filled += read,
            }
        }
        self.held = 0;
        Ok(bytes)
    }
}

impl PipePermit {
    fn one_more() -> Option<Self> {
        // Counted first, so that no race lets one too many out; dropping it takes it back.
        let (before, lent) = (LENT.fetch_add(1, Ordering::Relaxed), Self);
        (before < MOST).then_some(lent)
    }
}

impl Drop for PipePermit {
    fn drop(&mut self) {
        LENT.fetch_sub(1, Ordering::Relaxed);
    }
}

fn open() -> Option<(OwnedFd, OwnedFd)> {
    if !survives_sigpipe() {
        return None;
    }
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).ok()?;
    // Above the user's limit the size stays as it is, which can be a page or two.
    let size = fcntl_setpipe_size(&writer, CAPACITY as usize).or_else(|_| fcntl_getpipe_size(&writer));
    size.is_ok_and(|size| size >= WORTHWHILE).then_some((reader, writer))
}

/// `splice(2)` into a socket whose peer has gone raises SIGPIPE, which `send(2)` can be told not to.
/// Rust programs ignore that signal; a program of another language that loads this code may not.
fn survives_sigpipe() -> bool {
    static SURVIVES: OnceLock<bool> = OnceLock::new();
    // Asked again while there is no answer: without a free descriptor the file cannot be opened.
    let ask = || fs::read_to_string("/proc/self/status").ok().map(|status| ignores_sigpipe(&status));
    SURVIVES.get().copied().or_else(|| ask().map(|answer| *SURVIVES.get_or_init(|| answer))).unwrap_or(false)
}

/// Reads `SigIgn` and `SigCgt` ([proc_pid_status(5)](https://man7.org/linux/man-pages/man5/proc_pid_status.5.html)).
fn ignores_sigpipe(status: &str) -> bool {
    const SIGPIPE: u32 = 13;
    let handled = status.lines().filter_map(|line| {
        let mask = line.strip_prefix("SigIgn:").or_else(|| line.strip_prefix("SigCgt:"))?;
        u64::from_str_radix(mask.trim(), 16).ok()
    });
    handled.fold(0, |all, mask| all | mask) >> (SIGPIPE - 1) & 1 == 1
}

#[cfg(all(test, upgrade_proxy_model))]
mod model;

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg_attr(miri, ignore = "/proc tells of Miri's own process")]
    #[test]
    fn this_process_survives_sigpipe_and_one_that_does_not_is_known() {
        assert!(survives_sigpipe());
        for (status, survives) in [
            ("SigIgn:\t0000000000001000\nSigCgt:\t0000000000000000\n", true),
            ("SigIgn:\t0000000000000000\nSigCgt:\t0000000180001440\n", true),
            ("SigIgn:\t0000000000000000\nSigCgt:\t0000000180000440\n", false),
            ("SigBlk:\t0000000000001000\nSigIgn:\t0000000000002000\n", false),
            ("SigIgn:\tnonsense\n", false),
            ("", false),
        ] {
            assert_eq!(ignores_sigpipe(status), survives, "{status:?}");
        }
    }

    #[cfg_attr(miri, ignore = "opens a pipe")]
    #[test]
    fn bytes_leave_a_pipe_as_they_came() {
        let (mut there, here) = std::os::unix::net::UnixStream::pair().unwrap();
        io::Write::write_all(&mut there, b"in a pipe").unwrap();
        let mut pipe = Pipe::lend().unwrap();
        assert_eq!((pipe.fill(&here, 100).unwrap(), pipe.is_empty()), (9, false));
        assert_eq!(pipe.evacuate().unwrap(), b"in a pipe");
        assert!(pipe.is_empty());
    }
}
