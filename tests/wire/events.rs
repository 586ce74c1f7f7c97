//! Log events.

use std::{
    io,
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use test_support::{SWITCHING, ScriptedUpstream, Wire, handshake, http2::Client, tls::TlsServer};
use tower_upgrade_proxy::{Side, TunnelConfig, TunnelSummary, UpgradeProxyLayer};
use tracing_subscriber::fmt::MakeWriter;

use crate::{app, http2, open};

/// The events of one thread, as lines.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Captures the events of this thread. Each test runs on one thread.
    pub(crate) fn capture(&self) -> tracing::subscriber::DefaultGuard {
        self.capture_from(tracing::Level::DEBUG)
    }

    fn capture_from(&self, level: tracing::Level) -> tracing::subscriber::DefaultGuard {
        keep_a_second_subscriber();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(level)
            .with_ansi(false)
            .with_writer(self.clone())
            .finish();
        tracing::subscriber::set_default(subscriber)
    }

    fn lines(&self) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        text.lines().filter(|line| line.contains("tower_upgrade_proxy")).map(str::to_owned).collect()
    }

    /// Asserts that no line contains `text`.
    pub(crate) fn expect_none(&self, text: &str) {
        let lines = self.lines();
        assert!(lines.iter().all(|line| !line.contains(text)), "{text}: {lines:#?}");
    }

    /// The only line that contains `text`.
    pub(crate) fn line(&self, text: &str) -> String {
        let lines = self.lines();
        let found: Vec<_> = lines.iter().filter(|line| line.contains(text)).collect();
        assert_eq!(found.len(), 1, "{text}: {lines:#?}");
        found[0].clone()
    }
}

/// Keeps a subscriber for the whole process. With only one, `tracing` asks that of the current thread whether an event
/// is of interest when it is seen first: on a thread of another test, which has none, that would disable the event
/// everywhere.
pub(crate) fn keep_a_second_subscriber() {
    static SECOND: OnceLock<tracing::Dispatch> = OnceLock::new();
    SECOND.get_or_init(|| tracing::Dispatch::new(tracing::subscriber::NoSubscriber::default()));
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Writer;

    fn make_writer(&'a self) -> Writer {
        Writer(Arc::clone(&self.0))
    }
}

pub(crate) struct Writer(Arc<Mutex<Vec<u8>>>);

impl io::Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn an_upgrade_that_is_not_taken_is_a_debug_event_with_the_reason() {
    let log = Log::default();
    let _guard = log.capture();
    let upstream = ScriptedUpstream::start().await;
    let address = app(UpgradeProxyLayer::new(upstream.upstream())).await;
    let cases = [
        (handshake("/a").replace("Connection: Upgrade", "Connection: close"), "does not contain the token"),
        (handshake("/b").replace("Upgrade: websocket", "Upgrade: h2c"), "no protocol in Upgrade is allowed"),
        (handshake("/c").replace("GET", "POST"), "the protocol does not allow the method"),
        (handshake("/d").replace("HTTP/1.1", "HTTP/1.0"), "version is not 1.1"),
        ("GET /plain HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), ""),
    ];
    for (request, reason) in cases {
        assert_eq!(Wire::connect(address).await.request(&request).await.status(), 200);
        if !reason.is_empty() {
            let line = log.line(reason);
            assert!(line.contains("DEBUG") && line.contains("upgrade request not taken"), "{line}");
        }
    }
    assert_eq!(log.lines().len(), 4, "{:#?}", log.lines());
}

#[tokio::test]
async fn an_extended_connect_that_is_not_taken_is_an_event_with_its_protocol() {
    let log = Log::default();
    let _guard = log.capture();
    let upstream = ScriptedUpstream::start().await;
    let mut client = Client::connect(app(UpgradeProxyLayer::new(upstream.upstream())).await).await;
    http2::send(&mut client, http2::extended("connect-udp")).await;
    let line = log.line("upgrade request not taken");
    assert!(line.contains("connect-udp") && line.contains("its :protocol is not allowed"), "{line}");
}

#[tokio::test]
async fn the_end_of_a_tunnel_is_one_event_at_info_after_a_timeout_and_else_at_debug() {
    for timeout in [true, false] {
        let log = Log::default();
        let _guard = log.capture();
        let upstream = ScriptedUpstream::start().await;
        let (ended, mut end) = tokio::sync::mpsc::unbounded_channel();
        let layer = UpgradeProxyLayer::new(upstream.upstream())
            .tunnel(TunnelConfig::new().close_timeout(Duration::ZERO))
            .idle_timeout(Duration::from_millis(if timeout { 50 } else { 60_000 }))
            .on_tunnel(move |_: &_, _: &_| ended.send(()).unwrap());
        let (client, server) = open(app(layer).await, &upstream).await;
        if !timeout {
            drop((client, server));
        }
        end.recv().await.unwrap();
        let line = log.line("tunnel ended");
        let (level, reason) = if timeout { ("INFO", "idle timeout") } else { ("DEBUG", "closed by the") };
        assert!(line.contains(level) && line.contains(reason), "{line}");
        assert!(line.contains("client_to_upstream=0"), "{line}");
        for once in [upstream.uri().as_str(), "websocket", "tunnel{id="] {
            assert_eq!(line.matches(once).count(), 1, "{once}: {line}");
        }
        log.line("tunnel opened");
    }
}

#[tokio::test]
async fn an_event_at_info_has_its_span_if_the_subscribers_level_is_info() {
    let log = Log::default();
    let _guard = log.capture_from(tracing::Level::INFO);
    let upstream = ScriptedUpstream::start().await;
    let (ended, mut end) = tokio::sync::mpsc::unbounded_channel();
    let layer = UpgradeProxyLayer::new(upstream.upstream())
        .tunnel(TunnelConfig::new().close_timeout(Duration::ZERO).max_lifetime(Duration::from_millis(50)))
        .on_tunnel(move |tunnel: &tower_upgrade_proxy::TunnelInfo, _: &_| ended.send(tunnel.id()).unwrap());
    let _tunnel = open(app(layer).await, &upstream).await;
    let id = end.recv().await.unwrap();
    let line = log.line("tunnel ended");
    assert!(line.contains(&format!("tunnel{{id={id} upstream={} ", upstream.uri())), "{line}");
}

#[tokio::test]
async fn invalid_framing_is_one_event_at_info_for_each_side() {
    let log = Log::default();
    let _guard = log.capture_from(tracing::Level::INFO);
    let upstream = ScriptedUpstream::start().await;
    let (ended, mut end) = tokio::sync::mpsc::unbounded_channel();
    let layer = UpgradeProxyLayer::new(upstream.upstream())
        .on_tunnel(move |_: &_, summary: &TunnelSummary| ended.send(summary.clone()).unwrap());
    let (mut client, mut server) = open(app(layer).await, &upstream).await;
    for _ in 0..2 {
        client.send([0x83, 0x80, 0, 0, 0, 0]).await;
        server.expect([0x83, 0x80, 0, 0, 0, 0]).await;
    }
    drop((client, server));
    let summary = end.recv().await.unwrap();
    let reason = summary.invalid_framing(Side::Client).unwrap();
    assert_eq!(summary.invalid_framing(Side::Upstream), None);
    let line = log.line("invalid framing forwarded");
    assert!(line.contains("tunnel{id=") && line.contains("side=client") && line.contains(reason), "{line}");
}

#[tokio::test]
async fn a_refused_upgrade_is_a_warning_with_upstream_and_cause() {
    let log = Log::default();
    let _guard = log.capture();
    let upstream = ScriptedUpstream::start().await;
    let mut client = Wire::connect(app(UpgradeProxyLayer::new(upstream.upstream())).await).await;
    client.send(handshake("/")).await;
    drop(upstream.accept().await);
    assert_eq!(client.head().await.status(), 502);
    let line = log.line("request refused");
    assert!(line.contains("WARN") && line.contains(&upstream.uri()) && line.contains("exchange"), "{line}");
}

/// Browsers end their connections without `close_notify` when a page is closed.
#[tokio::test]
async fn an_end_of_tls_without_close_notify_is_a_debug_event() {
    let log = Log::default();
    let _guard = log.capture();
    let upstream = TlsServer::start("127.0.0.1:0").await;
    let (ended, mut end) = tokio::sync::mpsc::unbounded_channel();
    let layer = UpgradeProxyLayer::new(upstream.uri("https", "localhost").parse().unwrap())
        .tls(tower_upgrade_proxy::Tls::config(upstream.client_config()))
        .on_tunnel(move |_: &_, _: &_| ended.send(()).unwrap());
    let mut client = Wire::connect(app(layer).await).await;
    client.send(handshake("/")).await;
    let mut server = Wire::new(upstream.accept().await.0);
    server.head().await;
    server.send(SWITCHING).await;
    assert_eq!(client.head().await.status(), 101);
    drop(server.stream.into_inner().0);
    end.recv().await.unwrap();
    let line = log.line("tunnel ended");
    assert!(line.contains("DEBUG") && line.contains("close_notify"), "{line}");
}
