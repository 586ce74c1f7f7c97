//! More clients than file descriptors.
#![cfg(unix)]

use tokio::process::Command;

use test_support::bounded;

use crate::{Gateway, upstream};

/// A gateway of one worker with this limit of open files, including its sockets and its own files.
pub(crate) async fn with_descriptors(number: usize, route: &str) -> Gateway {
    let mut command = Command::new("sh");
    let gateway = crate::command();
    command.args(["-c", &format!("ulimit -n {number} && exec \"$@\""), "sh"]);
    command.arg(gateway.as_std().get_program()).args(["--route", route, "--workers", "1"]);
    Gateway::spawn(command).await
}

#[tokio::test]
async fn the_gateway_recovers_after_it_ran_out_of_file_descriptors() {
    let route = format!("/={}", upstream::start("app").await);
    let mut gateway = with_descriptors(24, &route).await;
    let mut clients = Vec::new();
    for _ in 0..40 {
        clients.push(gateway.connect().await);
    }
    gateway.program.wait_for_log("accept failed").await;
    drop(clients);
    bounded("a free descriptor", async { while gateway.websocket("/").await.is_err() {} }).await;
    assert_eq!(gateway.description("/").await, "app / client.example");
}
