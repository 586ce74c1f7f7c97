//! Minimal proxy without a proxy crate: hyper on both sides, `copy_bidirectional` between them.

use std::{error::Error, net::SocketAddr};

use http::{Request, Response, StatusCode, Uri, header::UPGRADE};
use http_body_util::{Either, Empty};
use hyper::{
    body::{Bytes, Incoming},
    client::conn::http1 as client,
    server::conn::http1 as server,
    service::service_fn,
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
};

use crate::Result;

type Body = Either<Incoming, Empty<Bytes>>;
type Pool = Client<HttpConnector, Incoming>;

pub(super) async fn serve(listen: SocketAddr, upstream: SocketAddr) -> Result<()> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let pool: Pool = Client::builder(TokioExecutor::new()).build(connector);
    let listener = TcpListener::bind(listen).await?;
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        let pool = pool.clone();
        let service = service_fn(move |request| respond(request, upstream, pool.clone()));
        let connection = server::Builder::new().serve_connection(TokioIo::new(socket), service);
        tokio::spawn(connection.with_upgrades());
    }
}

async fn respond(request: Request<Incoming>, upstream: SocketAddr, pool: Pool) -> Result<Response<Body>> {
    let response = match request.headers().contains_key(UPGRADE) {
        true => tunnel(request, upstream).await,
        false => forward(request, upstream, pool).await,
    };
    Ok(response.map(|response| response.map(Either::Left)).unwrap_or_else(|_| {
        let mut failed = Response::new(Either::Right(Empty::new()));
        *failed.status_mut() = StatusCode::BAD_GATEWAY;
        failed
    }))
}

/// Forwards the request on a new connection. If the response is a 101, copies bytes in both directions.
async fn tunnel(mut request: Request<Incoming>, upstream: SocketAddr) -> Result<Response<Incoming>> {
    let downstream = hyper::upgrade::on(&mut request);
    let socket = TcpStream::connect(upstream).await?;
    socket.set_nodelay(true)?;
    let (mut sender, connection) = client::handshake(TokioIo::new(socket)).await?;
    tokio::spawn(connection.with_upgrades());
    let mut response = sender.send_request(request).await?;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let upstream = hyper::upgrade::on(&mut response);
        tokio::spawn(async move {
            let (downstream, upstream) = tokio::try_join!(downstream, upstream)?;
            let (mut downstream, mut upstream) = (TokioIo::new(downstream), TokioIo::new(upstream));
            copy_bidirectional(&mut downstream, &mut upstream).await?;
            Ok::<_, Box<dyn Error + Send + Sync>>(())
        });
    }
    Ok(response)
}

async fn forward(
    mut request: Request<Incoming>,
    upstream: SocketAddr,
    pool: Pool,
) -> Result<Response<Incoming>> {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    *request.uri_mut() = Uri::try_from(format!("http://{upstream}{path}"))?;
    Ok(pool.request(request).await?)
}
