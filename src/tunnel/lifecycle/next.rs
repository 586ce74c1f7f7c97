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
    /// Send a Ping to both sides, before the idle timeout.
    Probe,
    /// Close for this reason, with a close handshake if that is possible.
    Close(TunnelEnd),
    /// Abandon the sides whose connections failed during the close handshake.
    Abandon(Sides<bool>),
    /// Shut down the connections of the sides that are notified by that.
    Shutdown(Sides<bool>),
    /// Release the sides that have completed the close handshake.
    Release(Sides<bool>),
    /// The tunnel has ended.
    End(TunnelEnd),
}

/// The earliest deadline so far (of equal ones the first), and the action at that time.
#[derive(Default)]
struct Earliest(Option<(Instant, Next)>);

impl Earliest {
    /// Adds a deadline. The action is made only if no earlier deadline is known, because most polls just move
    /// bytes.
    fn add(&mut self, at: Option<Instant>, next: impl FnOnce() -> Next) {
        if let Some(at) = at
            && self.0.as_ref().is_none_or(|(earliest, _)| at < *earliest)
        {
            self.0 = Some((at, next()));
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
        match self.deadline(directions).0 {
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

    fn deadline(&self, directions: &Sides<Status>) -> Earliest {
        let mut earliest = Earliest::default();
        match &self.close_handshake {
            Some(handshake) => {
                for side in Side::BOTH {
                    let only = || Next::Release(Sides::from_fn(|other| other == side));
                    earliest.add(handshake.lingers_until(side), only);
                }
                earliest.add(Some(handshake.deadline()), || handshake.timeout());
            }
            None => self.add_deadlines(&mut earliest, directions),
        }
        for side in Side::BOTH {
            let resumes_at = directions[side].resumes_at;
            earliest.add(resumes_at, || Next::Wait(resumes_at));
        }
        earliest
    }

    /// Adds the deadlines of an open tunnel.
    fn add_deadlines(&self, earliest: &mut Earliest, directions: &Sides<Status>) {
        let since = |start: Instant, wait: Option<Duration>| wait.and_then(|wait| start.checked_add(wait));
        let after = |wait| since(self.last_byte, wait);
        let TunnelConfig { idle, half_close, close, .. } = *self.config;
        if let Some(first) = self.first
            && directions.all(|direction| direction.is_closed)
        {
            // Both sides have sent a Close: their connections should end at any moment.
            earliest.add(after(Some(close)), || Next::End(TunnelEnd::Closed { first }));
        }
        earliest.add(self.expires, || Next::Close(TunnelEnd::LifetimeReached));
        if let Some(half_closed) = self.half_closed {
            let start = self.last_byte.max(half_closed);
            earliest.add(since(start, half_close), || Next::Close(TunnelEnd::HalfCloseTimeout));
        }
        earliest.add(after(idle), || Next::Close(TunnelEnd::IdleTimeout));
        if let Some(probe) = self.probe.as_deref().filter(|probe| probe.is_due_after(self.last_byte)) {
            earliest.add(since(self.last_byte, Some(probe.interval())), || Next::Probe);
        }
        let request = self.shutdown_request.as_deref();
        earliest.add(request.map(|request| request.at), || Next::Close(TunnelEnd::Drained));
        for side in Side::BOTH {
            // Nothing is read from a side that has ended, or whose bytes the other side does not accept.
            let is_read = !directions[side].is_ended() && !directions[side].is_blocked;
            if let Some(liveness) = self.liveness[side].as_deref().filter(|_| is_read) {
                earliest.add(liveness.next_deadline(), || match liveness.is_pinged() {
                    true => Next::Close(TunnelEnd::KeepAliveTimeout { side }),
                    false => Next::Ping(side),
                });
            }
        }
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
