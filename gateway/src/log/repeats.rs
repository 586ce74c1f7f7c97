//! Summary of repeated events: a flood of refused requests is a line a second, not a flood of lines.

use std::{
    collections::HashMap,
    fmt::{Debug, Write},
    mem,
    sync::{Arc, Mutex, PoisonError},
};

use tracing::{
    Event, Level, Metadata, Subscriber,
    callsite::Identifier,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context};

/// Maximum number of kinds of events between two reports.
const KINDS: usize = 256;

/// Layer that lets the first events of a kind pass between two reports, and counts the others.
///
/// Limited are events at warn and info. Their kind is the place in the source and their field `reason`, if any.
#[derive(Clone, Default)]
pub(super) struct Repeats(Arc<Mutex<HashMap<Kind, Count>>>);

#[derive(PartialEq, Eq, Hash)]
struct Kind {
    callsite: Identifier,
    reason: Option<String>,
}

struct Count {
    metadata: &'static Metadata<'static>,
    message: String,
    passed: u32,
    suppressed: u64,
}

/// Number of events of a kind that become lines between two reports. `None` for levels without a limit.
fn limit(level: Level) -> Option<u32> {
    match level {
        Level::WARN => Some(1),
        Level::INFO => Some(10),
        _ => None,
    }
}

impl Repeats {
    /// Reports the counts, and begins anew.
    pub(super) fn report(&self) {
        let kinds = mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        for (kind, count) in kinds.into_iter().filter(|(_, count)| count.suppressed > 0) {
            let (event, suppressed, source) = (count.message, count.suppressed, count.metadata.target());
            let reason = kind.reason;
            if *count.metadata.level() == Level::WARN {
                tracing::warn!(suppressed, event, reason, source, "repeated event");
            } else {
                tracing::info!(suppressed, event, reason, source, "repeated event");
            }
        }
    }

    /// Returns false if the event is only counted.
    fn passes(&self, event: &Event<'_>, limit: u32) -> bool {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let metadata = event.metadata();
        let mut kind = Kind { callsite: metadata.callsite(), reason: fields.reason };
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kinds.len() >= KINDS && !kinds.contains_key(&kind) {
            kind.reason = None;
        }
        let new = || Count { metadata, message: fields.message, passed: 0, suppressed: 0 };
        let count = kinds.entry(kind).or_insert_with(new);
        if count.passed < limit {
            count.passed += 1;
            return true;
        }
        count.suppressed += 1;
        false
    }
}

impl<S: Subscriber> Layer<S> for Repeats {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        limit(*event.metadata().level()).is_none_or(|limit| self.passes(event, limit))
    }
}

/// The fields that determine the kind of an event.
#[derive(Default)]
struct Fields {
    message: String,
    reason: Option<String>,
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "reason" {
            self.reason = Some(value.to_owned());
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        match field.name() {
            "message" => drop(write!(self.message, "{value:?}")),
            "reason" => self.reason = Some(format!("{value:?}")),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::{layer::SubscriberExt, registry};

    use super::*;

    /// Events as level, message, reason and number of suppressed ones.
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<(Level, String)>>>);

    impl<S: Subscriber> Layer<S> for Lines {
        fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
            let mut text = Text::default();
            event.record(&mut text);
            self.0.lock().unwrap().push((*event.metadata().level(), text.0));
        }
    }

    #[derive(Default)]
    struct Text(String);

    impl Visit for Text {
        fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
            if field.name() != "source" {
                write!(self.0, "{}={value:?} ", field.name()).unwrap();
            }
        }
    }

    impl Lines {
        fn take(&self) -> Vec<(Level, String)> {
            mem::take(&mut *self.0.lock().unwrap())
        }
    }

    #[test]
    fn repeated_warnings_of_a_kind_are_one_line_and_a_count() {
        let (repeats, lines, own) = (Repeats::default(), Lines::default(), Lines::default());
        let _guard = tracing::subscriber::set_default(registry().with(repeats.clone()).with(lines.clone()));
        let report = || {
            tracing::subscriber::with_default(registry().with(own.clone()), || repeats.report());
            own.take()
        };
        for turn in 0..2 {
            for number in 0..5 {
                for reason in ["connect", "draining"] {
                    tracing::warn!(reason, number, "refused");
                }
                tracing::error!("failed");
                tracing::debug!("detail");
            }
            let passed = lines.take();
            let warnings = passed.iter().filter(|(level, _)| *level == Level::WARN);
            assert_eq!(warnings.count(), 2, "{turn}: {passed:?}");
            assert_eq!(passed.len(), 12, "{turn}: {passed:?}");
            let mut reported = report();
            reported.sort();
            let expected = ["connect", "draining"].map(|reason| {
                let text =
                    format!("message=repeated event suppressed=4 event=\"refused\" reason=\"{reason}\" ");
                (Level::WARN, text)
            });
            assert_eq!(reported, expected, "{turn}");
        }
        assert_eq!(report(), []);
    }

    #[test]
    fn ten_events_at_info_pass() {
        let (repeats, lines) = (Repeats::default(), Lines::default());
        let _guard = tracing::subscriber::set_default(registry().with(repeats).with(lines.clone()));
        for _ in 0..25 {
            tracing::info!("ended");
        }
        assert_eq!(lines.take().len(), 10);
    }

    #[test]
    fn the_number_of_kinds_is_bounded() {
        let (repeats, lines) = (Repeats::default(), Lines::default());
        let _guard = tracing::subscriber::set_default(registry().with(repeats.clone()).with(lines.clone()));
        for number in 0..2 * KINDS {
            tracing::warn!(reason = %number, "refused");
        }
        assert_eq!(lines.take().len(), KINDS + 1);
        assert_eq!(repeats.0.lock().unwrap().len(), KINDS + 1);
    }
}
