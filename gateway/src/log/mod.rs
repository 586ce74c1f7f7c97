//! Log lines on stderr that never block a worker.
//!
//! A worker hands a line to a [thread](writer) that writes it. When nobody reads stderr, lines are lost beyond 1 MiB, and
//! counted. Of [repeated](repeats) warnings only the first one of a second becomes a line, the others are counted, unless
//! `RUST_LOG` enables debug. The thread reports both counts once a second, as soon as stderr takes lines again.

mod repeats;
mod writer;

use std::{
    env,
    io::{self, IsTerminal, Write},
    thread,
};

use http::{Request, StatusCode};
use tower_upgrade_proxy::Peer;
use tracing::{Dispatch, dispatcher, level_filters::LevelFilter};
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, registry, util::SubscriberInitExt};

use repeats::Repeats;
use writer::Writer;

/// Maximum number of characters of a field from a client.
const LENGTH: usize = 1024;

/// Writes the lines that are left when it is dropped, for at most half a second.
pub(crate) struct Log(Writer);

impl Log {
    /// Starts the log, with the levels of `RUST_LOG`.
    pub(crate) fn start() -> io::Result<Self> {
        let filter =
            EnvFilter::builder().with_default_directive(tracing::Level::INFO.into()).from_env_lossy();
        let repeats = Repeats::default();
        let counts = repeats.clone();
        // The thread's own lines go straight to stderr.
        let own = Dispatch::new(fmt().with_writer(io::stderr).with_ansi(has_colours()).finish());
        let writer = Writer::start(io::stderr(), move |lost| {
            dispatcher::with_default(&own, || {
                if lost > 0 {
                    tracing::warn!(lost, "log lines were lost");
                }
                counts.report();
            });
        })?;
        let lines = fmt::layer().with_writer(writer.clone()).with_ansi(has_colours());
        let shows_details = filter.max_level_hint().is_none_or(|level| level >= LevelFilter::DEBUG);
        registry().with(filter).with((!shows_details).then_some(repeats)).with(lines).init();
        Ok(Self(writer))
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.0.flush_at_exit();
    }
}

/// Returns whether the log has colours: on a terminal, unless `NO_COLOR` is set. A file or a journal would
/// contain the escape sequences.
fn has_colours() -> bool {
    io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Prints the addresses that the gateway listens on. A thread waits for stdout, if it must be waited for.
pub(crate) fn announce(lines: String) -> io::Result<()> {
    let print = move || {
        let mut stdout = io::stdout().lock();
        if let Err(error) = stdout.write_all(lines.as_bytes()).and_then(|()| stdout.flush()) {
            tracing::debug!(%error, "stdout is closed");
        }
    };
    thread::Builder::new().name("stdout".to_owned()).spawn(print).map(drop)
}

/// Reports a request whose path has no route, as the library reports the requests that it refuses.
pub(crate) fn no_route<B>(request: &Request<B>) {
    let clip = |text: &str| text.chars().take(LENGTH).collect::<String>();
    tracing::debug!(
        method = clip(request.method().as_str()),
        path = clip(request.uri().path()),
        version = ?request.version(),
        client = request.extensions().get::<Peer>().and_then(|peer| peer.address()).map(|peer| tracing::field::display(peer.ip())),
        status = StatusCode::NOT_FOUND.as_u16(),
        reason = "no_route",
        "request refused"
    );
}
