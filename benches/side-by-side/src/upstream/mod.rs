//! The upstream of every proxy: a process of its own, on one thread.
//!
//! | request | answer |
//! | --- | --- |
//! | `GET /` | 125 bytes, and the connection stays |
//! | WebSocket `/echo` | every message back |
//! | WebSocket `/push?bytes=N` | N bytes in frames of 64 KiB; without `bytes`, no end |
//! | WebSocket `/sink?bytes=N` | after N bytes, how many they were |

mod tunnel;

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    time,
};

use crate::{
    Result,
    websocket::{Inbox, handshake},
};
use tunnel::Behaviour;

/// The body of an ordinary answer.
pub(crate) const BODY: &str = "One hundred and twenty-five bytes are what an ordinary answer has here, \
    as many as a small WebSocket message has, to be fair.";

/// Serves until the process is killed.
pub(crate) async fn serve(port: u16) -> Result<()> {
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(connection(stream))),
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
async fn connection(mut stream: TcpStream) -> Result<()> {
    stream.set_nodelay(true)?;
    let page = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{BODY}",
        BODY.len()
    );
    let mut inbox = Inbox::default();
    loop {
        let (wish, size) = match parse(inbox.bytes())? {
            Some(found) => found,
            None => {
                inbox.fill(&mut stream).await?;
                continue;
            }
        };
        inbox.consume(size);
        match wish {
            Wish::Page => stream.write_all(page.as_bytes()).await?,
            Wish::Tunnel { key, behaviour } => {
                stream.write_all(&handshake::response(&key)).await?;
                return tunnel::run(stream, inbox, behaviour).await;
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
            let path = head.path.unwrap_or_default();
            let behaviour = Behaviour::of(path)
                .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, format!("no {path} here")))?;
            Wish::Tunnel { key: key.value.to_vec(), behaviour }
        }
    };
    Ok(Some((wish, size)))
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
