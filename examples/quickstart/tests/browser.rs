//! Chromium on the page of the quickstart example.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

use std::process::ExitCode;

use libtest_mimic::Arguments;
use test_support::{
    browser::{self, Browser, picture, program},
    process::{
        Program,
        trials::{announced, trial},
    },
    websocket::Client,
};
use tokio::process::Command;

fn main() -> ExitCode {
    let missing = announced(browser::missing());
    let visit = trial("chromium::quickstart".to_owned(), missing, || browser::bounded_visit(quickstart()));
    libtest_mimic::run(&Arguments::from_args(), vec![visit]).exit_code()
}

async fn quickstart() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quickstart"));
    command.arg("127.0.0.1:0");
    let mut example = Program::spawn(command);
    let url = example.line_after("open ").await;
    let mut page = Browser::open(program().unwrap(), &url).await;

    page.until("document.querySelector('#status').textContent === 'connected'").await;
    send(&mut page, "Hello through the tunnel").await;
    page.until("document.querySelector('#log .own .rtt')").await;
    assert_eq!(page.text("#log .own .text").await, "Hello through the tunnel");
    let rtt = page.text("#log .own .rtt").await;
    let milliseconds: f64 = rtt.strip_suffix(" ms").unwrap().parse().unwrap();
    assert!((0.0..10_000.0).contains(&milliseconds), "{rtt}");
    assert_eq!(page.text("#rtt").await, rtt);

    send_from_another_client(&url, "And a word from somebody else: hello to you too!").await;
    page.until("document.querySelector('#log .other')").await;
    picture(&mut page, "quickstart-light", 900, "light").await;

    page.click("#close").await;
    end(&mut page, "1000", "closed by the page").await;
    assert!(page.evaluate("document.querySelector('#send').disabled").await.as_bool().unwrap());
    let line = example.wait_for_line("tunnel 1: ").await;
    assert!(line.contains(" bytes up, ") && line.contains(", closed by the "), "{line}");
    picture(&mut page, "quickstart-dark", 900, "dark").await;

    page.click("#reconnect").await;
    page.until("document.querySelector('#status').textContent === 'connected'").await;
    send(&mut page, "/quit").await;
    end(&mut page, "4000", "closed by /quit").await;
    picture(&mut page, "quickstart-narrow", 400, "light").await;
    page.close().await;
}

async fn send(page: &mut Browser, text: &str) {
    page.click("#message").await;
    page.type_text(text).await;
    page.click("#send").await;
}

/// Waits until the page shows the end of the tunnel.
async fn end(page: &mut Browser, code: &str, reason: &str) {
    page.until("document.querySelector('#status').textContent === 'closed'").await;
    assert_eq!(page.text("#end-code").await, code);
    assert!(page.text("#end-reason").await.contains(reason));
    assert_eq!(page.text("#end-clean").await, "clean");
}

async fn send_from_another_client(url: &str, text: &str) {
    let host = url.trim_start_matches("http://").trim_end_matches('/');
    let mut client = Client::http1(host.parse().unwrap(), "/ws/").await;
    client.echo(text).await;
    client.close().await;
}
