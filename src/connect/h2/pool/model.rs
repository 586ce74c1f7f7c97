use std::{
    io,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use http::Uri;
use hyper_util::rt::TokioIo;
use shuttle::{future::block_on, thread};
use tokio::io::duplex;
use tower::service_fn;

use super::*;
use crate::{connect::h2::connection::SharedConnection, sync::model};

/// Longer than any model runs. Time does not advance in a model.
const LATER: Duration = Duration::from_secs(60);

/// Returns a pool for servers of the `h2` crate that take `streams` at a time, and the number of connections
/// opened.
fn pool(streams: u32) -> (Pool, Arc<AtomicUsize>) {
    let opened = Arc::<AtomicUsize>::default();
    let count = Arc::clone(&opened);
    let mut dialer = Dialer::default();
    dialer.set_custom(service_fn(move |_: Uri| {
        count.fetch_add(1, Ordering::SeqCst);
        let (client, server) = duplex(1 << 16);
        shuttle::future::spawn(async move {
            let mut builder = h2::server::Builder::new();
            let handshake = builder.max_concurrent_streams(streams).handshake::<_, bytes::Bytes>(server);
            // The client's end is open as long as the runtime.
            if let Ok(mut connection) = handshake.await {
                while connection.accept().await.is_some() {}
            }
        });
        async { Ok::<_, io::Error>(TokioIo::new(client)) }
    }));
    (Pool::new(dialer, Http2::new().max_connections(1)), opened)
}

fn route(pool: &Pool) -> Result<Route, BoxError> {
    let timeouts = ConnectTimeouts { connect: LATER, pool_idle: LATER };
    block_on(pool.route(&upstream(), Purpose::Requests, timeouts))
}

fn upstream() -> Upstream {
    Upstream::for_connector("test://a".parse().unwrap()).unwrap().http2()
}

#[test]
fn one_connection_is_shared_and_waiting_requests_get_its_streams() {
    model(|| {
        let (pool, opened) = pool(1);
        let (pool, held) = (Arc::new(pool), Arc::<AtomicUsize>::default());
        let threads = (0..3).map(|_| {
            let (pool, held) = (Arc::clone(&pool), Arc::clone(&held));
            thread::spawn(move || {
                let Ok(Route::Http2(permit)) = route(&pool) else { panic!("no permit") };
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

/// Returns a connection to such a server, with the host that has it.
fn connected(streams: u32) -> (Arc<SharedConnection>, Arc<HostConnections>) {
    let (pool, _) = pool(streams);
    drop(route(&pool));
    let host = pool.host(&upstream());
    let connection = Arc::clone(&lock(&host.connections)[0]);
    (connection, host)
}

#[test]
fn the_last_stream_is_granted_once() {
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
fn an_unused_connection_either_retires_or_takes_a_stream() {
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
