//! Upstream that stops with all its connections, and starts again on the same port.

use std::{net::SocketAddr, time::Duration};

use futures_util::{SinkExt, StreamExt};
use test_support::ReservedPort;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_tungstenite::accept_async;

/// Time in service.
const UP: Duration = Duration::from_secs(6);

/// Time out of service.
const DOWN: Duration = Duration::from_secs(1);

pub(super) fn start(running: &mut JoinSet<()>) -> SocketAddr {
    let port = ReservedPort::new();
    let address = port.address;
    running.spawn(async move {
        let _port = port;
        for round in 0_u64.. {
            match TcpListener::bind(address).await {
                Ok(listener) => drop(timeout(UP, serve(listener, round % 2 == 0)).await),
                Err(error) => eprintln!("soak: the upstream cannot restart: {error}"),
            }
            sleep(DOWN).await;
        }
    });
    address
}

/// Serves until the future is dropped, which ends all connections: with resets, or without.
async fn serve(listener: TcpListener, resets: bool) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => drop(connections.spawn(async move { drop(echo(stream, resets).await) })),
                Err(_) => sleep(Duration::from_millis(100)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn echo(stream: TcpStream, resets: bool) -> Result<(), tokio_tungstenite::tungstenite::Error> {
    if resets {
        stream.set_zero_linger()?;
    }
    let mut socket = accept_async(stream).await?;
    while let Some(message) = socket.next().await.transpose()? {
        if message.is_text() || message.is_binary() {
            socket.send(message).await?;
        }
    }
    Ok(())
}
