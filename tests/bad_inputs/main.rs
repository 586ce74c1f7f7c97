//! Input from attackers and broken peers, as raw bytes. Each row of docs/conformance.md has tests here.
//!
//! Every test runs with the layer over an application, and with a location (the layer with [`Forward`]).
//! Test names begin with the id of their row. A test function that is not listed in [`on_both!`] is dead code
//! and fails the build.
//!
//! [`Forward`]: tower_upgrade_proxy::Forward
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

/// Makes two tests of each function: `<row>::layer_alone` and `<row>::location`.
macro_rules! on_both {
    ($($row:ident),* $(,)?) => {
        $(
            mod $row {
                #[tokio::test]
                async fn layer_alone() {
                    super::$row(test_support::Inner::Application).await;
                }

                #[tokio::test]
                async fn location() {
                    super::$row(test_support::Inner::Forward).await;
                }
            }
        )*
    };
}

mod allocations;
mod conformance;
mod early_responses;
mod exchange;
mod field_names;
mod field_values;
mod floods;
mod framing;
mod h2_faults;
mod h2_floods;
mod h2_handshakes;
mod handshake_faults;
mod head_size;
mod hop_by_hop;
mod identity;
mod interim_responses;
mod invalid_responses;
mod protocols;
mod response_framing;
mod slow_peers;
mod smuggling;
mod stray_fields;
mod targets;
mod trailers;
mod tunnel_faults;
mod works;
