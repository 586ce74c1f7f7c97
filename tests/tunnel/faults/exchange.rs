//! An exchange between both sides of a tunnel, and its outcome.

use std::{
    future::poll_fn,
    pin::pin,
    sync::{Arc, Mutex},
    task::Context,
    time::Duration,
};

use test_support::websocket::frame::{BINARY, CLOSE, close_payload, decode, frame};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex, split},
    time::{Instant, sleep, timeout},
};
use tower_upgrade_proxy::{CloseCode, CloseFrame, Side, Tunnel, TunnelConfig, TunnelEnd, TunnelSummary};

use super::stream::{FaultyStream, Log, Plan};

/// Capacity of a stream per direction: less than the bytes sent.
const CAPACITY: usize = 64;

/// Maximum duration: the exchange, and then the idle timeout and the close timeout.
const MAX_DURATION: Duration = Duration::from_secs(15);

/// Maximum number of polls, far more than an exchange with spurious wakes needs.
const MAX_POLLS: usize = 5000;

/// Kind of bytes, and whether the tunnel ends by itself or by a shutdown request during the exchange.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Exchange {
    Bytes,
    DrainedBytes,
    Frames,
    DrainedFrames,
}

/// Outcome of an exchange.
pub(super) struct Outcome {
    pub(super) summary: TunnelSummary,
    client: Transcript,
    upstream: Transcript,
    client_log: Log,
    upstream_log: Log,
}

/// Bytes of a side.
struct Transcript {
    sent: Vec<u8>,
    received: Vec<u8>,
}

impl Exchange {
    fn has_frames(self) -> bool {
        matches!(self, Self::Frames | Self::DrainedFrames)
    }

    pub(super) fn is_drained(self) -> bool {
        matches!(self, Self::DrainedBytes | Self::DrainedFrames)
    }

    /// Returns the chunks that a side sends.
    fn chunks(self, side: Side) -> Vec<Vec<u8>> {
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
        let ((client, client_end), (upstream, upstream_end)) = (duplex(CAPACITY), duplex(CAPACITY));
        let client_end = FaultyStream::new(client_end, plan(Side::Client), &client_log);
        let upstream_end = FaultyStream::new(upstream_end, plan(Side::Upstream), &upstream_log);
        let config = TunnelConfig::new()
            .idle_timeout(Duration::from_secs(10))
            .half_close_timeout(Duration::from_secs(5))
            .close_timeout(Duration::from_secs(2));
        let mut tunnel = Tunnel::new(client_end, upstream_end, config);
        if self.has_frames() {
            tunnel = tunnel.websocket();
        }
        let handle = tunnel.handle();
        let shutdown = async {
            if self.is_drained() {
                sleep(Duration::from_millis(250)).await;
                handle.end(CloseFrame::new(CloseCode::GOING_AWAY), Duration::from_secs(3));
            }
        };
        let tunnel = async {
            // In a block of its own, so that the streams are dropped when the tunnel has ended.
            let (mut tunnel, mut polls) = (pin!(tunnel), 0);
            let polled = |cx: &mut Context<'_>| {
                polls += 1;
                assert!(polls < MAX_POLLS, "polled without progress: {fault:?}");
                tunnel.as_mut().poll(cx)
            };
            poll_fn(polled).await
        };
        let start = Instant::now();
        let all = async {
            tokio::join!(
                tunnel,
                self.run_side(Side::Client, client),
                self.run_side(Side::Upstream, upstream),
                shutdown
            )
        };
        let ended = timeout(MAX_DURATION, all).await;
        let (summary, client, upstream, ()) = ended
            .unwrap_or_else(|_| panic!("{self:?} with {fault:?} has not ended after {:?}", start.elapsed()));
        let [client_log, upstream_log] = [client_log, upstream_log].map(|log| log.lock().unwrap().clone());
        Outcome { summary, client, upstream, client_log, upstream_log }
    }

    /// Runs a side: it sends its chunks with pauses, and receives until the end.
    async fn run_side(self, side: Side, stream: DuplexStream) -> Transcript {
        let (mut receiving, mut sending) = split(stream);
        let send = async {
            let mut sent = Vec::new();
            for piece in self.chunks(side) {
                sent.extend(&piece);
                if sending.write_all(&piece).await.is_err() {
                    return sent;
                }
                sleep(Duration::from_millis(100)).await;
            }
            if self.is_drained() {
                // After the shutdown request this side only answers.
                sleep(Duration::from_millis(500)).await;
            }
            if self.has_frames() {
                let close = frame(side, CLOSE, &close_payload(1000, ""));
                sent.extend(&close);
                let _ = sending.write_all(&close).await;
            }
            let _ = sending.shutdown().await;
            sent
        };
        let receive = async {
            let mut received = Vec::new();
            // An error is an end as well.
            let _ = receiving.read_to_end(&mut received).await;
            received
        };
        let (sent, received) = tokio::join!(send, receive);
        Transcript { sent, received }
    }
}

impl Outcome {
    pub(super) fn log(&self, side: Side) -> &Log {
        match side {
            Side::Client => &self.client_log,
            Side::Upstream => &self.upstream_log,
        }
    }

    /// Checks the conditions that hold with any fault.
    pub(super) fn check(&self, exchange: Exchange, what: &str) {
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
        for (from, sender, receiver, log, count) in counts {
            assert_eq!(log.written, receiver.received, "written bytes arrive, {what}");
            if exchange.has_frames() {
                expect_frames(from, sender, receiver, count, &what);
            } else {
                assert!(sender.sent.starts_with(&receiver.received), "{what}");
                assert_eq!(count, receiver.received.len() as u64, "{what}");
            }
        }
        for (sender, log) in [(&self.client, &self.client_log), (&self.upstream, &self.upstream_log)] {
            assert!(sender.sent.starts_with(&log.read), "{what}");
            let is_closed = matches!(self.summary.end(), TunnelEnd::Closed { .. });
            assert!(log.has_ended || exchange.has_frames() || !is_closed, "a side has not ended, {what}");
        }
    }

    pub(super) fn has_both_closes(&self) -> bool {
        [Side::Client, Side::Upstream].iter().all(|side| self.summary.close_code(*side) == Some(1000))
    }

    /// Checks that every byte arrived.
    pub(super) fn expect_whole(&self, what: &str) {
        assert!(
            matches!(self.summary.end(), TunnelEnd::Closed { .. } | TunnelEnd::Drained),
            "{what}: {:?}",
            self.summary
        );
        if matches!(self.summary.end(), TunnelEnd::Closed { .. }) {
            assert!(self.client_log.shut_down && self.upstream_log.shut_down, "{what}");
            assert_eq!(self.upstream.received, self.client.sent, "{what}");
            assert_eq!(self.client.received, self.upstream.sent, "{what}");
        }
    }
}

/// Checks that the received bytes are frames of the sender, and at most a Close of the tunnel behind them.
fn expect_frames(from: Side, sender: &Transcript, receiver: &Transcript, count: u64, what: &str) {
    if sender.sent.starts_with(&receiver.received) {
        assert_eq!(count, receiver.received.len() as u64, "{what}");
        return;
    }
    let decoded = decode(from, &receiver.received).unwrap_or_else(|error| panic!("{error}, {what}"));
    let close = decoded.frames.last().filter(|frame| frame.first == CLOSE);
    let (relayed, injected) = match close {
        Some(close) => {
            let size = frame(from, CLOSE, &close.payload).len();
            receiver.received.split_at(receiver.received.len() - size)
        }
        // An incomplete Close of the tunnel.
        None => receiver.received.split_at(receiver.received.len() - decoded.rest.len()),
    };
    assert!(sender.sent.starts_with(relayed), "{what}");
    assert_eq!(injected[0], CLOSE, "{what}");
    assert_eq!(count, relayed.len() as u64, "{what}");
}
