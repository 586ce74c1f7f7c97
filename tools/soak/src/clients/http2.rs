//! Clients in HTTP/2: tunnels, requests and resets on one connection.

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

use super::{Client, frames};
use crate::{bytes::Pattern, report::Fault};

type Requests = SendRequest<Full<Bytes>>;

/// Runs some tunnels at the same time, an ordinary request, and sometimes a stream that is dropped.
pub(super) async fn session(client: &mut Client) -> Result<(), Fault> {
    let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(client.connect().await?));
    let (requests, connection) = handshake.await?;
    let connection = tokio::spawn(connection);
    let tunnels = 1 + client.random.below(4);
    let seeds = (0..tunnels).map(|_| client.random.next()).collect::<Vec<_>>();
    let (length, seed) = (client.random.below(50_000) as usize, client.random.next());
    let is_dropped = client.random.percent(30);
    let shared = &*client;
    let all = try_join_all(seeds.into_iter().map(async |seed| {
        let socket = open(&requests).await?;
        frames::talk(seed, shared.tally(), socket).await
    }));
    let beside = async {
        get(shared, &requests, length, seed).await?;
        if is_dropped {
            drop(open(&requests).await?);
            shared.tally().expected();
        }
        Ok(())
    };
    let ended = tokio::try_join!(all, beside).map(drop);
    drop(requests);
    connection.abort();
    ended
}

async fn open(requests: &Requests) -> Result<WebSocketStream<TokioIo<hyper::upgrade::Upgraded>>, Fault> {
    let request = Request::connect("http://soak.example/echo")
        .extension(Protocol::from_static("websocket"))
        .header("sec-websocket-version", "13")
        .body(Full::default())
        .map_err(|error| Fault::Ended(error.to_string()))?;
    let response = requests.clone().send_request(request).await?;
    if response.status() != StatusCode::OK {
        return Err(Fault::Status(response.status().as_u16()));
    }
    let stream = TokioIo::new(hyper::upgrade::on(response).await?);
    Ok(WebSocketStream::from_raw_socket(stream, Role::Client, None).await)
}

async fn get(client: &Client, requests: &Requests, length: usize, seed: u64) -> Result<(), Fault> {
    let request = Request::get(format!("http://soak.example/body/{length}/{seed}"))
        .body(Full::default())
        .map_err(|error| Fault::Ended(error.to_string()))?;
    let response = requests.clone().send_request(request).await?;
    if response.status() != StatusCode::OK {
        return Err(Fault::Status(response.status().as_u16()));
    }
    let body = response.into_body().collect().await?.to_bytes();
    if body != Pattern::new(seed).take(length) {
        return Err(Fault::Wrong(format!("a body of {} for {length} bytes", body.len())));
    }
    client.tally().verified(length);
    Ok(())
}
