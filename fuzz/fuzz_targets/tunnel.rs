#![no_main]

#[path = "../../tests/tunnel/scene/mod.rs"]
mod scene;

use libfuzzer_sys::fuzz_target;
use scene::{Scene, Script};
use tokio::runtime::{Builder, Runtime};

thread_local! {
    static RUNTIME: Runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
}

/// A byte of flags. For each side a byte each for how many steps its reads and writes have, one for how much of
/// what it says comes early, two for how much it says; then its steps and, when the flags say so, its words.
fn scene(input: &[u8]) -> Option<Scene> {
    let (flags, mut input) = input.split_first()?;
    let mut script = |made_up: bool| {
        let (head, rest) = input.split_first_chunk::<5>()?;
        let [reads, writes, early, long, length] = head.map(usize::from);
        let (reads, rest) = rest.split_at_checked(reads % 64)?;
        let (writes, rest) = rest.split_at_checked(writes % 64)?;
        let length = long << 8 | length;
        let (said, rest) = if made_up {
            // Above the buffer of a read, and no two places alike.
            ((0..length * 3 / 2).map(|at| (at ^ at >> 8) as u8).collect(), rest)
        } else {
            let (said, rest) = rest.split_at(length.min(rest.len()));
            (said.to_vec(), rest)
        };
        input = rest;
        Some(Script {
            early: early * early % (said.len() + 1),
            said,
            reads: reads.into(),
            writes: writes.into(),
        })
    };
    let client = script(flags & 1 != 0)?;
    let upstream = script(flags & 2 != 0)?;
    let [websocket, closes, slow, limited] = [4, 8, 16, 32].map(|flag| flags & flag != 0);
    Some(Scene { client, upstream, websocket, closes, slow, limited })
}

fuzz_target!(|input: &[u8]| {
    if let Some(scene) = scene(input) {
        RUNTIME.with(|runtime| runtime.block_on(scene.play()));
    }
});
