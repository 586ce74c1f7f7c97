//! One list of scenarios, run for each pair of HTTP versions of client and upstream. The tests control both
//! ends: bytes on a socket, or frames of the `h2` crate.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

mod bulk;
mod client;
mod ends;
mod handshakes;
mod many;
mod setup;
mod tunnels;
mod upstream;

use test_support as support;

/// The HTTP version of one side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    Http1,
    Http2,
}

/// Makes four tests of each scenario, one for each pair of versions.
macro_rules! each_pair {
    ($($scenario:ident),+ $(,)?) => {
        $(
            mod $scenario {
                use crate::{Version::{Http1, Http2}, setup::Setup};

                #[tokio::test]
                async fn http1_to_http1() {
                    super::scenarios::$scenario(Setup::start(Http1, Http1).await).await;
                }

                #[tokio::test]
                async fn http1_to_http2() {
                    super::scenarios::$scenario(Setup::start(Http1, Http2).await).await;
                }

                #[tokio::test]
                async fn http2_to_http1() {
                    super::scenarios::$scenario(Setup::start(Http2, Http1).await).await;
                }

                #[tokio::test]
                async fn http2_to_http2() {
                    super::scenarios::$scenario(Setup::start(Http2, Http2).await).await;
                }
            }
        )+
    };
}
use each_pair;
