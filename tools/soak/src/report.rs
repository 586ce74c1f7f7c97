//! Counts and failures of the clients.

use std::{
    fmt, io,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio_tungstenite::tungstenite;

use crate::clients::Kind;

/// Maximum number of failures that are listed; further ones are only counted.
const LISTED_FAILURES: usize = 20;

/// Reason why a session ended early.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Received bytes differ from those sent.
    WrongBytes(String),
    /// Unexpected status of a response.
    Status(u16),
    /// Close with this code.
    Closed(u16),
    /// End of the connection without a Close, a reset, or no connection.
    Ended(String),
    /// No end within the maximum time of a session.
    TimedOut,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongBytes(details) => write!(f, "wrong bytes: {details}"),
            Self::Status(status) => write!(f, "status {status}"),
            Self::Closed(code) => write!(f, "closed with {code}"),
            Self::Ended(details) => write!(f, "ended: {details}"),
            Self::TimedOut => f.write_str("timed out"),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Ended(error.to_string())
    }
}

impl From<hyper::Error> for Failure {
    fn from(error: hyper::Error) -> Self {
        Self::Ended(format!("{error:?}"))
    }
}

impl From<tungstenite::Error> for Failure {
    fn from(error: tungstenite::Error) -> Self {
        match error {
            tungstenite::Error::Http(response) => Self::Status(response.status().as_u16()),
            // The connection ended. All other protocol errors mean damaged data.
            tungstenite::Error::Protocol(
                error @ (tungstenite::error::ProtocolError::ResetWithoutClosingHandshake
                | tungstenite::error::ProtocolError::HandshakeIncomplete),
            ) => Self::Ended(error.to_string()),
            tungstenite::Error::Protocol(error) => Self::WrongBytes(error.to_string()),
            tungstenite::Error::Utf8(error) => Self::WrongBytes(error),
            error => Self::Ended(error.to_string()),
        }
    }
}

/// Counts of one kind of client.
#[derive(Default)]
pub(crate) struct Counters {
    sessions: AtomicU64,
    messages: AtomicU64,
    bytes: AtomicU64,
    expected: AtomicU64,
    unexpected: AtomicU64,
    wrong: AtomicU64,
}

impl Counters {
    /// Counts a successful session.
    pub(crate) fn session(&self) {
        self.sessions.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a verified message, response or chunk.
    pub(crate) fn verified(&self, bytes: usize) {
        self.messages.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Counts an end or a refusal that the upstream or the request was meant to cause.
    pub(crate) fn expected(&self) {
        self.expected.fetch_add(1, Ordering::Relaxed);
    }
}

/// Counts of all kinds of clients, and the first failures.
pub(crate) struct Report {
    counters: Vec<Counters>,
    failures: Mutex<Vec<String>>,
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
        Self { counters: Kind::ALL.iter().map(|_| Counters::default()).collect(), failures: Mutex::default() }
    }

    /// Counts of one kind.
    pub(crate) fn of(&self, kind: Kind) -> &Counters {
        &self.counters[kind as usize]
    }

    /// Counts an unexpected failure, and adds it to the list.
    pub(crate) fn failed(&self, kind: Kind, failure: &Failure) {
        let counters = self.of(kind);
        let count = match failure {
            Failure::WrongBytes(_) => &counters.wrong,
            _ => &counters.unexpected,
        };
        count.fetch_add(1, Ordering::Relaxed);
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.len() < LISTED_FAILURES {
            failures.push(format!("{kind}: {failure}"));
        }
    }

    /// The first unexpected failures.
    pub(crate) fn failures(&self) -> Vec<String> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Kinds without a successful session.
    pub(crate) fn inactive(&self) -> Vec<Kind> {
        let inactive = |kind: &&Kind| self.of(**kind).sessions.load(Ordering::Relaxed) == 0;
        Kind::ALL.iter().filter(inactive).copied().collect()
    }

    pub(crate) fn sums(&self) -> Sums {
        let sum = |field: fn(&Counters) -> &AtomicU64| {
            self.counters.iter().map(|counters| field(counters).load(Ordering::Relaxed)).sum()
        };
        Sums {
            sessions: sum(|counters| &counters.sessions),
            messages: sum(|counters| &counters.messages),
            bytes: sum(|counters| &counters.bytes),
            expected: sum(|counters| &counters.expected),
            unexpected: sum(|counters| &counters.unexpected),
            wrong: sum(|counters| &counters.wrong),
        }
    }

    /// Table with a line for each kind, in Markdown.
    pub(crate) fn table(&self) -> String {
        let mut table = "| client | sessions | messages | MiB | expected ends | unexpected | wrong |\n\
                         | --- | ---: | ---: | ---: | ---: | ---: | ---: |\n"
            .to_owned();
        for kind in Kind::ALL {
            let counters = self.of(kind);
            let [sessions, messages, bytes, expected, unexpected, wrong] = [
                &counters.sessions,
                &counters.messages,
                &counters.bytes,
                &counters.expected,
                &counters.unexpected,
                &counters.wrong,
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
