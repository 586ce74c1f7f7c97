//! Gateway like nginx: the longest matching prefix of the path selects the upstream, for upgrades
//! and ordinary requests alike.
//!
//! ```text
//! cargo run -p upgrade-gateway -- --listen 127.0.0.1:8080 \
//!     --route /ws/=http://127.0.0.1:9000 --route /=unix:/run/app.sock
//! ```
//!
//! `RUST_LOG=debug` logs every tunnel. On SIGTERM or Ctrl-C the gateway stops accepting connections and ends every
//! WebSocket: the client's connection ends behind a complete message, and the upstream gets Close 1001 (`--close` selects
//! other Closes for clients). It exits with code 0 when all tunnels have ended, or after the grace
//! period of `--drain`, when the remaining tunnels are aborted. The status address answers to the end.

mod descriptors;
mod handshakes;
mod head_timer;
mod https;
mod in_progress;
mod limits;
mod linger;
mod listen;
mod log;
mod options;
mod origins;
mod preface;
mod requests;
mod reset;
mod serve;
mod shutdown;
mod slash;
mod stalled;
mod status;
mod workers;

use std::{
    convert::Infallible,
    error::Error,
    fmt::Write,
    future::{pending, ready},
    process::ExitCode,
    sync::Arc,
    thread,
};

use http::{HeaderValue, Request, Response, StatusCode, Version, header::CONTENT_TYPE};
use http_body_util::Either;
use hyper::body::Incoming;
use mimalloc::MiMalloc;
use tower::{Layer, ServiceExt, service_fn};
use tower_upgrade_proxy::{
    DiscardOnDrop, DiscardUnreadBodyLayer, Forward, PathRewrite, ResponseBody, UpgradeProxy,
    UpgradeProxyLayer, UpstreamBody,
};

use descriptors::Reserve;
use listen::{AtLimit, accept, bind};
use log::Log;
use options::{Options, Target, Upstreams};
use serve::HttpService;
use shutdown::{Shutdown, Signals};
use status::Status;

/// mimalloc: open tunnels take a third less memory than with the system's allocator, and opening one takes
/// slightly less time.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Descriptors in reserve to refuse clients, and to report the status, when the process has no others left.
const RESERVE: usize = 8;
const STATUS_RESERVE: usize = 4;

type Body = Either<ResponseBody<ResponseBody<UpstreamBody>>, String>;

/// Prefix of a route, and its service: the layer around `Forward`.
type Location = (String, UpgradeProxy<Forward>);

fn main() -> ExitCode {
    let options = Options::from_args();
    let _log = match Log::start() {
        Ok(log) => log,
        Err(error) => {
            eprintln!("the log could not start: {error}");
            return ExitCode::FAILURE;
        }
    };
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Starts the workers. The calling thread is the first worker, and waits for the signals.
fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let tls = match (&options.tls_cert, &options.tls_key) {
        (Some(cert), Some(key)) => Some(https::acceptor(cert, key)?),
        _ => None,
    };
    let mut listeners = workers::listeners(options.listen, options.workers())?;
    let first = listeners.swap_remove(0);
    let port = first.local_addr()?.port();
    let (tunnels, connections) = options.most_open();
    descriptors::raise_limit(tunnels, connections);
    let refusing = AtLimit::Refuse(Reserve::new(RESERVE));
    let serving = AtLimit::Serve(Reserve::new(STATUS_RESERVE));
    let (shutdown, work) = Shutdown::new(options.shutdown());
    let layer = options.layer()?.drain(work.watcher());
    let targets: Arc<[Target]> = options.targets().into();
    let (http, status) = (options.http(), Status::new(&shutdown, &targets));
    let strips = options.strip_prefix;
    for listener in listeners {
        let (tls, http, gateway) = (tls.clone(), http.clone(), gateway(locations(&targets, strips, &layer)));
        let (work, status, refusing) = (work.clone(), status.clone(), refusing.clone());
        thread::Builder::new().name("worker".to_owned()).spawn(move || {
            let served = workers::run(listener, async |listener| {
                status.add_worker();
                accept(listener, tls, http, work, refusing, gateway).await;
                // Tunnels may still be open. The first worker waits for them and ends the process.
                pending::<()>().await;
            });
            if let Err(error) = served {
                tracing::error!("a worker could not start: {error}");
            }
        })?;
    }
    workers::run(first, async |listener| {
        // Registered before the first connection, so that no signal ends the process without a drain.
        let mut signals = Signals::new()?;
        status.add_worker();
        let mut addresses = format!("listening on {}\n", listener.local_addr()?);
        if let Some(address) = options.redirect_http {
            let redirect = bind(address).await?;
            writeln!(addresses, "redirecting to https on {}", redirect.local_addr()?)?;
            let to_https =
                service_fn(move |request: Request<DiscardOnDrop>| ready(Ok(https::redirect(&request, port))));
            let to_https = DiscardUnreadBodyLayer::new().layer(to_https);
            tokio::spawn(accept(redirect, None, http.clone(), work.clone(), refusing.clone(), to_https));
        }
        if let Some(address) = options.status {
            let listener = bind(address).await?;
            writeln!(addresses, "status on http://{}", listener.local_addr()?)?;
            let report = service_fn(move |request: Request<DiscardOnDrop>| {
                ready(Ok(status.report(request.method(), request.uri().path())))
            });
            let report = DiscardUnreadBodyLayer::new().layer(report);
            tokio::spawn(accept(listener, None, http.without_limit(), work.until_exit(), serving, report));
        }
        log::announce(addresses)?;
        tokio::spawn(accept(
            listener,
            tls,
            http,
            work,
            refusing,
            gateway(locations(&targets, strips, &layer)),
        ));
        signals.next().await;
        tokio::select! {
            () = shutdown.begin() => {}
            () = signals.next() => tracing::info!("stopping immediately"),
        }
        Ok(())
    })?
}

/// Locations of all routes, with the same settings. Limits of tunnels and handshakes apply to all locations and
/// workers together.
fn locations(targets: &[Target], strips_prefix: bool, layer: &UpgradeProxyLayer) -> Vec<Location> {
    let location = |target: &Target| {
        let layer = layer.clone();
        let layer = match &target.upstream {
            Upstreams::One(upstream) => layer.upstream(upstream.clone()),
            Upstreams::Several(pool) => layer.upstream_pool(pool),
        };
        let path = match strips_prefix {
            true => PathRewrite::strip_prefix(&target.prefix),
            false => PathRewrite::keep_within(&target.prefix),
        };
        (target.prefix.clone(), layer.path(path).forward())
    };
    targets.iter().map(location).collect()
}

fn gateway(locations: Vec<Location>) -> impl HttpService {
    let locations: Arc<[Location]> = locations.into();
    service_fn(move |request| respond(Arc::clone(&locations), request))
}

/// Forwards to the location with the longest matching prefix; 404 without one. A path that lacks only the slash at the end of
/// a prefix is redirected to it, like nginx's `location /x/` does with `/x`.
async fn respond(
    locations: Arc<[Location]>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let path = request.uri().path();
    let own = match slash::location(&request, locations.iter().map(|(prefix, _)| prefix.as_str())) {
        Some(location) => Own::Redirect(location),
        None => {
            let matching = locations.iter().filter(|(prefix, _)| path.starts_with(prefix));
            match matching.max_by_key(|(prefix, _)| prefix.len()) {
                Some((_, location)) => return Ok(location.clone().oneshot(request).await?.map(Either::Left)),
                None => Own::NoRoute,
            }
        }
    };
    // In HTTP/1.0 it is optional.
    let is_valid = request.version() < Version::HTTP_11 || https::host(&request).is_some();
    let own = if is_valid { own } else { Own::BadHost };
    let respond = service_fn(move |request| ready(Ok(own.response(&request))));
    DiscardUnreadBodyLayer::new().layer(respond).oneshot(request).await
}

/// A response of the gateway itself.
enum Own {
    Redirect(HeaderValue),
    NoRoute,
    BadHost,
}

impl Own {
    fn response(&self, request: &Request<DiscardOnDrop>) -> Response<Body> {
        match self {
            Self::Redirect(location) => slash::redirect(location),
            Self::NoRoute => {
                log::no_route(request);
                plain(StatusCode::NOT_FOUND, "404 Not Found: no route for this path\n")
            }
            Self::BadHost => plain(StatusCode::BAD_REQUEST, "400 Bad Request: no valid Host\n"),
        }
    }
}

fn plain(status: StatusCode, text: &str) -> Response<Body> {
    let mut response = Response::new(Either::Right(text.to_owned()));
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, plain);
    response
}
