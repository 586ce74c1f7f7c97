//! One upstream takes all local ports of a network namespace.

use tokio::time::{Instant, sleep};

use super::{Context, Outcome, Upstreams};
use crate::{
    Result,
    crowd::{Crowd, Reader, probe::Probe},
    figures::{Sheet, seconds},
    machine,
    proxy::{Exit, Gateway},
};

/// First of the local ports, above those of the listeners.
const FIRST: u16 = 31_000;

/// Number of connections with the tunnels that take the ports.
const CONNECTIONS: usize = 20;

/// Number of clients of another route.
const OTHERS: usize = 20;

pub(super) async fn run(context: &Context) -> Result<Outcome> {
    if !machine::is_inside() {
        let reason = "the range of local ports cannot be set without root and a network namespace";
        eprintln!("!! SKIPPED: {reason}");
        return Ok(Outcome::Skipped(reason.to_owned()));
    }
    let measured = exhaust(context).await;
    machine::reset_local_ports()?;
    measured.map(Outcome::Measured)
}

async fn exhaust(context: &Context) -> Result<Sheet> {
    let (sizes, ports) = (&context.sizes, context.sizes.local_ports);
    machine::set_local_ports(20_000, 30_000)?;
    let upstreams = Upstreams::start().await?;
    // A tunnel takes one descriptor: its client's connection has many.
    let options = ["--idle-timeout", "off", "--http2-streams", "1000", "--keep-alive-requests", "1000000"];
    let gateway = Gateway::start(&context.program, upstreams.ports(), &options).await?;
    machine::set_local_ports(FIRST, FIRST + u16::try_from(ports)? - 1)?;
    let probe = Probe::start(gateway.port).await?;
    let before = probe.during(sizes.time).await?;

    let mut crowd = Crowd::new(gateway.port);
    let streams = ports / CONNECTIONS;
    (0..CONNECTIONS).for_each(|client| crowd.open_http2_on(0, client, streams, Reader::Reads));
    let filling = crowd.counts.wait("all open", sizes.limit, |counts| counts.answered() == ports).await?;
    let opened = crowd.counts.opened.get();
    probe.take()?;
    let mut late = Crowd::new(gateway.port);
    let (start, wanted) = (Instant::now(), sizes.without_port);
    (0..wanted).for_each(|client| late.retry(0, client));
    late.counts.wait("all answered", sizes.limit, |counts| counts.answered() >= wanted).await?;
    let refusing = start.elapsed();
    sleep(sizes.time.saturating_sub(refusing)).await;
    let meanwhile = probe.take()?;
    let mut others = Crowd::new(gateway.port);
    (0..OTHERS).for_each(|client| others.open_http1_on(1, client, Reader::Reads));
    others.counts.wait("others", sizes.limit, |counts| counts.answered() == OTHERS).await?;
    drop(probe);
    let (late_list, others_opened) = (late.counts.list(), others.counts.opened.get());
    let (unavailable, answers) = (late.counts.unavailable.get(), late.counts.answered());
    drop((crowd, late, others));
    let Exit { end, log } = gateway.terminate(sizes.limit).await?;

    let mut sheet = Sheet::new(&[
        "ports",
        "tunnels",
        "opened in",
        "clients that retry",
        "all refused in",
        "answers",
        "503",
        "echo of another route before, p50 / p99 / max",
        "echo meanwhile",
        "new tunnels of another route",
        "log",
    ]);
    sheet.row([
        ports.to_string(),
        opened.to_string(),
        seconds(filling),
        wanted.to_string(),
        seconds(refusing),
        answers.to_string(),
        unavailable.to_string(),
        before.describe(),
        meanwhile.describe(),
        format!("{others_opened} of {OTHERS}"),
        format!("{} lines, {:.1} KiB", log.lines().count(), log.len() as f64 / 1024.0),
    ]);
    // While two threads look for the last ports, the kernel may report a shortage a few of them early.
    sheet.check(opened >= ports - ports / 1000, format!("{opened} tunnels with {ports} ports"));
    sheet.check(unavailable == answers, format!("clients without a port get 503: {late_list}"));
    sheet.check_echo("without ports", &meanwhile);
    sheet.check(others_opened == OTHERS, format!("{others_opened} new tunnels of another route open"));
    sheet.check(end.is_some_and(|(code, _)| code == 0), format!("exit: {end:?}"));
    Ok(sheet)
}
