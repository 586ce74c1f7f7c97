//! The program in a crowd.
#![cfg(unix)]

use std::time::Duration;

use tokio::{process::Command, time::sleep};

use crate::{
    Gateway, program,
    support::{Head, SWITCHING, Scripted, Wire, bounded, handshake, ping_pong},
    upstream,
};

/// A gateway of one worker that may have so many files open, sockets and what it needs itself included.
async fn with_descriptors(number: usize, route: &str) -> Gateway {
    let mut command = Command::new("sh");
    let gateway = program::command("gateway");
    command.args(["-c", &format!("ulimit -n {number} && exec \"$@\""), "sh"]);
    command.arg(gateway.as_std().get_program()).args(["--route", route, "--workers", "1"]);
    Gateway::spawn(command).await
}

#[tokio::test]
async fn running_out_of_file_descriptors_is_survived() {
    let route = format!("/={}", upstream::start("app").await);
    let mut gateway = with_descriptors(24, &route).await;
    let mut crowd = Vec::new();
    for _ in 0..40 {
        crowd.push(gateway.connect().await);
    }
    gateway.program.wait_for_log("accept failed").await;
    drop(crowd);
    bounded("a free place", async { while gateway.websocket("/").await.is_err() {} }).await;
    assert_eq!(gateway.ask("/").await, "app / client.example");
}

/// What becomes of a client that asks for an upgrade.
enum Asked {
    Upgraded(Wire, Wire),
    Refused(Wire, Head),
    /// Nobody accepts it.
    Waits(Wire),
}

/// The upstream agrees, if it is asked.
async fn ask(gateway: &mut Gateway, upstream: &Scripted) -> Asked {
    let mut client = gateway.wire().await;
    client.send(handshake("/")).await;
    tokio::select! {
        mut server = upstream.accept() => {
            server.head().await;
            server.send(SWITCHING).await;
            assert_eq!(client.head().await.status(), 101);
            Asked::Upgraded(client, server)
        }
        head = client.head() => Asked::Refused(client, head),
        _ = gateway.program.wait_for_log("accept failed") => Asked::Waits(client),
    }
}

/// In bulk too, for which there is no pipe to be had.
async fn expect_all_to_work(tunnels: &mut [(Wire, Wire)]) {
    let block = vec![b'x'; 1 << 20];
    for (client, server) in tunnels {
        ping_pong(client, server).await;
        let (_, received) = tokio::join!(client.send(&block), server.exactly(block.len()));
        assert!(received == block);
        ping_pong(client, server).await;
    }
}

#[tokio::test]
async fn g10_out_of_descriptors_new_upgrades_are_503_or_wait_while_tunnels_go_on_and_it_recovers() {
    let upstream = Scripted::start().await;
    let mut gateway = with_descriptors(48, &format!("/={}", upstream.uri())).await;
    // It takes one descriptor, and with it makes an end of an odd number of them; or gives it back.
    let mut spare = Some(gateway.wire().await);
    let (mut tunnels, mut waiting) = (Vec::new(), Vec::new());
    let (mut refused, head) = loop {
        match ask(&mut gateway, &upstream).await {
            Asked::Upgraded(client, server) => tunnels.push((client, server)),
            Asked::Refused(client, head) => break (client, head),
            Asked::Waits(client) => {
                // One descriptor is enough to say no with.
                waiting.push(client);
                drop(spare.take().expect("the number of descriptors is odd or even"));
                let mut client = waiting.remove(0);
                let head = client.head().await;
                break (client, head);
            }
        }
        assert!(tunnels.len() < 24, "there are no 48 descriptors for as many tunnels");
    };
    assert_eq!((head.status(), head.values("retry-after").len()), (503, 1), "{}", head.text());
    refused.body(&head).await;
    assert!(tunnels.len() > 5, "{} tunnels", tunnels.len());
    expect_all_to_work(&mut tunnels).await;

    // The refused one's connection goes on: it has the last descriptor, so the next cannot even be accepted.
    let head = refused.ask(handshake("/")).await;
    assert_eq!(head.status(), 503);
    refused.body(&head).await;
    let Asked::Waits(mut waiting) = ask(&mut gateway, &upstream).await else {
        panic!("there was a descriptor more");
    };
    expect_all_to_work(&mut tunnels).await;

    // Two tunnels less, and there is room for the one that waits, without anybody's help.
    tunnels.truncate(tunnels.len() - 2);
    let mut server = upstream.accept().await;
    server.head().await;
    server.send(SWITCHING).await;
    assert_eq!(waiting.head().await.status(), 101);
    tunnels.push((waiting, server));
    drop((refused, spare));
    // It learns of the ends in its own time.
    let mut client = gateway.wire().await;
    let recovered = async {
        loop {
            client.send(handshake("/")).await;
            tokio::select! {
                server = upstream.accept() => return server,
                head = client.head() => {
                    assert_eq!(head.status(), 503);
                    client.body(&head).await;
                    sleep(Duration::from_millis(10)).await;
                }
            }
        }
    };
    let mut server = bounded("a free place", recovered).await;
    server.head().await;
    server.send(SWITCHING).await;
    assert_eq!(client.head().await.status(), 101);
    tunnels.push((client, server));
    expect_all_to_work(&mut tunnels).await;
}
