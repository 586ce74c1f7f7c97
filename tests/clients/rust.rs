//! tokio-tungstenite as the client.

use futures_util::{SinkExt, StreamExt};
use test_support::bounded;
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async_with_config,
    tungstenite::{
        ClientRequestBuilder, Error, Message, Utf8Bytes,
        handshake::client::Response,
        http::Uri,
        protocol::{CloseFrame, WebSocketConfig, frame::coding::CloseCode},
    },
};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

pub(crate) async fn run(scenario: &'static str, url: String) {
    let request = ClientRequestBuilder::new(url.parse::<Uri>().unwrap());
    let request = match scenario {
        "subprotocol" => request.with_sub_protocol("soap").with_sub_protocol("wamp"),
        _ => request,
    };
    let config = WebSocketConfig::default().max_frame_size(None).max_message_size(None);
    let connect = connect_async_with_config(request, Some(config), true);
    match (scenario, bounded("handshake", connect).await) {
        ("refusal", Err(Error::Http(response))) => refusal(&response),
        ("refusal", other) => panic!("{other:?}"),
        (_, connected) => {
            let (socket, response) = connected.unwrap();
            run_scenario(scenario, socket, &response).await;
        }
    }
}

fn refusal(response: &http::Response<Option<Vec<u8>>>) {
    assert_eq!(response.status(), 403);
    // tungstenite keeps the part of the body that arrived together with the head.
    let body = response.body().as_deref().unwrap_or_default();
    assert!(b"members only\n".starts_with(body), "{body:?}");
}

async fn run_scenario(scenario: &str, mut socket: Socket, response: &Response) {
    let headers = response.headers();
    match scenario {
        "echo" => {
            echoed(&mut socket, Message::text("gr\u{fc}\u{df}e")).await;
            echoed(&mut socket, Message::binary((0..=255).collect::<Vec<u8>>())).await;
        }
        "subprotocol" => {
            assert_eq!(headers["sec-websocket-protocol"], "wamp");
            echoed(&mut socket, Message::text("hello")).await;
        }
        "big_message" => {
            let noise = (0..16_u32 << 20).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8);
            echoed(&mut socket, Message::binary(noise.collect::<Vec<u8>>())).await;
        }
        "client_closes" => {
            let reason = Utf8Bytes::from_static("the client says bye");
            return close(&mut socket, Some(CloseFrame { code: 4001.into(), reason })).await;
        }
        "server_closes" => {
            socket.send(Message::text("close it")).await.unwrap();
            let frame = closed(&mut socket).await;
            assert_eq!((u16::from(frame.code), frame.reason.as_str()), (4002, "the server says bye"));
            return;
        }
        "cookies" => {
            let cookies: Vec<_> = headers.get_all("set-cookie").iter().collect();
            assert_eq!(cookies, ["a=1; Path=/; HttpOnly", "b=2; Path=/"]);
        }
        other => panic!("no scenario {other}"),
    }
    close(&mut socket, Some(CloseFrame { code: CloseCode::Normal, reason: Utf8Bytes::default() })).await;
}

async fn echoed(socket: &mut Socket, message: Message) {
    bounded("send", socket.send(message.clone())).await.unwrap();
    let echo = bounded("echo", socket.next()).await.unwrap().unwrap();
    // `assert_eq` would print both.
    assert!(echo == message, "another message came back: {} bytes", echo.len());
}

/// Closes, and expects the same Close back.
async fn close(socket: &mut Socket, frame: Option<CloseFrame>) {
    socket.close(frame.clone()).await.unwrap();
    assert_eq!(Some(closed(socket).await), frame);
}

/// Reads the other side's Close, after which the connection must end.
async fn closed(socket: &mut Socket) -> CloseFrame {
    match bounded("a Close", socket.next()).await {
        Some(Ok(Message::Close(Some(frame)))) => {
            assert!(bounded("the end", socket.next()).await.is_none());
            frame
        }
        other => panic!("{other:?}"),
    }
}
