//! One end of a tunnel: a socket, or a stream of HTTP/2.

use std::{future::poll_fn, io::ErrorKind};

use h2::{Reason, RecvStream, SendStream};
use hyper::body::Bytes;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

use super::HttpVersion;
use crate::{websocket::frame::close_code, wire::bounded};

/// The test's end of a tunnel.
pub struct Endpoint {
    pub sender: Sender,
    pub receiver: Receiver,
}

/// The direction from the test.
pub enum Sender {
    Socket(OwnedWriteHalf),
    Stream(SendStream<Bytes>),
}

/// The direction to the test.
pub struct Receiver {
    source: Source,
    /// Received and not returned yet.
    rest: Vec<u8>,
}

enum Source {
    Socket(OwnedReadHalf),
    Stream(RecvStream),
}

/// How the other side's direction has ended.
#[derive(Debug, PartialEq, Eq)]
pub enum EndOfStream {
    Finished,
    Reset,
}

impl Endpoint {
    /// A tunnel on a socket, with the bytes already read from it.
    pub fn socket(socket: TcpStream, rest: Vec<u8>) -> Self {
        let (read, write) = socket.into_split();
        Self { sender: Sender::Socket(write), receiver: Receiver { source: Source::Socket(read), rest } }
    }

    /// A tunnel on a stream of HTTP/2.
    pub fn stream(send: SendStream<Bytes>, receive: RecvStream) -> Self {
        let receiver = Receiver { source: Source::Stream(receive), rest: Vec::new() };
        Self { sender: Sender::Stream(send), receiver }
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.sender.send(bytes).await;
    }

    pub async fn finish(&mut self) {
        self.sender.finish().await;
    }

    pub async fn exactly(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while bytes.len() < length {
            bytes.extend(self.receiver.receive().await.expect("the end came too early"));
        }
        self.receiver.rest = bytes.split_off(length);
        bytes
    }

    pub async fn expect(&mut self, expected: impl AsRef<[u8]>) {
        let expected = expected.as_ref();
        let read = self.exactly(expected.len()).await;
        assert_eq!(String::from_utf8_lossy(&read), String::from_utf8_lossy(expected));
    }

    /// Everything up to the end, and how it ended.
    pub async fn rest(&mut self) -> (Vec<u8>, EndOfStream) {
        let mut bytes = Vec::new();
        loop {
            match self.receiver.receive().await {
                Ok(more) => bytes.extend(more),
                Err(end) => return (bytes, end),
            }
        }
    }

    /// Expects a Close with this code, ends the connection in response, and expects its end.
    pub async fn expect_close(&mut self, code: u16) {
        let mut bytes = Vec::new();
        while close_code(&bytes).is_none() {
            bytes.extend(self.receiver.receive().await.expect("the end instead of a Close"));
        }
        assert_eq!(close_code(&bytes), Some(code));
        self.finish().await;
        assert!(self.rest().await.0.is_empty());
    }

    /// Resets the socket or the stream.
    pub fn reset(self, code: Reason) {
        match (self.sender, self.receiver.source) {
            (Sender::Socket(write), Source::Socket(read)) => {
                write.reunite(read).unwrap().set_zero_linger().unwrap();
            }
            (Sender::Stream(mut send), _) => send.send_reset(code),
            (Sender::Socket(_), Source::Stream(_)) => unreachable!("one connection has two halves"),
        }
    }

    /// Waits until this end is reset after a reset of the other end, which speaks `other`. Between sockets, the bytes
    /// sent before the reset must arrive, so this end is closed instead.
    pub async fn expect_reset(&mut self, other: HttpVersion) {
        match &mut self.sender {
            Sender::Socket(_) => {
                let end =
                    if other == HttpVersion::Http1 { EndOfStream::Finished } else { EndOfStream::Reset };
                assert_eq!(self.rest().await.1, end);
            }
            Sender::Stream(send) => {
                bounded("the reset", poll_fn(|cx| send.poll_reset(cx))).await.unwrap();
            }
        }
    }
}

impl Sender {
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        bounded("send", self.send_unbounded(bytes.as_ref())).await;
    }

    /// [`send`](Self::send) without a time limit.
    pub async fn send_unbounded(&mut self, bytes: &[u8]) {
        self.try_send(bytes).await.expect("the tunnel has ended");
    }

    /// [`send_unbounded`](Self::send_unbounded) for a tunnel that may have ended.
    pub async fn try_send(&mut self, mut bytes: &[u8]) -> Result<(), ()> {
        match self {
            Self::Socket(socket) => socket.write_all(bytes).await.map_err(drop),
            Self::Stream(send) => {
                while !bytes.is_empty() {
                    send.reserve_capacity(bytes.len());
                    while send.capacity() == 0 {
                        poll_fn(|cx| send.poll_capacity(cx)).await.ok_or(())?.map_err(drop)?;
                    }
                    let (now, later) = bytes.split_at(send.capacity().min(bytes.len()));
                    send.send_data(Bytes::copy_from_slice(now), false).map_err(drop)?;
                    bytes = later;
                }
                Ok(())
            }
        }
    }

    /// Ends this direction by FIN or `END_STREAM`.
    pub async fn finish(&mut self) {
        match self {
            Self::Socket(socket) => socket.shutdown().await.unwrap(),
            Self::Stream(send) => send.send_data(Bytes::new(), true).unwrap(),
        }
    }
}

impl Receiver {
    /// The next bytes, in any number.
    pub async fn receive(&mut self) -> Result<Vec<u8>, EndOfStream> {
        if !self.rest.is_empty() {
            return Ok(std::mem::take(&mut self.rest));
        }
        match &mut self.source {
            Source::Socket(socket) => {
                let mut buffer = vec![0; 64 * 1024];
                match bounded("bytes", socket.read(&mut buffer)).await {
                    Ok(0) => Err(EndOfStream::Finished),
                    Ok(read) => {
                        buffer.truncate(read);
                        Ok(buffer)
                    }
                    Err(error) if error.kind() == ErrorKind::ConnectionReset => Err(EndOfStream::Reset),
                    Err(error) => panic!("{error}"),
                }
            }
            Source::Stream(receive) => match bounded("bytes", receive.data()).await {
                None => Err(EndOfStream::Finished),
                Some(Ok(data)) => {
                    receive.flow_control().release_capacity(data.len()).unwrap();
                    Ok(data.to_vec())
                }
                Some(Err(error)) if error.is_reset() => Err(EndOfStream::Reset),
                Some(Err(error)) => panic!("{error}"),
            },
        }
    }
}
