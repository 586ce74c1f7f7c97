//! Clients lose their upstream, and retry until it is back; beside the same with `HAProxy`.

use std::{sync::atomic::Ordering, time::Duration};

use rustix::process::Pid;
use tokio::time::sleep;

use super::{Context, LONG, Upstreams};
use crate::{
    Result,
    crowd::{Crowd, probe::Probe},
    figures::{Latencies, Sheet, seconds},
    proxy::{Gateway, Haproxy, Upstream},
    usage,
};

/// Growth of the gateway's figures beyond those of `HAProxy` that is noise.
const TOLERANCE: f64 = 1.1;

/// Differences of the time of recovery below this are noise.
const RECOVERY_NOISE: Duration = Duration::from_millis(500);

/// Difference of the memory of two programs without load, in MiB.
const MEMORY_NOISE: f64 = 10.0;

/// Figures of one proxy.
struct Storm {
    recovery: Duration,
    /// Largest resident memory in MiB.
    peak: f64,
    echo: [Latencies; 3],
}

pub(super) async fn run(context: &Context) -> Result<Sheet> {
    let mut sheet = Sheet::new(&[
        "proxy",
        "clients",
        "all back after",
        "echo before, p50 / p99 / max",
        "echo during the outage",
        "echo until all are back",
        "peak memory",
        "CPU",
        "retries answered 503",
        "otherwise refused",
        "without a response",
    ]);
    let upstreams = Upstreams::start().await?;
    let gateway = Gateway::start(&context.program, upstreams.ports(), &[]).await?;
    let ours = storm(context, "gateway", gateway.port, gateway.pid(), upstreams, &mut sheet).await?;
    drop(gateway);
    for (when, echo) in ["before", "during the outage", "until all are back"].iter().zip(&ours.echo) {
        sheet.check_echo(when, echo);
    }

    let upstreams = Upstreams::start().await?;
    let connections = (context.sizes.reconnecting + 300).min(context.descriptors.saturating_sub(200) / 2);
    let Some(haproxy) = Haproxy::start(upstreams.ports(), connections, LONG).await? else {
        sheet.note("!! SKIPPED: HAProxy is not installed, and not compared".to_owned());
        return Ok(sheet);
    };
    let theirs = storm(context, "HAProxy", haproxy.port, haproxy.pid(), upstreams, &mut sheet).await?;
    let recovery = theirs.recovery.mul_f64(TOLERANCE) + RECOVERY_NOISE;
    sheet.check(ours.recovery <= recovery, "all are back no later than with HAProxy".to_owned());
    let memory = theirs.peak * TOLERANCE + MEMORY_NOISE;
    sheet.check(ours.peak <= memory, "no more memory than HAProxy".to_owned());
    Ok(sheet)
}

/// Takes the crowd's upstream away and brings it back.
async fn storm(
    context: &Context,
    name: &str,
    port: u16,
    pid: Pid,
    upstreams: Upstreams,
    sheet: &mut Sheet,
) -> Result<Storm> {
    let (sizes, clients) = (&context.sizes, context.sizes.reconnecting);
    let probe = Probe::start(port).await?;
    let mut crowd = Crowd::new(port);
    (0..clients).for_each(|client| crowd.retry(client, client));
    let all = |counts: &crate::crowd::Counts| counts.connected.load(Ordering::Relaxed) == clients;
    crowd.counts.wait("all open", sizes.limit, all).await?;
    let before = probe.during(sizes.time.min(Duration::from_secs(2))).await?;
    let (cpu, answers) = (usage::cpu(pid)?, outcomes(&crowd));

    let Upstreams { live: _live, crowd: upstream } = upstreams;
    let upstream_port = upstream.port;
    upstream.kill().await?;
    sleep(sizes.outage).await;
    let outage = probe.take()?;
    let _upstream = Upstream::start(upstream_port).await?;
    let recovery = crowd.counts.wait("all back", sizes.limit, all).await?;
    let back = probe.take()?;
    let (peak, cpu) = (usage::peak(pid)? / 1024.0, usage::cpu(pid)? - cpu);
    let [unavailable, refused, failed] =
        outcomes(&crowd).iter().zip(answers).map(|(after, before)| after - before).collect::<Vec<_>>()[..]
    else {
        return Err("three counts".into());
    };
    sheet.row([
        name.to_owned(),
        clients.to_string(),
        seconds(recovery),
        before.describe(),
        outage.describe(),
        back.describe(),
        format!("{peak:.1} MiB"),
        format!("{cpu:.1} s"),
        unavailable.to_string(),
        refused.to_string(),
        failed.to_string(),
    ]);
    Ok(Storm { recovery, peak, echo: [before, outage, back] })
}

/// Failed handshakes: 503, other responses, none.
fn outcomes(crowd: &Crowd) -> [usize; 3] {
    let counts = &crowd.counts;
    [counts.unavailable.get(), counts.refused.get(), counts.failed.get()]
}
