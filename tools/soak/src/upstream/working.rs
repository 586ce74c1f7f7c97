//! The upstream that works: echoes, bytes without frames, bodies.

use std::{io, net::SocketAddr, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Path, Request, ws::Message, ws::WebSocketUpgrade},
    http::{
        StatusCode,
        header::{CONNECTION, UPGRADE},
    },
    response::{IntoResponse, Response},
    routing::get,
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
    task::JoinSet,
};

use crate::bytes::Pattern;

const PIECE: usize = 64 * 1024;

pub(super) async fn start(running: &mut JoinSet<()>) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let app = Router::new()
        .route("/echo", get(echo))
        .route("/raw/bulk/{length}/{seed}", get(|path, request| raw(Order::AtOnce, path, request)))
        .route("/raw/half/{length}/{seed}", get(|path, request| raw(Order::AfterTheEnd, path, request)))
        .route("/body/{length}/{seed}", get(body).post(verified));
    running.spawn(async move {
        if let Err(error) = axum::serve(listener, app).await {
            eprintln!("soak: the upstream: {error}");
        }
    });
    Ok(address)
}

async fn echo(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(|mut socket| async move {
        // The library responds to pings and Closes; an error means that the client has disconnected.
        while let Some(Ok(message)) = socket.recv().await {
            if matches!(message, Message::Text(_) | Message::Binary(_)) && socket.send(message).await.is_err()
            {
                return;
            }
        }
    })
}

/// When bytes are sent to the client.
#[derive(Clone, Copy)]
enum Order {
    AtOnce,
    /// After the end of the client's direction.
    AfterTheEnd,
}

async fn raw(order: Order, Path((length, seed)): Path<(usize, u64)>, request: Request) -> Response {
    let upgrade = hyper::upgrade::on(request);
    tokio::spawn(async move {
        if let Ok(upgraded) = upgrade.await {
            // A failure is reported by the client.
            let _ = exchange(order, TokioIo::new(upgraded), length, seed).await;
        }
    });
    (StatusCode::SWITCHING_PROTOCOLS, [(CONNECTION, "upgrade"), (UPGRADE, "tcp")]).into_response()
}

/// Exchanges bytes, then sends one more: whether those received were right.
async fn exchange(
    order: Order,
    stream: impl AsyncRead + AsyncWrite,
    length: usize,
    seed: u64,
) -> io::Result<()> {
    let (mut receiving, mut sending) = tokio::io::split(stream);
    receiving.read_u8().await?;
    let is_right = match order {
        Order::AtOnce => {
            tokio::try_join!(receive(&mut receiving, length, seed), send(&mut sending, length, seed))?.0
        }
        Order::AfterTheEnd => {
            let is_right = receive(&mut receiving, length, seed).await?;
            tokio::time::sleep(Duration::from_millis(20)).await;
            send(&mut sending, length, seed).await?;
            is_right
        }
    };
    sending.write_all(if is_right { b"+" } else { b"-" }).await?;
    sending.shutdown().await
}

/// Whether exactly the right bytes arrive before the end.
async fn receive(receiving: &mut (impl AsyncRead + Unpin), length: usize, seed: u64) -> io::Result<bool> {
    let (mut pattern, mut piece, mut received, mut is_right) = (Pattern::new(seed), vec![0; PIECE], 0, true);
    loop {
        match receiving.read(&mut piece).await? {
            0 => return Ok(is_right && received == length),
            read => {
                is_right &= pattern.differs(&piece[..read]).is_none();
                received += read;
            }
        }
    }
}

async fn send(sending: &mut (impl AsyncWrite + Unpin), length: usize, seed: u64) -> io::Result<()> {
    let (mut pattern, mut piece, mut left) = (Pattern::new(!seed), vec![0; PIECE], length);
    while left > 0 {
        let piece = &mut piece[..left.min(PIECE)];
        pattern.fill(piece);
        sending.write_all(piece).await?;
        left -= piece.len();
    }
    sending.flush().await
}

async fn body(Path((length, seed)): Path<(usize, u64)>) -> Body {
    Pattern::new(seed).take(length).into()
}

async fn verified(Path((length, seed)): Path<(usize, u64)>, body: Bytes) -> &'static str {
    if body == Pattern::new(seed).take(length) { "right" } else { "wrong" }
}
