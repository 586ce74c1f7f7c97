//! Two WebSocket endpoints that send random frames at random times, and a tunnel that is drained, pings,
//! limits and times out meanwhile. The frames that each receives are compared with those the other sent.

mod endpoint;

use std::{future::poll_fn, task::Context, time::Duration};

use proptest::{collection::vec, option, prelude::*};
use test_support::websocket::frame::{CLOSE, Decoded, Frame, PING, PONG, decode};
use tokio::{io::duplex, time::sleep};
use tower_upgrade_proxy::{ClosePolicy, KeepAlive, Side, Tunnel, TunnelConfig, TunnelEnd, TunnelSummary};

use crate::trickle::Trickle;
use endpoint::{Endpoint, Log, Script};

/// Everything random about a run.
#[derive(Clone, Debug)]
struct Scenario {
    client: Script,
    upstream: Script,
    /// Buffer size of each stream.
    buffer: usize,
    /// Bytes of each read and write, 0 for pending.
    steps: Vec<u8>,
    drain: Option<(u64, u64)>,
    ping: Option<(u64, u64)>,
    idle: Option<u64>,
    lifetime: u64,
    max_message: Option<u64>,
    policy: ClosePolicy,
}

fn payload() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        40 => vec(any::<u8>(), 0..30),
        10 => (any::<u8>(), 100..400_usize).prop_map(|(byte, length)| vec![byte; length]),
        1 => (any::<u8>(), 65_500..70_000_usize).prop_map(|(byte, length)| vec![byte; length]),
    ]
}

fn control() -> impl Strategy<Value = Frame> {
    (PING..=PONG, prop_oneof![4 => vec(any::<u8>(), 0..12), 1 => vec(any::<u8>(), 0..=125)])
        .prop_map(|(first, payload)| Frame { first, payload })
}

/// A message in one or more frames, and control frames between them.
fn message() -> impl Strategy<Value = Vec<Frame>> {
    (1..=2_u8, vec((payload(), option::weighted(0.3, control())), 1..4)).prop_map(|(opcode, fragments)| {
        let last = fragments.len() - 1;
        let frames = fragments.into_iter().enumerate().flat_map(|(at, (payload, control))| {
            let fin = if at == last { 0x80 } else { 0 };
            let first = fin | if at == 0 { opcode } else { 0 };
            control.into_iter().chain([Frame { first, payload }])
        });
        frames.collect()
    })
}

fn script() -> impl Strategy<Value = Script> {
    (
        vec(prop_oneof![3 => message(), 1 => control().prop_map(|frame| vec![frame])], 0..10),
        vec(prop_oneof![4 => Just(0_u64), 3 => 1..20_u64, 1 => 500..3000_u64], 1..8),
        vec(1..3000_usize, 1..6),
        any::<bool>(),
        prop::bool::weighted(0.85),
        option::weighted(0.15, 0..30_usize),
    )
        .prop_map(|(items, pauses, sizes, closes, answers, leaves_after)| Script {
            frames: items.concat(),
            pauses,
            sizes,
            closes,
            answers,
            leaves_after,
        })
}

prop_compose! {
    fn scenario()(
        client in script(),
        upstream in script(),
        buffer in prop_oneof![1..20_usize, 100..100_000_usize],
        steps in vec(prop_oneof![Just(0_u8), 1..20_u8, Just(u8::MAX)], 1..12),
        drain in option::of((0..5000_u64, 0..5000_u64)),
        ping in option::of((1..1500_u64, 100..3000_u64)),
        idle in option::weighted(0.3, 100..4000_u64),
        lifetime in 500..20_000_u64,
        max_message in option::weighted(0.2, 20..70_000_u64),
        policy in prop::sample::select(vec![
            ClosePolicy::transparent(),
            ClosePolicy::service_restart(),
            ClosePolicy::going_away(),
            super::no_close(),
        ]),
    ) -> Scenario {
        // At least one step makes progress.
        let steps = steps.into_iter().chain([7]).collect();
        Scenario { client, upstream, buffer, steps, drain, ping, idle, lifetime, max_message, policy }
    }
}

impl Scenario {
    fn config(&self) -> TunnelConfig {
        let ms = Duration::from_millis;
        let keep_alive = match self.ping {
            None => KeepAlive::new(),
            Some((interval, timeout)) => {
                KeepAlive::new().client(ms(interval)).upstream(ms(interval)).timeout(ms(timeout))
            }
        };
        TunnelConfig::new()
            .idle_timeout(self.idle.map(ms))
            .max_lifetime(ms(self.lifetime))
            .max_message_size(self.max_message)
            .keep_alive(keep_alive)
            .close_policy(self.policy.clone())
    }

    /// Runs the scenario. Returns the logs of both endpoints.
    fn run(self) -> (TunnelSummary, Log, Log) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async move {
            let ((client, client_end), (upstream, upstream_end)) = (duplex(self.buffer), duplex(self.buffer));
            let [client_end, upstream_end] =
                [client_end, upstream_end].map(|end| Trickle::new(end, self.steps.clone()));
            let mut tunnel = Tunnel::new(client_end, upstream_end, self.config()).websocket();
            let handle = tunnel.handle();
            let drain = async {
                if let Some((at, grace)) = self.drain {
                    sleep(Duration::from_millis(at)).await;
                    handle.end(None, Duration::from_millis(grace));
                }
            };
            let client = Endpoint::new(Side::Client, self.client).run(client);
            let upstream = Endpoint::new(Side::Upstream, self.upstream).run(upstream);
            let tunnel = async {
                let (mut tunnel, mut polls) = (std::pin::pin!(tunnel), 0);
                let polled = |cx: &mut Context<'_>| {
                    polls += 1;
                    assert!(polls < 200_000, "busy loop");
                    tunnel.as_mut().poll(cx)
                };
                poll_fn(polled).await
            };
            let (summary, client, upstream, ()) = tokio::join!(tunnel, client, upstream, drain);
            (summary, client, upstream)
        })
    }
}

/// Checks that `to` received the frames that `from` sent.
fn check(summary: &TunnelSummary, from: &Log, to: &Log) -> Result<(), TestCaseError> {
    let Decoded { mut frames, rest } = decode(from.side, &to.received).map_err(TestCaseError::fail)?;
    let passed = to.received.len() as u64;
    let mut injected = 0;
    let size = |frame: &Frame| frame.encode(from.side).len() as u64;

    // The Pings of the proxy are those that no endpoint sent. All others are relayed, except for the Pongs to
    // the proxy's.
    let proxy_pings = |log: &Log, by: &Log| -> Vec<Vec<u8>> {
        let frames = decode(by.side, &log.received).map(|decoded| decoded.frames).unwrap_or_default();
        let pings = frames.into_iter().filter(|frame| frame.first == PING && frame.payload.len() == 8);
        pings.map(|frame| frame.payload).filter(|payload| !by.has_sent(PING, payload)).collect()
    };
    let (tags_of_to, tags_of_from) = (proxy_pings(to, from), proxy_pings(from, to));
    frames.retain(|frame| {
        let is_injected = frame.first == PING && tags_of_to.contains(&frame.payload);
        injected += if is_injected { size(frame) } else { 0 };
        !is_injected
    });
    let is_answer = |frame: &Frame| frame.first == PONG && tags_of_from.contains(&frame.payload);
    let sent: Vec<&Frame> = from.sent.iter().filter(|frame| !is_answer(frame)).collect();

    let close = frames.last().filter(|frame| frame.first == CLOSE).cloned();
    let is_relayed = close.as_ref().is_none_or(|close| sent.get(frames.len() - 1) == Some(&close));
    if !is_relayed {
        let close = frames.pop().unwrap();
        injected += size(&close);
        let code = u16::from_be_bytes([close.payload[0], close.payload[1]]);
        prop_assert!([1001, 1009, 1011, 1012].contains(&code), "{}", code);
    }
    prop_assert!(frames.len() <= sent.len(), "{} frames of {}", frames.len(), sent.len());
    for (received, sent) in frames.iter().zip(&sent) {
        prop_assert!(
            received == *sent,
            "{:.200} received for {:.200}",
            format!("{received:x?}"),
            format!("{sent:x?}")
        );
    }
    let mut ambiguous = 0;
    if !rest.is_empty() {
        // A frame that the sender did not finish, or that the proxy aborted.
        let next = sent.get(frames.len()).map(|frame| frame.encode(from.side));
        let is_relayed = next.unwrap_or(from.unfinished.clone()).starts_with(&rest);
        let may_be_injected = [CLOSE, PING].contains(&rest[0]);
        prop_assert!(is_relayed || may_be_injected, "{:x?}", rest);
        prop_assert!(!summary.end().is_orderly() || !from.unfinished.is_empty());
        prop_assert!(close.is_none());
        if !is_relayed {
            injected += rest.len() as u64;
        } else if may_be_injected {
            ambiguous = rest.len() as u64;
        }
    }
    if matches!(summary.end(), TunnelEnd::Closed { .. }) {
        prop_assert_eq!(frames.len(), sent.len());
    }
    let (bytes, messages) = (summary.bytes(from.side), summary.messages(from.side));
    prop_assert!(
        [0, ambiguous].contains(&(passed - injected - bytes)),
        "{} of {} and {}",
        bytes,
        passed,
        injected
    );
    let is_last = |frame: &&Frame| frame.first & 0x88 == 0x80;
    let (received, sent) = (frames.iter().filter(is_last).count(), from.sent.iter().filter(is_last).count());
    prop_assert!(messages >= received as u64 && messages <= sent as u64, "{} of {}", messages, sent);
    Ok(())
}

/// A case takes one to two milliseconds.
fn many() -> ProptestConfig {
    let few = ProptestConfig::default();
    ProptestConfig { cases: few.cases * 5, ..few }
}

proptest! {
    #![proptest_config(many())]

    #[test]
    fn each_endpoint_receives_the_valid_frames_of_the_other(scenario in scenario()) {
        let (summary, client, upstream) = scenario.run();
        check(&summary, &client, &upstream)?;
        check(&summary, &upstream, &client)?;
    }
}
