//! Lifetime of the client's connection.

use super::{OLD_VERSION, get, get_with, send};
use crate::{
    case::{Case, ordinary, refused},
    proxy::Setup::{B, D},
    response::ok,
};

pub(crate) fn cases() -> Vec<Case> {
    let old = |lines: &str| get_with("/x", lines).replace("HTTP/1.1", "HTTP/1.0");
    let version = ["- down HTTP/1.1 200 OK", "+ down HTTP/1.0 200 OK"];
    let again = ["- down2 HTTP/1.1 200 OK", "+ down2 HTTP/1.0 200 OK"];
    let post = || send("POST", "Content-Length: 4\r\n", "body");
    vec![
        ordinary(B, "keep_alive", get("/1"), ok()).then(post(), ok()).then(get("/3"), ok()),
        ordinary(B, "pipelined", get("/1") + &post() + &get("/3"), ok()).pipelined(ok()).pipelined(ok()),
        ordinary(D, "pipelined", get("/chat/1") + &get("/chat/2"), ok()).pipelined(ok()),
        ordinary(B, "connection_close", get_with("/x", "Connection: close\r\n"), ok()).ends(),
        ordinary(B, "http_1_0", old(""), ok()).ends().differs(OLD_VERSION, &version),
        ordinary(B, "http_1_0_keep_alive", old("Connection: keep-alive\r\n"), ok())
            .then(old(""), ok())
            .ends()
            .differs(OLD_VERSION, &version)
            .differs(OLD_VERSION, &again),
        refused(B, "after_a_bad_request", get_with("/1", "X Space: 1\r\n") + &get("/2")).ends(),
    ]
}
