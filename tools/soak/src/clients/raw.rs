//! Tunnels of bytes without frames: the protocol `tcp`, which the gateway allows by an option.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

use super::{Client, http::Connection};
use crate::{bytes::Pattern, report::Fault};

/// Sent by the upstream when everything it received was right.
pub(crate) const RIGHT: u8 = b'+';

/// Size of a read or write.
const PIECE: usize = 64 * 1024;

/// A tunnel to `path` below `/raw/`.
pub(super) async fn open(client: &Client, path: &str) -> Result<TcpStream, Fault> {
    let mut connection = Connection::new(client.connect().await?);
    let head = format!(
        "GET /raw/{path} HTTP/1.1\r\nHost: soak.example\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
    );
    match connection.request(head.as_bytes()).await?.status {
        // The upstream waits for a first byte, so that nothing has been read beyond the head.
        101 => Ok(connection.into_inner()),
        status => Err(Fault::Status(status)),
    }
}

/// Megabytes in both directions at once, each byte verified where it arrives.
pub(super) async fn bulk(client: &mut Client) -> Result<(), Fault> {
    let (length, seed) = (client.random.below(4 << 20), client.random.next());
    let (receiving, sending) = open(client, &format!("bulk/{length}/{seed}")).await?.into_split();
    let (_, ()) = tokio::try_join!(send(sending, length, seed), receive(client, receiving, length, !seed))?;
    client.pause(500).await;
    Ok(())
}

/// All bytes up, then the end of that direction, and only then all bytes down.
pub(super) async fn half_close(client: &mut Client) -> Result<(), Fault> {
    let (length, seed) = (client.random.below(1 << 18), client.random.next());
    let (receiving, sending) = open(client, &format!("half/{length}/{seed}")).await?.into_split();
    let _sending = send(sending, length, seed).await?;
    receive(client, receiving, length, !seed).await
}

/// A flood that is read in small pieces, with pauses.
pub(super) async fn slow(client: &mut Client) -> Result<(), Fault> {
    let (length, seed) = ((1 << 20) + client.random.below(3 << 20), client.random.next());
    let (mut receiving, sending) = open(client, &format!("bulk/{length}/{seed}")).await?.into_split();
    let up = send(sending, length, seed);
    let down = async {
        let (mut pattern, mut piece, mut left) = (Pattern::new(!seed), vec![0; PIECE], length as usize);
        while left > 0 {
            let most = left.min(piece.len());
            let read = receiving.read(&mut piece[..most]).await?;
            verify(client, &mut pattern, &piece[..read])?;
            left -= read;
            client.pause(80).await;
        }
        verdict(receiving).await
    };
    tokio::try_join!(up, down).map(drop)
}

/// Sends the bytes and the end. Returns the half, so that the caller decides when it is dropped.
async fn send(mut sending: OwnedWriteHalf, length: u64, seed: u64) -> Result<OwnedWriteHalf, Fault> {
    let (mut pattern, mut piece, mut left) = (Pattern::new(seed), vec![0; PIECE], length as usize);
    // The first byte, which the upstream waits for.
    sending.write_all(&[RIGHT]).await?;
    while left > 0 {
        let piece = &mut piece[..left.min(PIECE)];
        pattern.fill(piece);
        sending.write_all(piece).await?;
        left -= piece.len();
    }
    sending.shutdown().await?;
    Ok(sending)
}

async fn receive(client: &Client, mut receiving: OwnedReadHalf, length: u64, seed: u64) -> Result<(), Fault> {
    let (mut pattern, mut piece, mut left) = (Pattern::new(seed), vec![0; PIECE], length as usize);
    while left > 0 {
        let most = left.min(piece.len());
        let read = receiving.read(&mut piece[..most]).await?;
        verify(client, &mut pattern, &piece[..read])?;
        left -= read;
    }
    verdict(receiving).await
}

fn verify(client: &Client, pattern: &mut Pattern, bytes: &[u8]) -> Result<(), Fault> {
    if bytes.is_empty() {
        return Err(Fault::Ended("in the middle".to_owned()));
    }
    if let Some(at) = pattern.differs(bytes) {
        return Err(Fault::Wrong(format!("byte {at} of {}", bytes.len())));
    }
    client.tally().verified(bytes.len());
    Ok(())
}

/// Expects the upstream's confirmation of the bytes it received, and the end.
async fn verdict(mut receiving: OwnedReadHalf) -> Result<(), Fault> {
    let mut rest = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(60), receiving.read_to_end(&mut rest)).await;
    read.map_err(|_| Fault::Stuck)??;
    match rest.as_slice() {
        [RIGHT] => Ok(()),
        [] => Err(Fault::Ended("without a verdict".to_owned())),
        _ => Err(Fault::Wrong("what the upstream received".to_owned())),
    }
}
