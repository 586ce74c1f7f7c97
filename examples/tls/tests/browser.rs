//! Chromium on the page of the tls example.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

use std::process::ExitCode;

use libtest_mimic::Arguments;
use test_support::{
    browser::{self, Browser, picture},
    process::{
        Program,
        trials::{announced, trial},
    },
};
use tokio::process::Command;

fn main() -> ExitCode {
    let missing = announced(browser::missing());
    let visit = trial("chromium::tls_page".to_owned(), missing, || browser::bounded_visit(visit()));
    libtest_mimic::run(&Arguments::from_args(), vec![visit]).exit_code()
}

async fn visit() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tls"));
    command.args(["--https", "127.0.0.1:0", "--http", "127.0.0.1:0"]);
    let mut example = Program::spawn(command);
    let line = example.line_after("open ").await;
    let (https, http) = line.split_once(" (").unwrap();
    let http = http.strip_suffix(" redirects there)").unwrap();

    // The address without TLS redirects.
    let mut page = Browser::open(browser::program().unwrap(), http).await;
    assert_eq!(page.evaluate("location.href").await, https);
    let protocol = page.evaluate("performance.getEntriesByType('navigation')[0].nextHopProtocol").await;
    assert_eq!(protocol, "h2");

    let host = https.trim_start_matches("https://").trim_end_matches('/');
    let fields = [("host", host), ("x-real-ip", "127.0.0.1"), ("x-forwarded-for", "127.0.0.1")];
    for (name, value) in fields.into_iter().chain([("x-forwarded-proto", "https")]) {
        assert_eq!(page.text(&format!("#{name}")).await, value, "{name}");
    }

    page.until("document.querySelector('#state').textContent.startsWith('echoed')").await;
    assert_eq!(page.text("#url").await, format!("wss://{host}/ws"));
    let state = page.text("#state").await;
    assert!(state.starts_with("echoed \u{201c}hello through TLS\u{201d} after "), "{state}");

    picture(&mut page, "tls-light", 900, "light").await;
    picture(&mut page, "tls-dark", 900, "dark").await;
    picture(&mut page, "tls-narrow", 400, "light").await;
    page.close().await;
}
