//! Counts of sessions and faults.

use std::{
    fmt, io,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio_tungstenite::tungstenite;

use crate::clients::Kind;

/// Number of complaints that are kept; the others are only counted.
const KEPT: usize = 20;

/// An end of a session that the client did not intend.
#[derive(Debug)]
pub(crate) enum Fault {
    /// Other bytes than were sent.
    Wrong(String),
    /// A response in the place of an upgrade, or with another status than expected.
    Status(u16),
    /// A Close with this code.
    Closed(u16),
    /// An end without a Close, a reset, no connection.
    Ended(String),
    /// The time limit was exceeded.
    Stuck,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wrong(what) => write!(f, "wrong bytes: {what}"),
            Self::Status(status) => write!(f, "status {status}"),
            Self::Closed(code) => write!(f, "closed with {code}"),
            Self::Ended(how) => write!(f, "ended: {how}"),
            Self::Stuck => f.write_str("it does not end"),
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Ended(error.to_string())
    }
}

impl From<hyper::Error> for Fault {
    fn from(error: hyper::Error) -> Self {
        Self::Ended(format!("{error:?}"))
    }
}

impl From<tungstenite::Error> for Fault {
    fn from(error: tungstenite::Error) -> Self {
        match error {
            tungstenite::Error::Http(response) => Self::Status(response.status().as_u16()),
            // The connection has ended.
            tungstenite::Error::Protocol(
                error @ (tungstenite::error::ProtocolError::ResetWithoutClosingHandshake
                | tungstenite::error::ProtocolError::HandshakeIncomplete),
            ) => Self::Ended(error.to_string()),
            tungstenite::Error::Protocol(error) => Self::Wrong(error.to_string()),
            tungstenite::Error::Utf8(error) => Self::Wrong(error),
            error => Self::Ended(error.to_string()),
        }
    }
}

/// The counts of one kind of client.
#[derive(Default)]
pub(crate) struct Tally {
    sessions: AtomicU64,
    messages: AtomicU64,
    bytes: AtomicU64,
    expected: AtomicU64,
    unexpected: AtomicU64,
    wrong: AtomicU64,
}

impl Tally {
    /// Counts a session without a fault.
    pub(crate) fn session(&self) {
        self.sessions.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a verified message, response or piece.
    pub(crate) fn verified(&self, bytes: usize) {
        self.messages.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Counts an end or refusal that the request or the upstream was to cause.
    pub(crate) fn expected(&self) {
        self.expected.fetch_add(1, Ordering::Relaxed);
    }
}

/// The counts of all kinds.
pub(crate) struct Report {
    tallies: Vec<Tally>,
    complaints: Mutex<Vec<String>>,
}

/// Sums over all kinds.
#[derive(Clone, Copy)]
pub(crate) struct Sums {
    pub(crate) sessions: u64,
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
    pub(crate) expected: u64,
    pub(crate) unexpected: u64,
    pub(crate) wrong: u64,
}

impl Report {
    pub(crate) fn new() -> Self {
        Self { tallies: Kind::ALL.iter().map(|_| Tally::default()).collect(), complaints: Mutex::default() }
    }

    pub(crate) fn of(&self, kind: Kind) -> &Tally {
        &self.tallies[kind as usize]
    }

    pub(crate) fn complain(&self, kind: Kind, fault: &Fault) {
        let tally = self.of(kind);
        let count = if matches!(fault, Fault::Wrong(_)) { &tally.wrong } else { &tally.unexpected };
        count.fetch_add(1, Ordering::Relaxed);
        let mut complaints = self.complaints.lock().unwrap_or_else(PoisonError::into_inner);
        if complaints.len() < KEPT {
            complaints.push(format!("{kind}: {fault}"));
        }
    }

    pub(crate) fn complaints(&self) -> Vec<String> {
        self.complaints.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Kinds without a session that had no fault.
    pub(crate) fn idlers(&self) -> Vec<Kind> {
        let idle = |kind: &&Kind| self.of(**kind).sessions.load(Ordering::Relaxed) == 0;
        Kind::ALL.iter().filter(idle).copied().collect()
    }

    pub(crate) fn sums(&self) -> Sums {
        let sum = |field: fn(&Tally) -> &AtomicU64| {
            self.tallies.iter().map(|tally| field(tally).load(Ordering::Relaxed)).sum()
        };
        Sums {
            sessions: sum(|tally| &tally.sessions),
            messages: sum(|tally| &tally.messages),
            bytes: sum(|tally| &tally.bytes),
            expected: sum(|tally| &tally.expected),
            unexpected: sum(|tally| &tally.unexpected),
            wrong: sum(|tally| &tally.wrong),
        }
    }

    /// A Markdown table with a row for each kind.
    pub(crate) fn table(&self) -> String {
        let mut table = "| client | sessions | messages | MiB | expected ends | unexpected | wrong |\n\
                         | --- | ---: | ---: | ---: | ---: | ---: | ---: |\n"
            .to_owned();
        for kind in Kind::ALL {
            let tally = self.of(kind);
            let [sessions, messages, bytes, expected, unexpected, wrong] = [
                &tally.sessions,
                &tally.messages,
                &tally.bytes,
                &tally.expected,
                &tally.unexpected,
                &tally.wrong,
            ]
            .map(|count| count.load(Ordering::Relaxed));
            let mib = bytes >> 20;
            table += &format!(
                "| {kind} | {sessions} | {messages} | {mib} | {expected} | {unexpected} | {wrong} |\n"
            );
        }
        table
    }
}
