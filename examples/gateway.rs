//! A gateway for upgrade requests: the longest matching prefix of the path says which upstream.
//!
//! ```text
//! cargo run --example gateway -- --listen 127.0.0.1:8080 \
//!     --route /ws/=http://127.0.0.1:9000 --route /=unix:/run/app.sock
//! ```
//!
//! Ordinary requests are answered with 404. `RUST_LOG=debug` shows every tunnel.

use std::{
    convert::Infallible, io, net::SocketAddr, process::ExitCode, str::FromStr, sync::Arc, time::Duration,
};

use clap::{CommandFactory, Parser, ValueEnum, error::ErrorKind};
use http::{Request, Response, StatusCode, header};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    signal,
};
use tower::{Layer, ServiceExt, service_fn, util::BoxCloneSyncService};
use tower_upgrade_proxy::{
    Host, InvalidProtocol, Protocol, Protocols, ResponseBody, UpgradeProxyLayer, Upstream,
};
use tracing_subscriber::EnvFilter;

type Gateway = BoxCloneSyncService<Request<Incoming>, Response<ResponseBody<String>>, Infallible>;

/// How long a client may take to send the head of its request.
const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(10);

/// What is waited after a failed accept, so that "too many open files" does not become a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Sends upgrade requests (WebSocket and what --allow names) to upstreams, by path.
#[derive(Parser)]
#[command(name = "gateway")]
struct Options {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,

    /// Where paths that start with PREFIX go, unchanged; repeatable, the longest prefix wins. UPSTREAM
    /// is `http://HOST:PORT`, `https://HOST` (with the feature `rustls`) or `unix:/PATH`
    #[arg(long = "route", value_name = "PREFIX=UPSTREAM", required = true)]
    routes: Vec<Route>,

    /// End a tunnel in which no byte moved for this long, or `off`
    #[arg(long, value_name = "DURATION", default_value = "60s")]
    idle_timeout: Limit,

    /// End a tunnel of which one side has finished and the other sends nothing for this long, or `off`
    #[arg(long, value_name = "DURATION", default_value = "30s")]
    half_close_timeout: Limit,

    /// End every tunnel at this age, or `off`
    #[arg(long, value_name = "DURATION", default_value = "off")]
    max_lifetime: Limit,

    /// How long connecting to an upstream may take
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = humantime::parse_duration)]
    connect_timeout: Duration,

    /// How long an upstream may take to answer
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = humantime::parse_duration)]
    handshake_timeout: Duration,

    /// Answer 503 when this many tunnels are open [default: no limit]
    #[arg(long, value_name = "N")]
    max_tunnels: Option<usize>,

    /// A protocol to allow besides websocket, with any method and a request body; repeatable
    #[arg(long = "allow", value_name = "PROTOCOL", value_parser = protocol)]
    allowed: Vec<Protocol>,

    /// The Host that upstreams see: the client's, or their own
    #[arg(long, value_enum, default_value = "preserve")]
    host: HostPolicy,
}

#[derive(Clone)]
struct Route {
    prefix: String,
    upstream: Upstream,
}

/// A duration, or `off`.
#[derive(Clone)]
struct Limit(Option<Duration>);

#[derive(Clone, ValueEnum)]
enum HostPolicy {
    Preserve,
    Upstream,
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    reject_repeated(&options.routes);
    let filter = EnvFilter::builder().with_default_directive(tracing::Level::INFO.into()).from_env_lossy();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).init();
    match run(options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: Options) -> io::Result<()> {
    // Before the first connection: from here on both signals are ours.
    let stop = stop_signal()?;
    let listener = TcpListener::bind(options.listen).await?;
    println!("listening on {}", listener.local_addr()?);
    tokio::select! {
        () = accept(listener, gateway(options)) => {}
        () = stop => tracing::info!("stopping"),
    }
    Ok(())
}

/// The layer over a leaf that only says 404; in front of it, the choice of the upstream.
fn gateway(options: Options) -> Gateway {
    let proxy = layer(&options).layer(service_fn(not_found));
    let routes: Arc<[Route]> = options.routes.into();
    Gateway::new(proxy.map_request(move |request| choose(&routes, request)))
}

fn layer(options: &Options) -> UpgradeProxyLayer {
    let protocols = options.allowed.iter().cloned().fold(Protocols::websocket(), Protocols::allow);
    let layer = UpgradeProxyLayer::per_request()
        .protocols(protocols)
        .host(match options.host {
            HostPolicy::Preserve => Host::preserve(),
            HostPolicy::Upstream => Host::upstream(),
        })
        .connect_timeout(options.connect_timeout)
        .handshake_timeout(options.handshake_timeout)
        .idle_timeout(options.idle_timeout.0)
        .half_close_timeout(options.half_close_timeout.0)
        .max_lifetime(options.max_lifetime.0);
    match options.max_tunnels {
        Some(tunnels) => layer.max_tunnels(tunnels),
        None => layer,
    }
}

/// Puts the upstream into the request, where the layer looks for it.
fn choose<B>(routes: &[Route], mut request: Request<B>) -> Request<B> {
    let path = request.uri().path();
    let matching = routes.iter().filter(|route| path.starts_with(&route.prefix));
    match matching.max_by_key(|route| route.prefix.len()) {
        Some(route) => {
            request.extensions_mut().insert(route.upstream.clone());
        }
        // Without `Upgrade` it is an ordinary request, and gets the leaf's 404.
        None => {
            request.headers_mut().remove(header::UPGRADE);
        }
    }
    request
}

async fn not_found<B>(_: Request<B>) -> Result<Response<String>, Infallible> {
    let mut response = Response::new("404 Not Found: only upgrades are served here\n".to_owned());
    *response.status_mut() = StatusCode::NOT_FOUND;
    Ok(response)
}

/// Accepts until the future is dropped. No error ends it: those of `accept` pass.
async fn accept(listener: TcpListener, gateway: Gateway) {
    loop {
        match listener.accept().await {
            Ok((socket, peer)) => drop(tokio::spawn(serve(socket, peer, gateway.clone()))),
            Err(error) => {
                tracing::warn!(%error, "accept failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Serves one connection. HTTP/1.1 alone: the layer takes upgrades from no other, and hyper-util's
/// auto builder would wait without limit for the bytes that tell it from HTTP/2.
async fn serve(socket: TcpStream, peer: SocketAddr, gateway: Gateway) {
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(%peer, %error, "TCP_NODELAY");
    }
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_READ_TIMEOUT)
        .serve_connection(TokioIo::new(socket), TowerToHyperService::new(gateway))
        .with_upgrades();
    if let Err(error) = connection.await {
        tracing::debug!(%peer, %error, "connection failed");
    }
}

#[cfg(unix)]
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    use signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

#[cfg(not(unix))]
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    Ok(async { signal::ctrl_c().await.unwrap_or_default() })
}

impl FromStr for Route {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (prefix, upstream) =
            text.split_once('=').ok_or("it has no `=`; write PREFIX=UPSTREAM, /ws/=http://127.0.0.1:9000")?;
        if !prefix.starts_with('/') || prefix.contains(['?', '#']) {
            return Err(format!("the prefix {prefix:?} is not the start of a path, like /ws/"));
        }
        let upstream = upstream.parse::<Upstream>().map_err(|error| error.to_string())?;
        Ok(Self { prefix: prefix.to_owned(), upstream })
    }
}

impl FromStr for Limit {
    type Err = humantime::DurationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "off" { Ok(Self(None)) } else { humantime::parse_duration(text).map(Some).map(Self) }
    }
}

fn protocol(name: &str) -> Result<Protocol, InvalidProtocol> {
    Protocol::new(name).map(Protocol::with_request_body)
}

/// Two routes with one prefix: one of them would never be used.
fn reject_repeated(routes: &[Route]) {
    for (index, route) in routes.iter().enumerate() {
        if routes[..index].iter().any(|earlier| earlier.prefix == route.prefix) {
            let message = format!("two routes have the prefix {:?}", route.prefix);
            Options::command().error(ErrorKind::ValueValidation, message).exit();
        }
    }
}
