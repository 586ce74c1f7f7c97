//! The crate axum-reverse-proxy, as in its own example, with `TCP_NODELAY` on both sides.

use std::net::SocketAddr;

use axum::{Router, serve::ListenerExt};
use axum_reverse_proxy::ReverseProxy;
use tokio::net::TcpListener;

use crate::Result;

pub(super) async fn serve(listen: SocketAddr, upstream: SocketAddr) -> Result<()> {
    let router: Router = ReverseProxy::new("/", format!("http://{upstream}")).into();
    let listener = TcpListener::bind(listen).await?.tap_io(|socket| {
        let _ = socket.set_nodelay(true);
    });
    Ok(axum::serve(listener, router).await?)
}
