//! The same answers over HTTP/2.

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
    websocket::Inbox,
};

/// What a client with prior knowledge starts with, [RFC 9113, section
/// 3.4](https://www.rfc-editor.org/rfc/rfc9113#section-3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0";

/// Whether the client speaks HTTP/2. What it said remains to be read.
pub(super) async fn is_spoken_on(socket: &TcpStream) -> Result<bool> {
    let mut start = [0; PREFACE.len()];
    let length = socket.peek(&mut start).await?;
    Ok(length > 0 && PREFACE.starts_with(&start[..length]))
}

/// Until the client closes. Allows so many streams at a time.
pub(super) async fn serve(socket: TcpStream, streams: u32) -> Result<()> {
    let mut builder = Builder::new();
    builder
        .enable_connect_protocol()
        .max_concurrent_streams(streams)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW);
    let mut connection = builder.handshake(socket).await?;
    while let Some(accepted) = connection.accept().await {
        let (request, answer) = accepted?;
        tokio::spawn(respond(request, answer));
    }
    Ok(())
}

/// Without an answer, the stream is reset.
async fn respond(request: Request<RecvStream>, mut answer: SendResponse<Bytes>) -> Result<()> {
    let protocol = request.extensions().get::<Protocol>().map(Protocol::as_str);
    match protocol {
        None => {
            let head = Response::builder().header(CONTENT_LENGTH, BODY.len()).body(())?;
            answer.send_response(head, false)?.send_data(Bytes::from_static(BODY.as_bytes()), true)?;
            Ok(())
        }
        Some("websocket") => {
            let path = request.uri().path_and_query().map_or("", |path| path.as_str());
            let behaviour = super::behaviour(path)?;
            let outgoing = answer.send_response(Response::new(()), false)?;
            let stream = Stream::new(outgoing, request.into_body());
            tunnel::run(stream.into(), Inbox::default(), behaviour).await
        }
        Some(other) => Err(format!("no {other} here").into()),
    }
}
