//! Requests without a tunnel: ordinary ones, and handshakes that must be refused.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::Client;
use crate::{bytes::Pattern, report::Failure};

/// HTTP/1.1 connection that sends requests as bytes.
pub(super) struct Connection {
    stream: TcpStream,
    read: Vec<u8>,
}

pub(super) struct Response {
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

    /// Sends a request, and reads the response. The length of its body is that of its `Content-Length`.
    pub(super) async fn send(&mut self, request: &[u8]) -> Result<Response, Failure> {
        self.stream.write_all(request).await?;
        let end = loop {
            match self.read.windows(4).position(|window| window == b"\r\n\r\n") {
                Some(end) => break end + 4,
                None => self.fill().await?,
            }
        };
        let head = self.read.drain(..end).map(char::from).collect::<String>().to_ascii_lowercase();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| Failure::WrongBytes(format!("no status in {head:.80}")))?;
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
        let length = length.unwrap_or(0);
        while self.read.len() < length {
            self.fill().await?;
        }
        Ok(Response { status, body: self.read.drain(..length).collect() })
    }

    async fn fill(&mut self) -> Result<(), Failure> {
        match self.stream.read_buf(&mut self.read).await? {
            0 => Err(Failure::Ended("without a response".to_owned())),
            _ => Ok(()),
        }
    }
}

/// Sends up to ten requests on one connection.
pub(super) async fn ordinary(client: &mut Client) -> Result<(), Failure> {
    let mut connection = Connection::new(client.connect().await?);
    for _ in 0..=client.random.below(10) {
        request_with_body(client, &mut connection).await?;
        let pause = client.random.below(100);
        client.pause(pause).await;
    }
    Ok(())
}

/// Receives a response body from the upstream and verifies it, or sends a request body that the upstream verifies.
async fn request_with_body(client: &mut Client, connection: &mut Connection) -> Result<(), Failure> {
    let (length, seed) = (client.random.below(100_000) as usize, client.random.next());
    if client.random.chance(50) {
        let request = format!("GET /body/{length}/{seed} HTTP/1.1\r\nHost: soak.example\r\n\r\n");
        let response = connection.send(request.as_bytes()).await?;
        return verify(client, &response, length, seed);
    }
    let head = format!(
        "POST /body/{length}/{seed} HTTP/1.1\r\nHost: soak.example\r\nContent-Length: {length}\r\n\r\n"
    );
    let body = Pattern::new(seed).take(length);
    let response = connection.send(&[head.as_bytes(), &body].concat()).await?;
    match (response.status, response.body.as_slice()) {
        (200, b"correct") => {
            client.counters().verified(length);
            Ok(())
        }
        (200, _) => Err(Failure::WrongBytes("request body at the upstream".to_owned())),
        (status, _) => Err(Failure::Status(status)),
    }
}

fn verify(client: &Client, response: &Response, length: usize, seed: u64) -> Result<(), Failure> {
    if response.status != 200 {
        return Err(Failure::Status(response.status));
    }
    if response.body != Pattern::new(seed).take(length) {
        return Err(Failure::WrongBytes(format!(
            "body of {} instead of {length} bytes",
            response.body.len()
        )));
    }
    client.counters().verified(length);
    Ok(())
}

/// Field with a valid key.
const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";

/// Method and target, fields, and the status of the response.
const BAD_HANDSHAKES: [(&str, &[&str], u16); 10] = [
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

/// Sends an invalid handshake; then, unless the connection must be closed, an ordinary request on the same connection.
pub(super) async fn bad_handshake(client: &mut Client) -> Result<(), Failure> {
    let (start, lines, status) = *client.random.choose(&BAD_HANDSHAKES);
    let lines = lines.iter().map(|line| format!("{line}\r\n")).collect::<String>();
    let request = format!(
        "{start} HTTP/1.1\r\nHost: soak.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n{lines}\r\n"
    );
    let mut connection = Connection::new(client.connect().await?);
    let response = connection.send(request.as_bytes()).await?;
    if response.status != status {
        return Err(Failure::Status(response.status));
    }
    client.counters().expected();
    let is_framed = !request.contains("Content-Length") && !request.contains("Transfer-Encoding");
    if is_framed && start.contains('/') {
        request_with_body(client, &mut connection).await?;
    }
    Ok(())
}
