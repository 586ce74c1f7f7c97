//! Upstream with faulty responses; the path selects the fault.

use std::{io, net::SocketAddr, time::Duration};

use test_support::websocket::frame::{BINARY, frame_with};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::sleep,
};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::bytes::Pattern;

/// Status of `/faulty/forbidden`.
pub(crate) const FORBIDDEN: u16 = 403;

/// Number of messages before `/faulty/end-later` and `/faulty/reset-later` end the connection.
pub(crate) const MESSAGES: u64 = 8;

/// Payload of the message of this number.
pub(crate) fn message(number: u64) -> Vec<u8> {
    Pattern::new(number).take(1000)
}

pub(super) async fn start(running: &mut JoinSet<()>) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    running.spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => drop(connections.spawn(async { drop(serve(stream).await) })),
                    Err(_) => sleep(Duration::from_millis(100)).await,
                },
                Some(_) = connections.join_next() => {}
            }
        }
    });
    Ok(address)
}

async fn serve(mut stream: TcpStream) -> io::Result<()> {
    let head = head(&mut stream).await?;
    let path = head.split(' ').nth(1).unwrap_or_default();
    match path.trim_start_matches("/faulty/") {
        "close" => {}
        "reset" => stream.set_zero_linger()?,
        "garbage" => stream.write_all(b"\0\x01\x02 this is not HTTP\r\n\r\n").await?,
        "half-a-head" => stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: webs").await?,
        "wrong-accept" => stream.write_all(switching("websocket", "Another", "key").as_bytes()).await?,
        "no-upgrade" => {
            stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\r\n").await?;
        }
        "another-protocol" => {
            stream.write_all(switching("h2c", "Accept", &accept(&head)).as_bytes()).await?;
        }
        "forbidden" => {
            let response = format!("HTTP/1.1 {FORBIDDEN} Forbidden\r\nContent-Length: 2\r\n\r\nno");
            stream.write_all(response.as_bytes()).await?;
        }
        "silent" => drop(stream.read(&mut [0]).await?),
        "drip" => {
            for byte in switching("websocket", "Accept", &accept(&head)).into_bytes() {
                stream.write_all(&[byte]).await?;
                sleep(Duration::from_millis(500)).await;
            }
        }
        "end-later" => {
            send_messages(&mut stream, &head).await?;
            // Reads the gateway's last bytes: closing a socket with unread data would reset the connection.
            stream.shutdown().await?;
            while stream.read(&mut [0; 1024]).await? > 0 {}
        }
        "reset-later" => {
            send_messages(&mut stream, &head).await?;
            stream.write_all(&frame_with(BINARY, &[1, 2, 3, 4, 5], None)[..4]).await?;
            stream.set_zero_linger()?;
        }
        _ => stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").await?,
    }
    Ok(())
}

/// Accepts the upgrade, and sends all messages.
async fn send_messages(stream: &mut TcpStream, head: &str) -> io::Result<()> {
    stream.write_all(switching("websocket", "Accept", &accept(head)).as_bytes()).await?;
    for number in 0..MESSAGES {
        stream.write_all(&frame_with(BINARY, &message(number), None)).await?;
        sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// Reads the head of a request.
async fn head(stream: &mut TcpStream) -> io::Result<String> {
    let mut read = Vec::new();
    while !read.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut read).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(read.into_iter().map(char::from).collect())
}

/// `Sec-WebSocket-Accept` for the key in this head.
fn accept(head: &str) -> String {
    let field = |line: &str| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("sec-websocket-key").then(|| value.trim().to_owned())
    };
    derive_accept_key(head.lines().find_map(field).unwrap_or_default().as_bytes())
}

/// Response 101 with the given protocol; `name` and `accept` form its `Sec-WebSocket-*` field.
fn switching(protocol: &str, name: &str, accept: &str) -> String {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n\
         Sec-WebSocket-{name}: {accept}\r\n\r\n"
    )
}
