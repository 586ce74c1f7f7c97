//! WebSockets that echo every message.

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
    report::{Fault, Tally},
};

/// Payload of the pings.
const PING: &[u8] = b"soak";

/// Numbered messages of random sizes with random bytes, made from a seed by the sending and the receiving half alike.
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
        if self.random.percent(30) {
            let text = payload.iter().map(|byte| char::from(byte & 0x7f)).collect::<String>();
            return Message::text(text);
        }
        Message::binary(payload)
    }
}

/// Opens a WebSocket and exchanges messages.
pub(super) async fn echo(client: &mut Client) -> Result<(), Fault> {
    let socket = open(client, "/echo").await?;
    talk(client.random.next(), client.tally(), socket).await
}

pub(super) async fn open(
    client: &Client,
    path: &str,
) -> Result<WebSocketStream<tokio::net::TcpStream>, Fault> {
    let stream = client.connect().await?;
    let (socket, _) = client_async(format!("ws://soak.example{path}"), stream).await?;
    Ok(socket)
}

/// Exchanges some messages, whole and in fragments with pings between, sent and received at the same time; then runs the
/// closing handshake.
pub(super) async fn talk<S>(seed: u64, tally: &Tally, socket: WebSocketStream<S>) -> Result<(), Fault>
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
            if random.percent(40) {
                let pause = random.below(80);
                tokio::time::sleep(std::time::Duration::from_millis(pause)).await;
            }
        }
        Ok::<(), Fault>(())
    };
    let receive = async {
        let mut messages = Messages::new(messages);
        for number in 0..count {
            let received = loop {
                match receiving.next().await.ok_or(Fault::Ended("no more messages".to_owned()))?? {
                    Message::Pong(payload) if payload == PING => {}
                    Message::Close(close) => return Err(closed(close.as_ref())),
                    message => break message,
                }
            };
            if received != messages.next() {
                return Err(Fault::Wrong(format!(
                    "message {number} of {count} arrived as {:.80}",
                    debug(&received)
                )));
            }
            tally.verified(received.len());
        }
        Ok(())
    };
    tokio::try_join!(send, receive)?;
    let mut socket = sending.reunite(receiving).map_err(|error| Fault::Ended(error.to_string()))?;
    close(&mut socket).await
}

/// Runs the closing handshake and waits for the end of the connection.
pub(super) async fn close<S>(socket: &mut WebSocketStream<S>) -> Result<(), Fault>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    socket.close(Some(CloseFrame { code: CloseCode::Normal, reason: "done".into() })).await?;
    match rest(socket).await {
        Fault::Closed(1000) => Ok(()),
        other => Err(other),
    }
}

/// Reads until the end of a WebSocket on which no more messages may arrive. Returns how it ended.
pub(super) async fn rest<S>(socket: &mut WebSocketStream<S>) -> Fault
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut end = Fault::Ended("without a Close".to_owned());
    while let Some(message) = socket.next().await {
        match message {
            Ok(Message::Close(close)) => end = closed(close.as_ref()),
            Ok(Message::Pong(_) | Message::Ping(_)) => {}
            Ok(message) => return Fault::Wrong(format!("{:.80} before the end", debug(&message))),
            Err(error) if matches!(end, Fault::Closed(_)) => {
                // Any error after a Close is the end.
                drop(error);
            }
            Err(error) => end = error.into(),
        }
    }
    end
}

pub(super) fn closed(close: Option<&CloseFrame>) -> Fault {
    Fault::Closed(close.map_or(1005, |close| close.code.into()))
}

pub(super) fn debug(message: &Message) -> String {
    format!("{message:?}")
}

async fn send<S>(
    sending: &mut SplitSink<WebSocketStream<S>, Message>,
    message: Message,
    random: &mut Random,
) -> Result<(), Fault>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    if !random.percent(25) {
        return Ok(sending.send(message).await?);
    }
    let mut first = if message.is_text() { Data::Text } else { Data::Binary };
    let mut rest: Bytes = message.into_data();
    loop {
        let piece = rest.split_to(random.below(rest.len() as u64 + 1) as usize);
        let is_last = rest.is_empty();
        let frame = Frame::message(piece, OpCode::Data(first), is_last);
        sending.send(Message::Frame(frame)).await?;
        if is_last {
            return Ok(());
        }
        first = Data::Continue;
        if random.percent(30) {
            sending.send(Message::Ping(Bytes::from_static(PING))).await?;
        }
    }
}
