//! One end of a tunnel, a socket or an HTTP/2 stream.

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

use super::Version;
use crate::{websocket::frame::close_code, wire::bounded};

/// An end of a tunnel, controlled by the test.
pub struct End {
    pub sending: Sending,
    pub receiving: Receiving,
}

pub enum Sending {
    Socket(OwnedWriteHalf),
    Stream(SendStream<Bytes>),
}

pub struct Receiving {
    transport: Transport,
    /// Received, but not yet returned.
    buffered: Vec<u8>,
}

enum Transport {
    Socket(OwnedReadHalf),
    Stream(RecvStream),
}

/// End of the data of the other side.
#[derive(Debug, PartialEq, Eq)]
pub enum StreamEnd {
    Finished,
    Reset,
}

impl End {
    /// Creates an end from a socket and the data already read from it.
    pub fn socket(socket: TcpStream, buffered: Vec<u8>) -> Self {
        let (read, write) = socket.into_split();
        Self {
            sending: Sending::Socket(write),
            receiving: Receiving { transport: Transport::Socket(read), buffered },
        }
    }

    pub fn stream(send: SendStream<Bytes>, receive: RecvStream) -> Self {
        let receiving = Receiving { transport: Transport::Stream(receive), buffered: Vec::new() };
        Self { sending: Sending::Stream(send), receiving }
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.sending.send(bytes).await;
    }

    pub async fn finish(&mut self) {
        self.sending.finish().await;
    }

    pub async fn exactly(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while bytes.len() < length {
            bytes.extend(self.receiving.chunk().await.expect("early end of the tunnel"));
        }
        self.receiving.buffered = bytes.split_off(length);
        bytes
    }

    pub async fn expect(&mut self, expected: impl AsRef<[u8]>) {
        let expected = expected.as_ref();
        let read = self.exactly(expected.len()).await;
        assert_eq!(String::from_utf8_lossy(&read), String::from_utf8_lossy(expected));
    }

    /// Returns all remaining data, and how it ended.
    pub async fn rest(&mut self) -> (Vec<u8>, StreamEnd) {
        let mut bytes = Vec::new();
        loop {
            match self.receiving.chunk().await {
                Ok(more) => bytes.extend(more),
                Err(end) => return (bytes, end),
            }
        }
    }

    /// Requires a Close of the proxy, and ends the connection in response.
    pub async fn expect_close(&mut self, code: u16) {
        let mut bytes = Vec::new();
        while close_code(&bytes).is_none() {
            bytes.extend(self.receiving.chunk().await.expect("end of the tunnel instead of a Close"));
        }
        assert_eq!(close_code(&bytes), Some(code));
        self.finish().await;
        assert!(self.rest().await.0.is_empty());
    }

    /// Resets the socket or the stream.
    pub fn reset(self, code: Reason) {
        match (self.sending, self.receiving.transport) {
            (Sending::Socket(write), Transport::Socket(read)) => {
                write.reunite(read).unwrap().set_zero_linger().unwrap();
            }
            (Sending::Stream(mut send), _) => send.send_reset(code),
            (Sending::Socket(_), Transport::Stream(_)) => {
                unreachable!("both halves belong to one connection")
            }
        }
    }

    /// Waits for the end that follows a reset of the other side in version `other`. Between two sockets, data
    /// sent before the reset must arrive, so this socket is closed instead of reset.
    pub async fn expect_reset(&mut self, other: Version) {
        match &mut self.sending {
            Sending::Socket(_) => {
                let end = if other == Version::Http1 { StreamEnd::Finished } else { StreamEnd::Reset };
                assert_eq!(self.rest().await.1, end);
            }
            Sending::Stream(send) => {
                bounded("the reset", poll_fn(|cx| send.poll_reset(cx))).await.unwrap();
            }
        }
    }
}

impl Sending {
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        bounded("send", self.send_unbounded(bytes.as_ref())).await;
    }

    /// Sends without a timeout.
    pub async fn send_unbounded(&mut self, bytes: &[u8]) {
        self.try_send(bytes).await.expect("the tunnel is open");
    }

    /// Sends on a tunnel that may be closed.
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

    /// Sends a FIN or `END_STREAM`.
    pub async fn finish(&mut self) {
        match self {
            Self::Socket(socket) => socket.shutdown().await.unwrap(),
            Self::Stream(send) => send.send_data(Bytes::new(), true).unwrap(),
        }
    }
}

impl Receiving {
    /// Returns the next chunk of data.
    pub async fn chunk(&mut self) -> Result<Vec<u8>, StreamEnd> {
        if !self.buffered.is_empty() {
            return Ok(std::mem::take(&mut self.buffered));
        }
        match &mut self.transport {
            Transport::Socket(socket) => {
                let mut buffer = vec![0; 64 * 1024];
                match bounded("bytes", socket.read(&mut buffer)).await {
                    Ok(0) => Err(StreamEnd::Finished),
                    Ok(read) => {
                        buffer.truncate(read);
                        Ok(buffer)
                    }
                    Err(error) if error.kind() == ErrorKind::ConnectionReset => Err(StreamEnd::Reset),
                    Err(error) => panic!("{error}"),
                }
            }
            Transport::Stream(receive) => match bounded("bytes", receive.data()).await {
                None => Err(StreamEnd::Finished),
                Some(Ok(data)) => {
                    receive.flow_control().release_capacity(data.len()).unwrap();
                    Ok(data.to_vec())
                }
                Some(Err(error)) if error.is_reset() => Err(StreamEnd::Reset),
                Some(Err(error)) => panic!("{error}"),
            },
        }
    }
}
