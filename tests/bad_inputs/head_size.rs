//! E6. Oversized heads.

use test_support::{Inner, ScriptedProxy, bounded, handshake_with};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::allocations::measure_proxy;

/// Maximum memory of a head while it is read: hyper's buffer, up to twice 400 KiB, and the smaller buffer
/// that it has grown from.
pub(crate) const MAX_HEAD_MEMORY: u64 = 2 << 20;

/// Sends `request` and returns the status of the response, which may arrive before the whole request is sent.
async fn status(proxy: &ScriptedProxy, request: String) -> u16 {
    let (mut reading, mut writing) = proxy.connect().await.stream.into_split();
    let written = tokio::spawn(async move {
        let _ = writing.write_all(request.as_bytes()).await;
        writing
    });
    let mut response = Vec::new();
    // The connection may end with a reset.
    let _ = bounded("the response", reading.read_to_end(&mut response)).await;
    drop(written.await);
    let response = String::from_utf8(response).unwrap();
    response.split(' ').nth(1).unwrap().parse().unwrap()
}

async fn e6_oversized_head_is_4xx_in_bounded_memory(inner: Inner) {
    let allocations = measure_proxy(inner, |proxy, mut start| async move {
        proxy.ordinary_request(&mut proxy.connect().await, "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n").await;
        start.now().await;
        let large = format!("X-Large: {}", "v".repeat(1 << 20));
        let many: Vec<_> = (0..5000).map(|number| format!("X-{number}: v")).collect();
        let many: Vec<_> = many.iter().map(String::as_str).collect();
        for _ in 0..5 {
            for lines in [&[large.as_str()][..], &many] {
                for request in
                    [handshake_with("/", lines), handshake_with("/", lines).replace("Upgrade", "X-Nothing")]
                {
                    assert_eq!(status(&proxy, request).await, 431);
                }
            }
            let long = format!("GET /{} HTTP/1.1\r\nHost: a.example\r\n\r\n", "p".repeat(1 << 17));
            assert_eq!(status(&proxy, long).await, 414);
        }
        proxy.upstream.expect_untouched().await;
    });
    assert!(allocations.bytes_max < MAX_HEAD_MEMORY, "{allocations:?}");
    assert!(allocations.bytes_current < 1 << 16, "{allocations:?}");
}

on_both![e6_oversized_head_is_4xx_in_bounded_memory];
