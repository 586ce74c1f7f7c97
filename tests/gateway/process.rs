//! The program among others: crowds, signals.

use std::io;

use tokio::{net::TcpStream, process::Command};

use crate::{Gateway, answer, program, support::bounded, upstream};

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

#[cfg(unix)]
#[tokio::test]
async fn sigterm_and_ctrl_c_end_it_with_success() {
    let route = format!("/={}", upstream::start("app").await);
    for signal in ["TERM", "INT"] {
        let mut gateway = Gateway::start(&["--route", &route]).await;
        let mut open = gateway.websocket("/").await.unwrap();
        assert_eq!(answer(&mut open).await, "app / client.example");
        let process = &mut gateway.program.process;
        let kill = format!("kill -{signal} {}", process.id().unwrap());
        assert!(Command::new("sh").args(["-c", &kill]).status().await.unwrap().success());
        assert_eq!(bounded("exit", process.wait()).await.unwrap().code(), Some(0), "{signal}");
        let refused = bounded("connect", TcpStream::connect(gateway.address)).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    }
}
