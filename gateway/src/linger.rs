//! Lingering close ([RFC 9112, 9.6](https://www.rfc-editor.org/rfc/rfc9112#section-9.6)): a client that is still writing
//! when its connection ends would get a reset, and lose the response.
//!
//! The library reads the rest of a request that it or the gateway refuses, and the connection continues
//! ([`DiscardUnreadBodyLayer`](tower_upgrade_proxy::DiscardUnreadBodyLayer)). [`linger`] is for the responses of hyper, which
//! end the connection.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt},
    time::{sleep, timeout},
};

use crate::shutdown::Work;

/// Maximum time of a lingering close (nginx's `lingering_time`).
const TIME: Duration = Duration::from_secs(30);

/// Maximum wait for the next bytes (nginx's `lingering_timeout`).
const IDLE: Duration = Duration::from_secs(5);

/// Maximum time of a lingering close during a shutdown.
const SHUTDOWN_TIME: Duration = Duration::from_secs(1);

/// Maximum number of bytes that are discarded.
const SIZE: usize = 64 << 20;

/// Reads and discards the bytes that a client still sends on a connection that is shut down for writing, until it ends
/// its side, or for a bounded time.
pub(crate) async fn linger(io: impl AsyncRead + Unpin, work: &Work) {
    let shutdown = async {
        work.draining().await;
        sleep(SHUTDOWN_TIME).await;
    };
    tokio::select! {
        _ = timeout(TIME, read(io)) => {}
        () = shutdown => {}
    }
}

async fn read(mut io: impl AsyncRead + Unpin) -> io::Result<()> {
    let (mut buffer, mut left) = (vec![0; 16 << 10], SIZE);
    while left > 0 {
        match timeout(IDLE, io.read(&mut buffer)).await?? {
            0 => break,
            length => left = left.saturating_sub(length),
        }
    }
    Ok(())
}
