//! The program in a crowd.

use tokio::process::Command;

use crate::{Gateway, program, support::bounded, upstream};

#[cfg(unix)]
#[tokio::test]
async fn running_out_of_file_descriptors_is_survived() {
    let route = format!("/={}", upstream::start("app").await);
    let mut command = Command::new("sh");
    let gateway = program::command("gateway");
    command.args(["-c", "ulimit -n 24 && exec \"$@\"", "sh"]).arg(gateway.as_std().get_program());
    command.args(["--route", &route]);
    let mut gateway = Gateway::spawn(command).await;
    let mut crowd = Vec::new();
    for _ in 0..40 {
        crowd.push(gateway.connect().await);
    }
    gateway.program.wait_for_log("accept failed").await;
    drop(crowd);
    bounded("a free place", async { while gateway.websocket("/").await.is_err() {} }).await;
    assert_eq!(gateway.ask("/").await, "app / client.example");
}
