//! A page of another site: a browser lets it open WebSockets to any site, with that site's cookies.

use axum::{Router, response::Html, routing::get};
use serde_json::json;
use test_support::{
    browser::{self, Browser},
    process::ServerProgram,
    serve,
    tls::CertificateFiles,
};

use crate::echo_page::{self, Received};

pub(crate) async fn http1() {
    visit(&[], "http", "1.1").await;
}

/// The browser's WebSocket uses its open connection in HTTP/2.
pub(crate) async fn http2() {
    let files = CertificateFiles::new();
    visit(&["--tls-cert", &files.chain(), "--tls-key", &files.key()], "https", "2").await;
}

async fn visit(arguments: &[&str], scheme: &str, version: &str) {
    let (upstream, mut received) = echo_page::upstream().await;
    let other = serve(Router::new().route("/", get(Html("<title>another site</title>")))).await;
    let mut command = crate::command();
    let route = format!("/={upstream}");
    command.args(["--listen", "127.0.0.1:0", "--route", &route, "--forwarded", "all"]);
    command.args(["--allow-origin", "same-host"]).args(arguments).env("RUST_LOG", "debug");
    let mut gateway = ServerProgram::spawn(command).await;
    let site = format!("{scheme}://{}/", gateway.address);
    let connect = format!(
        "fetch('{site}', {{ mode: 'no-cors' }}).then(() => new Promise(done => {{
            const socket = new WebSocket('{}ws');
            socket.onopen = () => done('open');
            socket.onclose = event => done(event.code);
        }}))",
        site.replacen("http", "ws", 1)
    );
    for (page, result) in [(format!("http://{other}/"), json!(1006)), (site, json!("open"))] {
        let mut page = Browser::open(browser::program().unwrap(), &page).await;
        assert_eq!(page.evaluate(&connect).await, result);
        page.close().await;
        if result == "open" {
            let Some(Received::Handshake { via, .. }) = received.recv().await else { panic!("no handshake") };
            assert_eq!(via, format!("{version} tower-upgrade-proxy"));
        } else {
            let line = gateway.program.wait_for_log("request refused").await;
            assert!(line.contains(&format!("the origin is not allowed: http://{other}")), "{line}");
            assert!(received.try_recv().is_err(), "the upstream received a request");
        }
    }
}
