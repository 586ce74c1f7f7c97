//! One end of a tunnel, whatever it is made of.

use std::{future::poll_fn, io::ErrorKind};

use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

use crate::{
    Speaks,
    support::{bounded, close_code},
};

/// A tunnel's end that the test holds.
pub(crate) struct End {
    pub(crate) sending: Sending,
    pub(crate) receiving: Receiving,
}

pub(crate) enum Sending {
    Socket(OwnedWriteHalf),
    Stream(SendStream<Bytes>),
}

pub(crate) struct Receiving {
    by: By,
    /// Received, and not asked for yet.
    rest: Vec<u8>,
}

enum By {
    Socket(OwnedReadHalf),
    Stream(RecvStream),
}

/// How the other side's bytes came to their end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Over {
    Finished,
    Reset,
}

impl End {
    /// A socket, and what was read from it already.
    pub(crate) fn socket(socket: TcpStream, rest: Vec<u8>) -> Self {
        let (read, write) = socket.into_split();
        Self { sending: Sending::Socket(write), receiving: Receiving { by: By::Socket(read), rest } }
    }

    pub(crate) fn stream(send: SendStream<Bytes>, receive: RecvStream) -> Self {
        let receiving = Receiving { by: By::Stream(receive), rest: Vec::new() };
        Self { sending: Sending::Stream(send), receiving }
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.sending.send(bytes).await;
    }

    pub(crate) async fn finish(&mut self) {
        self.sending.finish().await;
    }

    pub(crate) async fn exactly(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while bytes.len() < length {
            bytes.extend(self.receiving.some().await.expect("the end came too early"));
        }
        self.receiving.rest = bytes.split_off(length);
        bytes
    }

    pub(crate) async fn expect(&mut self, expected: impl AsRef<[u8]>) {
        let expected = expected.as_ref();
        let read = self.exactly(expected.len()).await;
        assert_eq!(String::from_utf8_lossy(&read), String::from_utf8_lossy(expected));
    }

    /// Everything that is still to come, and how it ended.
    pub(crate) async fn rest(&mut self) -> (Vec<u8>, Over) {
        let mut bytes = Vec::new();
        loop {
            match self.receiving.some().await {
                Ok(more) => bytes.extend(more),
                Err(over) => return (bytes, over),
            }
        }
    }

    /// A Close of the proxy's, answered by ending the connection.
    pub(crate) async fn expect_close(&mut self, code: u16) {
        let mut bytes = Vec::new();
        while close_code(&bytes).is_none() {
            bytes.extend(self.receiving.some().await.expect("the end instead of a Close"));
        }
        assert_eq!(close_code(&bytes), Some(code));
        self.finish().await;
        assert!(self.rest().await.0.is_empty());
    }

    /// Tears the tunnel down: a reset of the socket, or of the stream.
    pub(crate) fn reset(self, code: Reason) {
        match (self.sending, self.receiving.by) {
            (Sending::Socket(write), By::Socket(read)) => {
                write.reunite(read).unwrap().set_zero_linger().unwrap();
            }
            (Sending::Stream(mut send), _) => send.send_reset(code),
            (Sending::Socket(_), By::Stream(_)) => unreachable!("one connection has two halves"),
        }
    }

    /// Waits until this end is torn down, as an end `there` was. Between sockets what was sent before a
    /// reset is to arrive, so the other one closes.
    pub(crate) async fn expect_reset(&mut self, there: Speaks) {
        match &mut self.sending {
            Sending::Socket(_) => {
                let over = if there == Speaks::Http1 { Over::Finished } else { Over::Reset };
                assert_eq!(self.rest().await.1, over);
            }
            Sending::Stream(send) => {
                bounded("the reset", poll_fn(|cx| send.poll_reset(cx))).await.unwrap();
            }
        }
    }
}

impl Sending {
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        bounded("send", self.offer(bytes.as_ref())).await;
    }

    /// The same, without a limit to the wait.
    pub(crate) async fn offer(&mut self, bytes: &[u8]) {
        self.try_offer(bytes).await.expect("the tunnel has gone");
    }

    /// The same, for a tunnel that may be gone.
    pub(crate) async fn try_offer(&mut self, mut bytes: &[u8]) -> Result<(), ()> {
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

    /// Says that nothing more will come: a FIN, or `END_STREAM`.
    pub(crate) async fn finish(&mut self) {
        match self {
            Self::Socket(socket) => socket.shutdown().await.unwrap(),
            Self::Stream(send) => send.send_data(Bytes::new(), true).unwrap(),
        }
    }
}

impl Receiving {
    /// The next bytes, as many as come at once.
    pub(crate) async fn some(&mut self) -> Result<Vec<u8>, Over> {
        if !self.rest.is_empty() {
            return Ok(std::mem::take(&mut self.rest));
        }
        match &mut self.by {
            By::Socket(socket) => {
                let mut buffer = vec![0; 64 * 1024];
                match bounded("bytes", socket.read(&mut buffer)).await {
                    Ok(0) => Err(Over::Finished),
                    Ok(read) => {
                        buffer.truncate(read);
                        Ok(buffer)
                    }
                    Err(error) if error.kind() == ErrorKind::ConnectionReset => Err(Over::Reset),
                    Err(error) => panic!("{error}"),
                }
            }
            By::Stream(receive) => match bounded("bytes", receive.data()).await {
                None => Err(Over::Finished),
                Some(Ok(data)) => {
                    receive.flow_control().release_capacity(data.len()).unwrap();
                    Ok(data.to_vec())
                }
                Some(Err(error)) if error.is_reset() => Err(Over::Reset),
                Some(Err(error)) => panic!("{error}"),
            },
        }
    }
}
