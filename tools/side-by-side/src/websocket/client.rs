//! WebSocket of the client.

use std::net::SocketAddr;

use tokio::net::{TcpSocket, TcpStream};

use super::{
    frame::{self, FrameHeader},
    frame_counter::FrameCounter,
    handshake,
    message::{FIRST, Message, last},
    read_buffer::ReadBuffer,
    transport::Transport,
};
use crate::{Result, http2};

/// Extent of the comparison of an echo with its message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Check {
    /// All bytes.
    Whole,
    /// The length, the first and the last byte.
    Ends,
}

/// Open WebSocket.
#[derive(Debug)]
pub(crate) struct WebSocket {
    transport: Transport,
    buffer: ReadBuffer,
}

impl WebSocket {
    /// Connects, and performs the handshake.
    pub(crate) async fn open(address: SocketAddr, path: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).await.map_err(|error| format!("connect: {error}"))?;
        Self::on(stream, address, path).await
    }

    /// Does the same with a receive buffer of 64 KiB, for clients that do not read: the kernel's default for a thousand
    /// connections would use up the machine's memory.
    pub(crate) async fn open_with_small_buffer(address: SocketAddr, path: &str) -> Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(64 * 1024)?;
        let stream = socket.connect(address).await.map_err(|error| format!("connect: {error}"))?;
        Self::on(stream, address, path).await
    }

    /// Performs the handshake on a new stream of an HTTP/2 connection.
    pub(crate) async fn open_on_stream(connection: &http2::Connection, path: &str) -> Result<Self> {
        let transport = connection.tunnel(path).await?.into();
        Ok(Self { transport, buffer: ReadBuffer::default() })
    }

    async fn on(stream: TcpStream, address: SocketAddr, path: &str) -> Result<Self> {
        stream.set_nodelay(true)?;
        let mut transport = Transport::from(stream);
        transport.send(&handshake::request(&address.to_string(), path)).await?;
        let mut buffer = ReadBuffer::default();
        loop {
            buffer.fill(&mut transport).await.map_err(|error| format!("handshake: {error}"))?;
            if let Some(size) = handshake::verify(buffer.bytes())? {
                buffer.consume(size);
                return Ok(Self { transport, buffer });
            }
        }
    }

    /// Sends a message, and waits for its echo.
    pub(crate) async fn echo(&mut self, message: &Message, check: Check) -> Result<()> {
        self.transport.send(&message.frame).await?;
        let header = self.next().await?;
        let payload = &self.buffer.bytes()[header.size..header.total()];
        let equal = match check {
            Check::Whole => payload == message.payload,
            Check::Ends => {
                payload.len() == message.payload.len()
                    && payload.first() == Some(&FIRST)
                    && payload.last() == Some(&last(payload.len()))
            }
        };
        if header.first != frame::BINARY || !equal {
            return Err(
                format!("the echo of {} bytes differs from the message", message.payload.len()).into()
            );
        }
        self.buffer.consume(header.total());
        Ok(())
    }

    /// Reads frames with this number of payload bytes.
    pub(crate) async fn receive(&mut self, bytes: u64) -> Result<()> {
        let mut counter = FrameCounter::default();
        loop {
            counter.consume(&mut self.buffer)?;
            if counter.payload >= bytes {
                return Ok(());
            }
            let received = counter.payload;
            let read = self.buffer.fill(&mut self.transport).await;
            read.map_err(|error| format!("after {received} of {bytes} bytes: {error}"))?;
        }
    }

    /// Sends the message repeatedly, and compares the number of bytes counted by the upstream.
    pub(crate) async fn send(&mut self, message: &Message, times: u64) -> Result<()> {
        for _ in 0..times {
            self.transport.send(&message.frame).await?;
        }
        let header = self.next().await?;
        let counted = String::from_utf8_lossy(&self.buffer.bytes()[header.size..header.total()]).into_owned();
        self.buffer.consume(header.total());
        let sent = message.payload.len() as u64 * times;
        if counted != sent.to_string() {
            return Err(format!("the upstream counted {counted} of {sent} bytes").into());
        }
        Ok(())
    }

    /// Performs the closing handshake of RFC 6455, section 7: a Close in each direction, then the server ends the
    /// connection.
    pub(crate) async fn close(mut self) -> Result<()> {
        self.transport.send(&frame::client(frame::CLOSE, &1000_u16.to_be_bytes())).await?;
        let header = self.next().await.map_err(|error| format!("close: {error}"))?;
        if header.first != frame::CLOSE {
            return Err(format!("a frame with opcode {} instead of Close", header.opcode()).into());
        }
        self.buffer.drain(&mut self.transport).await.map_err(|error| format!("close: {error}"))?;
        self.transport.close().await;
        Ok(())
    }

    /// Waits until the buffer contains the whole next frame.
    async fn next(&mut self) -> Result<FrameHeader> {
        loop {
            if let Some(header) = frame::header(self.buffer.bytes())?
                && header.total() <= self.buffer.bytes().len()
            {
                return Ok(header);
            }
            self.buffer.fill(&mut self.transport).await?;
        }
    }
}
