use std::{io, pin::pin, time::Duration};

use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::{
    io::duplex,
    time::{sleep, timeout},
};
use tower::service_fn;

use super::{
    host::{FALLBACK_PERIOD, NO_EXTENDED_CONNECT, SEARCH_INTERVAL},
    *,
};

/// A pool for a server of the `h2` crate that enables no extended CONNECT and takes one stream at a time.
struct Fixture {
    pool: Pool,
    /// Number of connections opened.
    opened: Arc<Mutex<usize>>,
    pool_idle: Duration,
}

impl Fixture {
    fn new(pool_idle: Duration) -> Self {
        let opened = Arc::<Mutex<usize>>::default();
        let count = Arc::clone(&opened);
        let mut dialer = Dialer::default();
        dialer.set_custom(service_fn(move |_: Uri| {
            *lock(&count) += 1;
            let (client, server) = duplex(1 << 16);
            tokio::spawn(async move {
                let mut builder = h2::server::Builder::new();
                let handshake = builder.max_concurrent_streams(1).handshake::<_, bytes::Bytes>(server);
                let mut connection = handshake.await.unwrap();
                while connection.accept().await.is_some() {}
            });
            async { Ok::<_, io::Error>(TokioIo::new(client)) }
        }));
        Self { pool: Pool::new(dialer, Http2::new().max_connections(1)), opened, pool_idle }
    }

    async fn route(&self, purpose: Purpose) -> Route {
        let upstream = Upstream::for_connector("test://a".parse().unwrap()).unwrap().http2();
        let timeouts = ConnectTimeouts { connect: Duration::from_secs(10), pool_idle: self.pool_idle };
        self.pool.route(&upstream, purpose, timeouts).await.unwrap()
    }

    /// Routes an upgrade, which must fall back. Returns the number of connections opened by then.
    async fn expect_fallback(&self) -> usize {
        let Route::Http1(fallback) = self.route(Purpose::Upgrade).await else { panic!("a stream") };
        assert!(fallback.transport.is_none());
        assert_eq!(fallback.reason, NO_EXTENDED_CONNECT);
        *lock(&self.opened)
    }
}

#[tokio::test(start_paused = true)]
async fn upgrades_are_tried_in_http2_again_after_the_fallback_period() {
    let fixture = Fixture::new(Duration::from_secs(1));
    assert_eq!(fixture.expect_fallback().await, 1);
    sleep(FALLBACK_PERIOD - Duration::from_secs(1)).await;
    assert_eq!(fixture.expect_fallback().await, 1);
    sleep(Duration::from_secs(2)).await;
    assert_eq!(fixture.expect_fallback().await, 2);
}

#[tokio::test(start_paused = true)]
async fn the_fallback_lasts_while_a_connection_without_extended_connect_is_open() {
    let fixture = Fixture::new(FALLBACK_PERIOD * 60);
    for _ in 0..3 {
        assert_eq!(fixture.expect_fallback().await, 1);
        sleep(FALLBACK_PERIOD * 2).await;
    }
}

#[tokio::test(start_paused = true)]
async fn waiting_requests_are_notified_at_once_when_a_stream_ends() {
    let fixture = Fixture::new(FALLBACK_PERIOD);
    let permit = fixture.route(Purpose::Requests).await;
    let mut waiting = pin!(fixture.route(Purpose::Requests));
    assert!(timeout(SEARCH_INTERVAL * 3 / 2, &mut waiting).await.is_err());
    drop(permit);
    let dropped = Instant::now();
    assert!(matches!(waiting.await, Route::Http2(_)));
    assert_eq!(dropped.elapsed(), Duration::ZERO);
}
