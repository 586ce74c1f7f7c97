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

/// A future action.
type Deadline = Option<(Instant, Next)>;

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
            Some((deadline, next)) if deadline <= now => next,
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

    /// Returns the earliest deadline, and the action then.
    fn deadline(&self, directions: &Sides<Status>) -> Deadline {
        let Sides { client, upstream } = directions.map(|direction| {
            let resumes_at = direction.resumes_at?;
            Some((resumes_at, Next::Wait(Some(resumes_at))))
        });
        if let Some(handshake) = &self.close_handshake {
            return earliest([Some(handshake.timeout()), client, upstream]);
        }
        let TunnelConfig { idle, half_close, close, .. } = *self.config;
        let half_close = half_close.filter(|_| directions.any(Status::has_finished));
        // Both sides have sent a Close: their connections should end at any moment.
        let closed = self.first.filter(|_| directions.all(|direction| direction.is_closed));
        let after = |wait: Option<Duration>| wait.and_then(|wait| self.last_byte.checked_add(wait));
        let close_at = |at: Option<Instant>, end| at.map(|at| (at, Next::Close(end)));
        earliest([
            closed.and_then(|first| Some((after(Some(close))?, Next::End(TunnelEnd::Closed { first })))),
            close_at(self.expires, TunnelEnd::LifetimeReached),
            close_at(after(half_close), TunnelEnd::HalfCloseTimeout),
            close_at(after(idle), TunnelEnd::IdleTimeout),
            close_at(self.shutdown_request.as_ref().map(|request| request.at), TunnelEnd::Drained),
            self.keep_alive(Side::Client, &directions.client),
            self.keep_alive(Side::Upstream, &directions.upstream),
            client,
            upstream,
        ])
    }

    /// Returns the time of the next Ping to `side`, or of its keep-alive timeout. `None` while `side` cannot be
    /// read from: it has ended, or the other side does not accept its bytes.
    fn keep_alive(&self, side: Side, from: &Status) -> Deadline {
        let liveness = self.liveness[side].as_deref().filter(|_| !from.is_ended() && !from.is_blocked)?;
        let next = match liveness.is_pinged() {
            true => Next::Close(TunnelEnd::KeepAliveTimeout { side }),
            false => Next::Ping(side),
        };
        Some((liveness.next_deadline()?, next))
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

fn earliest<const N: usize>(deadlines: [Deadline; N]) -> Deadline {
    deadlines.into_iter().flatten().min_by_key(|(at, _)| *at)
}
