//! Chromium on the page of the graceful example, across a restart of the program.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

use std::process::ExitCode;

use libtest_mimic::Arguments;
use test_support::{
    EchoUpstream, ReservedPort,
    browser::{self, Browser, picture},
    process::{
        ServerProgram,
        trials::{announced, trial},
    },
};
use tokio::process::Command;

fn main() -> ExitCode {
    let missing = announced(browser::missing());
    let visit = trial("chromium::graceful".to_owned(), missing, || browser::bounded_visit(visit()));
    libtest_mimic::run(&Arguments::from_args(), vec![visit]).exit_code()
}

async fn start(port: &ReservedPort, upstream: &EchoUpstream) -> ServerProgram {
    let mut command = Command::new(env!("CARGO_BIN_EXE_graceful"));
    command.args([upstream.upstream().to_string(), port.address.to_string()]);
    ServerProgram::spawn(command).await
}

async fn visit() {
    let (port, upstream) = (ReservedPort::new(), EchoUpstream::start().await);
    let mut server = start(&port, &upstream).await;
    let mut page = Browser::open(browser::program().unwrap(), &format!("{}/", port.uri())).await;
    page.until("document.querySelector('#state').textContent === 'connected'").await;

    server.program.signal("TERM").await;
    page.until("document.querySelector('#state').textContent === 'restarting'").await;
    assert_eq!(server.program.exit_code().await, Some(0));
    let _server = start(&port, &upstream).await;
    page.until("document.querySelector('#state').textContent === 'connected'").await;

    let lines =
        page.evaluate("[...document.querySelectorAll('#log li')].map(line => line.textContent)").await;
    let lines: Vec<&str> = lines.as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
    let events: Vec<&str> = lines.iter().map(|line| line.splitn(3, ' ').last().unwrap()).collect();
    assert!(events.iter().all(|line| !line.contains("lost")), "a restart is no fault: {lines:?}");
    picture(&mut page, "graceful-light", 700, "light").await;
    picture(&mut page, "graceful-dark", 400, "dark").await;
    page.close().await;
}
