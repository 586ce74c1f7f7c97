//! Client for ordinary requests on a persistent connection.

use std::net::SocketAddr;

use tokio::net::TcpStream;

use crate::{
    Result,
    upstream::BODY,
    websocket::{ReadBuffer, Transport},
};

/// Client that requests the upstream's page repeatedly.
#[derive(Debug)]
pub(crate) struct PageClient {
    transport: Transport,
    buffer: ReadBuffer,
    request: Vec<u8>,
}

impl PageClient {
    pub(crate) async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await.map_err(|error| format!("connect: {error}"))?;
        stream.set_nodelay(true)?;
        let request =
            format!("GET / HTTP/1.1\r\nHost: {address}\r\nUser-Agent: side-by-side\r\nAccept: */*\r\n\r\n");
        Ok(Self { transport: stream.into(), buffer: ReadBuffer::default(), request: request.into_bytes() })
    }

    /// Sends one request, and reads the whole response.
    pub(crate) async fn get(&mut self) -> Result<()> {
        self.transport.send(&self.request).await?;
        loop {
            self.buffer.fill(&mut self.transport).await?;
            let bytes = self.buffer.bytes();
            let Some(head) = head(bytes)? else { continue };
            let Some(body) = bytes.get(head..head + BODY.len()) else { continue };
            if body != BODY.as_bytes() {
                return Err("the response body is not the upstream's page".into());
            }
            self.buffer.consume(head + BODY.len());
            return Ok(());
        }
    }
}

/// Returns the length of the response's head if it is complete. Any response other than the page is an error.
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
        _ => Err("the response has no Content-Length, or a wrong one".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_responses_than_the_page_are_errors() {
        let response = b"HTTP/1.1 200 OK\r\ncontent-length: 125\r\n\r\n";
        assert_eq!(head(response).expect("the page"), Some(response.len()));
        assert_eq!(head(&response[..9]).expect("a valid beginning"), None);
        assert!(head(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 125\r\n\r\n").is_err());
        assert!(head(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").is_err());
    }
}
