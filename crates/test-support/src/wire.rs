//! A connection as raw bytes, every wait on it bounded.

use std::{future::IntoFuture, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// Fails the test when `future` takes longer than any machine should need.
pub async fn bounded<F: IntoFuture>(what: &str, future: F) -> F::Output {
    match timeout(Duration::from_secs(20), future.into_future()).await {
        Ok(output) => output,
        Err(_) => panic!("still waiting: {what}"),
    }
}

/// One end of a connection. Bytes read beyond what was asked for are kept.
pub struct Wire<S = TcpStream> {
    pub stream: S,
    read: Vec<u8>,
}

/// The head of a message as it came.
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

    /// Sends a request and reads the head of the answer.
    pub async fn ask(&mut self, request: impl AsRef<[u8]>) -> Head {
        self.send(request).await;
        self.head().await
    }

    /// What was read beyond what was asked for.
    pub fn buffered(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.read)
    }

    pub async fn finish(&mut self) {
        bounded("shutdown", self.stream.shutdown()).await.unwrap();
    }

    /// The next head, up to and with its empty line.
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

    /// Everything up to the end of the connection, however that comes.
    pub async fn rest(&mut self) -> Vec<u8> {
        while self.fill().await {}
        std::mem::take(&mut self.read)
    }

    pub async fn expect_end(&mut self) {
        let rest = self.rest().await;
        assert!(rest.is_empty(), "expected the end, got {:?}", String::from_utf8_lossy(&rest));
    }

    /// A Close of the proxy's, and the end once that is answered by ending the connection.
    pub async fn expect_close(&mut self, code: u16) {
        while close_code(&self.read).is_none() {
            assert!(self.fill().await, "the end instead of a Close");
        }
        assert_eq!(close_code(&self.read), Some(code));
        self.read.clear();
        self.finish().await;
        self.expect_end().await;
    }

    /// A body of the length the head says, or in chunks.
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

    /// False at the end of the connection; a reset is an end too.
    async fn fill(&mut self) -> bool {
        let mut buffer = [0; 16 * 1024];
        match bounded("bytes", self.stream.read(&mut buffer)).await {
            Ok(0) | Err(_) => false,
            Ok(read) => {
                self.read.extend(&buffer[..read]);
                true
            }
        }
    }
}

/// Requires that bytes go through, both ways.
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

    pub fn has(&self, name: &str, value: &str) -> bool {
        self.values(name).iter().any(|have| have == value)
    }
}

/// The code in a WebSocket's Close, masked or not, when `bytes` are one and nothing else.
pub fn close_code(bytes: &[u8]) -> Option<u16> {
    let [0x88, length, rest @ ..] = bytes else { return None };
    let (key, payload) = if length & 0x80 == 0 { ([0; 4], rest) } else { take(rest)? };
    let (code, _) = take::<2>(payload)?;
    (payload.len() == usize::from(length & 0x7f))
        .then(|| u16::from_be_bytes([code[0] ^ key[0], code[1] ^ key[1]]))
}

fn take<const N: usize>(bytes: &[u8]) -> Option<([u8; N], &[u8])> {
    bytes.split_first_chunk().map(|(first, rest)| (*first, rest))
}
