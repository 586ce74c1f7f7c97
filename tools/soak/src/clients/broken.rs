//! Clients that close or reset their connections at any moment.

use futures_util::{SinkExt, StreamExt};
use test_support::{
    handshake,
    websocket::frame::{BINARY, FrameHeader, KEY},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::tungstenite::Message;

use super::{Client, frames, raw};
use crate::{bytes::Pattern, report::Fault};

/// Opens a tunnel and ends it, with a Close or without; or ends the connection before there is a tunnel.
pub(super) async fn brief(client: &mut Client) -> Result<(), Fault> {
    match client.random.below(5) {
        0 => drop(client.connect().await?),
        1 => {
            let mut stream = client.connect().await?;
            stream.write_all(b"GET /echo HTTP/1.1\r\nHost: soak.exa").await?;
            stream.shutdown().await?;
        }
        2 => drop(frames::open(client, "/echo").await?),
        _ => {
            let mut socket = frames::open(client, "/echo").await?;
            frames::close(&mut socket).await?;
            client.tally().verified(0);
        }
    }
    Ok(())
}

/// Resets the connection: during the handshake, within a frame, between messages, or during a flood.
pub(super) async fn abort(client: &mut Client) -> Result<(), Fault> {
    let stream = match client.random.below(4) {
        0 => {
            let mut stream = client.connect().await?;
            stream.write_all(handshake("/echo").as_bytes()).await?;
            stream
        }
        1 => {
            let mut stream = frames::open(client, "/echo").await?.into_inner();
            // The first bytes of a frame of 64 KiB.
            let (header, size) = FrameHeader::new(BINARY, 1 << 16, Some(KEY)).to_bytes();
            stream.write_all(&header[..size]).await?;
            stream.write_all(&Pattern::new(1).take(1000)).await?;
            stream
        }
        2 => {
            let mut socket = frames::open(client, "/echo").await?;
            let message = Message::binary(Pattern::new(client.random.next()).take(3000));
            socket.send(message.clone()).await?;
            if socket.next().await.ok_or(Fault::Ended("no echo".to_owned()))?? != message {
                return Err(Fault::Wrong("an echo".to_owned()));
            }
            client.tally().verified(message.len());
            socket.into_inner()
        }
        _ => {
            let mut stream = raw::open(client, &format!("bulk/{}/7", 1 << 20)).await?;
            stream.write_all(&[raw::RIGHT]).await?;
            let mut start = [0; 4096];
            stream.read_exact(&mut start).await?;
            if Pattern::new(!7).differs(&start).is_some() {
                return Err(Fault::Wrong("the start of a flood".to_owned()));
            }
            stream
        }
    };
    stream.set_zero_linger()?;
    client.tally().expected();
    Ok(())
}
