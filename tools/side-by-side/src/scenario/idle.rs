//! Idle tunnels after one message.

use std::{sync::Arc, time::Instant};

use tokio::time;

use super::{Layout, Sizes, opening::Client};
use crate::{Result, figures::Figures, http2::Http2, trial::Trial, websocket::Message};

/// Length of the message on each tunnel: large enough that all buffers have been used.
pub(super) const MESSAGE: usize = 60 * 1024;

/// Length of the message over HTTP/2: one frame, much smaller than the window of a stream.
const HTTP2_MESSAGE: usize = 1024;

pub(super) fn sheet(sizes: &Sizes, http2: Http2) -> Layout {
    let versions = match http2 {
        Http2::Neither => String::new(),
        Http2::Client => " from one HTTP/2 connection".to_owned(),
        Http2::Upstream => format!(" to HTTP/2, {} streams on a connection", sizes.streams),
    };
    let kib = message_length(http2) / 1024;
    let heading = format!("{} idle tunnels{versions}, after an echo of {kib} KiB on each", sizes.tunnels);
    let columns = &[
        ("kib", "KiB per tunnel"),
        ("before", "process before, MiB"),
        ("after", "process after, MiB"),
        ("files", "open files"),
        ("silent", "CPU ms/s for 1,000 tunnels"),
    ];
    (heading, columns)
}

fn message_length(http2: Http2) -> usize {
    if http2 == Http2::Neither { MESSAGE } else { HTTP2_MESSAGE }
}

/// Measures the growth of memory; memory allocated before the first tunnel is a separate column.
pub(super) async fn measure(trial: &Trial, sizes: &Sizes) -> Result<Figures> {
    let message = Arc::new(Message::new(message_length(trial.http2)));
    trial.enter("warming up");
    for tunnel in Client::of(trial, 8, 1).await?.open_echoes(8, &message).await? {
        tunnel.close().await?;
    }
    let before = trial.settled_pss(sizes.sample_interval).await?;
    trial.enter("opening tunnels");
    let client = Client::of(trial, sizes.tunnels, 1).await?;
    let tunnels = client.open_echoes(sizes.tunnels, &message).await?;
    trial.enter("waiting for the memory to settle");
    let after = trial.settled_pss(sizes.sample_interval).await?;

    let (start, cpu) = (Instant::now(), trial.cpu()?.unwrap_or_default());
    time::sleep(sizes.idle_time).await;
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
