//! One list of scenarios, run for each pair of HTTP versions of client and upstream. The tests control both
//! ends: bytes on a socket, or frames of the `h2` crate.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

mod authorization;
mod bulk;
mod handshakes;
mod many;
mod setup;
mod tunnels;

/// Makes four tests of each scenario, one for each pair of versions.
macro_rules! each_pair {
    ($($scenario:ident),+ $(,)?) => {
        $(
            mod $scenario {
                use test_support::versions::Version::{Http1, Http2};

                use crate::setup::Setup;

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
