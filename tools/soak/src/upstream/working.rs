//! Upstream without faults: echoes, bytes without frames, bodies.

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

const CHUNK: usize = 64 * 1024;

pub(super) async fn start(running: &mut JoinSet<()>) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let app = Router::new()
        .route("/echo", get(echo))
        .route("/raw/bulk/{length}/{seed}", get(|path, request| raw(Reply::Immediately, path, request)))
        .route("/raw/half/{length}/{seed}", get(|path, request| raw(Reply::AfterEof, path, request)))
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
        // The library responds to Pings and Closes. An error means that the client has disconnected.
        while let Some(Ok(message)) = socket.recv().await {
            if matches!(message, Message::Text(_) | Message::Binary(_)) && socket.send(message).await.is_err()
            {
                return;
            }
        }
    })
}

/// Start of the data to the client.
#[derive(Clone, Copy)]
enum Reply {
    Immediately,
    /// After the client has closed its sending side.
    AfterEof,
}

async fn raw(reply: Reply, Path((length, seed)): Path<(usize, u64)>, request: Request) -> Response {
    let upgrade = hyper::upgrade::on(request);
    tokio::spawn(async move {
        if let Ok(upgraded) = upgrade.await {
            // The client reports the failure of its connection.
            let _ = exchange(reply, TokioIo::new(upgraded), length, seed).await;
        }
    });
    (StatusCode::SWITCHING_PROTOCOLS, [(CONNECTION, "upgrade"), (UPGRADE, "tcp")]).into_response()
}

/// Transfers bytes in both directions; then sends the verification result, one byte.
async fn exchange(
    reply: Reply,
    stream: impl AsyncRead + AsyncWrite,
    length: usize,
    seed: u64,
) -> io::Result<()> {
    let (mut receiving, mut sending) = tokio::io::split(stream);
    receiving.read_u8().await?;
    let is_correct = match reply {
        Reply::Immediately => {
            tokio::try_join!(receive(&mut receiving, length, seed), send(&mut sending, length, seed))?.0
        }
        Reply::AfterEof => {
            let is_correct = receive(&mut receiving, length, seed).await?;
            tokio::time::sleep(Duration::from_millis(20)).await;
            send(&mut sending, length, seed).await?;
            is_correct
        }
    };
    sending.write_all(if is_correct { b"+" } else { b"-" }).await?;
    sending.shutdown().await
}

/// Reads until the end. Returns true if exactly the expected bytes were received.
async fn receive(receiving: &mut (impl AsyncRead + Unpin), length: usize, seed: u64) -> io::Result<bool> {
    let (mut pattern, mut chunk) = (Pattern::new(seed), vec![0; CHUNK]);
    let (mut received, mut is_correct) = (0, true);
    loop {
        match receiving.read(&mut chunk).await? {
            0 => return Ok(is_correct && received == length),
            read => {
                is_correct &= pattern.first_mismatch(&chunk[..read]).is_none();
                received += read;
            }
        }
    }
}

async fn send(sending: &mut (impl AsyncWrite + Unpin), length: usize, seed: u64) -> io::Result<()> {
    let (mut pattern, mut chunk, mut left) = (Pattern::new(!seed), vec![0; CHUNK], length);
    while left > 0 {
        let chunk = &mut chunk[..left.min(CHUNK)];
        pattern.fill(chunk);
        sending.write_all(chunk).await?;
        left -= chunk.len();
    }
    sending.flush().await
}

async fn body(Path((length, seed)): Path<(usize, u64)>) -> Body {
    Pattern::new(seed).take(length).into()
}

async fn verified(Path((length, seed)): Path<(usize, u64)>, body: Bytes) -> &'static str {
    if body == Pattern::new(seed).take(length) { "correct" } else { "wrong" }
}
