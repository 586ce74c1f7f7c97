//! The read buffer shared by all tunnels of a thread.

use std::cell::RefCell;

/// Size of the buffer: close to that of a default TCP receive buffer, and small enough for the cache of a
/// core.
pub(super) const SIZE: usize = 64 * 1024;

/// Size of a temporary buffer, for use while the buffer of the thread is borrowed.
const SPARE_SIZE: usize = 16 * 1024;

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; SIZE].into_boxed_slice());
}

/// Calls `work` with the buffer of the thread, with arbitrary content.
///
/// Within a tunnel that is itself a connection of another tunnel, and while the thread ends, `work` gets a
/// temporary buffer.
pub(super) fn with_scratch<R>(work: impl FnOnce(&mut [u8]) -> R) -> R {
    let mut work = Some(work);
    let done = SCRATCH.try_with(|scratch| {
        let mut scratch = scratch.try_borrow_mut().ok()?;
        work.take().map(|work| work(&mut scratch))
    });
    match (done, work) {
        (Ok(Some(result)), _) => result,
        (_, Some(work)) => work(&mut vec![0; SPARE_SIZE]),
        (_, None) => unreachable!("finished work has a result"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nested_call_gets_a_temporary_buffer() {
        let sizes = with_scratch(|outer| (outer.len(), with_scratch(|inner| inner.len())));
        assert_eq!(sizes, (SIZE, SPARE_SIZE));
    }
}
