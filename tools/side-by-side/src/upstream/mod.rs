//! The upstream of every proxy: a process of its own, on one thread.
//!
//! | request | answer |
//! | --- | --- |
//! | `GET /` | 125 bytes, and the connection stays |
//! | WebSocket `/echo` | every message back |
//! | WebSocket `/push?bytes=N` | N bytes in frames of 64 KiB; without `bytes`, no end |
//! | WebSocket `/sink?bytes=N` | after N bytes, how many they were |
//!
//! With HTTP/2, it takes WebSockets in no other way, so that a proxy that speaks HTTP/1.1 to it does not go
//! unnoticed. The page it gives to both.

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
    websocket::{Inbox, Transport, handshake},
};
use tunnel::Behaviour;

/// The body of an ordinary answer.
pub(crate) const BODY: &str = "One hundred and twenty-five bytes are what an ordinary answer has here, \
    as many as a small WebSocket message has, to be fair.";

/// Serves until the process is killed: HTTP/1.1, or HTTP/2 with so many streams on each connection.
pub(crate) async fn serve(port: u16, http2_streams: Option<u32>) -> Result<()> {
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(connection(stream, http2_streams))),
            Err(_) => time::sleep(Duration::from_millis(10)).await,
        }
    }
}

/// What a request wants.
#[derive(Debug, PartialEq)]
enum Wish {
    Page,
    Tunnel { key: Vec<u8>, behaviour: Behaviour },
}

/// A connection's errors are its client's to notice.
async fn connection(stream: TcpStream, http2_streams: Option<u32>) -> Result<()> {
    stream.set_nodelay(true)?;
    if let Some(streams) = http2_streams
        && http2::is_spoken_on(&stream).await?
    {
        return http2::serve(stream, streams).await;
    }
    let mut transport = Transport::from(stream);
    let page = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{BODY}",
        BODY.len()
    );
    let mut inbox = Inbox::default();
    loop {
        let (wish, size) = match parse(inbox.bytes())? {
            Some(found) => found,
            None => {
                inbox.fill(&mut transport).await?;
                continue;
            }
        };
        inbox.consume(size);
        match wish {
            Wish::Page => transport.send(page.as_bytes()).await?,
            Wish::Tunnel { .. } if http2_streams.is_some() => return Err("a WebSocket over HTTP/1.1".into()),
            Wish::Tunnel { key, behaviour } => {
                transport.send(&handshake::response(&key)).await?;
                return tunnel::run(transport, inbox, behaviour).await;
            }
        }
    }
}

/// The request at the start of these bytes and the length of its head, if it is all there.
fn parse(bytes: &[u8]) -> Result<Option<(Wish, usize)>> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let mut fields = [httparse::EMPTY_HEADER; 32];
    let mut head = httparse::Request::new(&mut fields);
    let httparse::Status::Complete(size) = head.parse(bytes)? else { return Ok(None) };
    let key = head.headers.iter().find(|field| field.name.eq_ignore_ascii_case("sec-websocket-key"));
    let wish = match key {
        None => Wish::Page,
        Some(key) => {
            Wish::Tunnel { key: key.value.to_vec(), behaviour: behaviour(head.path.unwrap_or_default())? }
        }
    };
    Ok(Some((wish, size)))
}

fn behaviour(path: &str) -> Result<Behaviour> {
    Behaviour::of(path).ok_or_else(|| format!("no {path} here").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_told_apart_and_may_come_in_pieces() {
        let page = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        assert_eq!(parse(page).expect("valid"), Some((Wish::Page, page.len())));
        assert_eq!(parse(&page[..20]).expect("valid"), None);
        let socket = handshake::request("a", "/sink?bytes=8");
        let (wish, size) = parse(&socket).expect("valid").expect("whole");
        assert!(matches!(wish, Wish::Tunnel { behaviour: Behaviour::Sink(8), .. }));
        assert_eq!(size, socket.len());
        assert_eq!(BODY.len(), 125);
    }
}
