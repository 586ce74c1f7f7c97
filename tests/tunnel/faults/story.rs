//! What both sides of a tunnel say, and what comes of it.

use std::{
    future::poll_fn,
    pin::pin,
    sync::{Arc, Mutex},
    task::Context,
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex, split},
    time::{Instant, sleep, timeout},
};
use tower_upgrade_proxy::{CloseCode, CloseFrame, Side, Tunnel, TunnelConfig, TunnelEnd, TunnelSummary};

use super::injected::{Injected, Log, Plan};
use crate::websocket::{
    peer::{BINARY, CLOSE, close_payload, frame},
    random::decode::decode,
};

/// Room in either direction: less than what is said.
const ROOM: usize = 64;

/// What both have to say, and after it the longest timeouts: idle, then the answer to a Close.
const LONGEST: Duration = Duration::from_secs(15);

/// A storm and both sides' bytes are far less.
const MOST_POLLS: usize = 5000;

/// What passes through the tunnel, and how it ends: as both sides want, or by an order while both still talk.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Story {
    Bytes,
    DrainedBytes,
    Frames,
    DrainedFrames,
}

/// How it went.
pub(super) struct Outcome {
    pub(super) summary: TunnelSummary,
    client: Heard,
    upstream: Heard,
    client_log: Log,
    upstream_log: Log,
}

/// A side's words, and those that came to it.
struct Heard {
    said: Vec<u8>,
    heard: Vec<u8>,
}

impl Story {
    fn has_frames(self) -> bool {
        matches!(self, Self::Frames | Self::DrainedFrames)
    }

    pub(super) fn is_drained(self) -> bool {
        matches!(self, Self::DrainedBytes | Self::DrainedFrames)
    }

    /// What a side says, in pieces. The end is its own, unless there is to be an order.
    fn pieces(self, side: Side) -> Vec<Vec<u8>> {
        let lengths = if side == Side::Client { [5, 90, 0, 40] } else { [70, 1, 130, 12] };
        let payloads = lengths.into_iter().enumerate().map(|(number, length)| vec![number as u8 + 1; length]);
        match self.has_frames() {
            false => payloads.collect(),
            true => payloads.map(|payload| frame(side, BINARY, &payload)).collect(),
        }
    }

    pub(super) async fn run(self, fault: Option<(Side, Plan)>) -> Outcome {
        let [client_log, upstream_log] = [(); 2].map(|()| Arc::new(Mutex::new(Log::default())));
        let plan = |side| fault.filter(|(faulty, _)| *faulty == side).map(|(_, plan)| plan);
        let ((client, client_end), (upstream, upstream_end)) = (duplex(ROOM), duplex(ROOM));
        let client_end = Injected::new(client_end, plan(Side::Client), &client_log);
        let upstream_end = Injected::new(upstream_end, plan(Side::Upstream), &upstream_log);
        let config = TunnelConfig::new()
            .idle_timeout(Duration::from_secs(10))
            .half_close_timeout(Duration::from_secs(5))
            .close_timeout(Duration::from_secs(2));
        let mut tunnel = Tunnel::new(client_end, upstream_end, config);
        if self.has_frames() {
            tunnel = tunnel.websocket();
        }
        let handle = tunnel.handle();
        let order = async {
            if self.is_drained() {
                sleep(Duration::from_millis(250)).await;
                handle.end(CloseFrame::new(CloseCode::GOING_AWAY), Duration::from_secs(3));
            }
        };
        let tunnel = async {
            // In a block of its own: when the tunnel has ended, its streams are gone.
            let (mut tunnel, mut polls) = (pin!(tunnel), 0);
            let polled = |cx: &mut Context<'_>| {
                polls += 1;
                assert!(polls < MOST_POLLS, "it does nothing but be polled: {fault:?}");
                tunnel.as_mut().poll(cx)
            };
            poll_fn(polled).await
        };
        let start = Instant::now();
        let all = async {
            tokio::join!(tunnel, self.talk(Side::Client, client), self.talk(Side::Upstream, upstream), order)
        };
        let ended = timeout(LONGEST, all).await;
        let (summary, client, upstream, ()) = ended
            .unwrap_or_else(|_| panic!("{self:?} with {fault:?} has not ended after {:?}", start.elapsed()));
        let [client_log, upstream_log] = [client_log, upstream_log].map(|log| log.lock().unwrap().clone());
        Outcome { summary, client, upstream, client_log, upstream_log }
    }

    /// One side: says its pieces, with pauses, and hears all there is until the end.
    async fn talk(self, side: Side, stream: DuplexStream) -> Heard {
        let (mut receiving, mut sending) = split(stream);
        let say = async {
            let mut said = Vec::new();
            for piece in self.pieces(side) {
                said.extend(&piece);
                if sending.write_all(&piece).await.is_err() {
                    return said;
                }
                sleep(Duration::from_millis(100)).await;
            }
            if self.is_drained() {
                // The order comes first; this side has nothing more to say but its answer.
                sleep(Duration::from_millis(500)).await;
            }
            if self.has_frames() {
                let close = frame(side, CLOSE, &close_payload(1000, ""));
                said.extend(&close);
                let _ = sending.write_all(&close).await;
            }
            let _ = sending.shutdown().await;
            said
        };
        let hear = async {
            let mut heard = Vec::new();
            // A broken end is one as well.
            let _ = receiving.read_to_end(&mut heard).await;
            heard
        };
        let (said, heard) = tokio::join!(say, hear);
        Heard { said, heard }
    }
}

impl Outcome {
    pub(super) fn faulty(&self, side: Side) -> &Log {
        match side {
            Side::Client => &self.client_log,
            Side::Upstream => &self.upstream_log,
        }
    }

    /// What always holds.
    pub(super) fn check(&self, story: Story, what: &str) {
        let what = format!("{what}: {:?}", self.summary);
        let counts = [
            (
                Side::Client,
                &self.client,
                &self.upstream,
                &self.upstream_log,
                self.summary.bytes(Side::Client),
            ),
            (
                Side::Upstream,
                &self.upstream,
                &self.client,
                &self.client_log,
                self.summary.bytes(Side::Upstream),
            ),
        ];
        for (from, speaker, hearer, log, count) in counts {
            assert_eq!(log.written, hearer.heard, "what was written arrives, {what}");
            if story.has_frames() {
                expect_frames(from, speaker, hearer, count, &what);
            } else {
                assert!(speaker.said.starts_with(&hearer.heard), "{what}");
                assert_eq!(count, hearer.heard.len() as u64, "{what}");
            }
        }
        for (speaker, log) in [(&self.client, &self.client_log), (&self.upstream, &self.upstream_log)] {
            assert!(speaker.said.starts_with(&log.read), "{what}");
            let is_closed = matches!(self.summary.end(), TunnelEnd::Closed { .. });
            assert!(log.has_ended || story.has_frames() || !is_closed, "a side has not ended, {what}");
        }
    }

    pub(super) fn has_both_closes(&self) -> bool {
        [Side::Client, Side::Upstream].iter().all(|side| self.summary.close_code(*side) == Some(1000))
    }

    /// Every byte arrived.
    pub(super) fn expect_whole(&self, what: &str) {
        assert!(
            matches!(self.summary.end(), TunnelEnd::Closed { .. } | TunnelEnd::Drained),
            "{what}: {:?}",
            self.summary
        );
        if matches!(self.summary.end(), TunnelEnd::Closed { .. }) {
            assert!(self.client_log.shut_down && self.upstream_log.shut_down, "{what}");
            assert_eq!(self.upstream.heard, self.client.said, "{what}");
            assert_eq!(self.client.heard, self.upstream.said, "{what}");
        }
    }
}

/// Frames of the one side's, as it sent them, and at most a Close of the tunnel's behind them.
fn expect_frames(from: Side, speaker: &Heard, hearer: &Heard, count: u64, what: &str) {
    if speaker.said.starts_with(&hearer.heard) {
        assert_eq!(count, hearer.heard.len() as u64, "{what}");
        return;
    }
    let decoded = decode(from, &hearer.heard).unwrap_or_else(|error| panic!("{error}, {what}"));
    let close = decoded.frames.last().filter(|frame| frame.first == CLOSE);
    let (theirs, ours) = match close {
        Some(close) => {
            let size = frame(from, CLOSE, &close.payload).len();
            hearer.heard.split_at(hearer.heard.len() - size)
        }
        // A Close of the tunnel's that was cut.
        None => hearer.heard.split_at(hearer.heard.len() - decoded.rest.len()),
    };
    assert!(speaker.said.starts_with(theirs), "{what}");
    assert_eq!(ours[0], CLOSE, "{what}");
    assert_eq!(count, theirs.len() as u64, "{what}");
}
