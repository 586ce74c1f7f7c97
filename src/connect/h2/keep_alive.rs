//! When a connection is to end although nobody has closed it.

use std::{pin::pin, task::Poll, time::Duration};

use h2::{Ping, PingPong};
use tokio::time::{sleep, timeout};

use super::{Http2, connection::Connection};

/// Between two looks at a connection, so that a limit of 0 is no busy loop.
const SHORTEST: Duration = Duration::from_millis(10);

/// Why a connection comes to its end.
pub(super) enum End {
    Closed,
    Unused,
    Dead,
}

/// Ends when nobody has used the connection for a while, or the upstream does not answer a PING.
pub(super) async fn keep_alive(
    pings: Option<PingPong>,
    connection: &Connection,
    config: &Http2,
    limit: Duration,
) -> End {
    let mut unused = pin!(unused(connection, limit));
    let mut dead = pin!(dead(pings, connection, config));
    std::future::poll_fn(|cx| match unused.as_mut().poll(cx) {
        Poll::Ready(()) => Poll::Ready(End::Unused),
        Poll::Pending => dead.as_mut().poll(cx).map(|()| End::Dead),
    })
    .await
}

async fn unused(connection: &Connection, limit: Duration) {
    let mut left = limit;
    loop {
        sleep(left.max(SHORTEST)).await;
        match connection.retire_unused(limit) {
            Some(later) => left = later,
            None => return,
        }
    }
}

async fn dead(pings: Option<PingPong>, connection: &Connection, config: &Http2) {
    let (Some(mut pings), Some(interval)) = (pings, config.keep_alive_interval) else {
        return std::future::pending().await;
    };
    loop {
        sleep(interval.max(SHORTEST)).await;
        if connection.is_used() && timeout(config.keep_alive_timeout, ping(&mut pings)).await.is_err() {
            return;
        }
    }
}

/// A PING and its answer. An error is that of the connection, whose own future tells it.
async fn ping(pings: &mut PingPong) {
    if pings.send_ping(Ping::opaque()).is_ok() {
        let _ = std::future::poll_fn(|cx| pings.poll_pong(cx)).await;
    }
}
