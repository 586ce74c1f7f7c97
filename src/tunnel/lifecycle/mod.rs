//! The course of a tunnel: what it knows of its life, and what comes next.

mod next;

use std::{sync::Arc, task::Context};

use tokio::time::{Duration, Instant};

use super::{
    Side, Sides, TunnelConfig, TunnelEnd, TunnelState, TunnelSummary,
    close_handshake::CloseHandshake,
    direction::Direction,
    frame_relay::{FrameError, FrameRelay},
    keep_alive::Liveness,
    random::random_bytes,
    shared::{Count, Shared, ShutdownRequest},
};

pub(super) use next::Next;

/// All of a tunnel but its two ends and the bytes between them.
#[derive(Debug)]
pub(super) struct Lifecycle {
    pub(super) config: Arc<TunnelConfig>,
    pub(super) opened: Instant,
    last_byte: Instant,
    /// When it is too old.
    lifetime: Option<Instant>,
    /// Whose end came first.
    pub(super) first: Option<Side>,
    /// Frames are not processed any more, because one direction had invalid framing.
    passes_through: bool,
    liveness: Sides<Option<Box<Liveness>>>,
    pub(super) shutdown_request: Option<Box<ShutdownRequest>>,
    pub(super) close_handshake: Option<Box<CloseHandshake>>,
    pub(super) shared: Option<Arc<Shared>>,
}

/// How far a direction is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Progress {
    read: u64,
    taken: u64,
    blocked: bool,
}

impl Progress {
    pub(super) fn of(direction: &Direction) -> Self {
        Self { read: direction.read(), taken: direction.total(), blocked: direction.is_blocked() }
    }
}

impl Lifecycle {
    pub(super) fn new(config: Arc<TunnelConfig>) -> Self {
        let now = Instant::now();
        let lifetime = config.lifetime.map(|lifetime| lifetime - jitter(&config, lifetime));
        Self {
            opened: now,
            last_byte: now,
            lifetime: lifetime.and_then(|lifetime| now.checked_add(lifetime)),
            first: None,
            passes_through: false,
            liveness: Sides::default(),
            shutdown_request: None,
            close_handshake: None,
            shared: None,
            config,
        }
    }

    /// It has frames, so its sides can be pinged.
    pub(super) fn start_keep_alive(&mut self) {
        self.liveness = Sides::from_fn(|side| self.config.keep_alive.watch(side, self.opened));
    }

    pub(super) fn poll_shutdown_request(&mut self, cx: &mut Context<'_>) {
        let Some(request) = self.shared.as_ref().and_then(|shared| shared.poll_shutdown_request(cx)) else {
            return;
        };
        if let Some(closing) = &mut self.close_handshake {
            closing.shorten(request.deadline);
        } else {
            self.shutdown_request =
                Some(Box::new(request.merged(self.shutdown_request.take().map(|known| *known))));
        }
    }

    /// Ends frame processing in both directions once one of them has invalid framing. True when that has just
    /// happened: withheld bytes may have to be written.
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

    /// Takes note of what has happened since `before`.
    pub(super) fn record_progress(&mut self, before: &Sides<Progress>, directions: &mut Sides<Direction>) {
        if self.first.is_none() {
            self.first = Side::BOTH.into_iter().find(|side| directions[*side].is_ended());
        }
        if self.close_handshake.is_none() && directions.any(Direction::finished) {
            self.enter(TunnelState::HalfClosed);
        }
        let after = directions.map(Progress::of);
        let has_read = |side: Side| after[side].read > before[side].read;
        let has_written = |side: Side| after[side].taken > before[side].taken;
        if !Side::BOTH.into_iter().any(|side| has_read(side) || has_written(side)) {
            return;
        }
        let now = Instant::now();
        self.last_byte = now;
        if let Some(shared) = &self.shared {
            shared.record(now, counts(directions));
        }
        for side in Side::BOTH {
            let (Some(liveness), other) = (&mut self.liveness[side], side.other()) else { continue };
            // Bytes from it, or some that it took although it had been slow.
            if has_read(side) || before[other].blocked && has_written(other) {
                liveness.on_activity(now);
            }
            if directions[other].frame_relay_mut().is_some_and(FrameRelay::take_pinged) {
                liveness.on_ping_sent(now);
            }
        }
    }

    /// What a side did that ends the tunnel.
    pub(super) fn fault(directions: &Sides<Direction>) -> Option<TunnelEnd> {
        Side::BOTH.into_iter().find_map(|side| {
            Some(match directions[side].frame_relay()?.frame_error()? {
                FrameError::TooBig => TunnelEnd::TooBig { side },
                error => TunnelEnd::InvalidFraming { side, reason: error.reason() },
            })
        })
    }

    /// Begins to end. The end, when there is nothing to wait for.
    pub(super) fn begin_close(
        &mut self,
        end: TunnelEnd,
        directions: &mut Sides<Direction>,
    ) -> Option<TunnelEnd> {
        if matches!(end, TunnelEnd::Closed { .. }) {
            return Some(end);
        }
        let request = self.shutdown_request.take().map(|request| *request);
        match CloseHandshake::begin(end, request, &self.config, directions) {
            Ok(closing) => {
                self.close_handshake = Some(Box::new(closing));
                self.enter(TunnelState::Closing);
                None
            }
            Err(end) => Some(end),
        }
    }

    /// The end that was not agreed upon in time.
    pub(super) fn cut(&self) -> TunnelEnd {
        match self.close_handshake.as_ref().map(|closing| closing.end.clone()) {
            None | Some(TunnelEnd::Drained) => TunnelEnd::DrainTimeout,
            Some(end) => end,
        }
    }

    pub(super) fn summary(&self, end: TunnelEnd, directions: &Sides<Direction>) -> TunnelSummary {
        self.enter(TunnelState::Ended);
        let Sides { client: up, upstream: down } = directions;
        let summary = TunnelSummary::new(counts(directions), self.opened.elapsed(), end);
        let summary = summary.with_spliced(up.spliced() + down.spliced()).with_first(self.first);
        match (up.frame_relay(), down.frame_relay()) {
            (Some(client), Some(upstream)) => {
                let relays = Sides { client, upstream };
                summary
                    .with_close_codes(relays.map(|relay| relay.close_code()))
                    .with_invalid_framing(relays.map(|relay| relay.invalid_framing()))
            }
            _ => summary,
        }
    }

    pub(super) fn enter(&self, state: TunnelState) {
        if let Some(shared) = &self.shared {
            shared.enter(state);
        }
    }
}

/// A part of the jitter, at random.
fn jitter(config: &TunnelConfig, lifetime: Duration) -> Duration {
    match config.lifetime_jitter.min(lifetime) {
        Duration::ZERO => Duration::ZERO,
        most => most / 1024 * (u32::from_ne_bytes(random_bytes()) % 1025),
    }
}

fn counts(directions: &Sides<Direction>) -> Sides<Count> {
    directions.map(|direction| Count {
        bytes: direction.total(),
        messages: direction.frame_relay().map_or(0, FrameRelay::messages),
    })
}
