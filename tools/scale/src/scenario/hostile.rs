//! Crowds of hostile clients beside live tunnels.

use std::time::Duration;

use rustix::process::Pid;

use super::{Context, LONG, Upstreams};
use crate::{
    Result,
    crowd::{Crowd, Hostile, probe::Probe},
    figures::{Latencies, Sheet, seconds},
    proxy::{Gateway, Haproxy},
    usage,
};

/// Limit of the exit with clients in half a head, which are not waited for.
const EXIT_LIMIT: Duration = Duration::from_secs(2);

pub(super) async fn run(context: &Context) -> Result<Sheet> {
    let mut sheet = Sheet::new(&[
        "clients",
        "proxy",
        "number",
        "tunnels or connections",
        "refused",
        "failed",
        "echo before, p50 / p99 / max",
        "echo meanwhile",
        "peak memory",
        "exit on SIGTERM",
    ]);
    let sizes = &context.sizes;
    let crowds = [
        (Hostile::HalfHead, sizes.half_heads),
        (Hostile::NeverReads, sizes.unread),
        (Hostile::OpensAndEnds, sizes.repeating),
        (Hostile::IsRefused, sizes.repeating),
    ];
    for (kind, clients) in crowds {
        attack(context, kind, clients, &mut sheet).await?;
    }
    Ok(sheet)
}

/// Proxy under attack.
enum Proxy {
    Gateway(Gateway),
    Haproxy(Haproxy),
}

impl Proxy {
    async fn start(context: &Context, upstreams: &Upstreams, is_gateway: bool) -> Result<Option<Self>> {
        let ports = upstreams.ports();
        if !is_gateway {
            let connections = context.sizes.half_heads + 300;
            return Ok(Haproxy::start(ports, connections, LONG).await?.map(Self::Haproxy));
        }
        // The clients stay in half a head for the whole measurement.
        let grace = format!("{}ms", context.sizes.grace.as_millis());
        let options = ["--client-timeout", "60s", "--drain", &grace, "--max-handshakes", "4096"];
        Ok(Some(Self::Gateway(Gateway::start(&context.program, ports, &options).await?)))
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Gateway(_) => "gateway",
            Self::Haproxy(_) => "HAProxy",
        }
    }

    fn port(&self) -> u16 {
        match self {
            Self::Gateway(gateway) => gateway.port,
            Self::Haproxy(haproxy) => haproxy.port,
        }
    }

    fn pid(&self) -> Pid {
        match self {
            Self::Gateway(gateway) => gateway.pid(),
            Self::Haproxy(haproxy) => haproxy.pid(),
        }
    }
}

/// Figures of an attack.
struct Attack {
    /// Round-trip times as the clients come, and later.
    echo: [Latencies; 2],
    row: Vec<String>,
}

/// Attacks the gateway, and then `HAProxy` if it is installed.
async fn attack(context: &Context, kind: Hostile, clients: usize, sheet: &mut Sheet) -> Result<()> {
    let upstreams = Upstreams::start().await?;
    let gateway = Proxy::start(context, &upstreams, true).await?.ok_or("no gateway")?;
    let (Attack { echo: [opening, meanwhile], mut row }, crowd) =
        under_attack(context, &gateway, kind, clients).await?;
    if kind.repeats() {
        drop(crowd);
    }
    let Proxy::Gateway(gateway) = gateway else { return Err("no gateway".into()) };
    let exit = gateway.terminate(context.sizes.grace + 2 * EXIT_LIMIT).await?.end;
    let exit_text =
        exit.map_or_else(|| "none".to_owned(), |(code, time)| format!("{code} after {}", seconds(time)));
    row.push(exit_text.clone());
    sheet.rows.push(row);
    let name = format!("clients that {}", kind.describe());
    sheet.check_echo(&name, &meanwhile);
    if !kind.repeats() {
        sheet.check_echo(&format!("{name}, as they come"), &opening);
    }
    // Tunnels whose clients never read take the whole grace.
    let limit = if kind == Hostile::NeverReads { context.sizes.grace + EXIT_LIMIT } else { EXIT_LIMIT };
    let is_quick = exit.is_some_and(|(code, time)| code == 0 && time < limit);
    sheet.check(is_quick, format!("{name}: exit {exit_text}"));

    let upstreams = Upstreams::start().await?;
    if let Some(haproxy) = Proxy::start(context, &upstreams, false).await? {
        let (Attack { mut row, .. }, _crowd) = under_attack(context, &haproxy, kind, clients).await?;
        row.push("–".to_owned());
        sheet.rows.push(row);
    }
    Ok(())
}

/// Measures the live tunnels of a proxy before and during an attack. The crowd continues until it is dropped.
async fn under_attack(
    context: &Context,
    proxy: &Proxy,
    kind: Hostile,
    clients: usize,
) -> Result<(Attack, Crowd)> {
    let sizes = &context.sizes;
    let probe = Probe::start(proxy.port()).await?;
    let before = probe.during(sizes.time.min(Duration::from_secs(2))).await?;
    let mut crowd = Crowd::new(proxy.port());
    crowd.attack(kind, clients);
    if !kind.repeats() {
        crowd.counts.wait("all there", sizes.limit, |counts| counts.answered() == clients).await?;
    }
    let opening = probe.take()?;
    let meanwhile = probe.during(sizes.time).await?;
    let (peak, counts) = (usage::peak(proxy.pid())? / 1024.0, &crowd.counts);
    let row = vec![
        kind.describe().to_owned(),
        proxy.name().to_owned(),
        clients.to_string(),
        counts.opened.get().to_string(),
        (counts.unavailable.get() + counts.refused.get()).to_string(),
        counts.failed.get().to_string(),
        before.describe(),
        meanwhile.describe(),
        format!("{peak:.1} MiB"),
    ];
    Ok((Attack { echo: [opening, meanwhile], row }, crowd))
}
