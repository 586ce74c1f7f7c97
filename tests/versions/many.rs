//! Many concurrent tunnels, in HTTP/2 on one connection.

use crate::each_pair;

each_pair!(thousand_tunnels, one_stalled_tunnel_of_100);

mod scenarios {
    use std::time::Duration;

    use test_support::versions::End;
    use tokio::{task::JoinSet, time::timeout};

    use crate::setup::Setup;

    pub(super) async fn thousand_tunnels(setup: Setup) {
        const TUNNELS: usize = 1000;
        let mut clients = JoinSet::new();
        for number in 0..TUNNELS {
            let client = setup.client.clone();
            clients.spawn(async move { client.request(&format!("/{number}"), &[]).await.end });
        }
        let mut upstreams = Vec::new();
        for _ in 0..TUNNELS {
            let pending = setup.upstream.next().await;
            let number: usize = pending.path.trim_start_matches('/').parse().unwrap();
            upstreams.push((number, pending.accept(&[], "").await));
        }
        let mut clients = clients.join_all().await;
        // Each tunnel gets different data, all at the same time.
        for (number, upstream) in &mut upstreams {
            upstream.send(format!("{number:04}")).await;
        }
        let mut received = Vec::new();
        for client in &mut clients {
            received.push(client.exactly(4).await);
        }
        received.sort();
        let numbers = (0..TUNNELS).map(|number| format!("{number:04}").into_bytes());
        assert!(received.into_iter().eq(numbers));
    }

    pub(super) async fn one_stalled_tunnel_of_100(setup: Setup) {
        let (client, upstream) = setup.open().await;
        let (up, down) = (flood(client), flood(upstream));
        let (up, down) = (up.await, down.await);
        let mut busy = JoinSet::new();
        for _ in 0..99 {
            let (mut client, mut upstream) = setup.open().await;
            busy.spawn(async move {
                let message = vec![b'x'; 100_000];
                for _ in 0..5 {
                    client.send(&message).await;
                    assert!(upstream.exactly(message.len()).await == message);
                    upstream.send(&message).await;
                    assert!(client.exactly(message.len()).await == message);
                }
            });
        }
        busy.join_all().await;
        drop((up, down));
    }

    /// Sends until no more data is accepted. Returns the end, whose data remains unread.
    async fn flood(mut end: End) -> End {
        let block = vec![0; 1 << 16];
        while timeout(Duration::from_millis(200), end.sending.send_unbounded(&block)).await.is_ok() {}
        end
    }
}
