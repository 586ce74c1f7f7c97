//! A gateway like nginx: the longest matching prefix of the path says which upstream, for upgrades
//! and ordinary requests alike.
//!
//! ```text
//! cargo run -p upgrade-gateway -- --listen 127.0.0.1:8080 \
//!     --route /ws/=http://127.0.0.1:9000 --route /=unix:/run/app.sock
//! ```
//!
//! `RUST_LOG=debug` shows every tunnel. On SIGTERM or Ctrl-C nothing new is accepted, both sides of every
//! WebSocket are told so with Close 1001, and the program ends, with code 0, when all have answered or
//! `--drain` is over. Who has not answered then is cut.

mod ending;
mod https;
mod limits;
mod listen;
mod options;
mod origins;
mod serve;
mod status;
mod workers;

use std::{
    convert::Infallible,
    error::Error,
    future::{pending, ready},
    io,
    process::ExitCode,
    sync::Arc,
    thread,
};

use http::{HeaderValue, Request, Response, StatusCode, header::CONTENT_TYPE};
use http_body_util::Either;
use hyper::body::Incoming;
use mimalloc::MiMalloc;
use tower::{ServiceExt, service_fn};
use tower_upgrade_proxy::{
    Forward, PathRewrite, ResponseBody, UpgradeProxy, UpgradeProxyLayer, UpstreamBody,
};
use tracing_subscriber::EnvFilter;

use ending::{Ending, Signals};
use listen::{accept, bind};
use options::{Options, Route};
use serve::Answers;
use status::Status;

/// Open tunnels cost a third less memory with it, and new ones a little less time, than with the
/// system's allocator.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

type Body = Either<ResponseBody<ResponseBody<UpstreamBody>>, String>;

/// A prefix, and the layer over `Forward` that answers below it.
type Location = (String, UpgradeProxy<Forward>);

fn main() -> ExitCode {
    let options = Options::of_program();
    let filter = EnvFilter::builder().with_default_directive(tracing::Level::INFO.into()).from_env_lossy();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).init();
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// This thread is the first worker, and the one that waits for the end.
fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let tls = match (&options.tls_cert, &options.tls_key) {
        (Some(cert), Some(key)) => Some(https::acceptor(cert, key)?),
        _ => None,
    };
    let mut listeners = workers::listeners(options.listen, options.workers())?;
    let first = listeners.swap_remove(0);
    let port = first.local_addr()?.port();
    let (ending, work) = Ending::new(options.drain);
    let layer = options.layer().drain(work.watcher());
    let (http, status) = (options.http(), Status::new(ending.tunnels()));
    for listener in listeners {
        let (tls, http, gateway) = (tls.clone(), http.clone(), gateway(locations(options, &layer)));
        let (work, status) = (work.clone(), status.clone());
        thread::Builder::new().name("worker".to_owned()).spawn(move || {
            let served = workers::run(listener, async |listener| {
                status.join();
                accept(listener, tls, http, work, gateway).await;
                // The tunnels are not over yet. The first worker knows when they are.
                pending::<()>().await;
            });
            if let Err(error) = served {
                tracing::error!("a worker could not start: {error}");
            }
        })?;
    }
    workers::run(first, async |listener| {
        // Before the first connection: from here on both signals are ours.
        let mut signals = Signals::new()?;
        status.join();
        println!("listening on {}", listener.local_addr()?);
        if let Some(address) = options.redirect_http {
            let redirect = bind(address).await?;
            println!("redirecting to https on {}", redirect.local_addr()?);
            let to_https = service_fn(move |request| async move { Ok(https::redirect(&request, port)) });
            tokio::spawn(accept(redirect, None, http.clone(), work.clone(), to_https));
        }
        if let Some(address) = options.status {
            let listener = bind(address).await?;
            println!("status on http://{}", listener.local_addr()?);
            let answer = service_fn(move |_| ready(Ok(status.answer())));
            tokio::spawn(accept(listener, None, http.clone(), work.clone(), answer));
        }
        tokio::spawn(accept(listener, tls, http, work, gateway(locations(options, &layer))));
        signals.next().await;
        tokio::select! {
            () = ending.begin() => {}
            () = signals.next() => tracing::info!("stopping at once"),
        }
        Ok(())
    })?
}

/// One location per route, all with the same settings; their tunnels and handshakes count together,
/// with those of the other workers too.
fn locations(options: &Options, layer: &UpgradeProxyLayer) -> Vec<Location> {
    let location = |route: &Route| {
        let layer = layer.clone().upstream(options.upstream(route));
        let layer = match options.strip_prefix {
            true => layer.path(PathRewrite::strip_prefix(&route.prefix)),
            false => layer,
        };
        (route.prefix.clone(), layer.forward())
    };
    options.routes.iter().map(location).collect()
}

fn gateway(locations: Vec<Location>) -> impl Answers {
    let locations: Arc<[Location]> = locations.into();
    service_fn(move |request| answer(Arc::clone(&locations), request))
}

/// The longest prefix wins; without any it is a 404.
async fn answer(
    locations: Arc<[Location]>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let path = request.uri().path();
    let matching = locations.iter().filter(|(prefix, _)| path.starts_with(prefix));
    match matching.max_by_key(|(prefix, _)| prefix.len()) {
        Some((_, location)) => Ok(location.clone().oneshot(request).await?.map(Either::Left)),
        None => Ok(plain(StatusCode::NOT_FOUND, "404 Not Found: no route for this path\n")),
    }
}

fn plain(status: StatusCode, text: &str) -> Response<Body> {
    let mut response = Response::new(Either::Right(text.to_owned()));
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, plain);
    response
}
