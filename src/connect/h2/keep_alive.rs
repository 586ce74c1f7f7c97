//! End of a shared connection that is unused or dead.

use std::{pin::pin, task::Poll, time::Duration};

use h2::{Ping, PingPong};
use tokio::time::{sleep, timeout};

use super::{config::Http2, connection::SharedConnection};

/// Shortest interval between two checks of a connection, so that a limit of 0 is no busy loop.
const SHORTEST: Duration = Duration::from_millis(10);

/// Reason for the end of a connection.
pub(super) enum End {
    /// By the upstream, or an error.
    Closed,
    Unused,
    /// A PING was not acknowledged in time.
    Dead,
}

/// Completes when the connection has had no streams for `idle_timeout`, or the upstream does not acknowledge a
/// PING.
pub(super) async fn keep_alive(
    pings: Option<PingPong>,
    connection: &SharedConnection,
    config: &Http2,
    idle_timeout: Duration,
) -> End {
    let mut unused = pin!(unused(connection, idle_timeout));
    let mut dead = pin!(dead(pings, connection, config));
    std::future::poll_fn(|cx| match unused.as_mut().poll(cx) {
        Poll::Ready(()) => Poll::Ready(End::Unused),
        Poll::Pending => dead.as_mut().poll(cx).map(|()| End::Dead),
    })
    .await
}

async fn unused(connection: &SharedConnection, idle_timeout: Duration) {
    let mut left = idle_timeout;
    loop {
        sleep(left.max(SHORTEST)).await;
        match connection.retire_unused(idle_timeout) {
            Some(later) => left = later,
            None => return,
        }
    }
}

async fn dead(pings: Option<PingPong>, connection: &SharedConnection, config: &Http2) {
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

/// Sends a PING and waits for its acknowledgement. An error is the connection's, and is returned by the future
/// of its frames.
async fn ping(pings: &mut PingPong) {
    if pings.send_ping(Ping::opaque()).is_ok() {
        let _ = std::future::poll_fn(|cx| pings.poll_pong(cx)).await;
    }
}
