//! Random bytes in random chunks, with pauses, failures and ends at random times.

use proptest::{collection::vec, prelude::*};
use test_support::websocket::frame::{BINARY, FIN, PING, PONG, frame_with};
use tokio::runtime::Builder;
use tower_upgrade_proxy::{Side, Told, TunnelEnd};

use crate::scenario::{Scenario, Script};

/// Steps of a [`Script`]: pauses and limits, rarely a failure.
fn steps() -> impl Strategy<Value = Vec<u8>> {
    let step = prop_oneof![
        10 => 0..40_u8,
        2 => 40..51_u8,
        1 => 51..53_u8,
        20 => 53..200_u8,
        10 => 200..=255_u8,
    ];
    prop_oneof![1 => Just(Vec::new()), 4 => vec(step, 0..40)]
}

/// Distinguishable bytes, from none to more than a read takes.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let length = prop_oneof![4 => 0..100_usize, 4 => 100..10_000_usize, 1 => 60_000..200_000_usize];
    (any::<u8>(), length).prop_map(|(seed, length)| numbered(seed, length))
}

pub(crate) fn numbered(seed: u8, length: usize) -> Vec<u8> {
    (0..length).map(|at| (at ^ at >> 8 ^ at >> 16) as u8 ^ seed).collect()
}

/// Valid and invalid frames.
fn frames() -> impl Strategy<Value = Vec<u8>> {
    let payload = prop_oneof![vec(any::<u8>(), 0..20), vec(any::<u8>(), 100..125)];
    let frame =
        (0..16_u8, any::<bool>(), any::<bool>(), payload).prop_map(|(opcode, last, masked, payload)| {
            let first = if last { FIN } else { 0 } | opcode;
            frame_with(first, &payload, masked.then_some([0; 4]))
        });
    let valid = (0..3_u8, vec(any::<u8>(), 0..125)).prop_map(|(kind, payload)| {
        frame_with([BINARY, PING, PONG][usize::from(kind)], &payload, Some([0; 4]))
    });
    (vec(prop_oneof![8 => valid, 1 => frame], 0..12), 0..15_usize).prop_map(|(frames, missing)| {
        let mut sends = frames.concat();
        sends.truncate(sends.len().saturating_sub(missing));
        sends
    })
}

fn script(sends: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Script> {
    (sends, any::<prop::sample::Index>(), prop::bool::weighted(0.3), steps(), steps()).prop_map(
        |(sends, early, is_early, reads, writes)| {
            let early = if is_early { early.index(sends.len() + 1) } else { 0 };
            Script { sends, early, reads, writes }
        },
    )
}

fn run(scenario: Scenario) {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(scenario.run());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn accepted_bytes_arrive_in_order(
        client in script(bytes()),
        upstream in script(bytes()),
        slow in prop::bool::weighted(0.2),
    ) {
        run(Scenario { client, upstream, slow, ..Scenario::default() });
    }

    #[test]
    fn accepted_bytes_of_a_websocket_arrive_in_order(
        client in script(prop_oneof![4 => frames(), 1 => bytes()]),
        upstream in script(prop_oneof![4 => frames(), 1 => bytes()]),
        slow in prop::bool::weighted(0.2),
        limited: bool,
        sends_close: bool,
    ) {
        run(Scenario { client, upstream, slow, limited, sends_close, websocket: true });
    }
}

/// Found by the fuzzer: the end was the failure, and did not explain why earlier bytes had not arrived.
#[tokio::test(start_paused = true)]
async fn a_rejected_frame_is_the_end_even_if_the_connection_fails_after_it() {
    let header = [0x82, 127, 0, 0xe1, 0, 0, 0, 0, 0, 0];
    for sends_close in [true, false] {
        // Ten bytes, then a failure.
        let upstream = Script { sends: header.into(), early: 0, reads: vec![62, 51], writes: Vec::new() };
        let scenario =
            Scenario { upstream, websocket: true, limited: true, sends_close, ..Scenario::default() };
        let summary = scenario.run().await;
        assert!(matches!(summary.end(), TunnelEnd::TooBig { side: Side::Upstream }), "{summary:?}");
    }
}

/// Found by the fuzzer: the scenario expected the client's answer to the Close of the tunnel at the upstream, which has gone.
#[tokio::test(start_paused = true)]
async fn the_answer_to_a_close_of_the_tunnel_is_not_passed_on() {
    let text = [0x81, 0x85, 1, 2, 3, 4, 0, 0, 0, 0, 0];
    let close = [0x88, 0x82, 0, 0, 0, 0, 3, 0xe8];
    // The text, a pause, and then the answer.
    let client =
        Script { sends: [&text[..], &close].concat(), reads: vec![52 + 11, 40], ..Script::default() };
    // It ends at once. Its writes are pending first, or not.
    for writes in [vec![0; 4], Vec::new()] {
        let (client, upstream) = (client.clone(), Script { writes, ..Script::default() });
        let scenario =
            Scenario { client, upstream, websocket: true, sends_close: true, ..Scenario::default() };
        let summary = scenario.run().await;
        assert_eq!(summary.told(Side::Client), Some(Told::Close(1011)), "{summary:?}");
        assert_eq!(summary.bytes(Side::Client), text.len() as u64);
    }
}

/// Found by the fuzzer: the scenario allowed no Close without a policy that sends one.
#[tokio::test(start_paused = true)]
async fn a_frame_that_is_too_big_gets_a_close_whatever_the_policy() {
    let header = vec![0x82, 127, 0, 0xe1, 0, 0, 0, 0, 0, 0];
    for sends_close in [true, false] {
        let upstream = Script { sends: header.clone(), ..Script::default() };
        let scenario =
            Scenario { upstream, websocket: true, limited: true, sends_close, ..Scenario::default() };
        let summary = scenario.run().await;
        assert!(matches!(summary.end(), TunnelEnd::TooBig { side: Side::Upstream }), "{summary:?}");
    }
}

/// Found by the fuzzer: bytes of a side behind its own Close were written to a side that was released.
#[tokio::test(start_paused = true)]
async fn nothing_is_written_to_a_released_side() {
    let too_big = vec![0x82, 127, 0, 0xe1, 0, 0, 0, 0, 0, 0];
    let client = Script { sends: too_big, ..Script::default() };
    // The upstream sends a Close, a second later more, and accepts the Close of the tunnel after three seconds.
    // The scenario checks that nothing is written after a shutdown.
    let upstream = Script {
        sends: vec![0x88, 0, 1, 2, 3],
        reads: vec![54, 40],
        writes: vec![40; 3],
        ..Script::default()
    };
    let scenario =
        Scenario { client, upstream, websocket: true, limited: true, sends_close: true, slow: false };
    let summary = scenario.run().await;
    assert!(matches!(summary.end(), TunnelEnd::TooBig { side: Side::Client }), "{summary:?}");
    assert_eq!(summary.bytes(Side::Upstream), 2);
}

/// Found by the fuzzer: the write failed in the poll in which the other direction ended the tunnel, and the next bytes were
/// written behind those that were lost.
#[tokio::test(start_paused = true)]
async fn nothing_is_written_to_a_side_that_failed_when_the_tunnel_ended() {
    let too_big = vec![0x82, 127, 0, 0xe1, 0, 0, 0, 0, 0, 0];
    for sends_close in [true, false] {
        // One write fails, the next ones would succeed.
        let client = Script { sends: too_big.clone(), writes: vec![51], ..Script::default() };
        let upstream = Script { sends: vec![0x82, 4, 1, 2, 3, 4], reads: vec![54; 3], ..Script::default() };
        let scenario =
            Scenario { client, upstream, websocket: true, limited: true, sends_close, slow: false };
        let summary = scenario.run().await;
        assert!(matches!(summary.end(), TunnelEnd::TooBig { side: Side::Client }), "{summary:?}");
        assert_eq!(summary.bytes(Side::Upstream), 0);
    }
}
