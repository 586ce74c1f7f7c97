//! E6. Heads without measure.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    counted::counted,
    stage::{Served, Stage},
    support::{bounded, handshake_with},
};

/// What a head may cost while it is read: hyper's buffer, up to twice 400 KiB, and the smaller one that it grows
/// from.
pub(crate) const MOST: u64 = 2 << 20;

/// The status that `request` is answered with, which may be before all of it was taken.
async fn status(stage: &Stage, request: String) -> u16 {
    let (mut reading, mut writing) = stage.client().await.stream.into_split();
    let written = tokio::spawn(async move {
        let _ = writing.write_all(request.as_bytes()).await;
        writing
    });
    let mut answer = Vec::new();
    // The end may be a reset.
    let _ = bounded("the answer", reading.read_to_end(&mut answer)).await;
    drop(written.await);
    let answer = String::from_utf8(answer).unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

async fn e6_a_head_without_measure_is_4xx_and_takes_no_memory(served: Served) {
    let counted = counted(served, |stage, mut begin| async move {
        stage.ordinary(&mut stage.client().await, "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n").await;
        begin.now().await;
        let large = format!("X-Large: {}", "v".repeat(1 << 20));
        let many: Vec<_> = (0..5000).map(|number| format!("X-{number}: v")).collect();
        let many: Vec<_> = many.iter().map(String::as_str).collect();
        for _ in 0..5 {
            for lines in [&[large.as_str()][..], &many] {
                for request in
                    [handshake_with("/", lines), handshake_with("/", lines).replace("Upgrade", "X-Nothing")]
                {
                    assert_eq!(status(&stage, request).await, 431);
                }
            }
            let long = format!("GET /{} HTTP/1.1\r\nHost: a.example\r\n\r\n", "p".repeat(1 << 17));
            assert_eq!(status(&stage, long).await, 414);
        }
        stage.upstream.expect_untouched().await;
    });
    assert!(counted.bytes_max < MOST, "{counted:?}");
    assert!(counted.bytes_current < 1 << 16, "{counted:?}");
}

on_both![e6_a_head_without_measure_is_4xx_and_takes_no_memory];
