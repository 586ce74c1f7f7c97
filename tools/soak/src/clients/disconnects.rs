//! Clients that close or reset their connection at various moments.

use futures_util::{SinkExt, StreamExt};
use test_support::{
    handshake,
    websocket::frame::{BINARY, FrameHeader, KEY},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::tungstenite::Message;

use super::{Client, raw, websocket};
use crate::{bytes::Pattern, report::Failure};

/// Opens a tunnel and closes it: with a Close, without one, or before the handshake is complete.
pub(super) async fn open_and_close(client: &mut Client) -> Result<(), Failure> {
    match client.random.below(5) {
        0 => drop(client.connect().await?),
        1 => {
            let mut stream = client.connect().await?;
            stream.write_all(b"GET /echo HTTP/1.1\r\nHost: soak.exa").await?;
            stream.shutdown().await?;
        }
        2 => drop(websocket::open(client, "/echo").await?),
        _ => {
            let mut socket = websocket::open(client, "/echo").await?;
            websocket::close(&mut socket).await?;
            client.counters().verified(0);
        }
    }
    Ok(())
}

/// Resets the connection: during the handshake, within a frame, between messages, or during a bulk transfer.
pub(super) async fn abort(client: &mut Client) -> Result<(), Failure> {
    let stream = match client.random.below(4) {
        0 => {
            let mut stream = client.connect().await?;
            stream.write_all(handshake("/echo").as_bytes()).await?;
            stream
        }
        1 => {
            let mut stream = websocket::open(client, "/echo").await?.into_inner();
            // Beginning of a masked frame of 64 KiB.
            let (header, size) = FrameHeader::new(BINARY, 1 << 16, Some(KEY)).to_bytes();
            stream.write_all(&header[..size]).await?;
            stream.write_all(&Pattern::new(1).take(1000)).await?;
            stream
        }
        2 => {
            let mut socket = websocket::open(client, "/echo").await?;
            let message = Message::binary(Pattern::new(client.random.next()).take(3000));
            socket.send(message.clone()).await?;
            if socket.next().await.ok_or(Failure::Ended("no echo".to_owned()))?? != message {
                return Err(Failure::WrongBytes("echo".to_owned()));
            }
            client.counters().verified(message.len());
            socket.into_inner()
        }
        _ => {
            let mut stream = raw::open(client, &format!("bulk/{}/7", 1 << 20)).await?;
            stream.write_all(&[raw::START]).await?;
            let mut start = [0; 4096];
            stream.read_exact(&mut start).await?;
            if Pattern::new(!7).first_mismatch(&start).is_some() {
                return Err(Failure::WrongBytes("start of a bulk transfer".to_owned()));
            }
            stream
        }
    };
    stream.set_zero_linger()?;
    client.counters().expected();
    Ok(())
}
