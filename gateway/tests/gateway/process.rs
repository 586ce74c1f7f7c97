//! The program in a crowd.
#![cfg(unix)]

use tokio::process::Command;

use crate::{Gateway, support::bounded, upstream};

/// A gateway of one worker that may have so many files open, sockets and what it needs itself included.
pub(crate) async fn with_descriptors(number: usize, route: &str) -> Gateway {
    let mut command = Command::new("sh");
    let gateway = crate::command();
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
