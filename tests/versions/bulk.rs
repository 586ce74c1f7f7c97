//! 100 MiB in both directions at once, compared by hash.

use crate::each_pair;

each_pair!(both_directions_at_once);

mod scenarios {
    use sha1::{Digest, Sha1};
    use test_support::versions::End;

    use crate::setup::Setup;

    const BYTES: usize = 100 << 20;

    pub(super) async fn both_directions_at_once(setup: Setup) {
        let (client, upstream) = setup.open().await;
        let (client, upstream) = tokio::join!(exchange(client, 1), exchange(upstream, 2));
        assert!(client == (upstream.1, upstream.0), "each side received the data sent by the other");
    }

    type Hash = [u8; 20];

    /// Sends one stream and receives the other. Returns their hashes.
    async fn exchange(end: End, seed: u64) -> (Hash, Hash) {
        let End { mut sending, mut receiving } = end;
        let sent = tokio::spawn(async move {
            let mut hash = Sha1::new();
            let mut random = seed;
            for _ in 0..BYTES >> 16 {
                let block: Vec<u8> = (0..1 << 13).flat_map(|_| next(&mut random).to_be_bytes()).collect();
                hash.update(&block);
                sending.send(&block).await;
            }
            sending.finish().await;
            hash.finalize().into()
        });
        let received = tokio::spawn(async move {
            let (mut hash, mut length) = (Sha1::new(), 0);
            while let Ok(bytes) = receiving.chunk().await {
                hash.update(&bytes);
                length += bytes.len();
            }
            assert_eq!(length, BYTES);
            hash.finalize().into()
        });
        (sent.await.unwrap(), received.await.unwrap())
    }

    /// Returns the next number of xorshift64, so that all blocks differ.
    fn next(state: &mut u64) -> u64 {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        *state
    }
}
