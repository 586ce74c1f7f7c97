//! Requests that become no tunnel: ordinary ones, and handshakes that must be refused.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::Client;
use crate::{bytes::Pattern, report::Fault};

/// A connection with HTTP/1.1, as bytes.
pub(super) struct Connection {
    stream: TcpStream,
    read: Vec<u8>,
}

pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

impl Connection {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream, read: Vec::new() }
    }

    pub(super) fn into_inner(self) -> TcpStream {
        self.stream
    }

    /// The answer; its body is as long as its head says.
    pub(super) async fn ask(&mut self, request: &[u8]) -> Result<Answer, Fault> {
        self.stream.write_all(request).await?;
        let end = loop {
            match self.read.windows(4).position(|window| window == b"\r\n\r\n") {
                Some(end) => break end + 4,
                None => self.fill().await?,
            }
        };
        let head = self.read.drain(..end).map(char::from).collect::<String>().to_ascii_lowercase();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| Fault::Wrong(format!("no status in {head:.80}")))?;
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
        let length = length.unwrap_or(0);
        while self.read.len() < length {
            self.fill().await?;
        }
        Ok(Answer { status, body: self.read.drain(..length).collect() })
    }

    async fn fill(&mut self) -> Result<(), Fault> {
        match self.stream.read_buf(&mut self.read).await? {
            0 => Err(Fault::Ended("no answer".to_owned())),
            _ => Ok(()),
        }
    }
}

/// Some requests on one connection, with bodies both ways.
pub(super) async fn ordinary(client: &mut Client) -> Result<(), Fault> {
    let mut connection = Connection::new(client.connect().await?);
    for _ in 0..=client.random.below(10) {
        one(client, &mut connection).await?;
        let pause = client.random.below(100);
        client.pause(pause).await;
    }
    Ok(())
}

/// What the upstream makes for a number, or what it says to a body of ours.
async fn one(client: &mut Client, connection: &mut Connection) -> Result<(), Fault> {
    let (length, seed) = (client.random.below(100_000) as usize, client.random.next());
    if client.random.percent(50) {
        let request = format!("GET /body/{length}/{seed} HTTP/1.1\r\nHost: soak.example\r\n\r\n");
        let answer = connection.ask(request.as_bytes()).await?;
        return verify(client, &answer, length, seed);
    }
    let head = format!(
        "POST /body/{length}/{seed} HTTP/1.1\r\nHost: soak.example\r\nContent-Length: {length}\r\n\r\n"
    );
    let body = Pattern::new(seed).take(length);
    let answer = connection.ask(&[head.as_bytes(), &body].concat()).await?;
    match (answer.status, answer.body.as_slice()) {
        (200, b"right") => {
            client.tally().verified(length);
            Ok(())
        }
        (200, _) => Err(Fault::Wrong("what the upstream received".to_owned())),
        (status, _) => Err(Fault::Status(status)),
    }
}

fn verify(client: &Client, answer: &Answer, length: usize, seed: u64) -> Result<(), Fault> {
    if answer.status != 200 {
        return Err(Fault::Status(answer.status));
    }
    if answer.body != Pattern::new(seed).take(length) {
        return Err(Fault::Wrong(format!("a body of {} for {length} bytes", answer.body.len())));
    }
    client.tally().verified(length);
    Ok(())
}

/// The key of a handshake.
const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";

/// First lines, further lines, and what they are answered with.
const BAD: [(&str, &[&str], u16); 10] = [
    ("GET /echo", &["Sec-WebSocket-Version: 13"], 400),
    ("GET /echo", &["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: short"], 400),
    ("GET /echo", &["Sec-WebSocket-Version: 13", KEY, KEY], 400),
    ("GET /echo", &["Sec-WebSocket-Version: 1337", KEY], 400),
    ("GET /echo", &["Sec-WebSocket-Version: 13", KEY, "Content-Length: 5"], 400),
    ("GET /echo", &["Sec-WebSocket-Version: 13", KEY, "Transfer-Encoding: chunked"], 400),
    ("GET /echo", &["Sec-WebSocket-Version: 13", KEY, "Host: another.example"], 400),
    ("POST /echo", &["Sec-WebSocket-Version: 13", KEY], 405),
    ("GET /nothing", &["Sec-WebSocket-Version: 13", KEY], 404),
    ("\x16\x03\x01\x02\0\x01", &[], 400),
];

/// One of them; and when the connection is still HTTP, an ordinary request behind it.
pub(super) async fn bad(client: &mut Client) -> Result<(), Fault> {
    let (start, lines, status) = *client.random.one_of(&BAD);
    let lines = lines.iter().map(|line| format!("{line}\r\n")).collect::<String>();
    let request = format!(
        "{start} HTTP/1.1\r\nHost: soak.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n{lines}\r\n"
    );
    let mut connection = Connection::new(client.connect().await?);
    let answer = connection.ask(request.as_bytes()).await?;
    if answer.status != status {
        return Err(Fault::Status(answer.status));
    }
    client.tally().expected();
    let is_framed = !request.contains("Content-Length") && !request.contains("Transfer-Encoding");
    if is_framed && start.contains('/') {
        one(client, &mut connection).await?;
    }
    Ok(())
}
