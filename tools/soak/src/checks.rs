//! Checks at the end of a run.

use std::{fmt, ops::Range, time::Duration};

use crate::{
    Sample,
    gateway::{CACHED_PIPES, Resources},
    measure::mib,
    report::Report,
};

/// Allowed growth of memory, as a fraction.
const GROWTH: f64 = 0.1;

/// Additional allowance in MiB for a run that is too short for a first minute.
const SHORT_RUN: f64 = 6.0;

/// State of the gateway and the clients at the end.
pub(crate) struct FinalState {
    /// Resources before the first client.
    pub(crate) baseline: Resources,
    /// Resources after the load, when they were back to the baseline or the wait timed out.
    pub(crate) after: Resources,
    /// Clients that did not stop.
    pub(crate) running_clients: usize,
    /// Exit status of the gateway.
    pub(crate) exit: String,
    /// Errors and panics that the gateway logged.
    pub(crate) log: Vec<String>,
}

/// Result of one check.
pub(crate) struct Check {
    pub(crate) holds: bool,
    name: &'static str,
    details: String,
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { holds, name, details } = self;
        write!(f, "{} {name}: {details}", if *holds { "ok    " } else { "FAILED" })
    }
}

/// Results of all checks after a load of this duration.
pub(crate) fn all(report: &Report, samples: &[Sample], load: Duration, state: &FinalState) -> Vec<Check> {
    let (sums, FinalState { baseline, after, .. }) = (report.sums(), state);
    let inactive = report.inactive().iter().map(ToString::to_string).collect::<Vec<_>>();
    let check = |name, holds, details| Check { holds, name, details };
    let memory = Memory::of(samples, load, state);
    vec![
        check("wrong bytes", sums.wrong == 0, sums.wrong.to_string()),
        check(
            "unexpected failures",
            sums.unexpected == 0 && state.running_clients == 0,
            format!(
                "{}; clients still running: {}{}",
                sums.unexpected,
                state.running_clients,
                indented(&report.failures())
            ),
        ),
        check(
            "client kinds without a successful session",
            inactive.is_empty(),
            format!("{}{}", inactive.len(), indented(&inactive)),
        ),
        check(
            "open tunnels",
            after.tunnels == 0,
            format!("{} after the load, maximum {}", after.tunnels, max_tunnels(samples)),
        ),
        check(
            "tasks",
            after.tasks <= baseline.tasks,
            format!("{} before, {} after", baseline.tasks, after.tasks),
        ),
        check(
            "file descriptors",
            after.is_back_to(&Resources { tasks: usize::MAX, ..*baseline }),
            format!(
                "{} before, {} after; of pipes cached by the workers: {}, limit {CACHED_PIPES}",
                baseline.files(),
                after.files(),
                after.pipes.saturating_sub(baseline.pipes)
            ),
        ),
        check("memory under load", memory.last.minimum <= memory.limit_under_load(), memory.under_load()),
        check("memory at rest", memory.at_rest <= memory.limit_at_rest(), memory.at_rest()),
        check(
            "shutdown of the gateway",
            state.exit == "exit status: 0" && state.log.is_empty(),
            format!("{}{}", state.exit, indented(&state.log)),
        ),
    ]
}

/// Lines below a check, indented.
fn indented(lines: &[String]) -> String {
    lines.iter().map(|line| format!("\n         {line}")).collect()
}

fn max_tunnels(samples: &[Sample]) -> usize {
    samples.iter().map(|sample| sample.resources.tunnels).max().unwrap_or_default()
}

/// Resident memory of the gateway in MiB. The checks use the minimum of a period: a leak raises minimum and maximum
/// alike, but the maximum also contains memory that the allocator keeps for a while.
struct Memory {
    /// Beginning of the load, after the warm-up.
    first: Period,
    /// End of the load.
    last: Period,
    /// After the load.
    at_rest: f64,
    /// Allowance of a short run.
    allowance: f64,
}

/// Memory in a period of the load.
struct Period {
    minimum: f64,
    median: f64,
    length: Duration,
}

impl Memory {
    fn of(samples: &[Sample], load: Duration, state: &FinalState) -> Self {
        let last = load / 6;
        let first = last.min(Duration::from_secs(60));
        // The clients start during the warm-up.
        let warm_up = first / 4;
        Self {
            first: Period::of(samples, warm_up..warm_up + first),
            last: Period::of(samples, load.saturating_sub(last)..load),
            at_rest: mib(state.after.resident),
            allowance: if last < Duration::from_secs(60) { SHORT_RUN } else { 0.0 },
        }
    }

    /// Limit for the minimum at the end of the load.
    fn limit_under_load(&self) -> f64 {
        self.first.minimum.mul_add(1.0 + GROWTH, self.allowance)
    }

    /// Limit after the load.
    fn limit_at_rest(&self) -> f64 {
        self.first.median.mul_add(1.0 + GROWTH, self.allowance)
    }

    fn under_load(&self) -> String {
        let (first, last, limit) = (&self.first, &self.last, self.limit_under_load());
        format!(
            "minimum {:.1} MiB in the first {:.0} s, {:.1} MiB in the last {:.0} s, limit {limit:.1} MiB; medians \
             {:.1} and {:.1} MiB",
            first.minimum,
            first.length.as_secs_f64(),
            last.minimum,
            last.length.as_secs_f64(),
            first.median,
            last.median
        )
    }

    fn at_rest(&self) -> String {
        format!("{:.1} MiB, limit {:.1} MiB", self.at_rest, self.limit_at_rest())
    }
}

impl Period {
    fn of(samples: &[Sample], time: Range<Duration>) -> Self {
        let within = samples.iter().filter(|sample| time.contains(&sample.at));
        let mut resident = within.map(|sample| mib(sample.resources.resident)).collect::<Vec<_>>();
        resident.sort_unstable_by(f64::total_cmp);
        Self {
            minimum: resident.first().copied().unwrap_or_default(),
            median: resident.get(resident.len() / 2).copied().unwrap_or_default(),
            length: time.end - time.start,
        }
    }
}
