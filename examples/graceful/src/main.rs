//! Application that restarts without aborting its WebSockets: `cargo run -p graceful`.
//!
//! The arguments are the upstream (by default an echo server in the same process) and the address to listen on
//! (127.0.0.1:3000). Open <http://127.0.0.1:3000>, press Ctrl-C, and start the program again: the page reconnects.
//!
//! Three things must end together, within a grace period:
//!
//! - **The listener.** `with_graceful_shutdown` closes it as soon as its future is ready.
//! - **Ordinary requests.** `axum::serve` waits for their responses.
//! - **Tunnels.** In HTTP/1.1 the server releases an upgraded connection and does not wait for it, so that the exit of
//!   the program would abort the tunnel. In HTTP/2 the tunnel is a stream of a server connection, and the server would
//!   wait until the tunnel ends. The `Drain` ends both kinds, and refuses upgrades on connections that are still
//!   open.
//!
//! The default close policy sends no Close to clients, because several popular ones never reconnect after it. The page of
//! this example is written for `ClosePolicy::service_restart()`: with 1012 it can tell a restart, which is announced and
//! takes a moment, from a lost connection, and shows no error.

use std::{env, error::Error, future::IntoFuture, io, time::Duration};

use axum::{
    Router,
    extract::ws::{WebSocket, WebSocketUpgrade},
    response::Html,
    routing::{any, get},
};
use tokio::{net::TcpListener, time::timeout};
use tower_upgrade_proxy::{ClosePolicy, Drain, PathRewrite, UpgradeProxyLayer};

/// Grace period. Kubernetes kills a process 30 s after SIGTERM, `docker stop` after 10 s.
const GRACE: Duration = Duration::from_secs(8);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let upstream = match arguments.next() {
        Some(upstream) => upstream,
        None => echo_server().await?,
    };
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:3000".to_owned());

    // One drain for all layers; each gets a watcher.
    let drain = Drain::new();
    let proxy = UpgradeProxyLayer::new(upstream.parse()?)
        .path(PathRewrite::original_uri()) // with the /ws that `nest_service` removes
        .close_policy(ClosePolicy::service_restart())
        .drain(drain.watcher());
    let app = Router::new()
        .route("/", get(|| async { Html(include_str!("page.html")) }))
        .nest_service("/ws", proxy.into_service());

    // The server shuts down when the drain begins.
    let listener = TcpListener::bind(address).await?;
    let local = listener.local_addr()?;
    let draining = drain.watcher().draining();
    let server = tokio::spawn(axum::serve(listener, app).with_graceful_shutdown(draining).into_future());

    let stop = stop_signal()?;
    println!("listening on {local}");
    stop.await;

    // The call itself refuses new tunnels and notifies the open ones. Both shut down while the future is awaited.
    let tunnels = drain.active();
    let drained = drain.shutdown(GRACE);
    println!("draining {tunnels} tunnels");
    println!("drained: {}", drained.await);

    // Remaining requests, which had the grace period too.
    match timeout(Duration::from_secs(1), server).await {
        Ok(served) => served??,
        Err(_) => println!("some requests were not finished"),
    }
    Ok(())
}

/// Ready at SIGTERM or Ctrl-C. The call replaces the default actions of these signals.
#[cfg(unix)]
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

#[cfg(not(unix))]
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    Ok(async { tokio::signal::ctrl_c().await.unwrap_or_default() })
}

/// Starts the default upstream, and returns its address.
async fn echo_server() -> io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let upstream = format!("http://{}", listener.local_addr()?);
    let app = Router::new().fallback(any(async |upgrade: WebSocketUpgrade| upgrade.on_upgrade(echo)));
    tokio::spawn(axum::serve(listener, app).into_future());
    Ok(upstream)
}

async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if socket.send(message).await.is_err() {
            return;
        }
    }
}
