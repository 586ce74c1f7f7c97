use std::{
    io,
    sync::atomic::{AtomicUsize, Ordering},
};

use http::Uri;
use hyper_util::rt::TokioIo;
use shuttle::{future::block_on, thread};
use tokio::io::duplex;
use tower::service_fn;

use super::*;
use crate::{connect::ConnectTimeouts, connect::Connector, sync::model};

/// Far away, and time stands still.
const LATER: Duration = Duration::from_secs(60);

/// The way to servers of the `h2` crate that take `streams` at a time, and how many connections it has.
fn way(streams: u32) -> (Connector, Arc<AtomicUsize>) {
    let opened = Arc::<AtomicUsize>::default();
    let count = Arc::clone(&opened);
    let mut connector = Connector::default();
    connector.set_custom(service_fn(move |_: Uri| {
        count.fetch_add(1, Ordering::SeqCst);
        let (ours, theirs) = duplex(1 << 16);
        shuttle::future::spawn(async move {
            let mut builder = h2::server::Builder::new();
            let handshake = builder.max_concurrent_streams(streams).handshake::<_, bytes::Bytes>(theirs);
            // The client's end is there as long as the runtime is.
            if let Ok(mut connection) = handshake.await {
                while connection.accept().await.is_some() {}
            }
        });
        async { Ok::<_, io::Error>(TokioIo::new(ours)) }
    }));
    connector.set_http2(Http2::new().max_connections(1));
    (connector, opened)
}

fn upstream() -> Upstream {
    Upstream::for_connector("test://a".parse().unwrap()).unwrap().http2()
}

#[test]
fn all_share_one_connection_and_who_waits_for_a_stream_gets_it() {
    model(|| {
        let (connector, opened) = way(1);
        let (pool, held) = (Arc::<Pool>::default(), Arc::<AtomicUsize>::default());
        let threads = (0..3).map(|_| {
            let (pool, held, connector) = (Arc::clone(&pool), Arc::clone(&held), connector.clone());
            thread::spawn(move || {
                let timeouts = ConnectTimeouts { connect: LATER, pool_idle: LATER };
                let terms = Terms { dialer: &connector.dialer, http2: &connector.http2, timeouts };
                let Ok(Route::Http2(permit)) = block_on(pool.route(&upstream(), Purpose::Requests, terms))
                else {
                    panic!("no permit");
                };
                assert_eq!(held.fetch_add(1, Ordering::SeqCst), 0, "one stream too many");
                thread::yield_now();
                held.fetch_sub(1, Ordering::SeqCst);
                drop(permit);
            })
        });
        for thread in threads.collect::<Vec<_>>() {
            thread.join().unwrap();
        }
        assert_eq!(opened.load(Ordering::SeqCst), 1);
    });
}

/// The connection to such a server, and the host that it belongs to.
fn connected(streams: u32) -> (Arc<Connection>, Arc<HostConnections>) {
    let (connector, _) = way(streams);
    let pool = Pool::default();
    let timeouts = ConnectTimeouts { connect: LATER, pool_idle: LATER };
    let terms = Terms { dialer: &connector.dialer, http2: &connector.http2, timeouts };
    drop(block_on(pool.route(&upstream(), Purpose::Requests, terms)));
    let host = pool.host(&upstream());
    let connection = Arc::clone(&lock(&host.connections)[0]);
    (connection, host)
}

#[test]
fn the_last_stream_is_given_once() {
    model(|| {
        let (connection, host) = connected(2);
        let held = connection.reserve(&host.notify_free, Purpose::Requests);
        let takers = [(); 2].map(|()| {
            let (connection, host) = (Arc::clone(&connection), Arc::clone(&host));
            thread::spawn(move || connection.reserve(&host.notify_free, Purpose::Requests))
        });
        let taken = takers.map(|taker| taker.join().unwrap());
        assert_eq!(taken.iter().flatten().count(), 1);
        drop((held, taken));
        assert!(!connection.is_used());
    });
}

#[test]
fn an_unused_connection_retires_or_takes_a_stream_but_not_both() {
    model(|| {
        let (connection, host) = connected(2);
        let retiring = {
            let connection = Arc::clone(&connection);
            thread::spawn(move || connection.retire_unused(Duration::ZERO).is_none())
        };
        let permit = connection.reserve(&host.notify_free, Purpose::Requests);
        assert_ne!(retiring.join().unwrap(), permit.is_some());
        assert_eq!(connection.is_open(), permit.is_some());
    });
}
