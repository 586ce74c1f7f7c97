//! Many tunnels at a time; in HTTP/2 on one connection.

use crate::matrix;

matrix!(a_thousand_tunnels, one_stands_still_beside_99);

mod scenarios {
    use std::time::Duration;

    use tokio::{task::JoinSet, time::timeout};

    use crate::{ends::End, stage::Stage};

    pub(super) async fn a_thousand_tunnels(stage: Stage) {
        const TUNNELS: usize = 1000;
        let mut clients = JoinSet::new();
        for number in 0..TUNNELS {
            let client = stage.client.clone();
            clients.spawn(async move { client.ask(&format!("/{number}"), &[]).await.end });
        }
        let mut upstreams = Vec::new();
        for _ in 0..TUNNELS {
            let asked = stage.upstream.asked().await;
            let number: usize = asked.path.trim_start_matches('/').parse().unwrap();
            upstreams.push((number, asked.agree(&[], "").await));
        }
        let mut clients = clients.join_all().await;
        // Each says something else, and all at once.
        for (number, upstream) in &mut upstreams {
            upstream.send(format!("{number:04}")).await;
        }
        let mut said = Vec::new();
        for client in &mut clients {
            said.push(client.exactly(4).await);
        }
        said.sort();
        let numbers = (0..TUNNELS).map(|number| format!("{number:04}").into_bytes());
        assert!(said.into_iter().eq(numbers));
    }

    pub(super) async fn one_stands_still_beside_99(stage: Stage) {
        let (client, upstream) = stage.open().await;
        let (up, down) = (flood(client), flood(upstream));
        let (up, down) = (up.await, down.await);
        let mut busy = JoinSet::new();
        for _ in 0..99 {
            let (mut client, mut upstream) = stage.open().await;
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

    /// Sends what nobody reads until nothing more is taken. Returns the end, unread.
    async fn flood(mut end: End) -> End {
        let block = vec![0; 1 << 16];
        while timeout(Duration::from_millis(200), end.sending.offer(&block)).await.is_ok() {}
        end
    }
}
