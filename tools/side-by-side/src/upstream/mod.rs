//! Upstream of all proxies: a separate process with one thread.
//!
//! | request | response |
//! | --- | --- |
//! | `GET /` | 125 bytes; the connection stays open |
//! | WebSocket `/echo` | every message is returned |
//! | WebSocket `/push?bytes=N` | N bytes in frames of 64 KiB; without `bytes`, an endless stream |
//! | WebSocket `/sink?bytes=N` | after N bytes, a message with the number of received bytes |
//!
//! With HTTP/2 enabled, WebSockets over HTTP/1.1 are refused, so that a proxy that uses HTTP/1.1 by mistake is detected.
//! Ordinary requests are accepted over both.

mod http2;
mod tunnel;

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream},
    time,
};

use crate::{
    Result,
    websocket::{ReadBuffer, Transport, handshake},
};
use tunnel::Behaviour;

/// Body of the response to an ordinary request.
pub(crate) const BODY: &str = "This body has one hundred and twenty-five bytes, as many as the small WebSocket messages \
    in the scenarios of this comparison.";

/// Serves until the process is killed: HTTP/1.1 only, or also HTTP/2 with this number of streams on each connection.
pub(crate) async fn serve(port: u16, http2_streams: Option<u32>) -> Result<()> {
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(connection(stream, http2_streams))),
            Err(_) => time::sleep(Duration::from_millis(10)).await,
        }
    }
}

/// Parsed request.
#[derive(Debug, PartialEq)]
enum Request {
    Page,
    Tunnel { key: Vec<u8>, behaviour: Behaviour },
}

/// Serves one connection. Its errors are not reported, because the client detects them.
async fn connection(stream: TcpStream, http2_streams: Option<u32>) -> Result<()> {
    stream.set_nodelay(true)?;
    if let Some(streams) = http2_streams
        && http2::begins_http2(&stream).await?
    {
        return http2::serve(stream, streams).await;
    }
    let mut transport = Transport::from(stream);
    let page = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{BODY}",
        BODY.len()
    );
    let mut buffer = ReadBuffer::default();
    loop {
        let (request, size) = match parse(buffer.bytes())? {
            Some(found) => found,
            None => {
                buffer.fill(&mut transport).await?;
                continue;
            }
        };
        buffer.consume(size);
        match request {
            Request::Page => transport.send(page.as_bytes()).await?,
            Request::Tunnel { .. } if http2_streams.is_some() => {
                return Err("unexpected WebSocket over HTTP/1.1".into());
            }
            Request::Tunnel { key, behaviour } => {
                transport.send(&handshake::response(&key)).await?;
                return tunnel::run(transport, buffer, behaviour).await;
            }
        }
    }
}

/// Parses the request at the start of these bytes. Returns it with the length of its head, if that is complete.
fn parse(bytes: &[u8]) -> Result<Option<(Request, usize)>> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let mut fields = [httparse::EMPTY_HEADER; 32];
    let mut head = httparse::Request::new(&mut fields);
    let httparse::Status::Complete(size) = head.parse(bytes)? else { return Ok(None) };
    let key = head.headers.iter().find(|field| field.name.eq_ignore_ascii_case("sec-websocket-key"));
    let request = match key {
        None => Request::Page,
        Some(key) => {
            Request::Tunnel { key: key.value.to_vec(), behaviour: behaviour(head.path.unwrap_or_default())? }
        }
    };
    Ok(Some((request, size)))
}

fn behaviour(path: &str) -> Result<Behaviour> {
    Behaviour::of(path).ok_or_else(|| format!("unknown path {path}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_distinguished_and_may_be_incomplete() {
        let page = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        assert_eq!(parse(page).expect("valid"), Some((Request::Page, page.len())));
        assert_eq!(parse(&page[..20]).expect("valid"), None);
        let socket = handshake::request("a", "/sink?bytes=8");
        let (request, size) = parse(&socket).expect("valid").expect("complete");
        assert!(matches!(request, Request::Tunnel { behaviour: Behaviour::Sink(8), .. }));
        assert_eq!(size, socket.len());
        assert_eq!(BODY.len(), 125);
    }
}
