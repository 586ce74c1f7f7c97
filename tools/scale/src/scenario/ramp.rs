//! Opening as many tunnels as possible, and their cost at rest.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{Context, Upstreams};
use crate::{
    Result,
    crowd::{Counts, Crowd, Reader, STREAMS, probe::Probe},
    figures::{Sheet, seconds},
    proxy::Gateway,
    usage,
};

/// Limits of the gateway that are not to be measured.
const OPTIONS: [&str; 10] = [
    "--idle-timeout",
    "off",
    "--max-tunnels",
    "1000000",
    "--max-handshakes",
    "4096",
    "--http2-streams",
    "1000",
    "--keep-alive-requests",
    "1000000",
];

/// Limit of the memory of a tunnel, in KiB.
const MEMORY_LIMIT: f64 = 16.0;

/// Limit of the memory with all tunnels open for the second time, as a multiple of the largest before.
const REUSE_LIMIT: f64 = 1.2;

/// Number of tunnels from which on the memory of the gateway is theirs.
const MANY: usize = 1_000;

/// Limit of the CPU time at rest, as a share of one core.
const REST_LIMIT: f64 = 0.02;

/// Versions of HTTP of both sides.
#[derive(Clone, Copy, PartialEq)]
enum Http {
    One,
    Two,
}

pub(super) async fn run(context: &Context) -> Result<Sheet> {
    let mut sheet = Sheet::new(&[
        "HTTP",
        "tunnels",
        "refused",
        "opened in",
        "KiB each",
        "resident",
        "descriptors",
        "CPU at rest",
        "echo before, p50 / p99 / max",
        "echo with all",
        "closed in",
        "resident after",
        "opened again",
    ]);
    ramp(context, Http::One, &mut sheet).await?;
    ramp(context, Http::Two, &mut sheet).await?;
    Ok(sheet)
}

async fn ramp(context: &Context, http: Http, sheet: &mut Sheet) -> Result<()> {
    let sizes = &context.sizes;
    let upstreams = Upstreams::start().await?;
    let mut options = OPTIONS.to_vec();
    options.extend((http == Http::Two).then_some("--http2-upstream"));
    let gateway = Gateway::start(&context.program, upstreams.ports(), &options).await?;
    let probe = Probe::start(gateway.port).await?;
    let before = probe.during(sizes.time).await?;
    let base = usage::resident(gateway.pid())?;

    let wanted = match http {
        Http::One => sizes.ramp_http1,
        Http::Two => sizes.ramp_http2 / STREAMS * STREAMS,
    };
    let (crowd, opening) = open(context, &gateway, http, wanted).await?;
    let opened = crowd.counts.opened.get();
    let with_all = probe.during(sizes.time).await?;
    drop(probe);
    // The status answers at the limit of descriptors too.
    let (tunnels, _) = gateway.status().await?;
    let (memory, descriptors) = (usage::resident(gateway.pid())?, usage::descriptors(gateway.pid())?);
    let rest = cpu_at_rest(&gateway, sizes.time).await?;
    let counts = std::sync::Arc::clone(&crowd.counts);

    let closing = close(context, &gateway, crowd).await?;
    let after = usage::resident(gateway.pid())?;
    let (crowd, _) = open(context, &gateway, http, wanted).await?;
    let again = usage::resident(gateway.pid())?;
    close(context, &gateway, crowd).await?;
    let each = (memory - base) / opened.max(1) as f64;
    let mib = |kib: f64| format!("{:.1} MiB", kib / 1024.0);
    let name = if http == Http::One { "1.1" } else { "2" };
    sheet.row([
        name.to_owned(),
        opened.to_string(),
        (wanted - opened).to_string(),
        seconds(opening),
        format!("{each:.1}"),
        mib(memory),
        descriptors.to_string(),
        format!("{:.2} %", rest * 100.0),
        before.describe(),
        with_all.describe(),
        seconds(closing),
        mib(after),
        mib(again),
    ]);
    // Above the limit of descriptors, the gateway closes a connection at once or answers 503.
    let possible = wanted.min(context.descriptors.saturating_sub(500) / 2);
    let expected = if http == Http::One { possible } else { wanted };
    sheet.check(opened >= expected, format!("HTTP/{name}: {opened} of {expected} tunnels open"));
    sheet.check(
        tunnels >= opened,
        format!("HTTP/{name}: the status counts {tunnels} tunnels, {}", counts.list()),
    );
    if opened >= MANY {
        sheet.check(each < MEMORY_LIMIT, format!("HTTP/{name}: {each:.1} KiB for each tunnel"));
        let kept = again < REUSE_LIMIT * after.max(memory);
        sheet.check(kept, format!("HTTP/{name}: {} when all are open again", mib(again)));
    }
    sheet.check(rest < REST_LIMIT, format!("HTTP/{name}: {:.2} % of a core at rest", rest * 100.0));
    sheet.check_echo(&format!("HTTP/{name}, all open"), &with_all);
    Ok(())
}

/// Opens the tunnels. Returns the time until all are open or refused.
async fn open(context: &Context, gateway: &Gateway, http: Http, wanted: usize) -> Result<(Crowd, Duration)> {
    let mut crowd = Crowd::new(gateway.port);
    match http {
        Http::One => crowd.open_http1(0..wanted, Reader::Reads),
        Http::Two => crowd.open_http2(0..wanted / STREAMS, STREAMS, Reader::Reads),
    }
    let answered = |counts: &Counts| counts.answered() == wanted;
    let opening = crowd.counts.wait("all open", context.sizes.limit, answered).await?;
    Ok((crowd, opening))
}

/// Disconnects the clients. Returns the time until all tunnels have ended.
async fn close(context: &Context, gateway: &Gateway, crowd: Crowd) -> Result<Duration> {
    let started = Instant::now();
    drop(crowd);
    while gateway.status().await?.0 > 0 {
        if started.elapsed() > context.sizes.limit {
            return Err("the tunnels do not end with their clients".into());
        }
        sleep(Duration::from_millis(20)).await;
    }
    Ok(started.elapsed())
}

/// CPU time without any traffic, as a share of one core.
async fn cpu_at_rest(gateway: &Gateway, time: Duration) -> Result<f64> {
    // Connections of the probe and of the status end.
    sleep(Duration::from_millis(200)).await;
    let (start, before) = (Instant::now(), usage::cpu(gateway.pid())?);
    sleep(time).await;
    Ok((usage::cpu(gateway.pid())? - before) / start.elapsed().as_secs_f64())
}
