//! A connection as raw bytes, and heads of HTTP/1.1 messages. Every wait is bounded.

use std::{future::IntoFuture, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::websocket::frame::close_code;

/// Waits for `future`, for longer than any machine should need.
pub async fn bounded<F: IntoFuture>(what: &str, future: F) -> F::Output {
    match timeout(Duration::from_secs(20), future.into_future()).await {
        Ok(output) => output,
        Err(_) => panic!("still waiting: {what}"),
    }
}

/// One end of a connection.
pub struct Wire<S = TcpStream> {
    pub stream: S,
    /// Read while looking for the end of a head or line.
    read: Vec<u8>,
}

/// The head of a request or response, as received.
#[derive(Clone, Debug)]
pub struct Head {
    pub raw: Vec<u8>,
}

impl Wire {
    pub async fn connect(address: SocketAddr) -> Self {
        Self::new(bounded("connect", TcpStream::connect(address)).await.unwrap())
    }

    /// Closes with a reset.
    pub fn reset(self) {
        self.stream.set_zero_linger().unwrap();
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub fn new(stream: S) -> Self {
        Self { stream, read: Vec::new() }
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        bounded("send", self.stream.write_all(bytes.as_ref())).await.unwrap();
        bounded("send", self.stream.flush()).await.unwrap();
    }

    /// Sends a request and reads the head of the response.
    pub async fn request(&mut self, request: impl AsRef<[u8]>) -> Head {
        self.send(request).await;
        self.head().await
    }

    /// Takes the bytes that were read and not returned yet.
    pub fn buffered(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.read)
    }

    /// Shuts the sending direction down.
    pub async fn finish(&mut self) {
        bounded("shutdown", self.stream.shutdown()).await.unwrap();
    }

    /// Reads the next head, including its empty line.
    pub async fn head(&mut self) -> Head {
        loop {
            if let Some(end) = self.read.windows(4).position(|window| window == b"\r\n\r\n") {
                return Head { raw: self.read.drain(..end + 4).collect() };
            }
            let so_far = String::from_utf8_lossy(&self.read).into_owned();
            assert!(self.fill().await, "end of connection instead of a head, after {so_far:?}");
        }
    }

    pub async fn exactly(&mut self, length: usize) -> Vec<u8> {
        while self.read.len() < length {
            assert!(self.fill().await, "end of connection after {} of {length} bytes", self.read.len());
        }
        self.read.drain(..length).collect()
    }

    pub async fn expect(&mut self, expected: impl AsRef<[u8]>) {
        let read = self.exactly(expected.as_ref().len()).await;
        assert_eq!(String::from_utf8_lossy(&read), String::from_utf8_lossy(expected.as_ref()));
    }

    /// Everything up to the end of the connection, which may be a reset.
    pub async fn rest(&mut self) -> Vec<u8> {
        while self.fill().await {}
        std::mem::take(&mut self.read)
    }

    pub async fn expect_end(&mut self) {
        let rest = self.rest().await;
        assert!(rest.is_empty(), "expected the end, got {:?}", String::from_utf8_lossy(&rest));
    }

    /// Expects a Close with this code, ends the connection in response, and expects its end.
    pub async fn expect_close(&mut self, code: u16) {
        while close_code(&self.read).is_none() {
            assert!(self.fill().await, "the end instead of a Close");
        }
        assert_eq!(close_code(&self.read), Some(code));
        self.read.clear();
        self.finish().await;
        self.expect_end().await;
    }

    /// Reads the body after `head`: chunked, or of the length in `Content-Length`, by default 0.
    pub async fn body(&mut self, head: &Head) -> Vec<u8> {
        if head.has("transfer-encoding", "chunked") {
            return self.chunks().await;
        }
        let length = head.values("content-length").first().map_or(0, |length| length.parse().unwrap());
        self.exactly(length).await
    }

    async fn chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let line = self.line().await;
            let size = usize::from_str_radix(line.trim(), 16).unwrap();
            body.extend(self.exactly(size).await);
            self.expect("\r\n").await;
            if size == 0 {
                return body;
            }
        }
    }

    async fn line(&mut self) -> String {
        loop {
            if let Some(end) = self.read.windows(2).position(|window| window == b"\r\n") {
                return String::from_utf8(self.read.drain(..end + 2).collect()).unwrap();
            }
            assert!(self.fill().await, "end of connection instead of a line");
        }
    }

    /// Reads more bytes; false at the end of the connection, a reset included.
    async fn fill(&mut self) -> bool {
        self.read.reserve(16 * 1024);
        matches!(bounded("bytes", self.stream.read_buf(&mut self.read)).await, Ok(1..))
    }
}

/// Expects that bytes pass in both directions.
pub async fn ping_pong<C, S>(client: &mut Wire<C>, server: &mut Wire<S>)
where
    C: AsyncRead + AsyncWrite + Unpin,
    S: AsyncRead + AsyncWrite + Unpin,
{
    client.send("ping").await;
    server.expect("ping").await;
    server.send("pong").await;
    client.expect("pong").await;
}

impl Head {
    /// Latin-1.
    pub fn text(&self) -> String {
        self.raw.iter().map(|byte| char::from(*byte)).collect()
    }

    pub fn first_line(&self) -> String {
        self.text().lines().next().unwrap_or_default().to_owned()
    }

    pub fn status(&self) -> u16 {
        self.first_line().split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap()
    }

    /// The values of a field, in order; Latin-1.
    pub fn values(&self, name: &str) -> Vec<String> {
        self.fields().into_iter().filter(|(field, _)| field == name).map(|(_, value)| value).collect()
    }

    /// The fields in order, names in lower case.
    pub fn fields(&self) -> Vec<(String, String)> {
        self.text()
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect()
    }

    /// Returns true if a line of the field has exactly this value.
    pub fn has(&self, name: &str, value: &str) -> bool {
        self.values(name).iter().any(|found| found == value)
    }
}
