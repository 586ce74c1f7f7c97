//! HTTP/2 clients: tunnels, requests and resets on one connection.

use futures_util::future::try_join_all;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::{
    body::Bytes,
    client::conn::http2::{self, SendRequest},
    ext::Protocol,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio_tungstenite::{WebSocketStream, tungstenite::protocol::Role};

use super::{Client, websocket};
use crate::{bytes::Pattern, report::Failure};

type Requests = SendRequest<Full<Bytes>>;

/// Opens up to four tunnels at the same time, sends an ordinary request, and in 30 % of the sessions drops a stream.
pub(super) async fn session(client: &mut Client) -> Result<(), Failure> {
    let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(client.connect().await?));
    let (requests, connection) = handshake.await?;
    let connection = tokio::spawn(connection);
    let tunnels = 1 + client.random.below(4);
    let seeds = (0..tunnels).map(|_| client.random.next()).collect::<Vec<_>>();
    let (length, seed) = (client.random.below(50_000) as usize, client.random.next());
    let is_dropped = client.random.chance(30);
    let shared = &*client;
    let all = try_join_all(seeds.into_iter().map(async |seed| {
        let socket = open(&requests).await?;
        websocket::exchange_messages(seed, shared.counters(), socket).await
    }));
    let others = async {
        get(shared, &requests, length, seed).await?;
        if is_dropped {
            drop(open(&requests).await?);
            shared.counters().expected();
        }
        Ok(())
    };
    let result = tokio::try_join!(all, others).map(drop);
    drop(requests);
    connection.abort();
    result
}

async fn open(requests: &Requests) -> Result<WebSocketStream<TokioIo<hyper::upgrade::Upgraded>>, Failure> {
    let request = Request::connect("http://soak.example/echo")
        .extension(Protocol::from_static("websocket"))
        .header("sec-websocket-version", "13")
        .body(Full::default())
        .map_err(|error| Failure::Ended(error.to_string()))?;
    let response = requests.clone().send_request(request).await?;
    if response.status() != StatusCode::OK {
        return Err(Failure::Status(response.status().as_u16()));
    }
    let stream = TokioIo::new(hyper::upgrade::on(response).await?);
    Ok(WebSocketStream::from_raw_socket(stream, Role::Client, None).await)
}

async fn get(client: &Client, requests: &Requests, length: usize, seed: u64) -> Result<(), Failure> {
    let request = Request::get(format!("http://soak.example/body/{length}/{seed}"))
        .body(Full::default())
        .map_err(|error| Failure::Ended(error.to_string()))?;
    let response = requests.clone().send_request(request).await?;
    if response.status() != StatusCode::OK {
        return Err(Failure::Status(response.status().as_u16()));
    }
    let body = response.into_body().collect().await?.to_bytes();
    if body != Pattern::new(seed).take(length) {
        return Err(Failure::WrongBytes(format!("body of {} instead of {length} bytes", body.len())));
    }
    client.counters().verified(length);
    Ok(())
}
