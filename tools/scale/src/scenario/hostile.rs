//! Crowds of hostile clients beside live tunnels.

use std::time::Duration;

use super::{Context, Upstreams};
use crate::{
    Result,
    crowd::{Crowd, Hostile, probe::Probe},
    figures::{Sheet, seconds},
    proxy::Gateway,
    usage,
};

/// Limit of the exit with clients in half a head, which are not waited for.
const EXIT_LIMIT: Duration = Duration::from_secs(3);

/// Grace of the drain, equal to `--drain`.
const GRACE: Duration = Duration::from_secs(8);

pub(super) async fn run(context: &Context) -> Result<Sheet> {
    let mut sheet = Sheet::new(&[
        "clients",
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

async fn attack(context: &Context, kind: Hostile, clients: usize, sheet: &mut Sheet) -> Result<()> {
    let sizes = &context.sizes;
    let upstreams = Upstreams::start().await?;
    // The clients stay in half a head for the whole measurement.
    let options = ["--client-timeout", "60s", "--drain", "8s", "--max-handshakes", "4096"];
    let gateway = Gateway::start(&context.program, upstreams.ports(), &options).await?;
    let probe = Probe::start(gateway.port).await?;
    let before = probe.during(sizes.time).await?;
    let mut crowd = Crowd::new(gateway.port);
    crowd.attack(kind, clients);
    if !kind.repeats() {
        crowd.counts.wait("all there", sizes.limit, |counts| counts.answered() == clients).await?;
    }
    let opening = probe.take()?;
    let meanwhile = probe.during(sizes.time).await?;
    let peak = usage::peak(gateway.pid())? / 1024.0;
    drop(probe);
    let counts = std::sync::Arc::clone(&crowd.counts);
    if kind.repeats() {
        drop(crowd);
    }
    let exit = gateway.terminate(GRACE + 2 * EXIT_LIMIT).await?;
    let exit_text =
        exit.end.map_or_else(|| "none".to_owned(), |(code, time)| format!("{code} after {}", seconds(time)));
    sheet.row([
        kind.describe().to_owned(),
        clients.to_string(),
        counts.opened.get().to_string(),
        (counts.unavailable.get() + counts.refused.get()).to_string(),
        counts.failed.get().to_string(),
        before.describe(),
        meanwhile.describe(),
        format!("{peak:.1} MiB"),
        exit_text.clone(),
    ]);
    let name = format!("clients that {}", kind.describe());
    sheet.check_echo(&name, &meanwhile);
    if !kind.repeats() {
        sheet.check_echo(&format!("{name}, as they come"), &opening);
    }
    // Tunnels whose clients never read take the whole grace.
    let limit = if kind == Hostile::NeverReads { GRACE + EXIT_LIMIT } else { EXIT_LIMIT };
    let is_quick = exit.end.is_some_and(|(code, time)| code == 0 && time < limit);
    sheet.check(is_quick, format!("{name}: exit {exit_text}"));
    Ok(())
}
