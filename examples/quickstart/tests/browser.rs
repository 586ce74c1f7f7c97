//! Chromium on the page of the quickstart example, as a person would use it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

use std::process::{ExitCode, Stdio};

use futures_util::{SinkExt, StreamExt};
use libtest_mimic::Arguments;
use test_support::{
    bounded,
    browser::{self, picture, program},
    devtools::Browser,
    trials::{announced, trial},
};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

fn main() -> ExitCode {
    let missing = announced(browser::missing());
    let visit = trial("chromium::quickstart".to_owned(), missing, || browser::patiently(quickstart()));
    libtest_mimic::run(&Arguments::from_args(), vec![visit]).exit_code()
}

/// The example's process; killed when dropped.
struct Quickstart {
    url: String,
    lines: Lines<BufReader<ChildStdout>>,
    _process: Child,
}

impl Quickstart {
    async fn start() -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_quickstart"));
        let mut process =
            command.arg("127.0.0.1:0").stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let line = bounded("the page's address", lines.next_line()).await.unwrap().unwrap();
        let url = line.strip_prefix("open ").unwrap().to_owned();
        Self { url, lines, _process: process }
    }

    /// The line about the end of that tunnel.
    async fn end_of(&mut self, tunnel: u32) -> String {
        let start = format!("tunnel {tunnel}: ");
        loop {
            let line = bounded(&start, self.lines.next_line()).await.unwrap().unwrap();
            if line.starts_with(&start) {
                return line;
            }
        }
    }
}

async fn quickstart() {
    let mut example = Quickstart::start().await;
    let mut page = Browser::open(program().unwrap(), &example.url).await;

    page.until("document.querySelector('#status').textContent === 'connected'").await;
    say(&mut page, "Hello through the tunnel").await;
    page.until("document.querySelector('#log .own .rtt')").await;
    assert_eq!(page.text("#log .own .text").await, "Hello through the tunnel");
    let rtt = page.text("#log .own .rtt").await;
    let milliseconds: f64 = rtt.strip_suffix(" ms").unwrap().parse().unwrap();
    assert!((0.0..10_000.0).contains(&milliseconds), "{rtt}");
    assert_eq!(page.text("#rtt").await, rtt);

    another_person_says(&example.url, "And a word from somebody else: hello to you too!").await;
    page.until("document.querySelector('#log .other')").await;
    picture(&mut page, "quickstart-light", 900, "light").await;

    page.click("#close").await;
    end(&mut page, "1000", "closed by the page").await;
    assert!(page.evaluate("document.querySelector('#send').disabled").await.as_bool().unwrap());
    let line = example.end_of(1).await;
    assert!(line.contains(" bytes up, ") && line.contains(", closed by the "), "{line}");
    picture(&mut page, "quickstart-dark", 900, "dark").await;

    page.click("#reconnect").await;
    page.until("document.querySelector('#status').textContent === 'connected'").await;
    say(&mut page, "/quit").await;
    end(&mut page, "4000", "you said /quit").await;
    picture(&mut page, "quickstart-narrow", 400, "light").await;
    page.close().await;
}

async fn say(page: &mut Browser, text: &str) {
    page.click("#message").await;
    page.type_text(text).await;
    page.click("#send").await;
}

/// Waits until the page says how the tunnel ended.
async fn end(page: &mut Browser, code: &str, reason: &str) {
    page.until("document.querySelector('#status').textContent === 'closed'").await;
    assert_eq!(page.text("#end-code").await, code);
    assert!(page.text("#end-reason").await.contains(reason));
    assert_eq!(page.text("#end-clean").await, "clean");
}

/// Somebody with another client.
async fn another_person_says(url: &str, text: &str) {
    let url = format!("{}ws/", url.replacen("http", "ws", 1));
    let (mut socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
    socket.send(text.into()).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap().to_text().unwrap(), text);
    socket.close(None).await.unwrap();
}
