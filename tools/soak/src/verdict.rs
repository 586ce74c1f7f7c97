//! The checks at the end.

use std::{fmt, ops::Range, time::Duration};

use crate::{
    Sample,
    gateway::{Holdings, KEPT_PIPES},
    measure::mib,
    report::Report,
};

/// Allowed growth of memory, as a fraction.
const GROWTH: f64 = 0.1;

/// Additional growth allowed in a run too short for a first minute, in MiB.
const SHORT_RUN: f64 = 6.0;

pub(crate) struct Ends {
    /// Before the first client.
    pub(crate) before: Holdings,
    /// When nothing changed any more, or after the time limit.
    pub(crate) after: Holdings,
    /// Clients that did not stop.
    pub(crate) left: usize,
    /// The gateway's exit status.
    pub(crate) exit: String,
    /// The gateway's errors and panics.
    pub(crate) log: Vec<String>,
}

pub(crate) struct Check {
    pub(crate) holds: bool,
    what: &'static str,
    how: String,
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { holds, what, how } = self;
        write!(f, "{} {what}: {how}", if *holds { "ok    " } else { "FAILED" })
    }
}

pub(crate) fn checks(report: &Report, samples: &[Sample], load: Duration, ends: &Ends) -> Vec<Check> {
    let (sums, Ends { before, after, .. }) = (report.sums(), ends);
    let idlers = report.idlers().iter().map(ToString::to_string).collect::<Vec<_>>();
    let check = |what, holds, how| Check { holds, what, how };
    let memory = Memory::of(samples, load, ends);
    vec![
        check("wrong bytes", sums.wrong == 0, sums.wrong.to_string()),
        check(
            "unexpected failures",
            sums.unexpected == 0 && ends.left == 0,
            format!(
                "{}, and {} clients that do not end{}",
                sums.unexpected,
                ends.left,
                list(&report.complaints())
            ),
        ),
        check("clients that did nothing", idlers.is_empty(), format!("{}{}", idlers.len(), list(&idlers))),
        check(
            "tunnels left",
            after.tunnels == 0,
            format!("{}, after {} at the most", after.tunnels, most(samples)),
        ),
        check(
            "tasks",
            after.tasks <= before.tasks,
            format!("{} before, {} after", before.tasks, after.tasks),
        ),
        check(
            "descriptors",
            after.is_at_rest(&Holdings { tasks: usize::MAX, ..*before }),
            format!(
                "{} before, {} after; pipes that the workers keep: {} of {KEPT_PIPES}",
                before.files(),
                after.files(),
                after.pipes.saturating_sub(before.pipes)
            ),
        ),
        check("memory under load", memory.last.least <= memory.most_under_load(), memory.under_load()),
        check("memory at rest", memory.rest <= memory.most_at_rest(), memory.at_rest()),
        check(
            "the gateway's end",
            ends.exit == "exit status: 0" && ends.log.is_empty(),
            format!("{}{}", ends.exit, list(&ends.log)),
        ),
    ]
}

fn list(lines: &[String]) -> String {
    lines.iter().map(|line| format!("\n         {line}")).collect()
}

fn most(samples: &[Sample]) -> usize {
    samples.iter().map(|sample| sample.holdings.tunnels).max().unwrap_or_default()
}

/// Resident memory of the gateway in MiB. A leak raises the minimum of a period as well as the maximum; memory that the
/// allocator keeps temporarily raises the maximum only.
struct Memory {
    first: Stretch,
    last: Stretch,
    rest: f64,
    allowance: f64,
}

/// A part of the load.
struct Stretch {
    least: f64,
    median: f64,
    length: Duration,
}

impl Memory {
    fn of(samples: &[Sample], load: Duration, ends: &Ends) -> Self {
        let last = load / 6;
        let first = last.min(Duration::from_secs(60));
        // Until all clients have started, memory is not comparable.
        let warm_up = first / 4;
        Self {
            first: Stretch::of(samples, warm_up..warm_up + first),
            last: Stretch::of(samples, load.saturating_sub(last)..load),
            rest: mib(ends.after.resident),
            allowance: if last < Duration::from_secs(60) { SHORT_RUN } else { 0.0 },
        }
    }

    /// Limit of the minimum under load at the end.
    fn most_under_load(&self) -> f64 {
        self.first.least.mul_add(1.0 + GROWTH, self.allowance)
    }

    /// Limit when the clients have disconnected.
    fn most_at_rest(&self) -> f64 {
        self.first.median.mul_add(1.0 + GROWTH, self.allowance)
    }

    fn under_load(&self) -> String {
        let (first, last, most) = (&self.first, &self.last, self.most_under_load());
        format!(
            "least {:.1} MiB in the first {:.0} s, {:.1} MiB in the last {:.0} s, at most {most:.1} MiB; medians \
             {:.1} and {:.1} MiB",
            first.least,
            first.length.as_secs_f64(),
            last.least,
            last.length.as_secs_f64(),
            first.median,
            last.median
        )
    }

    fn at_rest(&self) -> String {
        format!("{:.1} MiB, at most {:.1} MiB", self.rest, self.most_at_rest())
    }
}

impl Stretch {
    fn of(samples: &[Sample], when: Range<Duration>) -> Self {
        let within = samples.iter().filter(|sample| when.contains(&sample.at));
        let mut resident = within.map(|sample| mib(sample.holdings.resident)).collect::<Vec<_>>();
        resident.sort_unstable_by(f64::total_cmp);
        Self {
            least: resident.first().copied().unwrap_or_default(),
            median: resident.get(resident.len() / 2).copied().unwrap_or_default(),
            length: when.end - when.start,
        }
    }
}
