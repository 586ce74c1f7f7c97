//! An exchange as lines to compare.
//!
//! Not compared on purpose:
//!
//! - the order of fields with different names, and the case of names;
//! - the value of `Date`, except whether it is the upstream's ([`UPSTREAM_DATE`]);
//! - nginx's `Server`;
//! - reason, text, type and length of the proxy's own responses: those without the upstream's `X-From`;
//! - the form of persistence: no `Connection`, `keep-alive`, or the version only.

use std::net::SocketAddr;

use crate::{
    client::Received,
    message::{End, Message},
    recorder::ReceivedRequest,
};

/// `Date` of the upstream's responses that have one.
const UPSTREAM_DATE: &str = "Mon, 01 Jan 2001 00:00:00 GMT";

/// One message of an exchange. `up`: received by the upstream; `down`: received by the client.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    first: String,
    /// Sorted.
    rest: Vec<String>,
    /// True if the proxy generated the message. Only messages of the same origin are compared line by line.
    own: bool,
}

/// All messages of an exchange, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Transcript {
    up: Vec<Entry>,
    down: Vec<Entry>,
}

impl Transcript {
    pub(crate) fn new(
        requests: &[ReceivedRequest],
        received: &[Received],
        upstreams: [SocketAddr; 2],
    ) -> Self {
        let tidy = |mut entry: Entry| {
            for line in std::iter::once(&mut entry.first).chain(&mut entry.rest) {
                for upstream in upstreams {
                    *line = shortened(&line.replace(&upstream.to_string(), "UPSTREAM"));
                }
            }
            entry.rest.sort();
            entry
        };
        let up = requests.iter().map(request).map(tidy).collect();
        let down = received.iter().map(received_entry).map(tidy).collect();
        Self { up, down }
    }

    /// The lines of `self` only, with a `-`, and those of `other` only, with a `+`. For a message that one side lacks, or
    /// that only one side has made itself, only the first line.
    pub(crate) fn difference(&self, other: &Self) -> Vec<String> {
        let sides = [("up", &self.up, &other.up), ("down", &self.down, &other.down)];
        sides.into_iter().flat_map(|(side, left, right)| differences(side, left, right)).collect()
    }

    /// The whole transcript, for people.
    pub(crate) fn text(&self) -> String {
        let sides = [("up", &self.up), ("down", &self.down)];
        let entries = sides.into_iter().flat_map(|(side, entries)| {
            entries.iter().enumerate().map(move |(number, entry)| (numbered(side, number), entry))
        });
        entries.flat_map(|(side, entry)| entry.lines().map(move |line| format!("{side} {line}\n"))).collect()
    }
}

impl Entry {
    fn lines(&self) -> impl Iterator<Item = &String> {
        std::iter::once(&self.first).chain(&self.rest)
    }
}

fn differences(side: &str, left: &[Entry], right: &[Entry]) -> Vec<String> {
    let mut found = Vec::new();
    for number in 0..left.len().max(right.len()) {
        let side = numbered(side, number);
        let (minus, plus) = match (left.get(number), right.get(number)) {
            (Some(left), Some(right)) if left.own == right.own => (
                only(left.lines().collect(), right.lines().collect()),
                only(right.lines().collect(), left.lines().collect()),
            ),
            (left, right) => {
                let first =
                    |entry: Option<&Entry>| entry.map(|entry| entry.first.clone()).into_iter().collect();
                (first(left), first(right))
            }
        };
        found.extend(minus.into_iter().map(|line| format!("- {side} {line}")));
        found.extend(plus.into_iter().map(|line| format!("+ {side} {line}")));
    }
    found
}

/// The lines of `these` without an equal in `others`.
pub(crate) fn only(these: Vec<&String>, mut others: Vec<&String>) -> Vec<String> {
    let mut only = Vec::new();
    for line in these {
        match others.iter().position(|other| *other == line) {
            Some(same) => drop(others.swap_remove(same)),
            None => only.push(line.clone()),
        }
    }
    only
}

/// The name of a message; the first has no number.
fn numbered(side: &str, number: usize) -> String {
    if number == 0 { side.to_owned() } else { format!("{side}{}", number + 1) }
}

fn request(received: &ReceivedRequest) -> Entry {
    let message = &received.request;
    let mut rest: Vec<_> = message.fields.iter().filter(|(name, _)| name != "connection").map(line).collect();
    let connection = message.connection();
    if !connection.is_empty() {
        rest.push(format!("connection: {}", connection.join(", ")));
    }
    if received.server > 0 {
        rest.push("to the second upstream".to_owned());
    }
    rest.extend(body(message));
    Entry { first: message.first.clone(), rest, own: false }
}

fn received_entry(received: &Received) -> Entry {
    let first = match received {
        Received::Response(message) => return response(message),
        Received::Bytes(bytes) => format!("bytes: {}", shown(bytes)),
        Received::Nothing => "nothing".to_owned(),
        Received::End => "end".to_owned(),
    };
    Entry { first, rest: Vec::new(), own: false }
}

fn response(message: &Message) -> Entry {
    let own = message.status() > 0 && !message.fields.iter().any(|(name, _)| name == "x-from");
    let mut rest = Vec::new();
    for (name, value) in &message.fields {
        match name.as_str() {
            "connection" => {}
            "server" if value.starts_with("nginx") => {}
            "content-type" | "content-length" | "transfer-encoding" if own => {}
            "date" if value != UPSTREAM_DATE => rest.push("date: now".to_owned()),
            _ => rest.push(format!("{name}: {value}")),
        }
    }
    let connection = message.connection();
    if connection.iter().any(|token| token == "upgrade") {
        rest.push("connection: upgrade".to_owned());
    }
    if closes(message, &connection) {
        rest.push("closes".to_owned());
    }
    if !own {
        rest.extend(body(message));
    }
    let first = if own {
        let version = message.first.split(' ').next().unwrap_or_default();
        format!("{version} {} of its own", message.status())
    } else {
        message.first.clone()
    };
    Entry { first, rest, own }
}

fn closes(message: &Message, connection: &[String]) -> bool {
    let has = |option: &str| connection.iter().any(|token| token == option);
    let old = message.first.starts_with("HTTP/1.0");
    has("close") || old && !has("keep-alive") || message.end != End::AsAnnounced
}

fn body(message: &Message) -> Vec<String> {
    let mut lines = Vec::new();
    if !message.body.is_empty() {
        lines.push(format!("body: {}", shown(&message.body)));
    }
    lines.extend(message.trailers.iter().map(|trailer| format!("trailer {}", line(trailer))));
    match message.end {
        End::AsAnnounced => {}
        End::WithTheConnection => lines.push("body until the end of the connection".to_owned()),
        End::CutShort => lines.push("body cut short".to_owned()),
    }
    lines
}

fn line((name, value): &(String, String)) -> String {
    format!("{name}: {value}")
}

/// The start of a body, and its length.
fn shown(bytes: &[u8]) -> String {
    let start = &bytes[..bytes.len().min(40)];
    format!("{} bytes {:?}", bytes.len(), String::from_utf8_lossy(start))
}

fn shortened(line: &str) -> String {
    match line.char_indices().nth(200) {
        Some((end, _)) => format!("{}... ({} in all)", &line[..end], line.len()),
        None => line.to_owned(),
    }
}
