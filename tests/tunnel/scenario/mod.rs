//! A tunnel between two scripted streams in memory. The fuzz target `tunnel` runs scenarios too.

mod stream;

use std::{num::NonZeroU64, sync::Arc, time::Duration};

use tokio::time::Instant;
use tower_upgrade_proxy::{
    ClosePolicy, RateLimit, Side, Told, Tunnel, TunnelConfig, TunnelEnd, TunnelSummary,
};

pub(crate) use stream::Script;
use stream::{Log, Scripted};

/// Seconds.
const IDLE: u64 = 60;
const HALF_CLOSE: u64 = 30;
const LIFETIME: u64 = 500;
const CLOSE: u64 = 5;

/// Bytes of payload.
const MAX_FRAME: u64 = 100_000;

/// Scripts of both sides, and settings of the tunnel.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scenario {
    pub(crate) client: Script,
    pub(crate) upstream: Script,
    pub(crate) websocket: bool,
    /// The tunnel sends a Close when a WebSocket ends.
    pub(crate) sends_close: bool,
    /// Frames have a size limit, and are withheld until their size is known.
    pub(crate) limited: bool,
    /// Bytes from the client have a rate limit.
    pub(crate) slow: bool,
}

impl Scenario {
    /// Runs the scenario, and checks the conditions that hold for all scenarios. Time has to be paused.
    pub(crate) async fn run(self) -> TunnelSummary {
        let (client, client_log) = Scripted::new(&self.client);
        let (upstream, upstream_log) = Scripted::new(&self.upstream);
        let config = TunnelConfig::new()
            .idle_timeout(Duration::from_secs(IDLE))
            .half_close_timeout(Duration::from_secs(HALF_CLOSE))
            .close_timeout(Duration::from_secs(CLOSE))
            .max_lifetime(Duration::from_secs(LIFETIME))
            .close_policy(self.policy());
        let rate = RateLimit::bytes_per_second(NonZeroU64::new(2000).unwrap()).burst(100);
        let config = config.rate_limit(Side::Client, self.slow.then_some(rate));
        let config = config.max_frame_size(self.limited.then_some(MAX_FRAME));
        let early = |script: &Script| script.sends[..script.early].to_vec().into();
        let mut tunnel = Tunnel::new(client, upstream, config);
        if self.websocket {
            tunnel = tunnel.websocket();
        }
        let opened = Instant::now();
        let summary = tunnel.early_bytes(early(&self.client), early(&self.upstream)).await;
        let [client, upstream] =
            [client_log, upstream_log].map(|log| Arc::into_inner(log).unwrap().into_inner().unwrap());
        self.check(&summary, opened.elapsed().as_secs(), &client, &upstream);
        summary
    }

    fn policy(&self) -> ClosePolicy {
        if self.sends_close { ClosePolicy::going_away() } else { ClosePolicy::from_fn(|_, _| None) }
    }

    fn check(&self, summary: &TunnelSummary, seconds: u64, client: &Log, upstream: &Log) {
        let sides = [
            (Side::Client, &self.client, client, upstream, summary.bytes(Side::Client)),
            (Side::Upstream, &self.upstream, upstream, client, summary.bytes(Side::Upstream)),
        ];
        for (side, script, log, other, counted) in sides {
            let receiver = if side == Side::Client { Side::Upstream } else { Side::Client };
            let may_close = self.websocket && (self.sends_close || has_offended(receiver, summary.end()));
            check_received(side, &script.sends[..log.read], other, counted as usize, may_close);
            // Bytes sent before a failure or the end still arrive if the writer accepts them.
            let withheld = if self.limited && !log.ended { 13 } else { 0 };
            if !other.was_blocked && !self.is_closing(summary.end()) && !has_answered(side, summary) {
                assert!(counted as usize + withheld >= log.read, "the last bytes of the {side} are lost");
            }
        }
        let timed_out = match summary.end() {
            TunnelEnd::Closed { .. } => {
                assert!(self.websocket || client.ended && upstream.ended);
                for (side, script, log, other, counted) in sides {
                    // The last side may have closed its connection before its shutdown.
                    let is_shut_down = other.is_shut_down || other.failed && other.ended;
                    let whole = log.read == script.sends.len() && counted == log.read as u64;
                    // When both sides of a WebSocket have sent a Close, the connections may still be open.
                    let is_open = self.websocket && !(log.ended && is_shut_down);
                    assert!(is_open || (whole || has_answered(side, summary)) && is_shut_down, "{summary:?}");
                }
                0
            }
            TunnelEnd::Failed { side, .. } => {
                assert!(if *side == Side::Client { client.failed } else { upstream.failed });
                0
            }
            TunnelEnd::IdleTimeout => IDLE,
            TunnelEnd::HalfCloseTimeout => {
                assert!(client.ended || upstream.ended);
                HALF_CLOSE
            }
            TunnelEnd::LifetimeReached => LIFETIME,
            TunnelEnd::TooBig { .. } => {
                assert!(self.websocket && self.limited);
                0
            }
            end => panic!("{end}"),
        };
        assert!(seconds >= timed_out && seconds <= LIFETIME + CLOSE, "{summary:?} in {seconds} s");
    }

    /// Returns true if bytes may be dropped, because a side has sent or received a Close.
    fn is_closing(&self, end: &TunnelEnd) -> bool {
        match end {
            TunnelEnd::Closed { .. } => false,
            TunnelEnd::TooBig { .. } => true,
            _ => self.websocket,
        }
    }
}

/// Returns true if the side may have answered a Close of the tunnel: the answer is not passed on, and nothing behind it.
fn has_answered(side: Side, summary: &TunnelSummary) -> bool {
    matches!(summary.told(side), Some(Told::Close(_)))
}

/// Returns true if the side broke a rule, which it gets a Close for, whatever the policy.
fn has_offended(side: Side, end: &TunnelEnd) -> bool {
    matches!(end, TunnelEnd::TooBig { side: offender } if *offender == side)
}

/// Checks that a side received the bytes of the other in order, and then, if it `may_close`, at most a Close of the tunnel, or the
/// part of it that was accepted. The fuzz target plays scenarios too, without the tests' frame codec.
fn check_received(from: Side, sent: &[u8], log: &Log, counted: usize, may_close: bool) {
    let (relayed, injected) = log.received.split_at_checked(counted).expect("counted bytes were received");
    assert!(sent.starts_with(relayed), "bytes of the {from} were changed");
    let is_close = match injected {
        [] => true,
        [0x88] => log.was_blocked,
        [0x88, second, payload @ ..] => {
            let is_masked = *second >= 0x80;
            let length = usize::from(second & 0x7f) + if is_masked { 4 } else { 0 };
            let complete = length == payload.len() || log.was_blocked && length > payload.len();
            is_masked == (from == Side::Client) && complete
        }
        _ => false,
    };
    assert!(is_close && (injected.is_empty() || may_close), "{injected:x?} was injected");
}
