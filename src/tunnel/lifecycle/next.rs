//! What is next when no byte moves.

use tokio::time::{Duration, Instant};

use super::{
    super::{Side, Sides, TunnelConfig, TunnelEnd, direction::Direction, frame_relay::Pinged},
    Lifecycle,
};

/// What a moment means.
#[derive(Clone, Debug)]
pub(in super::super) enum Next {
    /// The tunnel is to end.
    End(TunnelEnd),
    /// The sides have had their time to answer.
    Cut,
    /// A quiet side is to be pinged.
    Probe(Side),
    /// A direction may go on.
    Open,
}

impl Lifecycle {
    /// What is next if no byte moves, and when.
    pub(in super::super) fn next_deadline(&self, directions: &Sides<Direction>) -> Option<(Instant, Next)> {
        let Sides { client: a, upstream: b } =
            directions.map(|direction| Some((direction.rate_limited_until()?, Next::Open)));
        if let Some(closing) = &self.close_handshake {
            return earliest([Some((closing.deadline, Next::Cut)), a, b]);
        }
        let TunnelConfig { idle, half_close, .. } = *self.config;
        let half_close = half_close.filter(|_| directions.any(Direction::finished));
        let after = |wait: Option<Duration>| wait.and_then(|wait| self.last_byte.checked_add(wait));
        let at = |moment: Option<Instant>, end| moment.map(|moment| (moment, Next::End(end)));
        // Both have said all they had to say; their connections should end any moment.
        let agreed = self.first.filter(|_| directions.all(Direction::has_closed));
        let [client, upstream] = Side::BOTH.map(|side| {
            let liveness = self.liveness[side].as_deref().filter(|_| awaits_bytes(&directions[side]))?;
            let next = match liveness.is_pinged() {
                true => Next::End(TunnelEnd::KeepAliveTimeout { side }),
                false => Next::Probe(side),
            };
            Some((liveness.next_deadline()?, next))
        });
        earliest([
            agreed.and_then(|first| at(after(Some(self.config.close)), TunnelEnd::Closed { first })),
            at(self.lifetime, TunnelEnd::LifetimeReached),
            at(after(half_close), TunnelEnd::HalfCloseTimeout),
            at(after(idle), TunnelEnd::IdleTimeout),
            at(self.shutdown_request.as_ref().map(|request| request.at), TunnelEnd::Drained),
            client,
            upstream,
            a,
            b,
        ])
    }

    /// Has a quiet side pinged.
    pub(in super::super) fn probe(&mut self, side: Side, directions: &mut Sides<Direction>) {
        let (from, to) = directions.split_mut(side);
        let Some(liveness) = &mut self.liveness[side] else { return };
        let now = Instant::now();
        let tag = liveness.tag();
        let is_open = !to.finished();
        let relay = to.frame_relay_mut().filter(|_| is_open);
        let pinged = relay.map_or(Pinged::Impossible, |relay| relay.inject_ping(tag));
        match pinged {
            Pinged::Queued => {
                liveness.on_ping_sent(now);
                if let Some(relay) = from.frame_relay_mut() {
                    relay.drop_pongs(tag);
                }
            }
            // It has yet to take what is there: that it does is as good as an answer.
            Pinged::MidFrame if to.is_blocked() => liveness.on_ping_sent(now),
            Pinged::MidFrame => liveness.on_activity(now),
            Pinged::Impossible => self.liveness[side] = None,
        }
    }
}

/// Whether the reader's side can be heard: it has not ended, and the writer is not what holds it up.
fn awaits_bytes(direction: &Direction) -> bool {
    !direction.is_ended() && !direction.is_blocked()
}

fn earliest<const N: usize>(events: [Option<(Instant, Next)>; N]) -> Option<(Instant, Next)> {
    events.into_iter().flatten().min_by_key(|(moment, _)| *moment)
}
