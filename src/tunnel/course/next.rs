//! What is next when no byte moves.

use tokio::time::{Duration, Instant};

use super::{
    super::{
        Side, TunnelConfig, TunnelEnd,
        copy::Direction,
        keep_alive::{Next, Pulse},
        lane::Pinged,
    },
    Course,
};

/// What a moment means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Event {
    TooOld,
    Idle,
    HalfClosed,
    /// It was ordered to end.
    Ordered,
    /// Both sides have closed, and stay.
    Closed {
        first: Side,
    },
    /// A side does not answer.
    Silent(Side),
    /// The sides have had their time to answer.
    Cut,
    /// A quiet side is to be pinged.
    Probe(Side),
    /// A direction may go on.
    Open,
}

impl Course {
    /// What is next if no byte moves, and when.
    pub(in super::super) fn next(&self, up: &Direction, down: &Direction) -> Option<(Instant, Event)> {
        let gates =
            [up.gated_until(), down.gated_until()].map(|gate| gate.map(|moment| (moment, Event::Open)));
        let [a, b] = gates;
        if let Some(closing) = &self.closing {
            return earliest([Some((closing.by, Event::Cut)), a, b]);
        }
        let TunnelConfig { idle, half_close, .. } = *self.config;
        let half_close = half_close.filter(|_| up.finished() || down.finished());
        let after = |wait: Option<Duration>| wait.and_then(|wait| self.last_byte.checked_add(wait));
        let at = |moment: Option<Instant>, event| moment.map(|moment| (moment, event));
        // Both have said all they had to say; their connections should end any moment.
        let agreed = self.first.filter(|_| up.has_closed() && down.has_closed());
        earliest([
            agreed.and_then(|first| at(after(Some(self.config.close)), Event::Closed { first })),
            at(self.lifetime, Event::TooOld),
            at(after(half_close), Event::HalfClosed),
            at(after(idle), Event::Idle),
            at(self.order.as_ref().map(|order| order.at), Event::Ordered),
            pulse_event(self.client.as_deref().filter(|_| is_listened_to(up)), Side::Client),
            pulse_event(self.upstream.as_deref().filter(|_| is_listened_to(down)), Side::Upstream),
            a,
            b,
        ])
    }

    /// The end that `event` is, if it is one.
    pub(in super::super) fn end(event: Event) -> Option<TunnelEnd> {
        Some(match event {
            Event::TooOld => TunnelEnd::LifetimeReached,
            Event::Idle => TunnelEnd::IdleTimeout,
            Event::HalfClosed => TunnelEnd::HalfCloseTimeout,
            Event::Ordered => TunnelEnd::Drained { cut: false },
            Event::Closed { first } => TunnelEnd::Closed { first },
            Event::Silent(side) => TunnelEnd::KeepAliveTimeout { side },
            Event::Cut | Event::Probe(_) | Event::Open => return None,
        })
    }

    /// Has a quiet side pinged.
    pub(in super::super) fn probe(&mut self, side: Side, up: &mut Direction, down: &mut Direction) {
        let (place, from, to) = match side {
            Side::Client => (&mut self.client, up, down),
            Side::Upstream => (&mut self.upstream, down, up),
        };
        let Some(pulse) = place else { return };
        let now = Instant::now();
        let tag = pulse.tag();
        let is_open = !to.finished();
        let lane = to.lane_mut().filter(|_| is_open);
        let pinged = lane.map_or(Pinged::Never, |lane| lane.ping(tag));
        match pinged {
            Pinged::Due => {
                pulse.probe(now);
                if let Some(lane) = from.lane_mut() {
                    lane.take_out_pongs(tag);
                }
            }
            // It has yet to take what is there: that it does is as good as an answer.
            Pinged::NotNow if to.is_blocked() => pulse.probe(now),
            Pinged::NotNow => pulse.felt(now),
            Pinged::Never => *place = None,
        }
    }
}

/// Whether the reader's side can be heard: it has not ended, and the writer is not what holds it up.
fn is_listened_to(direction: &Direction) -> bool {
    !direction.is_heard() && !direction.is_blocked()
}

fn pulse_event(pulse: Option<&Pulse>, side: Side) -> Option<(Instant, Event)> {
    pulse?.next().map(|(moment, next)| {
        let event = match next {
            Next::Probe => Event::Probe(side),
            Next::Dead => Event::Silent(side),
        };
        (moment, event)
    })
}

fn earliest<const N: usize>(events: [Option<(Instant, Event)>; N]) -> Option<(Instant, Event)> {
    events.into_iter().flatten().min_by_key(|(moment, _)| *moment)
}
