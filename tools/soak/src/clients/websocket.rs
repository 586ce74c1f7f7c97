//! WebSockets to an echo server.

use futures_util::{SinkExt, StreamExt, stream::SplitSink};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{
        Bytes, Message,
        protocol::{
            CloseFrame,
            frame::{
                Frame,
                coding::{CloseCode, Data, OpCode},
            },
        },
    },
};

use super::Client;
use crate::{
    bytes::{Pattern, Random},
    report::{Counters, Failure},
};

/// Payload of the client's Pings.
const PING: &[u8] = b"soak";

/// Messages with a number, of random sizes, with random bytes. The sending and the receiving half of a client generate
/// the same ones.
struct Messages {
    random: Random,
    number: u64,
}

impl Messages {
    fn new(seed: u64) -> Self {
        Self { random: Random::new(seed), number: 0 }
    }

    fn next(&mut self) -> Message {
        let length = match self.random.below(100) {
            0..50 => self.random.below(126),
            50..80 => self.random.below(4096),
            80..97 => self.random.below(1 << 16),
            _ => self.random.below(1 << 18),
        };
        let mut payload = self.number.to_be_bytes().to_vec();
        payload.extend(Pattern::new(self.random.next()).take(length as usize));
        self.number += 1;
        if self.random.chance(30) {
            let text = payload.iter().map(|byte| char::from(byte & 0x7f)).collect::<String>();
            return Message::text(text);
        }
        Message::binary(payload)
    }
}

/// Opens a WebSocket, and exchanges messages over it.
pub(super) async fn echo(client: &mut Client) -> Result<(), Failure> {
    let socket = open(client, "/echo").await?;
    exchange_messages(client.random.next(), client.counters(), socket).await
}

pub(super) async fn open(
    client: &Client,
    path: &str,
) -> Result<WebSocketStream<tokio::net::TcpStream>, Failure> {
    let stream = client.connect().await?;
    let (socket, _) = client_async(format!("ws://soak.example{path}"), stream).await?;
    Ok(socket)
}

/// Sends messages, whole or in fragments with Pings between them, and verifies their echoes at the same time; then
/// performs the closing handshake.
pub(super) async fn exchange_messages<S>(
    seed: u64,
    counters: &Counters,
    socket: WebSocketStream<S>,
) -> Result<(), Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut random = Random::new(seed);
    let (messages, count) = (random.next(), 1 + random.below(40));
    let (mut sending, mut receiving) = socket.split();
    let send = async {
        let mut messages = Messages::new(messages);
        for _ in 0..count {
            send(&mut sending, messages.next(), &mut random).await?;
            if random.chance(40) {
                let pause = random.below(80);
                tokio::time::sleep(std::time::Duration::from_millis(pause)).await;
            }
        }
        Ok::<(), Failure>(())
    };
    let receive = async {
        let mut messages = Messages::new(messages);
        for number in 0..count {
            let received = loop {
                match receiving.next().await.ok_or(Failure::Ended("no more messages".to_owned()))?? {
                    Message::Pong(payload) if payload == PING => {}
                    Message::Close(close) => return Err(closed(close.as_ref())),
                    message => break message,
                }
            };
            if received != messages.next() {
                return Err(Failure::WrongBytes(format!(
                    "message {number} of {count} received as {:.80}",
                    debug(&received)
                )));
            }
            counters.verified(received.len());
        }
        Ok(())
    };
    tokio::try_join!(send, receive)?;
    let mut socket = sending.reunite(receiving).map_err(|error| Failure::Ended(error.to_string()))?;
    close(&mut socket).await
}

/// Performs the closing handshake, and waits for the end of the connection.
pub(super) async fn close<S>(socket: &mut WebSocketStream<S>) -> Result<(), Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    socket.close(Some(CloseFrame { code: CloseCode::Normal, reason: "done".into() })).await?;
    match read_to_end(socket).await {
        Failure::Closed(1000) => Ok(()),
        other => Err(other),
    }
}

/// Reads until the connection ends, and returns the kind of end. A data message is a failure.
pub(super) async fn read_to_end<S>(socket: &mut WebSocketStream<S>) -> Failure
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut end = Failure::Ended("without a Close".to_owned());
    while let Some(message) = socket.next().await {
        match message {
            Ok(Message::Close(close)) => end = closed(close.as_ref()),
            Ok(Message::Pong(_) | Message::Ping(_)) => {}
            Ok(message) => return Failure::WrongBytes(format!("{:.80} before the end", debug(&message))),
            // After a Close, every error is the end of the connection.
            Err(_) if matches!(end, Failure::Closed(_)) => {}
            Err(error) => end = error.into(),
        }
    }
    end
}

/// Failure with the code of a received Close, or 1005 without one.
pub(super) fn closed(close: Option<&CloseFrame>) -> Failure {
    Failure::Closed(close.map_or(1005, |close| close.code.into()))
}

pub(super) fn debug(message: &Message) -> String {
    format!("{message:?}")
}

/// Sends a message whole, or in fragments with Pings between them.
async fn send<S>(
    sending: &mut SplitSink<WebSocketStream<S>, Message>,
    message: Message,
    random: &mut Random,
) -> Result<(), Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    if !random.chance(25) {
        return Ok(sending.send(message).await?);
    }
    let mut first = if message.is_text() { Data::Text } else { Data::Binary };
    let mut rest: Bytes = message.into_data();
    loop {
        let chunk = rest.split_to(random.below(rest.len() as u64 + 1) as usize);
        let is_last = rest.is_empty();
        let frame = Frame::message(chunk, OpCode::Data(first), is_last);
        sending.send(Message::Frame(frame)).await?;
        if is_last {
            return Ok(());
        }
        first = Data::Continue;
        if random.chance(30) {
            sending.send(Message::Ping(Bytes::from_static(PING))).await?;
        }
    }
}
