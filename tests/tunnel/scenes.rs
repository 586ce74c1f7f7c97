//! Random bytes in random pieces, with pauses, failures and ends at random moments.

use proptest::{collection::vec, prelude::*};
use tokio::runtime::Builder;
use tower_upgrade_proxy::{Side, TunnelEnd};

use crate::scene::{Scene, Script};

/// As [`Script`] reads them: pauses and pieces, seldom a failure.
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

/// No two places alike, from a few bytes to above the buffer of a read.
fn said() -> impl Strategy<Value = Vec<u8>> {
    let length = prop_oneof![4 => 0..100_usize, 4 => 100..10_000_usize, 1 => 60_000..200_000_usize];
    (any::<u8>(), length).prop_map(|(seed, length)| counted(seed, length))
}

pub(crate) fn counted(seed: u8, length: usize) -> Vec<u8> {
    (0..length).map(|at| (at ^ at >> 8 ^ at >> 16) as u8 ^ seed).collect()
}

/// Frames as the side may or may not send them.
fn frames() -> impl Strategy<Value = Vec<u8>> {
    let payload = prop_oneof![vec(any::<u8>(), 0..20), vec(any::<u8>(), 100..125)];
    let frame =
        (0..16_u8, any::<bool>(), any::<bool>(), payload).prop_map(|(opcode, last, masked, payload)| {
            let first = if last { 0x80 } else { 0 } | opcode;
            let (bit, key) = if masked { (0x80, &[0; 4][..]) } else { (0, &[][..]) };
            [&[first, bit | payload.len() as u8], key, &payload].concat()
        });
    let valid = (0..3_u8, vec(any::<u8>(), 0..125)).prop_map(|(kind, payload)| {
        [&[[0x82, 0x89, 0x8a][usize::from(kind)], 0x80 | payload.len() as u8][..], &[0; 4], &payload].concat()
    });
    (vec(prop_oneof![8 => valid, 1 => frame], 0..12), 0..15_usize).prop_map(|(frames, missing)| {
        let mut said = frames.concat();
        said.truncate(said.len().saturating_sub(missing));
        said
    })
}

fn script(said: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Script> {
    (said, any::<prop::sample::Index>(), prop::bool::weighted(0.3), steps(), steps()).prop_map(
        |(said, early, is_early, reads, writes)| {
            let early = if is_early { early.index(said.len() + 1) } else { 0 };
            Script { said, early, reads, writes }
        },
    )
}

fn play(scene: Scene) {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(scene.play());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn every_byte_that_is_taken_arrives_in_order(
        client in script(said()),
        upstream in script(said()),
        slow in prop::bool::weighted(0.2),
    ) {
        play(Scene { client, upstream, slow, ..Scene::default() });
    }

    #[test]
    fn every_byte_of_a_websocket_that_is_taken_arrives_in_order(
        client in script(prop_oneof![4 => frames(), 1 => said()]),
        upstream in script(prop_oneof![4 => frames(), 1 => said()]),
        slow in prop::bool::weighted(0.2),
        limited: bool,
        closes: bool,
    ) {
        play(Scene { client, upstream, slow, limited, closes, websocket: true });
    }
}

/// The fuzzer found it: the end was the failure, and nobody knew why the bytes before it had not arrived.
#[tokio::test(start_paused = true)]
async fn a_frame_that_was_refused_is_the_end_whatever_fails_behind_it() {
    let header = [0x82, 127, 0, 0xe1, 0, 0, 0, 0, 0, 0];
    for closes in [true, false] {
        // Ten bytes, and a failure.
        let upstream = Script { said: header.into(), early: 0, reads: vec![62, 51], writes: Vec::new() };
        let scene = Scene { upstream, websocket: true, limited: true, closes, ..Scene::default() };
        let summary = scene.play().await;
        assert!(matches!(summary.end(), TunnelEnd::TooBig { side: Side::Upstream }), "{summary:?}");
    }
}

/// Found by the fuzzer, too: what a side said behind its own Close was written to one that had been let go.
#[tokio::test(start_paused = true)]
async fn nothing_is_written_to_a_side_that_has_been_let_go() {
    let too_big = vec![0x82, 127, 0, 0xe1, 0, 0, 0, 0, 0, 0];
    let client = Script { said: too_big, ..Script::default() };
    // It says a Close, a second later more, and takes three to hear ours. The scene sees to it that nothing is
    // written behind an end.
    let upstream = Script {
        said: vec![0x88, 0, 1, 2, 3],
        reads: vec![54, 40],
        writes: vec![40; 3],
        ..Script::default()
    };
    let scene = Scene { client, upstream, websocket: true, limited: true, closes: true, slow: false };
    let summary = scene.play().await;
    assert!(matches!(summary.end(), TunnelEnd::TooBig { side: Side::Client }), "{summary:?}");
    assert_eq!(summary.bytes(Side::Upstream), 2);
}
