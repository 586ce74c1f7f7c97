//! 100 MiB each way at once, told apart by their hashes.

use crate::matrix;

matrix!(each_way_at_once);

mod scenarios {
    use sha1::{Digest, Sha1};

    use crate::{ends::End, stage::Stage};

    const BYTES: usize = 100 << 20;

    pub(super) async fn each_way_at_once(stage: Stage) {
        let (client, upstream) = stage.open().await;
        let (there, back) = tokio::join!(exchange(client, 1), exchange(upstream, 2));
        assert!(there == (back.1, back.0), "what one side sent is what the other has received");
    }

    type Hash = [u8; 20];

    /// Sends a stream of its own and receives the other's; their hashes.
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
            while let Ok(bytes) = receiving.some().await {
                hash.update(&bytes);
                length += bytes.len();
            }
            assert_eq!(length, BYTES);
            hash.finalize().into()
        });
        (sent.await.unwrap(), received.await.unwrap())
    }

    /// xorshift64: no two blocks are alike.
    fn next(state: &mut u64) -> u64 {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        *state
    }
}
