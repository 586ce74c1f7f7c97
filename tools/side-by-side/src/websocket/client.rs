//! A client's end of a WebSocket.

use std::net::SocketAddr;

use tokio::net::{TcpSocket, TcpStream};

use super::{
    frame::{self, FrameHeader},
    handshake,
    inbox::Inbox,
    message::{FIRST, Message, last},
    skim::Skim,
    transport::Transport,
};
use crate::{Result, http2};

/// How closely an echo is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Check {
    /// Every byte.
    Whole,
    /// The length, the first and the last byte.
    Ends,
}

/// An open WebSocket.
#[derive(Debug)]
pub(crate) struct WebSocket {
    transport: Transport,
    inbox: Inbox,
}

impl WebSocket {
    /// Connects and shakes hands.
    pub(crate) async fn open(address: SocketAddr, path: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).await.map_err(|error| format!("connect: {error}"))?;
        Self::on(stream, address, path).await
    }

    /// The same for a client that will not read, with a receive buffer of 64 KiB: a thousand of those that
    /// the kernel chooses would be the machine's memory, not the proxy's.
    pub(crate) async fn open_narrow(address: SocketAddr, path: &str) -> Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(64 * 1024)?;
        let stream = socket.connect(address).await.map_err(|error| format!("connect: {error}"))?;
        Self::on(stream, address, path).await
    }

    /// Shakes hands on a stream of this connection.
    pub(crate) async fn open_shared(connection: &http2::Connection, path: &str) -> Result<Self> {
        let transport = connection.tunnel(path).await?.into();
        Ok(Self { transport, inbox: Inbox::default() })
    }

    async fn on(stream: TcpStream, address: SocketAddr, path: &str) -> Result<Self> {
        stream.set_nodelay(true)?;
        let mut transport = Transport::from(stream);
        transport.send(&handshake::request(&address.to_string(), path)).await?;
        let mut inbox = Inbox::default();
        loop {
            inbox.fill(&mut transport).await.map_err(|error| format!("handshake: {error}"))?;
            if let Some(size) = handshake::verify(inbox.bytes())? {
                inbox.consume(size);
                return Ok(Self { transport, inbox });
            }
        }
    }

    /// Sends a message and waits for it to come back.
    pub(crate) async fn echo(&mut self, message: &Message, check: Check) -> Result<()> {
        self.transport.send(&message.frame).await?;
        let header = self.next().await?;
        let payload = &self.inbox.bytes()[header.size..header.total()];
        let equal = match check {
            Check::Whole => payload == message.payload,
            Check::Ends => {
                payload.len() == message.payload.len()
                    && payload.first() == Some(&FIRST)
                    && payload.last() == Some(&last(payload.len()))
            }
        };
        if header.first != frame::BINARY || !equal {
            return Err(format!("{} bytes came back changed", message.payload.len()).into());
        }
        self.inbox.consume(header.total());
        Ok(())
    }

    /// Reads this many bytes of payload.
    pub(crate) async fn receive(&mut self, bytes: u64) -> Result<()> {
        let mut skim = Skim::default();
        loop {
            skim.pass(&mut self.inbox)?;
            if skim.payload >= bytes {
                return Ok(());
            }
            let seen = skim.payload;
            let read = self.inbox.fill(&mut self.transport).await;
            read.map_err(|error| format!("after {seen} of {bytes} bytes: {error}"))?;
        }
    }

    /// Sends the message so often, and waits for the number of bytes that the upstream counted.
    pub(crate) async fn send(&mut self, message: &Message, times: u64) -> Result<()> {
        for _ in 0..times {
            self.transport.send(&message.frame).await?;
        }
        let header = self.next().await?;
        let counted = String::from_utf8_lossy(&self.inbox.bytes()[header.size..header.total()]).into_owned();
        self.inbox.consume(header.total());
        let sent = message.payload.len() as u64 * times;
        if counted != sent.to_string() {
            return Err(format!("the upstream counted {counted} bytes of {sent}").into());
        }
        Ok(())
    }

    /// Closes as RFC 6455, section 7 has it: Close, Close back, and the server ends the connection first.
    pub(crate) async fn close(mut self) -> Result<()> {
        self.transport.send(&frame::client(frame::CLOSE, &1000_u16.to_be_bytes())).await?;
        let header = self.next().await.map_err(|error| format!("close: {error}"))?;
        if header.first != frame::CLOSE {
            return Err(format!("a frame with opcode {} instead of Close", header.opcode()).into());
        }
        self.inbox.drain(&mut self.transport).await.map_err(|error| format!("close: {error}"))?;
        self.transport.close().await;
        Ok(())
    }

    /// Waits until the next frame is whole in the inbox.
    async fn next(&mut self) -> Result<FrameHeader> {
        loop {
            if let Some(header) = frame::header(self.inbox.bytes())?
                && header.total() <= self.inbox.bytes().len()
            {
                return Ok(header);
            }
            self.inbox.fill(&mut self.transport).await?;
        }
    }
}
