//! Shortage of local ports: addresses to which no connection can be opened, because each port is in use for one.
//!
//! Linux tries some 28,000 ports before it gives up, which takes over a millisecond. While a shortage is known, only one
//! attempt in a while finds out whether it is over, and the other connections fail at once.

use std::{
    error::Error,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    sync::{Arc, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    error::NoLocalPort,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

/// Time between two attempts during a shortage.
const RETRY: Duration = Duration::from_millis(250);

/// Maximum number of destinations with a shortage; beyond that, connections are attempted as usual.
const MAX: usize = 64;

/// Destinations with a shortage, each with the time of the next attempt. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Shortages(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// Number of entries, so that no lock is taken without any.
    number: AtomicUsize,
    entries: Mutex<Vec<(String, Instant)>>,
}

impl Shortages {
    /// Permits an attempt to connect to `destination`. During a shortage, only the first one after each [`RETRY`].
    ///
    /// # Errors
    ///
    /// If the attempt would be futile.
    pub(super) fn permit(&self, destination: &str) -> Result<(), NoLocalPort> {
        if self.0.number.load(Ordering::Relaxed) == 0 {
            return Ok(());
        }
        let (now, mut entries) =
            (Instant::now(), self.0.entries.lock().unwrap_or_else(PoisonError::into_inner));
        match entries.iter_mut().find(|(name, _)| name == destination) {
            Some((_, next)) if *next > now => Err(NoLocalPort),
            Some((_, next)) => {
                *next = now + RETRY;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Records the result of an attempt.
    pub(super) fn record(&self, destination: &str, is_shortage: bool) {
        if !is_shortage && self.0.number.load(Ordering::Relaxed) == 0 {
            return;
        }
        let (now, mut entries) =
            (Instant::now(), self.0.entries.lock().unwrap_or_else(PoisonError::into_inner));
        // Nobody has asked for a destination long after its next attempt.
        entries.retain(|(name, next)| name != destination && *next + RETRY > now);
        if is_shortage && entries.len() < MAX {
            entries.push((destination.to_owned(), now + RETRY));
        }
        self.0.number.store(entries.len(), Ordering::Relaxed);
    }
}

/// Returns true if `error` is `EADDRNOTAVAIL`.
pub(super) fn is_not_available(error: &(dyn Error + 'static)) -> bool {
    let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
    kind == Some(io::ErrorKind::AddrNotAvailable) || error.source().is_some_and(is_not_available)
}

/// Returns true if the system has a local address for `destination`. Without IPv6, for example, there is none for `::1`, and the
/// error is the same as for a shortage of ports. No packet is sent.
pub(super) fn has_local_address(destination: SocketAddr) -> bool {
    let any = match destination {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    UdpSocket::bind((any, 0)).and_then(|socket| socket.connect(destination)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn during_a_shortage_one_attempt_in_a_while_is_permitted() {
        let shortages = Shortages::default();
        let (full, other) = ("192.0.2.1:80", "192.0.2.2:80");
        let permitted = |name| shortages.permit(name).is_ok();
        assert!(permitted(full));
        shortages.record(full, true);
        assert!(!permitted(full) && permitted(other));
        tokio::time::advance(RETRY).await;
        assert_eq!([permitted(full), permitted(full)], [true, false], "the others wait for its result");
        shortages.record(full, true);
        assert!(!permitted(full));
        tokio::time::advance(RETRY).await;
        assert!(permitted(full));
        shortages.record(full, false);
        assert_eq!([permitted(full), permitted(full)], [true, true]);
        assert_eq!(shortages.0.number.load(Ordering::Relaxed), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn the_number_of_shortages_is_bounded_and_old_ones_are_removed() {
        let shortages = Shortages::default();
        for number in 0..2 * MAX {
            shortages.record(&number.to_string(), true);
        }
        assert_eq!(shortages.0.number.load(Ordering::Relaxed), MAX);
        tokio::time::advance(2 * RETRY).await;
        shortages.record("last", true);
        assert_eq!(shortages.0.number.load(Ordering::Relaxed), 1);
    }

    #[cfg_attr(miri, ignore = "opens sockets")]
    #[test]
    fn a_shortage_is_not_the_lack_of_an_address() {
        assert!(has_local_address("127.0.0.1:9".parse().unwrap()));
        assert!(is_not_available(&io::Error::from(io::ErrorKind::AddrNotAvailable)));
        assert!(!is_not_available(&io::Error::from(io::ErrorKind::ConnectionRefused)));
    }
}
