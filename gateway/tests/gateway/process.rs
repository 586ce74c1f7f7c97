//! More clients than file descriptors.
#![cfg(unix)]

use tokio::process::Command;

use test_support::bounded;

use crate::{Gateway, upstream};

/// A gateway of one worker with this limit of open files, including its sockets and its own files.
pub(crate) async fn with_descriptors(number: usize, arguments: &[&str]) -> Gateway {
    with_limits("", number, &[arguments, &["--workers", "1"]].concat()).await
}

/// A gateway with a limit of open files; `kind` is an option of `ulimit`, like `-S`.
pub(crate) async fn with_limits(kind: &str, number: usize, arguments: &[&str]) -> Gateway {
    let mut command = Command::new("sh");
    let gateway = crate::command();
    command.args(["-c", &format!("ulimit {kind} -n {number} && exec \"$@\""), "sh"]);
    command.arg(gateway.as_std().get_program()).args(arguments);
    Gateway::spawn(command).await
}

#[tokio::test]
async fn the_gateway_recovers_after_it_ran_out_of_file_descriptors() {
    let route = format!("/={}", upstream::start("app").await);
    let mut gateway = with_descriptors(40, &["--route", &route]).await;
    let mut clients = Vec::new();
    for _ in 0..40 {
        clients.push(gateway.connect().await);
    }
    gateway.program.wait_for_log("connection accepted with a reserved descriptor").await;
    drop(clients);
    bounded("a free descriptor", async { while gateway.websocket("/").await.is_err() {} }).await;
    assert_eq!(gateway.description("/").await, "app / client.example");
}
