//! One list of scenarios, played by clients in HTTP/1.1 and HTTP/2 against upstreams in HTTP/1.1 and
//! HTTP/2. Both ends are the test's own: bytes on a socket, or frames of the `h2` crate.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

mod bulk;
mod client;
mod ends;
mod handshakes;
mod many;
mod stage;
mod tunnels;
mod upstream;

use test_support as support;

/// A version of HTTP that one side speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Speaks {
    Http1,
    Http2,
}

/// Makes four tests of each scenario, one for each pair of versions.
macro_rules! matrix {
    ($($scenario:ident),+ $(,)?) => {
        $(
            mod $scenario {
                use crate::{Speaks::{Http1, Http2}, stage::Stage};

                #[tokio::test]
                async fn http1_to_http1() {
                    super::scenarios::$scenario(Stage::set(Http1, Http1).await).await;
                }

                #[tokio::test]
                async fn http1_to_http2() {
                    super::scenarios::$scenario(Stage::set(Http1, Http2).await).await;
                }

                #[tokio::test]
                async fn http2_to_http1() {
                    super::scenarios::$scenario(Stage::set(Http2, Http1).await).await;
                }

                #[tokio::test]
                async fn http2_to_http2() {
                    super::scenarios::$scenario(Stage::set(Http2, Http2).await).await;
                }
            }
        )+
    };
}
use matrix;
