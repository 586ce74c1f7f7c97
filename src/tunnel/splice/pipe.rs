//! Kernel pipes, each in use only while it holds bytes.

use std::{
    cell::RefCell,
    fs, io,
    os::fd::{AsFd, OwnedFd},
    sync::OnceLock,
};

use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_getpipe_size, fcntl_setpipe_size, pipe_with, splice};

use crate::sync::atomic::{AtomicUsize, Ordering};

/// Requested capacity of a pipe in bytes. The kernel allows each user 64 MiB of pipes of at most this size,
/// and may grant less.
pub(super) const CAPACITY: u32 = 256 * 1024;

/// Minimum capacity of a pipe: with less than one read into the scratch buffer the system calls cost more
/// than the copy.
const MIN_CAPACITY: usize = 64 * 1024;

/// Maximum number of pipes in use in the process: 16 MiB.
const MAX_IN_USE: usize = 64;

/// Maximum number of empty pipes that a thread keeps for reuse.
const MAX_KEPT: usize = 4;

static IN_USE: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// Empty pipes.
    static KEPT: RefCell<Vec<(OwnedFd, OwnedFd)>> = const { RefCell::new(Vec::new()) };
}

/// Both ends of a pipe, and the number of bytes in it.
#[derive(Debug)]
pub(super) struct Pipe {
    reader: OwnedFd,
    writer: OwnedFd,
    held: u32,
    _permit: PipePermit,
}

/// Permit for one pipe in use.
#[derive(Debug)]
struct PipePermit;

impl Pipe {
    /// Returns an empty pipe kept by the thread, or a new one. `None` if too many are in use, if the system
    /// refuses a new one, or if a write to a closed socket would kill the process.
    pub(super) fn acquire() -> Option<Self> {
        let _permit = PipePermit::acquire()?;
        let kept = KEPT.try_with(|kept| kept.try_borrow_mut().ok()?.pop());
        let (reader, writer) = kept.ok().flatten().or_else(open)?;
        Some(Self { reader, writer, held: 0, _permit })
    }

    /// Returns the pipe to the thread if it is empty, and closes it otherwise.
    pub(super) fn release(self) {
        if self.held > 0 {
            return;
        }
        let _ = KEPT.try_with(|kept| {
            let Ok(mut kept) = kept.try_borrow_mut() else { return };
            if kept.len() < MAX_KEPT {
                kept.push((self.reader, self.writer));
            }
        });
    }

    /// Returns true if more than half of the pipes are in use. Then no pipe waits for a slow reader.
    pub(super) fn is_scarce() -> bool {
        IN_USE.load(Ordering::Relaxed) > MAX_IN_USE / 2
    }

    pub(super) fn is_empty(&self) -> bool {
        self.held == 0
    }

    /// Moves up to `limit` bytes from `socket` into the pipe. `WouldBlock` certainly refers to the socket only
    /// if the pipe is empty.
    pub(super) fn fill(&mut self, socket: impl AsFd, limit: u32) -> io::Result<usize> {
        let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
        let moved = splice(socket, None, &self.writer, None, limit as usize, flags)?;
        self.held = self.held.saturating_add(u32::try_from(moved).unwrap_or(u32::MAX));
        Ok(moved)
    }

    /// Returns the free capacity.
    pub(super) fn room(&self) -> u32 {
        CAPACITY.saturating_sub(self.held)
    }

    /// Moves bytes from the pipe to `socket`, as many as the socket accepts.
    pub(super) fn empty(&mut self, socket: impl AsFd) -> io::Result<usize> {
        let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
        let moved = splice(&self.reader, None, socket, None, self.held as usize, flags)?;
        self.held = self.held.saturating_sub(u32::try_from(moved).unwrap_or(u32::MAX));
        Ok(moved)
    }

    /// Reads all bytes of the pipe to memory.
    pub(super) fn drain(&mut self) -> io::Result<Vec<u8>> {
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
    fn acquire() -> Option<Self> {
        // Counted first, so that no race exceeds the limit. Dropping the permit corrects the count.
        let (before, permit) = (IN_USE.fetch_add(1, Ordering::Relaxed), Self);
        (before < MAX_IN_USE).then_some(permit)
    }
}

impl Drop for PipePermit {
    fn drop(&mut self) {
        IN_USE.fetch_sub(1, Ordering::Relaxed);
    }
}

fn open() -> Option<(OwnedFd, OwnedFd)> {
    if !survives_sigpipe() {
        return None;
    }
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).ok()?;
    // Above the user's limit the size stays unchanged, which can be one or two pages.
    let size = fcntl_setpipe_size(&writer, CAPACITY as usize).or_else(|_| fcntl_getpipe_size(&writer));
    size.is_ok_and(|size| size >= MIN_CAPACITY).then_some((reader, writer))
}

/// Returns true if SIGPIPE is ignored or handled. `splice(2)` to a socket with a closed peer raises it, and unlike
/// `send(2)` has no flag against it. Rust programs ignore the signal; a program of another language that
/// loads this code may not.
fn survives_sigpipe() -> bool {
    static SURVIVES: OnceLock<bool> = OnceLock::new();
    // Not cached on failure: without a free descriptor the file cannot be opened.
    let read = || fs::read_to_string("/proc/self/status").ok().map(|status| ignores_sigpipe(&status));
    SURVIVES
        .get()
        .copied()
        .or_else(|| read().map(|survives| *SURVIVES.get_or_init(|| survives)))
        .unwrap_or(false)
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

    #[cfg_attr(miri, ignore = "/proc describes Miri's own process")]
    #[test]
    fn sigpipe_handling_is_read_from_the_process_status() {
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
    fn bytes_drained_from_a_pipe_are_unchanged() {
        let (mut peer, socket) = std::os::unix::net::UnixStream::pair().unwrap();
        io::Write::write_all(&mut peer, b"in a pipe").unwrap();
        let mut pipe = Pipe::acquire().unwrap();
        assert_eq!((pipe.fill(&socket, 100).unwrap(), pipe.is_empty()), (9, false));
        assert_eq!(pipe.drain().unwrap(), b"in a pipe");
        assert!(pipe.is_empty());
    }
}
