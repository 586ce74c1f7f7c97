//! What attackers and broken peers send, a row each of docs/conformance.md: raw bytes in, raw bytes out.
//!
//! Every row is run for the layer over an application and for a whole location (the layer with [`Forward`]).
//! A test is called by its row. A function that [`on_both!`] does not name is dead code, and refused as such.
//!
//! [`Forward`]: tower_upgrade_proxy::Forward
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

/// Two tests for each function: `<row>::layer_alone` and `<row>::location`.
macro_rules! on_both {
    ($($row:ident),* $(,)?) => {
        $(
            mod $row {
                #[tokio::test]
                async fn layer_alone() {
                    super::$row(crate::stage::Served::LayerAlone).await;
                }

                #[tokio::test]
                async fn location() {
                    super::$row(crate::stage::Served::Location).await;
                }
            }
        )*
    };
}

mod a_names;
mod a_works;
mod b_fields;
mod b_liars;
mod b_refusals;
mod c_protocols;
#[path = "../h2_upstream/client.rs"]
#[allow(dead_code, reason = "a part is used")]
mod client;
mod conformance;
mod counted;
mod d_connection;
mod d_values;
mod e_framing;
mod e_sizes;
mod f_targets;
mod g_handshakes;
mod g_memory;
mod g_tunnels;
mod h2_frames;
mod j_faults;
mod j_floods;
mod j_handshakes;
mod stage;
#[path = "../h2_upstream/streams.rs"]
#[allow(dead_code, reason = "a part is used")]
mod streams;

use test_support as support;
