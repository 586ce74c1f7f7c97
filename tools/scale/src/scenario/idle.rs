//! All tunnels reach their idle timeout at once, while nobody reads the log.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{Context, Upstreams};
use crate::{
    Result,
    crowd::{Crowd, Reader, probe::Probe},
    figures::{Sheet, milliseconds, seconds},
    proxy::Gateway,
};

/// Time in which the tunnels end after their timeout.
const END_LIMIT: Duration = Duration::from_secs(10);

/// Limit of the time of a status request.
const STATUS_LIMIT: Duration = Duration::from_secs(1);

/// Limit of the time of the exit, when only the probe is left.
const EXIT_LIMIT: Duration = Duration::from_secs(3);

pub(super) async fn run(context: &Context) -> Result<Sheet> {
    let sizes = &context.sizes;
    let (idle_timeout, wanted) = (sizes.idle_timeout, sizes.idle);
    let upstreams = Upstreams::start().await?;
    let option = format!("{}ms", idle_timeout.as_millis());
    let gateway =
        Gateway::start_unread(&context.program, upstreams.ports(), &["--idle-timeout", &option]).await?;
    let probe = Probe::start(gateway.port).await?;
    let mut crowd = Crowd::new(gateway.port);
    crowd.open_http1(0..wanted, Reader::Reads);
    let counts = &crowd.counts;
    counts.wait("all open", sizes.limit, |counts| counts.opened.get() == wanted).await?;
    // From here on, the idle time of all tunnels is the same.
    crowd.say();
    counts.wait("all echoed", sizes.limit, |counts| counts.echoed.get() == wanted).await?;
    let before = probe.during(idle_timeout / 2).await?;
    counts.wait("the first end", idle_timeout + END_LIMIT, |counts| counts.ended.get() > 0).await?;
    probe.take()?;
    let (limit, start, mut status) = (END_LIMIT, Instant::now(), Duration::ZERO);
    while counts.ended.get() < wanted {
        if start.elapsed() > limit {
            return Err(format!("not all ended: {}", counts.list()).into());
        }
        status = status.max(gateway.status().await?.1);
        sleep(Duration::from_millis(20)).await;
    }
    let during = probe.take()?;
    let (ending, list) = (counts.ending_time(), counts.list());
    let exit = gateway.terminate(EXIT_LIMIT).await?.end;
    let exit_text =
        exit.map_or_else(|| "none".to_owned(), |(code, time)| format!("{code} after {}", seconds(time)));

    let mut sheet = Sheet::new(&[
        "tunnels",
        "first to last end",
        "echo before, p50 / p99 / max",
        "echo meanwhile",
        "slowest status",
        "exit code on SIGTERM",
    ]);
    sheet.row([
        wanted.to_string(),
        seconds(ending),
        before.describe(),
        during.describe(),
        format!("{} ms", milliseconds(status)),
        exit_text.clone(),
    ]);
    sheet.check_echo("while all time out", &during);
    sheet.check(status < STATUS_LIMIT, format!("the status responds within {} ms", milliseconds(status)));
    sheet.check(exit.is_some_and(|(code, _)| code == 0), format!("exit: {exit_text}"));
    sheet.note(list);
    Ok(sheet)
}
