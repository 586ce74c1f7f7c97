//! Tunnels that have been used once and are silent since.

use std::{sync::Arc, time::Instant};

use tokio::time;

use super::{Outline, Sizes, opening::Client};
use crate::{Result, figures::Figures, http2::Http2, trial::Trial, websocket::Message};

/// The message that each tunnel has carried: large enough for any buffer to have been used.
pub(super) const USED_BY: usize = 60 * 1024;

/// The same over HTTP/2: one frame, well within the window of a stream.
const USED_BY_STREAMS: usize = 1024;

pub(super) fn sheet(sizes: &Sizes, http2: Http2) -> Outline {
    let how = match http2 {
        Http2::Neither => String::new(),
        Http2::Client => " from one HTTP/2 connection".to_owned(),
        Http2::Upstream => format!(" to HTTP/2, {} streams on a connection", sizes.streams),
    };
    let kib = used_by(http2) / 1024;
    let heading = format!("{} idle tunnels{how}, after {kib} KiB there and back on each", sizes.tunnels);
    let columns = &[
        ("kib", "KiB per tunnel"),
        ("before", "process before, MiB"),
        ("after", "process after, MiB"),
        ("files", "open files"),
        ("silent", "CPU ms/s for 1,000 tunnels"),
    ];
    (heading, columns)
}

fn used_by(http2: Http2) -> usize {
    if http2 == Http2::Neither { USED_BY } else { USED_BY_STREAMS }
}

/// Growth, not size: what a proxy has allocated before its first tunnel is not counted, but shown.
pub(super) async fn measure(trial: &Trial, sizes: &Sizes) -> Result<Figures> {
    let message = Arc::new(Message::new(used_by(trial.http2)));
    trial.enter("warming up");
    for tunnel in Client::of(trial, 8, 1).await?.open_echoes(8, &message).await? {
        tunnel.close().await?;
    }
    let before = trial.settled_pss(sizes.settle).await?;
    trial.enter("opening tunnels");
    let client = Client::of(trial, sizes.tunnels, 1).await?;
    let tunnels = client.open_echoes(sizes.tunnels, &message).await?;
    trial.enter("waiting for the memory to settle");
    let after = trial.settled_pss(sizes.settle).await?;

    let (start, cpu) = (Instant::now(), trial.cpu()?.unwrap_or_default());
    time::sleep(sizes.silence).await;
    let silent = trial.cpu()?.unwrap_or_default() - cpu;
    let per_second = silent.total / start.elapsed().as_secs_f64();

    let count = tunnels.len() as f64;
    Ok(Figures::from([
        ("kib".to_owned(), (after - before) / count),
        ("before".to_owned(), before / 1024.0),
        ("after".to_owned(), after / 1024.0),
        ("files".to_owned(), trial.open_files()? as f64),
        ("silent".to_owned(), per_second * 1e3 / (count / 1e3)),
    ]))
}
