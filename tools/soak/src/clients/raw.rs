//! Tunnels without frames: the protocol `tcp`, which the gateway is configured to allow.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

use super::{Client, http::Connection};
use crate::{bytes::Pattern, report::Failure};

/// First byte from the client. The upstream waits for it.
pub(super) const START: u8 = b'+';

/// Last byte from the upstream if all bytes that it received were correct.
const CORRECT: u8 = b'+';

/// Maximum size of a read or write.
const CHUNK: usize = 64 * 1024;

/// Opens a tunnel to `path` below `/raw/`.
pub(super) async fn open(client: &Client, path: &str) -> Result<TcpStream, Failure> {
    let mut connection = Connection::new(client.connect().await?);
    let head = format!(
        "GET /raw/{path} HTTP/1.1\r\nHost: soak.example\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
    );
    match connection.send(head.as_bytes()).await?.status {
        // The upstream waits for a first byte, so the read of the head cannot contain bytes of the tunnel.
        101 => Ok(connection.into_inner()),
        status => Err(Failure::Status(status)),
    }
}

/// Transfers up to 4 MiB in both directions at the same time. Each end verifies every byte.
pub(super) async fn bulk(client: &mut Client) -> Result<(), Failure> {
    let (length, seed) = (client.random.below(4 << 20), client.random.next());
    let (receiving, sending) = open(client, &format!("bulk/{length}/{seed}")).await?.into_split();
    let (_, ()) = tokio::try_join!(send(sending, length, seed), receive(client, receiving, length, !seed))?;
    client.pause(500).await;
    Ok(())
}

/// Sends all data and closes the sending side; the upstream sends its data only then.
pub(super) async fn half_close(client: &mut Client) -> Result<(), Failure> {
    let (length, seed) = (client.random.below(1 << 18), client.random.next());
    let (receiving, sending) = open(client, &format!("half/{length}/{seed}")).await?.into_split();
    let _sending = send(sending, length, seed).await?;
    receive(client, receiving, length, !seed).await
}

/// Bulk transfer that is read in small chunks with pauses.
pub(super) async fn slow_reader(client: &mut Client) -> Result<(), Failure> {
    let (length, seed) = ((1 << 20) + client.random.below(3 << 20), client.random.next());
    let (mut receiving, sending) = open(client, &format!("bulk/{length}/{seed}")).await?.into_split();
    let up = send(sending, length, seed);
    let down = async {
        let (mut pattern, mut chunk, mut left) = (Pattern::new(!seed), vec![0; CHUNK], length as usize);
        while left > 0 {
            let wanted = left.min(chunk.len());
            let read = receiving.read(&mut chunk[..wanted]).await?;
            verify(client, &mut pattern, &chunk[..read])?;
            left -= read;
            client.pause(80).await;
        }
        read_result(receiving).await
    };
    tokio::try_join!(up, down).map(drop)
}

/// Sends all bytes and the end. Returns the half, so that the caller decides when it is dropped.
async fn send(mut sending: OwnedWriteHalf, length: u64, seed: u64) -> Result<OwnedWriteHalf, Failure> {
    let (mut pattern, mut chunk, mut left) = (Pattern::new(seed), vec![0; CHUNK], length as usize);
    sending.write_all(&[START]).await?;
    while left > 0 {
        let chunk = &mut chunk[..left.min(CHUNK)];
        pattern.fill(chunk);
        sending.write_all(chunk).await?;
        left -= chunk.len();
    }
    sending.shutdown().await?;
    Ok(sending)
}

async fn receive(
    client: &Client,
    mut receiving: OwnedReadHalf,
    length: u64,
    seed: u64,
) -> Result<(), Failure> {
    let (mut pattern, mut chunk, mut left) = (Pattern::new(seed), vec![0; CHUNK], length as usize);
    while left > 0 {
        let wanted = left.min(chunk.len());
        let read = receiving.read(&mut chunk[..wanted]).await?;
        verify(client, &mut pattern, &chunk[..read])?;
        left -= read;
    }
    read_result(receiving).await
}

fn verify(client: &Client, pattern: &mut Pattern, bytes: &[u8]) -> Result<(), Failure> {
    if bytes.is_empty() {
        return Err(Failure::Ended("in the middle".to_owned()));
    }
    if let Some(at) = pattern.first_mismatch(bytes) {
        return Err(Failure::WrongBytes(format!("byte {at} of {}", bytes.len())));
    }
    client.counters().verified(bytes.len());
    Ok(())
}

/// Reads the upstream's verification result, and the end of the connection.
async fn read_result(mut receiving: OwnedReadHalf) -> Result<(), Failure> {
    let mut rest = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(60), receiving.read_to_end(&mut rest)).await;
    read.map_err(|_| Failure::TimedOut)??;
    match rest.as_slice() {
        [CORRECT] => Ok(()),
        [] => Err(Failure::Ended("without a verification result".to_owned())),
        _ => Err(Failure::WrongBytes("data at the upstream".to_owned())),
    }
}
