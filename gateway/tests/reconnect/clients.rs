//! The clients of `tests/clients/reconnect_clients.js` and `reconnect_client.py`, and what they have received.

use std::{collections::BTreeMap, time::Duration};

use test_support::process::script::{Language, Script};
use tokio::{
    select,
    time::{Instant, sleep_until},
};

/// Time without a greeting after which no further one is expected. The clients try again every 100 or 200 ms.
const QUIET: Duration = Duration::from_secs(5);

/// Maximum time for the start of all clients.
const START: Duration = Duration::from_secs(60);

/// Running clients, each in one copy for each query of its URL.
pub(crate) struct Clients {
    node: Script,
    python: Script,
    /// Number of greetings by `CLIENT|QUERY`.
    received: BTreeMap<String, usize>,
}

impl Clients {
    pub(crate) fn start(base: &str, queries: &[&str]) -> Self {
        let arguments = [&[base][..], queries].concat();
        Self {
            node: Script::start(Language::Node, "reconnect_clients", &arguments),
            python: Script::start(Language::Python, "reconnect_client", &arguments),
            received: BTreeMap::new(),
        }
    }

    /// Waits until this number of clients has received so many greetings.
    pub(crate) async fn until_all_have_received(&mut self, clients: usize, greetings: usize) {
        let deadline = Instant::now() + START;
        while self.with(greetings).len() < clients {
            assert!(self.next(deadline).await, "{:?} have received something", self.received);
        }
    }

    /// Counts from zero again.
    pub(crate) fn forget(&mut self) {
        self.received.clear();
    }

    /// Waits until so many clients have received something, or none receives anything any more. Returns their names.
    pub(crate) async fn settled(&mut self, clients: usize) -> Vec<String> {
        while self.with(1).len() < clients && self.next(Instant::now() + QUIET).await {}
        self.with(1)
    }

    /// Waits until all have received two greetings, or none receives anything any more. Returns the number by
    /// `CLIENT|QUERY`.
    pub(crate) async fn greetings(mut self, clients: usize) -> BTreeMap<String, usize> {
        self.until_all_have_received(clients, 1).await;
        while self.with(2).len() < clients && self.next(Instant::now() + QUIET).await {}
        self.received
    }

    /// The clients with at least so many greetings.
    fn with(&self, greetings: usize) -> Vec<String> {
        let enough = self.received.iter().filter(|(_, number)| **number >= greetings);
        enough.map(|(name, _)| name.clone()).collect()
    }

    /// Counts the next greeting. Returns false at the deadline.
    async fn next(&mut self, deadline: Instant) -> bool {
        let line = select! {
            line = self.node.next_line() => line,
            line = self.python.next_line() => line,
            () = sleep_until(deadline) => return false,
        };
        *self.received.entry(line).or_default() += 1;
        true
    }
}
