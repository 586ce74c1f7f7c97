//! An upstream with hundreds of tunnels that is killed and restarted.

use std::{net::SocketAddr, time::Duration};

use futures_util::{SinkExt, StreamExt};
use test_support::{ReservedPort, bounded, serve::listen};
use tokio::{net::TcpStream, runtime::Handle, task::JoinSet, time::timeout};
use tokio_tungstenite::{
    WebSocketStream, accept_async, client_async,
    tungstenite::{self, Message},
};
use tower_upgrade_proxy::{Tunnels, UpgradeProxyLayer};

use crate::{app, until};

const TUNNELS: usize = 500;

/// Waits long enough for hundreds of operations on a machine that is busy with other tests.
async fn bounded_all<T>(what: &str, all: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(120), all).await.unwrap_or_else(|_| panic!("still waiting: {what}"))
}

/// Starts an upstream that echoes. A drop kills it: half of its connections end with a reset.
fn start(address: SocketAddr) -> JoinSet<()> {
    let listener = listen(address);
    let mut upstream = JoinSet::new();
    upstream.spawn(async move {
        let mut connections = JoinSet::new();
        for number in 0_usize.. {
            let (stream, _) = listener.accept().await.unwrap();
            connections.spawn(async move {
                if number % 2 == 0 {
                    stream.set_zero_linger().unwrap();
                }
                let mut socket = accept_async(stream).await.unwrap();
                while let Some(Ok(message)) = socket.next().await {
                    if message.is_text() && socket.send(message).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    upstream
}

/// Without the time limits of `test_support`'s client, which five hundred at once may exceed.
type Socket = WebSocketStream<TcpStream>;

async fn open(address: SocketAddr) -> Result<Socket, tungstenite::Error> {
    let stream = TcpStream::connect(address).await.unwrap();
    client_async(format!("ws://{address}/"), stream).await.map(|(socket, _)| socket)
}

/// Opens all tunnels concurrently, each with an echo of its own.
async fn open_all(address: SocketAddr) -> Vec<Socket> {
    let mut opening = JoinSet::new();
    for number in 0..TUNNELS {
        opening.spawn(async move {
            let mut client = open(address).await.unwrap();
            let text = Message::text(format!("number {number}"));
            client.send(text.clone()).await.unwrap();
            assert_eq!(client.next().await.unwrap().unwrap(), text);
            client
        });
    }
    bounded_all("all to be open", opening.join_all()).await
}

#[tokio::test]
async fn five_hundred_clients_of_a_killed_upstream_get_no_close_and_reconnect_after_its_restart() {
    let (port, tunnels) = (ReservedPort::new(), Tunnels::new());
    let layer = UpgradeProxyLayer::new(port.uri().parse().unwrap());
    let address = app(layer.tunnels(&tunnels)).await;
    let tasks = Handle::current().metrics();
    let before = tasks.num_alive_tasks();

    let mut upstream = start(port.address);
    let clients = open_all(address).await;
    assert_eq!(tunnels.len(), TUNNELS);
    bounded("the upstream's end", upstream.shutdown()).await;
    let mut ending = JoinSet::new();
    for mut client in clients {
        ending.spawn(async move {
            match client.next().await {
                Some(Err(_)) | None => {}
                other => panic!("{other:?} instead of the end"),
            }
        });
    }
    bounded_all("the end for all", ending.join_all()).await;

    for _ in 0..20 {
        match bounded("a refusal", open(address)).await {
            Err(tungstenite::Error::Http(response)) => assert_eq!(response.status(), 502),
            other => panic!("{other:?} while there is no upstream"),
        }
    }
    until(&tunnels, 0).await;

    let mut upstream = start(port.address);
    let mut clients = open_all(address).await;
    assert_eq!(tunnels.len(), TUNNELS);
    for client in &mut clients {
        client.close(None).await.unwrap();
        while bounded("the end", client.next()).await.is_some_and(|message| message.is_ok()) {}
    }
    until(&tunnels, 0).await;
    drop(clients);
    bounded("the upstream's end", upstream.shutdown()).await;
    let all_gone = async {
        while tasks.num_alive_tasks() > before {
            tokio::task::yield_now().await;
        }
    };
    bounded("the tasks to end", all_gone).await;
}
