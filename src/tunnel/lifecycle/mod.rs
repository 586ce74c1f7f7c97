//! State of a tunnel apart from its connections and the bytes between them, and the decisions on it.
//!
//! After each poll of both directions [`record`](Lifecycle::record) takes note of progress, and
//! [`next`](Lifecycle::next) decides. [`Tunnel::poll`](super::Tunnel) performs the action.
//!
//! | state | event | action |
//! | --- | --- | --- |
//! | `Open`, `HalfClosed` | a frame is rejected | [`Close`](Next::Close): too big, or invalid framing |
//! | | a connection fails | `Close`: failed |
//! | | both directions are done | [`End`](Next::End): closed |
//! | | both sides have sent a Close, and the close timeout expires | `End`: closed |
//! | | no byte for the idle timeout; in `HalfClosed`, for the half-close timeout | `Close`: that timeout |
//! | | the maximum lifetime is reached | `Close`: lifetime reached |
//! | | the time of a shutdown request | `Close`: drained |
//! | | no byte of a side for its keep-alive interval | [`Ping`](Next::Ping) |
//! | | no byte of a side for the keep-alive timeout after a Ping | `Close`: keep-alive timeout |
//! | `Closing` | a connection fails | [`Abandon`](Next::Abandon) that side |
//! | | a side has ended, and everything for it is written | [`Release`](Next::Release) that side |
//! | | both sides are released or abandoned | `End`: the reason of the `Close` |
//! | | the deadline | `End`: the same; after `drained`, the drain timeout |
//! | all | a rate limit permits the next read, or nothing of the above | [`Wait`](Next::Wait) |
//!
//! `HalfClosed` begins when one connection has finished sending. `Closing` begins with a `Close` that can start a
//! [close handshake](CloseHandshake); any other `Close` is the end. If both connections fail, or both sides
//! send a bad frame, the client's counts.

mod next;
#[cfg(test)]
mod tests;

use std::{sync::Arc, task::Context};

use tokio::{
    io::AsyncWrite,
    time::{Duration, Instant},
};

use super::{
    Side, Sides, TunnelConfig, TunnelEnd, TunnelState, TunnelSummary,
    close_handshake::CloseHandshake,
    direction::{Direction, Phase, Status},
    frame_relay::{FrameRelay, Pinged},
    keep_alive::{Liveness, Probe},
    pace,
    random::random_bytes,
    shared::{Count, Shared, ShutdownRequest},
    summary::Told,
};

pub(super) use next::Next;

/// State of a tunnel apart from its connections and the bytes between them.
#[derive(Debug)]
pub(super) struct Lifecycle {
    pub(super) config: Arc<TunnelConfig>,
    opened: Instant,
    last_byte: Instant,
    /// End of the maximum lifetime.
    expires: Option<Instant>,
    /// The side that ended first.
    first: Option<Side>,
    /// The time at which the first connection had finished sending.
    half_closed: Option<Instant>,
    /// Frames are not processed any more, because one direction had invalid framing.
    passes_through: bool,
    liveness: Sides<Option<Box<Liveness>>>,
    probe: Option<Box<Probe>>,
    shutdown_request: Option<Box<ShutdownRequest>>,
    close_handshake: Option<Box<CloseHandshake>>,
    /// Time at which a timeout may end the tunnel, once one was due.
    turn: Option<Instant>,
    pub(super) shared: Option<Arc<Shared>>,
}

/// Progress of a direction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Progress {
    read: u64,
    written: u64,
    is_blocked: bool,
}

impl Progress {
    pub(super) fn of(direction: &Direction) -> Self {
        Self { read: direction.read(), written: direction.written(), is_blocked: direction.is_blocked() }
    }
}

impl Lifecycle {
    pub(super) fn new(config: Arc<TunnelConfig>) -> Self {
        let now = Instant::now();
        let lifetime = config.lifetime.map(|lifetime| lifetime - jitter(&config, lifetime));
        Self {
            opened: now,
            last_byte: now,
            expires: lifetime.and_then(|lifetime| now.checked_add(lifetime)),
            first: None,
            half_closed: None,
            passes_through: false,
            liveness: Sides::default(),
            probe: None,
            shutdown_request: None,
            close_handshake: None,
            turn: None,
            shared: None,
            config,
        }
    }

    /// Starts the keep-alive of a tunnel with frames.
    pub(super) fn start_keep_alive(&mut self) {
        self.liveness = Sides::from_fn(|side| self.config.keep_alive.watch(side, self.opened));
        self.probe =
            self.config.idle.filter(|_| self.config.idle_probe).map(|idle| Box::new(Probe::new(idle)));
    }

    /// Takes a shutdown request. During the close handshake it can only shorten that.
    pub(super) fn poll_shutdown_request(&mut self, cx: &mut Context<'_>) {
        let Some(request) = self.shared.as_ref().and_then(|shared| shared.poll_shutdown_request(cx)) else {
            return;
        };
        if let Some(handshake) = &mut self.close_handshake {
            handshake.shorten(request.deadline);
        } else {
            let earlier = self.shutdown_request.take().map(|earlier| *earlier);
            self.shutdown_request = Some(Box::new(request.merged(earlier)));
        }
    }

    /// Ends frame processing in both directions once one of them has invalid framing. Returns true if that has
    /// just happened: withheld bytes may have to be written.
    pub(super) fn sync_pass_through(&mut self, directions: &mut Sides<Direction>) -> bool {
        let passes_through =
            directions.any(|direction| direction.frame_relay().is_some_and(FrameRelay::passes_through));
        if !passes_through || self.passes_through || self.close_handshake.is_some() {
            return false;
        }
        self.passes_through = true;
        for side in Side::BOTH {
            directions[side].pass_through();
            if let Some(shared) = &self.shared
                && directions[side].frame_relay().is_some_and(|relay| relay.invalid_framing().is_some())
            {
                shared.on_invalid_framing(side);
            }
        }
        true
    }

    /// Records the progress since `before`, the first end and the liveness of the sides.
    pub(super) fn record(
        &mut self,
        before: &Sides<Progress>,
        directions: &mut Sides<Direction>,
        status: &Sides<Status>,
        now: Instant,
    ) {
        if self.first.is_none() {
            self.first = Side::BOTH.into_iter().find(|side| status[*side].is_ended());
        }
        if self.half_closed.is_none() && self.close_handshake.is_none() && status.any(Status::has_finished) {
            self.half_closed = Some(now);
            self.enter(TunnelState::HalfClosed);
        }
        if self.close_handshake.is_some() || self.half_closed.is_some() {
            expect_answers(directions);
        }
        let after = directions.map(Progress::of);
        let has_read = |side: Side| after[side].read > before[side].read;
        let has_written = |side: Side| after[side].written > before[side].written;
        if !Side::BOTH.into_iter().any(|side| has_read(side) || has_written(side)) {
            return;
        }
        self.last_byte = now;
        if let Some(shared) = &self.shared {
            shared.record(now, counts(directions));
        }
        for side in Side::BOTH {
            let Some(liveness) = &mut self.liveness[side] else { continue };
            let other = side.other();
            // Bytes from the side, or bytes that it accepted at last.
            if has_read(side) || before[other].is_blocked && has_written(other) {
                liveness.on_activity(now);
            }
            if directions[other].frame_relay_mut().is_some_and(FrameRelay::take_pinged) {
                liveness.on_ping_sent(now);
            }
        }
    }

    /// Sends a Ping to `side`.
    pub(super) fn ping(&mut self, side: Side, directions: &mut Sides<Direction>, now: Instant) {
        let (from, to) = directions.split_mut(side);
        let Some(liveness) = &mut self.liveness[side] else { return };
        let tag = liveness.tag();
        let is_open = to.phase() == Phase::Running;
        let relay = to.frame_relay_mut().filter(|_| is_open);
        match relay.map_or(Pinged::Impossible, |relay| relay.inject_ping(tag)) {
            Pinged::Queued => {
                liveness.on_ping_sent(now);
                if let Some(relay) = from.frame_relay_mut() {
                    relay.drop_pongs(tag);
                }
            }
            // Acceptance of the bytes that wait for the side will count like a Pong.
            Pinged::MidFrame if to.is_blocked() => liveness.on_ping_sent(now),
            // The other side has stopped in the middle of a frame: next attempt after another interval.
            Pinged::MidFrame => liveness.on_activity(now),
            Pinged::Impossible => self.liveness[side] = None,
        }
    }

    /// Sends a Ping to each side that the keep-alive does not ping. No answer changes nothing.
    pub(super) fn probe(&mut self, directions: &mut Sides<Direction>) {
        let Some(probe) = &mut self.probe else { return };
        probe.on_sent(self.last_byte);
        for side in Side::BOTH.into_iter().filter(|side| self.liveness[*side].is_none()) {
            let (from, to) = directions.split_mut(side);
            let is_open = to.phase() == Phase::Running
                && from.phase() == Phase::Running
                && from.frame_relay().is_some_and(|relay| relay.close_code().is_none());
            if let Some(relay) = to.frame_relay_mut().filter(|_| is_open)
                && relay.inject_ping(probe.tag()) == Pinged::Queued
                && let Some(relay) = from.frame_relay_mut()
            {
                relay.drop_pongs(probe.tag());
            }
        }
    }

    /// Returns the time until which a close for this reason is postponed, if many tunnels of the thread time out together.
    pub(super) fn postponed(&mut self, end: &TunnelEnd, now: Instant) -> Option<Instant> {
        if !matches!(end, TunnelEnd::IdleTimeout | TunnelEnd::LifetimeReached | TunnelEnd::HalfCloseTimeout) {
            return None;
        }
        let turn = *self.turn.get_or_insert_with(|| pace::turn(now).unwrap_or(now));
        (turn > now).then_some(turn)
    }

    /// Starts a close handshake, and abandons the sides that have failed by then for another reason than `end`: bytes for
    /// them are lost, so nothing may follow.
    ///
    /// # Errors
    ///
    /// The end, if there is nothing to wait for.
    pub(super) fn close(
        &mut self,
        end: TunnelEnd,
        directions: &mut Sides<Direction>,
        status: &Sides<Status>,
        now: Instant,
    ) -> Result<(), TunnelEnd> {
        let request = self.shutdown_request.take().map(|request| *request);
        let mut handshake = CloseHandshake::begin(end, request, &self.config, directions, now)?;
        handshake.abandon(handshake.failed(status), directions);
        self.close_handshake = Some(Box::new(handshake));
        self.enter(TunnelState::Closing);
        Ok(())
    }

    /// Abandons `sides`, whose connections failed during the close handshake.
    pub(super) fn abandon(&mut self, sides: Sides<bool>, directions: &mut Sides<Direction>) {
        if let Some(handshake) = &mut self.close_handshake {
            handshake.abandon(sides, directions);
        }
    }

    /// Shuts down the connections of `sides`, which get no Close.
    pub(super) fn shut_down(
        &mut self,
        sides: Sides<bool>,
        cx: &mut Context<'_>,
        connections: Sides<&mut (dyn AsyncWrite + Unpin)>,
        now: Instant,
    ) {
        if let Some(handshake) = &mut self.close_handshake {
            handshake.shut_down(sides, cx, connections, now);
        }
    }

    /// Releases `sides`, which have completed the close handshake.
    pub(super) fn release(
        &mut self,
        sides: Sides<bool>,
        cx: &mut Context<'_>,
        connections: Sides<&mut (dyn AsyncWrite + Unpin)>,
        directions: &mut Sides<Direction>,
    ) {
        if let Some(handshake) = &mut self.close_handshake {
            handshake.release(sides, cx, connections, directions);
        }
    }

    pub(super) fn is_closing(&self) -> bool {
        self.close_handshake.is_some()
    }

    pub(super) fn summary(&self, end: TunnelEnd, directions: &Sides<Direction>) -> TunnelSummary {
        self.enter(TunnelState::Ended);
        let Sides { client, upstream } = directions;
        let relays = match (client.frame_relay(), upstream.frame_relay()) {
            (Some(client), Some(upstream)) => Some(Sides { client, upstream }),
            _ => None,
        };
        TunnelSummary {
            spliced: client.spliced() + upstream.spliced(),
            first: self.first,
            told: told(&end, directions),
            close_codes: relays.map(|relays| relays.map(|relay| relay.close_code())),
            invalid_framing: relays
                .map(|relays| relays.map(|relay| relay.invalid_framing()))
                .unwrap_or_default(),
            ..TunnelSummary::new(counts(directions), self.opened.elapsed(), end)
        }
    }

    pub(super) fn enter(&self, state: TunnelState) {
        if let Some(shared) = &self.shared {
            shared.enter(state);
        }
    }
}

/// Returns a random part of the jitter.
fn jitter(config: &TunnelConfig, lifetime: Duration) -> Duration {
    match config.lifetime_jitter.min(lifetime) {
        Duration::ZERO => Duration::ZERO,
        jitter => jitter / 1024 * (u32::from_ne_bytes(random_bytes()) % 1025),
    }
}

/// Lets the relays drop the Closes with which sides answer a Close of the proxy.
fn expect_answers(directions: &mut Sides<Direction>) {
    for side in Side::BOTH {
        let (from, to) = directions.split_mut(side);
        if to.frame_relay().is_some_and(FrameRelay::has_sent_close)
            && let Some(relay) = from.frame_relay_mut()
        {
            relay.expect_answer();
        }
    }
}

/// What each side of a WebSocket is told at `end`. `None` if frames are not followed to the end.
fn told(end: &TunnelEnd, directions: &Sides<Direction>) -> Option<Sides<Told>> {
    let told = |side: Side| {
        let to = &directions[side.other()];
        let relay = to.frame_relay().filter(|relay| relay.invalid_framing().is_none())?;
        let has_failed = match *end {
            TunnelEnd::Failed { side: failed, .. } | TunnelEnd::KeepAliveTimeout { side: failed } => {
                failed == side
            }
            _ => false,
        };
        Some(if has_failed || to.is_blocked() { Told::Aborted } else { relay.told()? })
    };
    Some(Sides { client: told(Side::Client)?, upstream: told(Side::Upstream)? })
}

fn counts(directions: &Sides<Direction>) -> Sides<Count> {
    directions.map(|direction| Count {
        bytes: direction.written(),
        messages: direction.frame_relay().map_or(0, FrameRelay::messages),
    })
}
