//! The decision of [`Tunnel::poll`](super::super::Tunnel): a pure function of both directions and the time.

use tokio::time::{Duration, Instant};

use super::{
    super::{
        Side, Sides, TunnelConfig, TunnelEnd,
        direction::{CopyError, Phase, Status},
        frame_relay::FrameError,
    },
    Lifecycle,
};

/// The next action of a tunnel whose directions have both been polled.
#[derive(Clone, Debug)]
pub(in super::super) enum Next {
    /// Nothing until bytes move, or until this deadline.
    Wait(Option<Instant>),
    /// Send a Ping to this side.
    Ping(Side),
    /// Close for this reason, with a close handshake if that is possible.
    Close(TunnelEnd),
    /// Abandon the sides whose connections failed during the close handshake.
    Abandon(Sides<bool>),
    /// Release the sides that have completed the close handshake.
    Release(Sides<bool>),
    /// The tunnel has ended.
    End(TunnelEnd),
}

/// The reason of a deadline. It becomes a [`Next`] only when the deadline has passed: most polls just move bytes.
#[derive(Clone, Copy, Debug)]
enum Due {
    Closed(Side),
    Lifetime,
    HalfClose,
    Idle,
    Shutdown,
    Ping(Side),
    KeepAlive(Side),
    /// A rate limit permits the next read.
    Resume,
    CloseHandshake,
}

/// The earliest of some deadlines; of equal ones the first.
#[derive(Default)]
struct Earliest(Option<(Instant, Due)>);

impl Earliest {
    fn add(&mut self, deadline: Option<Instant>, due: Due) {
        if let Some(deadline) = deadline
            && self.0.is_none_or(|(earliest, _)| deadline < earliest)
        {
            self.0 = Some((deadline, due));
        }
    }
}

impl Lifecycle {
    /// Returns the next action. Without IO, and without a change of state.
    pub(in super::super) fn next(&self, directions: &Sides<Status>, now: Instant) -> Next {
        let immediate = match &self.close_handshake {
            Some(handshake) => handshake.next(directions),
            None => self.end(directions),
        };
        if let Some(next) = immediate {
            return next;
        }
        match self.deadline(directions) {
            Some((deadline, due)) if deadline <= now => self.when_due(due, deadline),
            deadline => Next::Wait(deadline.map(|(deadline, _)| deadline)),
        }
    }

    /// Returns the end of an open tunnel that frames, errors or both sides have brought about.
    fn end(&self, directions: &Sides<Status>) -> Option<Next> {
        let rejected = |side| rejected(side, &directions[side]);
        let failed = |side| failed(side, &directions[side]);
        let [client, upstream] = Side::BOTH;
        // A rejected frame was not relayed, and so takes precedence over everything behind it.
        let end = rejected(client).or_else(|| rejected(upstream)).or_else(|| failed(client));
        match end.or_else(|| failed(upstream)) {
            Some(end) => Some(Next::Close(end)),
            None if directions.all(|direction| direction.phase == Phase::Done) => {
                self.first.map(|first| Next::End(TunnelEnd::Closed { first }))
            }
            None => None,
        }
    }

    /// Returns the earliest deadline, and its reason.
    fn deadline(&self, directions: &Sides<Status>) -> Option<(Instant, Due)> {
        let mut earliest = Earliest::default();
        if let Some(handshake) = &self.close_handshake {
            earliest.add(Some(handshake.deadline()), Due::CloseHandshake);
        } else {
            let TunnelConfig { idle, half_close, close, .. } = *self.config;
            let after = |wait: Option<Duration>| wait.and_then(|wait| self.last_byte.checked_add(wait));
            if let Some(first) = self.first {
                // If both sides have sent a Close, their connections should end at any moment.
                if directions.all(|direction| direction.is_closed) {
                    earliest.add(after(Some(close)), Due::Closed(first));
                }
            }
            earliest.add(self.expires, Due::Lifetime);
            if half_close.is_some() && directions.any(Status::has_finished) {
                earliest.add(after(half_close), Due::HalfClose);
            }
            earliest.add(after(idle), Due::Idle);
            earliest.add(self.shutdown_request.as_ref().map(|request| request.at), Due::Shutdown);
            for side in Side::BOTH {
                self.keep_alive(side, &directions[side], &mut earliest);
            }
        }
        earliest.add(directions.client.resumes_at, Due::Resume);
        earliest.add(directions.upstream.resumes_at, Due::Resume);
        earliest.0
    }

    /// Adds the time of the next Ping to `side`, or of its keep-alive timeout. There is none while `side` cannot
    /// be read from: it has ended, or the other side does not accept its bytes.
    fn keep_alive(&self, side: Side, from: &Status, earliest: &mut Earliest) {
        if let Some(liveness) = self.liveness[side].as_deref()
            && !from.is_ended()
            && !from.is_blocked
        {
            let due = if liveness.is_pinged() { Due::KeepAlive(side) } else { Due::Ping(side) };
            earliest.add(liveness.next_deadline(), due);
        }
    }

    /// Returns the action at a deadline.
    fn when_due(&self, due: Due, deadline: Instant) -> Next {
        Next::Close(match due {
            Due::Closed(first) => return Next::End(TunnelEnd::Closed { first }),
            Due::Ping(side) => return Next::Ping(side),
            Due::Resume => return Next::Wait(Some(deadline)),
            Due::CloseHandshake => {
                let end = self.close_handshake.as_ref().map(|handshake| handshake.end_at_timeout());
                return end.map_or(Next::Wait(None), Next::End);
            }
            Due::Lifetime => TunnelEnd::LifetimeReached,
            Due::HalfClose => TunnelEnd::HalfCloseTimeout,
            Due::Idle => TunnelEnd::IdleTimeout,
            Due::Shutdown => TunnelEnd::Drained,
            Due::KeepAlive(side) => TunnelEnd::KeepAliveTimeout { side },
        })
    }
}

/// Returns the end caused by a rejected frame of `side`.
fn rejected(side: Side, from: &Status) -> Option<TunnelEnd> {
    Some(match from.frame_error? {
        FrameError::TooBig => TunnelEnd::TooBig { side },
        error => TunnelEnd::InvalidFraming { side, reason: error.reason() },
    })
}

/// Returns the end caused by a failure of the direction from `side`.
fn failed(side: Side, from: &Status) -> Option<TunnelEnd> {
    Some(match from.error.clone()? {
        CopyError::Read(error) => TunnelEnd::Failed { side, error },
        CopyError::Write(error) => TunnelEnd::Failed { side: side.other(), error },
    })
}
