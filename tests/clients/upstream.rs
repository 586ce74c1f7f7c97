//! The upstream: an echo server by tungstenite; the path of the request selects its part in a scenario.

use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use test_support::{
    bounded,
    serve::{FREE_PORT, listen},
};
use tokio::{
    net::TcpStream,
    sync::mpsc::{self, UnboundedReceiver, UnboundedSender},
};
use tokio_tungstenite::{
    accept_hdr_async_with_config,
    tungstenite::{
        Message, Utf8Bytes,
        handshake::server::{ErrorResponse, Request, Response},
        http::{HeaderValue, StatusCode, header},
        protocol::{CloseFrame, WebSocketConfig},
    },
};

/// Code and reason of a Close.
type Close = (u16, String);

/// The counterpart of the clients in all languages, which therefore is not one of `test_support`.
pub(crate) struct ScenarioUpstream {
    pub(crate) address: SocketAddr,
    closes: UnboundedReceiver<Close>,
}

impl ScenarioUpstream {
    pub(crate) async fn start() -> Self {
        let listener = listen(FREE_PORT);
        let address = listener.local_addr().unwrap();
        let (sender, closes) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, sender.clone()));
            }
        });
        Self { address, closes }
    }

    /// The next Close that a client has sent.
    pub(crate) async fn close(&mut self) -> Close {
        bounded("a Close at the upstream", self.closes.recv()).await.unwrap()
    }
}

async fn serve(stream: TcpStream, closes: UnboundedSender<Close>) {
    let mut path = String::new();
    let respond = |request: &Request, response| {
        path = request.uri().path().to_owned();
        respond(request, response)
    };
    let config = WebSocketConfig::default().max_frame_size(None).max_message_size(None);
    let Ok(mut socket) = accept_hdr_async_with_config(stream, respond, Some(config)).await else { return };
    while let Some(Ok(message)) = socket.next().await {
        let reply = match message {
            Message::Close(frame) => {
                let frame = frame.map(|frame| (frame.code.into(), frame.reason.to_string()));
                let _ = closes.send(frame.unwrap_or((1005, String::new())));
                continue;
            }
            Message::Text(_) if path == "/server_closes" => Message::Close(Some(CloseFrame {
                code: 4002.into(),
                reason: Utf8Bytes::from_static("the server says bye"),
            })),
            Message::Text(_) | Message::Binary(_) => message,
            _ => continue,
        };
        if socket.send(reply).await.is_err() {
            return;
        }
    }
}

/// The response to the handshake.
fn respond(request: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
    match request.uri().path() {
        "/subprotocol" => {
            let offered = request.headers().get_all(header::SEC_WEBSOCKET_PROTOCOL);
            let offered: Vec<_> = offered.iter().filter_map(|line| line.to_str().ok()).collect();
            assert_eq!(offered.join(", ").replace(' ', ""), "soap,wamp");
            response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("wamp"));
        }
        "/cookies" => {
            for cookie in ["a=1; Path=/; HttpOnly", "b=2; Path=/"] {
                response.headers_mut().append(header::SET_COOKIE, HeaderValue::from_static(cookie));
            }
        }
        "/refusal" => {
            let mut refusal = ErrorResponse::new(Some("members only\n".to_owned()));
            *refusal.status_mut() = StatusCode::FORBIDDEN;
            refusal.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from_static("13"));
            return Err(refusal);
        }
        _ => {}
    }
    Ok(response)
}
