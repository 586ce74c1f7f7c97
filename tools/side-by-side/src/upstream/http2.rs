//! The same upstream over HTTP/2.

use bytes::Bytes;
use h2::{
    RecvStream,
    ext::Protocol,
    server::{Builder, SendResponse},
};
use http::{Request, Response, header::CONTENT_LENGTH};
use tokio::net::TcpStream;

use super::{BODY, tunnel};
use crate::{
    Result,
    http2::{CONNECTION_WINDOW, STREAM_WINDOW, Stream},
    websocket::ReadBuffer,
};

/// Beginning of the connection preface of a client with prior knowledge,
/// [RFC 9113, section 3.4](https://www.rfc-editor.org/rfc/rfc9113#section-3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0";

/// Returns true if the client begins with the preface of HTTP/2. The bytes are peeked, not read.
pub(super) async fn begins_http2(socket: &TcpStream) -> Result<bool> {
    let mut start = [0; PREFACE.len()];
    let length = socket.peek(&mut start).await?;
    Ok(length > 0 && PREFACE.starts_with(&start[..length]))
}

/// Serves until the client closes the connection, with at most `streams` concurrent streams.
pub(super) async fn serve(socket: TcpStream, streams: u32) -> Result<()> {
    let mut builder = Builder::new();
    builder
        .enable_connect_protocol()
        .max_concurrent_streams(streams)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW);
    let mut connection = builder.handshake(socket).await?;
    while let Some(accepted) = connection.accept().await {
        let (request, response) = accepted?;
        tokio::spawn(respond(request, response));
    }
    Ok(())
}

/// Responds to one request. On an error the stream is reset.
async fn respond(request: Request<RecvStream>, mut response: SendResponse<Bytes>) -> Result<()> {
    let protocol = request.extensions().get::<Protocol>().map(Protocol::as_str);
    match protocol {
        None => {
            let head = Response::builder().header(CONTENT_LENGTH, BODY.len()).body(())?;
            response.send_response(head, false)?.send_data(Bytes::from_static(BODY.as_bytes()), true)?;
            Ok(())
        }
        Some("websocket") => {
            let path = request.uri().path_and_query().map_or("", |path| path.as_str());
            let behaviour = super::behaviour(path)?;
            let outgoing = response.send_response(Response::new(()), false)?;
            let stream = Stream::new(outgoing, request.into_body());
            tunnel::run(stream.into(), ReadBuffer::default(), behaviour).await
        }
        Some(other) => Err(format!("unknown protocol {other}").into()),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use tokio::net::TcpListener;

    use crate::{
        http2::Connection,
        page_client::PageClient,
        websocket::{Check, Message, WebSocket},
    };

    /// Starts an upstream in this process that allows three streams on each connection.
    async fn upstream() -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(super::super::connection(socket, Some(3)));
            }
        });
        address
    }

    #[tokio::test]
    async fn tunnels_on_one_connection_echo_messages_and_close() {
        let connection = Connection::open(upstream().await, 3).await.expect("enough streams");
        for length in [125, 64 * 1024] {
            let message = Message::new(length);
            let mut tunnels = Vec::new();
            for _ in 0..3 {
                tunnels.push(WebSocket::open_on_stream(&connection, "/echo").await.expect("an upstream"));
            }
            for tunnel in &mut tunnels {
                tunnel.echo(&message, Check::Whole).await.expect("an echo");
            }
            for tunnel in tunnels {
                tunnel.close().await.expect("a closing handshake");
            }
        }
    }

    #[tokio::test]
    async fn data_larger_than_the_window_is_received_completely() {
        let connection = Connection::open(upstream().await, 1).await.expect("enough streams");
        let mut tunnel =
            WebSocket::open_on_stream(&connection, "/push?bytes=8388608").await.expect("an upstream");
        tunnel.receive(8 << 20).await.expect("all bytes");
    }

    #[tokio::test]
    async fn too_few_streams_are_an_error_on_connecting() {
        let error = Connection::open(upstream().await, 4).await.expect_err("three streams");
        assert_eq!(error.to_string(), "the server allows 3 streams on a connection, not 4");
    }

    #[tokio::test]
    async fn http1_clients_get_the_page_but_no_tunnel() {
        let address = upstream().await;
        let mut reader = PageClient::open(address).await.expect("a connection");
        reader.get().await.expect("the page");
        WebSocket::open(address, "/echo").await.expect_err("not over HTTP/1.1");
    }
}
