//! A tunnel between two streams in memory that do what a script says. The fuzz target `tunnel` plays scenes too.

mod stream;

use std::{num::NonZeroU64, sync::Arc, time::Duration};

use tokio::time::Instant;
use tower_upgrade_proxy::{ClosePolicy, RateLimit, Side, Tunnel, TunnelConfig, TunnelEnd, TunnelSummary};

pub(crate) use stream::Script;
use stream::{Log, Scripted};

/// Seconds.
const IDLE: u64 = 60;
const HALF_CLOSE: u64 = 30;
const LIFETIME: u64 = 500;
const CLOSE: u64 = 5;

/// Bytes of payload.
const MAX_FRAME: u64 = 100_000;

/// All that happens.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scene {
    pub(crate) client: Script,
    pub(crate) upstream: Script,
    pub(crate) websocket: bool,
    /// Whether the sides of a WebSocket are told why it ends.
    pub(crate) closes: bool,
    /// Whether the frames of a WebSocket have a limit, so that they are held back until it is known.
    pub(crate) limited: bool,
    /// Whether what comes from the client is slowed down.
    pub(crate) slow: bool,
}

impl Scene {
    /// Plays it, and checks what must hold of any. Time has to be paused.
    pub(crate) async fn play(self) -> TunnelSummary {
        let (client, client_log) = Scripted::new(&self.client);
        let (upstream, upstream_log) = Scripted::new(&self.upstream);
        let config = TunnelConfig::new()
            .idle_timeout(Duration::from_secs(IDLE))
            .half_close_timeout(Duration::from_secs(HALF_CLOSE))
            .close_timeout(Duration::from_secs(CLOSE))
            .max_lifetime(Duration::from_secs(LIFETIME))
            .close_policy(if self.closes { ClosePolicy::new() } else { ClosePolicy::none() });
        let rate = RateLimit::bytes_per_second(NonZeroU64::new(2000).unwrap()).burst(100);
        let config = config.rate_limit(Side::Client, self.slow.then_some(rate));
        let config = config.max_frame_size(self.limited.then_some(MAX_FRAME));
        let early = |script: &Script| script.said[..script.early].to_vec().into();
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

    fn check(&self, summary: &TunnelSummary, seconds: u64, client: &Log, upstream: &Log) {
        let sides = [
            (Side::Client, &self.client, client, upstream, summary.bytes(Side::Client)),
            (Side::Upstream, &self.upstream, upstream, client, summary.bytes(Side::Upstream)),
        ];
        for (side, script, log, other, counted) in sides {
            self.check_heard(side, &script.said[..log.read], other, counted as usize);
            // What was said before a failure or the end still arrives where nothing is in the way.
            let held = if self.limited && !log.ended { 13 } else { 0 };
            if !other.resisted && !self.is_closing(summary.end()) {
                assert!(counted as usize + held >= log.read, "the last of the {side} is lost");
            }
        }
        let timed_out = match summary.end() {
            TunnelEnd::Closed { .. } => {
                assert!(self.websocket || client.ended && upstream.ended);
                for (_, script, log, other, counted) in sides {
                    // The last to be told may be gone.
                    let told = other.told || other.failed && other.ended;
                    let whole = log.read == script.said.len() && counted == log.read as u64;
                    // Of a WebSocket that both have closed, the connections may still stand.
                    let stands = self.websocket && !(log.ended && told);
                    assert!(stands || whole && told, "{summary:?}");
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

    /// Whether bytes may be dropped, because a side has closed or is told to.
    fn is_closing(&self, end: &TunnelEnd) -> bool {
        match end {
            TunnelEnd::Closed { .. } => false,
            TunnelEnd::TooBig { .. } => true,
            _ => self.websocket && self.closes,
        }
    }

    /// A side hears what the other said, in order, and then perhaps a Close of ours, as far as it takes that.
    fn check_heard(&self, from: Side, said: &[u8], heard: &Log, counted: usize) {
        let (theirs, ours) = heard.heard.split_at_checked(counted).expect("what is counted was heard");
        assert!(said.starts_with(theirs), "what the {from} said was changed");
        let is_close = match ours {
            [] => true,
            [0x88] => heard.resisted,
            [0x88, second, payload @ ..] => {
                let is_masked = *second >= 0x80;
                let length = usize::from(second & 0x7f) + if is_masked { 4 } else { 0 };
                let complete = length == payload.len() || heard.resisted && length > payload.len();
                is_masked == (from == Side::Client) && complete
            }
            _ => false,
        };
        assert!(is_close && (ours.is_empty() || self.websocket && self.closes), "{ours:x?} was put in");
    }
}
