//! Ordinary requests on a connection that stays.

use std::net::SocketAddr;

use tokio::net::TcpStream;

use crate::{
    Result,
    upstream::BODY,
    websocket::{Inbox, Transport},
};

/// A client that asks for the upstream's page again and again.
#[derive(Debug)]
pub(crate) struct Reader {
    transport: Transport,
    inbox: Inbox,
    request: Vec<u8>,
}

impl Reader {
    pub(crate) async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await.map_err(|error| format!("connect: {error}"))?;
        stream.set_nodelay(true)?;
        let request =
            format!("GET / HTTP/1.1\r\nHost: {address}\r\nUser-Agent: side-by-side\r\nAccept: */*\r\n\r\n");
        Ok(Self { transport: stream.into(), inbox: Inbox::default(), request: request.into_bytes() })
    }

    /// One request, and all of its answer.
    pub(crate) async fn get(&mut self) -> Result<()> {
        self.transport.send(&self.request).await?;
        loop {
            self.inbox.fill(&mut self.transport).await?;
            let bytes = self.inbox.bytes();
            let Some(head) = head(bytes)? else { continue };
            let Some(body) = bytes.get(head..head + BODY.len()) else { continue };
            if body != BODY.as_bytes() {
                return Err("another page than the upstream's".into());
            }
            self.inbox.consume(head + BODY.len());
            return Ok(());
        }
    }
}

/// The length of the answer's head, if it is all there and announces the page.
fn head(bytes: &[u8]) -> Result<Option<usize>> {
    let mut fields = [httparse::EMPTY_HEADER; 32];
    let mut head = httparse::Response::new(&mut fields);
    let httparse::Status::Complete(size) = head.parse(bytes)? else { return Ok(None) };
    if head.code != Some(200) {
        return Err(format!("{} instead of 200", head.code.unwrap_or_default()).into());
    }
    let length = head.headers.iter().find(|field| field.name.eq_ignore_ascii_case("content-length"));
    match length {
        Some(field) if field.value == BODY.len().to_string().as_bytes() => Ok(Some(size)),
        _ => Err("a page without its Content-Length".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_page_is_the_page() {
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 125\r\n\r\n";
        assert_eq!(head(answer).expect("the page"), Some(answer.len()));
        assert_eq!(head(&answer[..9]).expect("nothing wrong yet"), None);
        assert!(head(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 125\r\n\r\n").is_err());
        assert!(head(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").is_err());
    }
}
