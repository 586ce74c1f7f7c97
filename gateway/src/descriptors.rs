//! Open files of the process: their limit, and some in reserve for the time when it is reached.

use std::{
    fs::File,
    io,
    sync::{Arc, Mutex, PoisonError},
};

/// Descriptors besides those of clients and upstreams: listeners, epoll instances, standard streams, log.
#[cfg(unix)]
const OTHERS: u64 = 128;

/// Descriptors that are held open, and lent one by one when the process has no other left. Without them a connection could
/// not even be accepted to be refused.
#[derive(Clone)]
pub(crate) struct Reserve {
    held: Arc<Mutex<Vec<File>>>,
    size: usize,
}

/// A descriptor that has been released for a connection. Held again after the drop.
pub(crate) struct Lent(Reserve);

impl Reserve {
    pub(crate) fn new(size: usize) -> Self {
        let reserve = Self { held: Arc::default(), size };
        reserve.refill();
        reserve
    }

    /// Releases a descriptor for a connection. `None` if all have been lent.
    pub(crate) fn lend(&self) -> Option<Lent> {
        let file = self.held.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
        drop(file);
        Some(Lent(self.clone()))
    }

    /// Opens what is missing, as far as the limit permits.
    pub(crate) fn refill(&self) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        while held.len() < self.size
            && let Ok(file) = File::open("/dev/null")
        {
            held.push(file);
        }
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.0.refill();
    }
}

/// Returns true if a connection could not be accepted because of a limit of open files, of the process or the system.
pub(crate) fn is_exhausted(error: &io::Error) -> bool {
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    cfg!(unix) && matches!(error.raw_os_error(), Some(ENFILE | EMFILE))
}

/// Raises the soft limit of open files to the hard one, and warns if it can't hold what the options allow.
#[cfg(unix)]
pub(crate) fn raise_limit(tunnels: usize, connections: usize) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let limit = match raised {
        Ok(()) => maximum,
        Err(error) => {
            tracing::debug!(%error, "the limit of open files was not raised");
            current
        }
    };
    let Some(limit) = limit else { return };
    let [tunnels, connections] =
        [tunnels, connections].map(|number| u64::try_from(number).unwrap_or(u64::MAX));
    // A tunnel has a connection of its own to the client and to the upstream in HTTP/1.1, and so may a request.
    let needed = tunnels.saturating_add(connections).saturating_mul(2).saturating_add(OTHERS);
    if needed > limit {
        let enough_for = limit.saturating_sub(OTHERS) / 2;
        tracing::warn!(
            limit,
            needed,
            "the limit of open files (ulimit -n) is enough for {enough_for} tunnels and connections together, and \
             --max-tunnels and --max-connections allow {}: above it clients get 503",
            tunnels.saturating_add(connections)
        );
    }
}

#[cfg(not(unix))]
pub(crate) fn raise_limit(_: usize, _: usize) {}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_lent_descriptor_is_held_again_after_the_drop() {
        let reserve = Reserve::new(2);
        let held = || reserve.held.lock().unwrap().len();
        let lent = [reserve.lend(), reserve.lend(), reserve.lend()];
        assert_eq!((lent.iter().flatten().count(), held()), (2, 0));
        drop(lent);
        assert_eq!(held(), 2);
    }
}
