//! The buffer that all tunnels of a thread share.

use std::cell::RefCell;

/// Bytes per read: as much as a default TCP receive buffer tends to hold, and small enough to stay
/// in a core's cache.
pub(super) const SIZE: usize = 64 * 1024;

/// What is used instead when the thread's buffer is taken.
const SPARE: usize = 16 * 1024;

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; SIZE].into_boxed_slice());
}

/// Lends the thread's buffer. Its content is whatever the last user left.
///
/// Within a tunnel that is itself the IO of another one, and while the thread ends, a fresh buffer
/// is lent.
pub(super) fn with_scratch<R>(work: impl FnOnce(&mut [u8]) -> R) -> R {
    let mut work = Some(work);
    let done = SCRATCH.try_with(|scratch| {
        let mut scratch = scratch.try_borrow_mut().ok()?;
        work.take().map(|work| work(&mut scratch))
    });
    match (done, work) {
        (Ok(Some(result)), _) => result,
        (_, Some(work)) => work(&mut vec![0; SPARE]),
        (_, None) => unreachable!("work that was done has a result"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_borrower_gets_a_buffer_too() {
        let sizes = with_scratch(|outer| (outer.len(), with_scratch(|inner| inner.len())));
        assert_eq!(sizes, (SIZE, SPARE));
    }
}
