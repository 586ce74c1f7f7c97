//! All tunnels reach their idle timeout at once, while nobody reads the log.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{Context, Upstreams};
use crate::{
    Result,
    crowd::{Crowd, Reader, probe::Probe},
    figures::{Latencies, Sheet, milliseconds, seconds},
    proxy::{Gateway, Haproxy},
};

/// Time in which the tunnels end after their timeout.
const END_LIMIT: Duration = Duration::from_secs(10);

/// Limit of the time of a status request.
const STATUS_LIMIT: Duration = Duration::from_secs(1);

/// Limit of the time of the exit, when only the probe is left.
const EXIT_LIMIT: Duration = Duration::from_secs(3);

/// Figures of one proxy.
struct Storm {
    before: Latencies,
    during: Latencies,
    /// Time from the first to the last end.
    ending: Duration,
    /// Slowest response of the status listener.
    status: Duration,
    counts: String,
}

pub(super) async fn run(context: &Context) -> Result<Sheet> {
    let sizes = &context.sizes;
    let mut sheet = Sheet::new(&[
        "proxy",
        "tunnels",
        "first to last end",
        "echo before, p50 / p99 / max",
        "echo meanwhile",
        "slowest status",
        "exit code on SIGTERM",
    ]);
    let upstreams = Upstreams::start().await?;
    let option = format!("{}ms", sizes.idle_timeout.as_millis());
    let gateway =
        Gateway::start_unread(&context.program, upstreams.ports(), &["--idle-timeout", &option]).await?;
    let ours = storm(context, gateway.port, Some(&gateway)).await?;
    let exit = gateway.terminate(EXIT_LIMIT).await?.end;
    let exit_text =
        exit.map_or_else(|| "none".to_owned(), |(code, time)| format!("{code} after {}", seconds(time)));
    let status = format!("{} ms", milliseconds(ours.status));
    sheet.row(row("gateway", sizes.idle, &ours, status.clone(), exit_text.clone()));
    sheet.check_echo("while all time out", &ours.during);
    sheet.check(ours.status < STATUS_LIMIT, format!("the status responds within {status}"));
    sheet.check(exit.is_some_and(|(code, _)| code == 0), format!("exit: {exit_text}"));
    sheet.note(ours.counts);

    let upstreams = Upstreams::start().await?;
    let connections = (sizes.idle + 300).min(context.descriptors.saturating_sub(200) / 2);
    if let Some(haproxy) = Haproxy::start(upstreams.ports(), connections, sizes.idle_timeout).await? {
        let theirs = storm(context, haproxy.port, None).await?;
        sheet.row(row("HAProxy", sizes.idle, &theirs, "–".to_owned(), "–".to_owned()));
    }
    Ok(sheet)
}

fn row(name: &str, tunnels: usize, storm: &Storm, status: String, exit: String) -> [String; 7] {
    let (before, during) = (storm.before.describe(), storm.during.describe());
    [name.to_owned(), tunnels.to_string(), seconds(storm.ending), before, during, status, exit]
}

/// Opens the tunnels, and waits until all have reached their timeout. `status` is the gateway whose status is requested
/// meanwhile.
async fn storm(context: &Context, port: u16, status: Option<&Gateway>) -> Result<Storm> {
    let sizes = &context.sizes;
    let (idle_timeout, wanted) = (sizes.idle_timeout, sizes.idle);
    let probe = Probe::start(port).await?;
    let mut crowd = Crowd::new(port);
    crowd.open_http1(0..wanted, Reader::Reads);
    let counts = &crowd.counts;
    counts.wait("all open", sizes.limit, |counts| counts.opened.get() == wanted).await?;
    // From here on, the idle time of all tunnels is the same.
    crowd.say();
    counts.wait("all echoed", sizes.limit, |counts| counts.echoed.get() == wanted).await?;
    let before = probe.during(idle_timeout / 2).await?;
    counts.wait("the first end", idle_timeout + END_LIMIT, |counts| counts.ended.get() > 0).await?;
    probe.take()?;
    let (start, mut slowest) = (Instant::now(), Duration::ZERO);
    while counts.ended.get() < wanted {
        if start.elapsed() > END_LIMIT {
            return Err(format!("not all ended: {}", counts.list()).into());
        }
        if let Some(gateway) = status {
            slowest = slowest.max(gateway.status().await?.1);
        }
        sleep(Duration::from_millis(20)).await;
    }
    let during = probe.take()?;
    Ok(Storm { before, during, ending: counts.ending_time(), status: slowest, counts: counts.list() })
}
