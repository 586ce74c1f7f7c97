//! A tungstenite endpoint that receives a stream.

use std::io::{self, Cursor, Read, Write};

use tokio_tungstenite::tungstenite::{Error, Message, WebSocket, error::ProtocolError, protocol::Role};

use super::streams::Sender;

/// Reads from a stream and discards all writes.
struct ReadOnly<'a>(Cursor<&'a [u8]>);

impl Read for ReadOnly<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(into)
    }
}

impl Write for ReadOnly<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Messages, Pings, Pongs and the Close that the endpoint receives until the stream ends.
pub(super) fn receive(sender: Sender, stream: &[u8]) -> Result<Vec<Message>, String> {
    let role = if sender == Sender::Client { Role::Server } else { Role::Client };
    let mut socket = WebSocket::from_raw_socket(ReadOnly(Cursor::new(stream)), role, None);
    let mut received = Vec::new();
    loop {
        match socket.read() {
            Ok(message) => received.push(message),
            Err(Error::ConnectionClosed | Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)) => {
                return Ok(received);
            }
            Err(error) => return Err(error.to_string()),
        }
    }
}
