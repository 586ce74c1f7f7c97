//! A process without a free descriptor. `gateway/tests/gateway/descriptors.rs` tests a real one.

use std::{error::Error, fmt, io};

use axum::{Router, middleware::map_response};
use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower::service_fn;
use tower_upgrade_proxy::UpgradeProxyLayer;

use super::add_reason;
use test_support::{Wire, handshake, serve};

/// `ENFILE`, `EMFILE`, and `EACCES` as a failure of another kind, with their numbers on every Unix.
#[cfg(unix)]
const CASES: [(i32, u16, &str, &str); 3] =
    [(23, 503, "descriptor_limit", "5"), (24, 503, "descriptor_limit", "5"), (13, 502, "connect", "")];

/// `WSAEMFILE` and `WSAEACCES`.
#[cfg(windows)]
const CASES: [(i32, u16, &str, &str); 2] =
    [(10_024, 503, "descriptor_limit", "5"), (10_013, 502, "connect", "")];

/// An error with the IO error as its source, as connectors return it.
#[derive(Debug)]
struct Wrapped(io::Error);

impl fmt::Display for Wrapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("tcp open error")
    }
}

impl Error for Wrapped {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

#[tokio::test]
async fn g10_without_a_free_descriptor_upgrades_and_requests_are_503_and_any_other_failure_502() {
    for (code, status, reason, retry_after) in CASES {
        let connector = service_fn(move |_: Uri| async move {
            Err::<TokioIo<TcpStream>, _>(Wrapped(io::Error::from_raw_os_error(code)))
        });
        let layer = UpgradeProxyLayer::new("http://upstream.example".parse().unwrap()).connector(connector);
        let app = Router::new().fallback_service(layer.forward()).layer(map_response(add_reason));
        let mut client = Wire::connect(serve(app).await).await;
        for request in [&handshake("/"), "GET / HTTP/1.1\r\nHost: a\r\n\r\n"] {
            let head = client.request(request).await;
            let refusal =
                (head.status(), head.values("x-reason").concat(), head.values("retry-after").concat());
            assert_eq!(refusal, (status, reason.to_owned(), retry_after.to_owned()), "{code}: {request}");
            let body = String::from_utf8(client.body(&head).await).unwrap();
            assert!(!body.contains("os error"), "{body}");
        }
    }
}
