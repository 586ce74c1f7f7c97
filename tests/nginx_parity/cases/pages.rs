//! Sockets to one upstream, pages to another.

use super::{get, send};
use test_support::handshake;

use crate::{
    case::{Case, exchange, ordinary},
    proxy::Setup::E,
    response::{CannedResponse, ok, switching},
};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        exchange(E, "socket", handshake("/ws/"), switching()).echoes("hello"),
        ordinary(E, "page_below_ws", get("/ws/x"), ok()),
        page("page", &get("/x"), "GET /x", ok()),
        page("posted_page", &send("POST", "Content-Length: 4\r\n", "body"), "POST /x", ok()),
        page("upgrade_of_a_page", &handshake("/x"), "GET /x", ok()),
    ]
}

/// nginx's defaults: HTTP/1.0, and the connection is closed.
fn page(name: &'static str, request: &str, line: &str, response: CannedResponse) -> Case {
    exchange(E, name, request, response).differs(
        "HTTP/1.0 by default",
        &[&format!("- up {line} HTTP/1.0"), "- up connection: close", &format!("+ up {line} HTTP/1.1")],
    )
}
