//! The one that is killed with all its connections, and starts again on the same port.

use std::{io, net::SocketAddr, time::Duration};

use futures_util::{SinkExt, StreamExt};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_tungstenite::accept_async;

use super::reserve;

/// How long it is there, and how long it is not.
const THERE: Duration = Duration::from_secs(6);
const AWAY: Duration = Duration::from_secs(1);

pub(super) fn start(running: &mut JoinSet<()>) -> io::Result<SocketAddr> {
    let (reserved, address) = reserve()?;
    running.spawn(async move {
        let _reserved = reserved;
        for round in 0_u64.. {
            match TcpListener::bind(address).await {
                Ok(listener) => drop(timeout(THERE, serve(listener, round % 2 == 0)).await),
                Err(error) => eprintln!("soak: the upstream cannot come back: {error}"),
            }
            sleep(AWAY).await;
        }
    });
    Ok(address)
}

/// All that it has goes with it: with resets, or just so.
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
