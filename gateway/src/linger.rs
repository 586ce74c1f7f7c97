//! Lingering close ([RFC 9112, 9.6](https://www.rfc-editor.org/rfc/rfc9112#section-9.6)): a client that is still writing
//! when its connection ends would get a reset, and lose the response.
//!
//! The library reads the rest of a request that it refuses, and the connection continues. [`discard`] does the same for
//! the gateway's own responses, and [`linger`] is for those of hyper, which end the connection.

use std::{io, time::Duration};

use http::{Request, header::EXPECT};
use http_body_util::BodyExt;
use hyper::body::{Body, Bytes, Incoming};
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

/// Reads and discards the body of a request whose response does not depend on it, in a task. A client that waits for a
/// 100 gets the response instead, and no longer sends the body.
pub(crate) fn discard(request: Request<Incoming>) {
    if request.body().is_end_stream() || request.headers().contains_key(EXPECT) {
        return;
    }
    let mut body = request.into_body();
    tokio::spawn(timeout(TIME, async move {
        let mut left = SIZE;
        while let Ok(Some(Ok(frame))) = timeout(IDLE, body.frame()).await {
            match left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    }));
}

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
