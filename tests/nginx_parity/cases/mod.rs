//! The exchanges, by topic.

mod authorized;
mod bodies;
mod broken;
mod chat;
mod connections;
mod fields;
mod handshakes;
mod hosts;
mod pages;
mod refusals;
mod response_fields;
mod responses;
mod site;
mod targets;

use crate::case::Case;

/// Rows of the table in docs/nginx.md that are the reason in several topics.
const HOP_BY_HOP: &str = "Hop-by-hop fields";
const MALFORMED_RESPONSE: &str = "Malformed responses";
const NO_BODY: &str = "`Content-Length` without a body";
const OLD_VERSION: &str = "Version of responses to HTTP/1.0";

pub(crate) fn all() -> Vec<Case> {
    [
        handshakes::cases(),
        refusals::cases(),
        targets::cases(),
        hosts::cases(),
        fields::cases(),
        bodies::cases(),
        connections::cases(),
        responses::cases(),
        response_fields::cases(),
        broken::cases(),
        site::cases(),
        chat::cases(),
        pages::cases(),
        authorized::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// An ordinary request.
fn get(path: &str) -> String {
    get_with(path, "")
}

/// [`get`] with further lines.
fn get_with(path: &str, lines: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: client.example\r\n{lines}\r\n")
}

/// A request with a method, lines and a body.
fn send(method: &str, lines: &str, body: &str) -> String {
    format!("{method} /x HTTP/1.1\r\nHost: client.example\r\n{lines}\r\n{body}")
}
