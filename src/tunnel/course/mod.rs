//! The course of a tunnel: what it knows of its life, and what comes next.

mod next;

use std::{sync::Arc, task::Context};

use tokio::time::{Duration, Instant};

use super::{
    Side, TunnelConfig, TunnelEnd, TunnelState, TunnelSummary,
    closing::Closing,
    copy::Direction,
    keep_alive::Pulse,
    lane::{Fault, Lane, random},
    live::{Count, Live, Order},
};

pub(super) use next::Event;

/// All of a tunnel but its two ends and the bytes between them.
#[derive(Debug)]
pub(super) struct Course {
    pub(super) config: Arc<TunnelConfig>,
    pub(super) opened: Instant,
    last_byte: Instant,
    /// When it is too old.
    lifetime: Option<Instant>,
    /// Whose end came first.
    pub(super) first: Option<Side>,
    client: Option<Box<Pulse>>,
    upstream: Option<Box<Pulse>>,
    pub(super) order: Option<Box<Order>>,
    pub(super) closing: Option<Box<Closing>>,
    pub(super) live: Option<Arc<Live>>,
}

/// How far both directions are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Marks {
    up: Mark,
    down: Mark,
}

#[derive(Clone, Copy, Debug)]
struct Mark {
    read: u64,
    taken: u64,
    blocked: bool,
}

impl Marks {
    pub(super) fn of(up: &Direction, down: &Direction) -> Self {
        let mark = |direction: &Direction| Mark {
            read: direction.read(),
            taken: direction.total(),
            blocked: direction.is_blocked(),
        };
        Self { up: mark(up), down: mark(down) }
    }
}

impl Mark {
    fn has_read(&self, before: &Self) -> bool {
        self.read > before.read
    }

    fn has_written(&self, before: &Self) -> bool {
        self.taken > before.taken
    }
}

impl Course {
    pub(super) fn new(config: Arc<TunnelConfig>) -> Self {
        let now = Instant::now();
        let lifetime = config.lifetime.map(|lifetime| lifetime - jitter(&config, lifetime));
        Self {
            opened: now,
            last_byte: now,
            lifetime: lifetime.and_then(|lifetime| now.checked_add(lifetime)),
            first: None,
            client: None,
            upstream: None,
            order: None,
            closing: None,
            live: None,
            config,
        }
    }

    /// It has frames, so its sides can be pinged.
    pub(super) fn watch_pulses(&mut self) {
        self.client = self.config.keep_alive.watch(Side::Client, self.opened);
        self.upstream = self.config.keep_alive.watch(Side::Upstream, self.opened);
    }

    pub(super) fn take_order(&mut self, cx: &mut Context<'_>) {
        let Some(order) = self.live.as_ref().and_then(|live| live.poll_order(cx)) else { return };
        if let Some(closing) = &mut self.closing {
            closing.hurry(order.by);
        } else {
            self.order = Some(Box::new(order.merged(self.order.take().map(|known| *known))));
        }
    }

    /// A tunnel of which one direction has no frames is no WebSocket. True when that is news, and there
    /// may be something to be written.
    pub(super) fn look_for_frames(&self, up: &mut Direction, down: &mut Direction) -> bool {
        let has_given_up = [&*up, &*down].into_iter().filter_map(Direction::lane).any(Lane::has_given_up);
        // Both, whatever becomes of the first.
        let news = has_given_up && self.closing.is_none() && (up.give_up_frames() | down.give_up_frames());
        if news && let Some(live) = &self.live {
            for (side, direction) in [(Side::Client, &*up), (Side::Upstream, &*down)] {
                if direction.lane().is_some_and(|lane| lane.given_up().is_some()) {
                    live.gave_up(side);
                }
            }
        }
        news
    }

    /// Takes note of what has happened since `before`.
    pub(super) fn observe(&mut self, before: &Marks, up: &mut Direction, down: &mut Direction) {
        if self.first.is_none() {
            self.first = match (up.is_heard(), down.is_heard()) {
                (true, _) => Some(Side::Client),
                (_, true) => Some(Side::Upstream),
                _ => None,
            };
        }
        if self.closing.is_none() && (up.finished() || down.finished()) {
            self.enter(TunnelState::HalfClosed);
        }
        let after = Marks::of(up, down);
        let both = [(&before.up, &after.up), (&before.down, &after.down)];
        if !both.iter().any(|(before, after)| after.has_read(before) || after.has_written(before)) {
            return;
        }
        let now = Instant::now();
        self.last_byte = now;
        if let Some(live) = &self.live {
            live.record(now, [count(up), count(down)]);
        }
        let [up_marks, down_marks] = both;
        if let Some(pulse) = &mut self.client {
            feel(pulse, now, up_marks, down_marks, down);
        }
        if let Some(pulse) = &mut self.upstream {
            feel(pulse, now, down_marks, up_marks, up);
        }
    }

    /// What a side did that ends the tunnel.
    pub(super) fn fault(up: &Direction, down: &Direction) -> Option<TunnelEnd> {
        [(up, Side::Client), (down, Side::Upstream)].into_iter().find_map(|(direction, side)| {
            Some(match direction.lane()?.fault()? {
                Fault::TooBig => TunnelEnd::TooBig { side },
                fault => TunnelEnd::InvalidFraming { side, reason: fault.reason() },
            })
        })
    }

    /// Begins to end. The end, when there is nothing to wait for.
    pub(super) fn begin_closing(
        &mut self,
        end: TunnelEnd,
        up: &mut Direction,
        down: &mut Direction,
    ) -> Option<TunnelEnd> {
        if matches!(end, TunnelEnd::Closed { .. }) {
            return Some(end);
        }
        let order = self.order.take().map(|order| *order);
        match Closing::begin(end, order, &self.config, up, down) {
            Ok(closing) => {
                self.closing = Some(Box::new(closing));
                self.enter(TunnelState::Closing);
                None
            }
            Err(end) => Some(end),
        }
    }

    /// The end that was not agreed upon in time.
    pub(super) fn cut(&self) -> TunnelEnd {
        match self.closing.as_ref().map(|closing| closing.end.clone()) {
            None | Some(TunnelEnd::Drained { .. }) => TunnelEnd::Drained { cut: true },
            Some(end) => end,
        }
    }

    pub(super) fn summary(&self, end: TunnelEnd, up: &Direction, down: &Direction) -> TunnelSummary {
        self.enter(TunnelState::Ended);
        let summary = TunnelSummary::new([count(up), count(down)], self.opened.elapsed(), end);
        let summary = summary.with_spliced(up.spliced() + down.spliced()).with_first(self.first);
        match (up.lane(), down.lane()) {
            (Some(up), Some(down)) => summary
                .with_closes(up.heard_close(), down.heard_close())
                .with_invalid_framing([up.given_up(), down.given_up()]),
            _ => summary,
        }
    }

    pub(super) fn enter(&self, state: TunnelState) {
        if let Some(live) = &self.live {
            live.enter(state);
        }
    }
}

/// A part of the jitter, at random.
fn jitter(config: &TunnelConfig, lifetime: Duration) -> Duration {
    match config.lifetime_jitter.min(lifetime) {
        Duration::ZERO => Duration::ZERO,
        most => most / 1024 * (u32::from_ne_bytes(random()) % 1025),
    }
}

fn count(direction: &Direction) -> Count {
    Count { bytes: direction.total(), messages: direction.lane().map_or(0, Lane::messages) }
}

/// Looks for a sign of life since `before`: bytes `from` a side, or some that it took in the direction `to` it,
/// although it had been slow.
fn feel(
    pulse: &mut Pulse,
    now: Instant,
    (before_from, from): (&Mark, &Mark),
    (before_to, to): (&Mark, &Mark),
    direction: &mut Direction,
) {
    if from.has_read(before_from) || (before_to.blocked && to.has_written(before_to)) {
        pulse.felt(now);
    }
    if direction.lane_mut().is_some_and(Lane::take_pinged) {
        pulse.probe(now);
    }
}
