//! Handshakes in progress, and the pace at which connections begin beside many of them.
//!
//! When thousands of clients come back at once, all their handshakes would wait for their upstream together, with 40 KiB of buffers
//! each. A connection that has not been read yet takes a tenth of it, so that it waits instead until a handshake ends. While none
//! ends, twice as many connections begin in each millisecond as in the one before, so that an upstream that does not answer hardly
//! delays other clients.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::{Request, header::UPGRADE};
use tokio::{
    sync::{Mutex, Notify},
    time,
};

/// Number of handshakes from which on connections begin one after another.
const MANY: usize = 256;

/// Wait for the end of a handshake.
const TURN: Duration = Duration::from_millis(1);

/// Maximum time until a connection begins.
const LIMIT: Duration = Duration::from_millis(500);

/// Maximum number of connections that begin without a wait after one that waited in vain.
const BATCH: u32 = 1 << 16;

/// The handshakes of all connections over HTTP/1.1.
#[derive(Clone, Default)]
pub(crate) struct Handshakes(Arc<Shared>);

#[derive(Default)]
struct Shared {
    number: AtomicUsize,
    ends: AtomicUsize,
    /// Locked by the connection whose turn it is.
    turn: Mutex<Turn>,
    one_ended: Notify,
}

#[derive(Default)]
struct Turn {
    /// [`Shared::ends`] at the last turn.
    ends: usize,
    /// Number of connections that begin without a wait.
    free: u32,
    /// The same after the next wait in vain.
    next: u32,
}

/// A handshake, until the drop.
pub(crate) struct Handshake(Handshakes);

impl Handshakes {
    /// Counts the request if it is a handshake.
    pub(crate) fn begin<B>(&self, request: &Request<B>) -> Option<Handshake> {
        request.headers().contains_key(UPGRADE).then(|| {
            self.0.number.fetch_add(1, Ordering::Relaxed);
            Handshake(self.clone())
        })
    }

    /// Ready at once beside few handshakes, otherwise when a connection may begin.
    pub(crate) async fn turn(&self) {
        if self.are_many() {
            // In a box: it is rare, and the future of each connection would have room for it.
            let _ = Box::pin(time::timeout(LIMIT, self.wait())).await;
        }
    }

    async fn wait(&self) {
        let mut turn = self.0.turn.lock().await;
        let ends = self.0.ends.load(Ordering::Relaxed);
        if turn.ends != ends {
            *turn = Turn { ends, ..Turn::default() };
        }
        if turn.free > 0 {
            turn.free -= 1;
        } else if self.are_many() && time::timeout(TURN, self.0.one_ended.notified()).await.is_err() {
            turn.free = turn.next;
            turn.next = (2 * turn.next + 1).min(BATCH);
        }
    }

    fn are_many(&self) -> bool {
        self.0.number.load(Ordering::Relaxed) >= MANY
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        let shared = &self.0.0;
        shared.ends.fetch_add(1, Ordering::Relaxed);
        if shared.number.fetch_sub(1, Ordering::Relaxed) >= MANY {
            shared.one_ended.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::{task::JoinSet, time::Instant};

    use super::*;

    fn handshakes(number: usize) -> (Handshakes, Vec<Option<Handshake>>) {
        let handshakes = Handshakes::default();
        let request = Request::builder().header(UPGRADE, "websocket").body(()).unwrap();
        let begun = (0..number).map(|_| handshakes.begin(&request)).collect();
        (handshakes, begun)
    }

    /// Time in which connections that come together have begun.
    async fn time_of(handshakes: &Handshakes, connections: usize) -> Duration {
        let (mut turns, started) = (JoinSet::new(), Instant::now());
        for _ in 0..connections {
            let handshakes = handshakes.clone();
            turns.spawn(async move { handshakes.turn().await });
        }
        turns.join_all().await;
        started.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn beside_few_handshakes_connections_begin_at_once() {
        let (handshakes, _begun) = handshakes(MANY - 1);
        let started = Instant::now();
        handshakes.turn().await;
        assert_eq!(started.elapsed(), Duration::ZERO);
    }

    #[test]
    fn other_requests_are_not_counted() {
        let handshakes = Handshakes::default();
        assert!(handshakes.begin(&Request::new(())).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn beside_many_that_do_not_end_each_wait_lets_twice_as_many_begin() {
        let (handshakes, _begun) = handshakes(MANY);
        // 1 + 2 + 4 + ... + 512 connections in ten turns.
        let took = time_of(&handshakes, (1 << 10) - 1).await;
        assert!((10 * TURN..=20 * TURN).contains(&took), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn no_connection_waits_longer_than_the_limit() {
        let (handshakes, mut begun) = handshakes(2 * MANY);
        let _ends = tokio::spawn(async move {
            while begun.pop().is_some() {
                time::sleep(4 * TURN).await;
            }
        });
        let took = time_of(&handshakes, 10_000).await;
        assert!(took <= LIMIT + 2 * TURN, "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_end_makes_connections_wait_again() {
        let (handshakes, mut begun) = handshakes(2 * MANY);
        time_of(&handshakes, 1 << 10).await;
        begun.pop();
        let took = time_of(&handshakes, (1 << 10) - 1).await;
        assert!(took >= 9 * TURN, "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_of_a_handshake_lets_a_connection_begin() {
        let (handshakes, mut begun) = handshakes(MANY + 1);
        let started = Instant::now();
        let turn = tokio::spawn({
            let handshakes = handshakes.clone();
            async move { handshakes.turn().await }
        });
        tokio::task::yield_now().await;
        begun.pop();
        turn.await.unwrap();
        assert_eq!(started.elapsed(), Duration::ZERO);
    }
}
