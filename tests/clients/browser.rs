//! Chromium on the page of the quickstart example, as a person would use it.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use futures_util::{SinkExt, StreamExt};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

use crate::{devtools::Browser, script::is_program, support::bounded};

/// For the whole visit, the start of the browser included.
const PATIENCE: Duration = Duration::from_secs(40);

pub(crate) fn program() -> Option<&'static str> {
    ["chromium", "chromium-browser", "google-chrome"].into_iter().find(|name| is_program(name))
}

/// What must be installed before this test can run.
pub(crate) fn missing() -> Option<String> {
    let missing = "Chromium is missing; tests/clients/install.sh, as root, installs it";
    program().is_none().then(|| missing.to_owned())
}

/// The example's process; killed when dropped.
struct Quickstart {
    url: String,
    lines: Lines<BufReader<ChildStdout>>,
    _process: Child,
}

impl Quickstart {
    async fn start() -> Self {
        let test = std::env::current_exe().unwrap();
        let path = test.ancestors().nth(2).unwrap().join("examples").join("quickstart");
        let path = path.with_extension(std::env::consts::EXE_EXTENSION);
        assert!(path.exists(), "{} is missing: run `cargo build --examples` first", path.display());
        let mut command = Command::new(path);
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

/// Fails when a visit takes longer than it may.
pub(crate) async fn patiently(visit: impl Future<Output = ()>) {
    timeout(PATIENCE, visit).await.expect("the visit took too long");
}

pub(crate) async fn quickstart() {
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

/// Keeps a picture of the page for people to look at.
pub(crate) async fn picture(page: &mut Browser, name: &str, width: u32, colours: &str) {
    let file: PathBuf = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.png"));
    page.look(width, 640, colours).await;
    page.screenshot(&file).await;
    println!("picture: {}", file.display());
}
