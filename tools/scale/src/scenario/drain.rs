//! SIGTERM with open tunnels, half of whose clients never read.

use std::time::Duration;

use tokio::time::sleep;

use super::{Context, Upstreams};
use crate::{
    Result,
    application::HOOKS,
    crowd::{Counts, Crowd, Reader, STREAMS},
    figures::{Sheet, seconds},
    proxy::{Application, Exit, Gateway},
};

/// Name of the application with the layer, in which hooks count.
const APPLICATION: &str = "HTTP/2, an application";

/// Time of the exit in addition to the grace.
const EXIT_LIMIT: Duration = Duration::from_secs(2);

/// Time for the tunnels whose clients never read to fill their buffers.
const FILLING: Duration = Duration::from_secs(1);

/// Counts of the line `tunnels ended` of the log.
#[derive(Debug, Default, PartialEq)]
struct Drained {
    closed: usize,
    finished: usize,
    aborted: usize,
    remaining: usize,
}

impl Drained {
    /// Parses the numbers before the four words.
    fn parse(log: &str) -> Option<Self> {
        let line = log.lines().find(|line| line.contains("tunnels ended"))?;
        let words: Vec<&str> = line.split([' ', ',', '=', '"']).filter(|word| !word.is_empty()).collect();
        let number = |name: &str| {
            let at = words.iter().position(|&word| word == name)?;
            words.get(at.checked_sub(1)?)?.parse().ok()
        };
        Some(Self {
            closed: number("closed")?,
            finished: number("finished")?,
            aborted: number("aborted")?,
            remaining: number("remaining")?,
        })
    }

    fn sum(&self) -> usize {
        self.closed + self.finished + self.aborted + self.remaining
    }
}

pub(super) async fn run(context: &Context) -> Result<Sheet> {
    let mut sheet = Sheet::new(&[
        "proxy",
        "tunnels",
        "never read",
        "exit code",
        "exit after",
        "closed",
        "finished",
        "aborted",
        "remaining",
        "readers that saw the end",
        "first to last end",
        "log",
        "calls of hooks",
    ]);
    let exit_limit = context.sizes.grace + 2 * EXIT_LIMIT;
    let grace = format!("{}ms", context.sizes.grace.as_millis());
    let upstreams = Upstreams::start().await?;
    let options = ["--drain", &grace, "--idle-timeout", "off", "--max-handshakes", "4096"];
    let gateway = Gateway::start(&context.program, upstreams.ports(), &options).await?;
    let (mut readers, mut others) = (Crowd::new(gateway.port), Crowd::new(gateway.port));
    let half = context.sizes.drain_http1 / 2;
    readers.open_http1(0..half, Reader::Reads);
    others.open_http1(half..2 * half, Reader::NeverReads);
    fill(context, [&readers, &others], half).await?;
    let tunnels = gateway.status().await?.0;
    let exit = gateway.terminate(exit_limit).await?;
    judge(context, "HTTP/1.1", half, (tunnels, exit), &readers, &mut sheet).await?;

    let upstreams = Upstreams::start().await?;
    let streams = STREAMS.to_string();
    let options = [
        &options[..],
        &["--http2-upstream", "--http2-streams", &streams, "--keep-alive-requests", "1000000"],
    ]
    .concat();
    let gateway = Gateway::start(&context.program, upstreams.ports(), &options).await?;
    let (mut readers, mut others) = (Crowd::new(gateway.port), Crowd::new(gateway.port));
    let (streams, connections) = per_connection(context.sizes.drain_http2);
    readers.open_http2(0..connections / 2, streams, Reader::Reads);
    others.open_http2(connections / 2..connections, streams, Reader::NeverReads);
    let half = connections / 2 * streams;
    fill(context, [&readers, &others], half).await?;
    let tunnels = gateway.status().await?.0;
    let exit = gateway.terminate(exit_limit).await?;
    judge(context, "HTTP/2", half, (tunnels, exit), &readers, &mut sheet).await?;

    let upstreams = Upstreams::start().await?;
    let application = Application::start(upstreams.ports(), context.sizes.grace).await?;
    let (mut readers, mut others) = (Crowd::new(application.port), Crowd::new(application.port));
    readers.open_http2(0..connections / 2, streams, Reader::Reads);
    others.open_http2(connections / 2..connections, streams, Reader::NeverReads);
    fill(context, [&readers, &others], half).await?;
    let exit = application.terminate(exit_limit).await?;
    judge(context, APPLICATION, half, (2 * half, exit), &readers, &mut sheet).await?;
    Ok(sheet)
}

/// Number of streams for each connection, and an even number of connections.
fn per_connection(tunnels: usize) -> (usize, usize) {
    let streams = STREAMS.min(tunnels / 2);
    (streams, tunnels / streams / 2 * 2)
}

/// Waits until all tunnels are open, `half` of them in each crowd, and the buffers of those that are not read are full.
async fn fill(context: &Context, crowds: [&Crowd; 2], half: usize) -> Result<()> {
    for crowd in crowds {
        let all = |counts: &Counts| counts.opened.get() == half;
        crowd.counts.wait("all open", context.sizes.limit, all).await?;
    }
    sleep(FILLING).await;
    Ok(())
}

/// Adds the figures of a drain, with the number of open tunnels before it.
async fn judge(
    context: &Context,
    name: &str,
    half: usize,
    (tunnels, Exit { end, log }): (usize, Exit),
    readers: &Crowd,
    sheet: &mut Sheet,
) -> Result<()> {
    let grace = context.sizes.grace;
    // The ends are on their way.
    let _ = readers.counts.wait("ends", EXIT_LIMIT, |counts| counts.ended.get() == half).await;
    let drained = Drained::parse(&log).unwrap_or_default();
    let hooks = log.lines().find_map(|line| line.strip_prefix(HOOKS));
    let (code, time) = end.unwrap_or((-1, Duration::MAX));
    let time_text = if end.is_some() { seconds(time) } else { "killed".to_owned() };
    sheet.row([
        name.to_owned(),
        tunnels.to_string(),
        half.to_string(),
        code.to_string(),
        time_text.clone(),
        drained.closed.to_string(),
        drained.finished.to_string(),
        drained.aborted.to_string(),
        drained.remaining.to_string(),
        readers.counts.ended.get().to_string(),
        seconds(readers.counts.ending_time()),
        format!("{} lines, {:.1} KiB", log.lines().count(), log.len() as f64 / 1024.0),
        hooks.unwrap_or("–").to_owned(),
    ]);
    sheet.check(tunnels == 2 * half, format!("{name}: {tunnels} of {} tunnels are open", 2 * half));
    sheet.check(code == 0, format!("{name}: exit code {code}"));
    sheet.check(
        time < grace + EXIT_LIMIT,
        format!("{name}: exit after {time_text}, with a grace of {grace:?}"),
    );
    let sum = drained.sum();
    sheet.check(sum == 2 * half, format!("{name}: the log counts {sum} tunnels: {drained:?}"));
    sheet.check(drained.remaining == 0, format!("{name}: {} remain", drained.remaining));
    let ended = readers.counts.ended.get();
    sheet.check(
        ended == half,
        format!("{name}: {ended} of {half} readers saw the end: {}", readers.counts.list()),
    );
    if name == APPLICATION {
        let (all, Drained { closed, aborted, .. }) = (2 * half, drained);
        let expected =
            format!("{all} opened, {all} closed ({aborted} drain_timeout, {closed} drained), 0 wrong");
        let hooks = hooks.unwrap_or_default();
        sheet.check(hooks == expected, format!("{name}: the hooks count {hooks}, the drain {expected}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_parsed_from_the_log() {
        let log = "INFO draining tunnels=9 grace=3s\n\
                   INFO tunnels ended drained=5 closed, 1 finished, 2 aborted, 1 remaining\n";
        let expected = Drained { closed: 5, finished: 1, aborted: 2, remaining: 1 };
        assert_eq!((Drained::parse(log), expected.sum()), (Some(expected), 9));
        assert_eq!(Drained::parse("INFO stopped"), None);
    }
}
