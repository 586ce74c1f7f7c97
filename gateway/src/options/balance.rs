//! Options for routes with several upstreams.

use std::{num::NonZeroU32, str::FromStr, time::Duration};

use clap::{Args, ValueEnum};
use http::HeaderName;
use tower_upgrade_proxy::{Balance, Endpoint, Key, Outlier, Pool, Retry, Sticky};

#[derive(Args)]
pub(crate) struct Balancing {
    /// Choice of the upstream on routes with several. least: the one with the fewest open tunnels and requests. p2c: the better of two
    /// random ones. round-robin, random. hash:client, hash:header:NAME, hash:cookie:NAME, hash:query:NAME, hash:path:N (a segment of
    /// the path, the first is 0), hash:path: the same one for the same value [default: least]
    #[arg(long, value_name = "POLICY")]
    balance: Option<Policy>,

    /// Maximum number of other upstreams of the route that are tried if no connection to one can be opened, or `off` [default: 2]
    #[arg(long, value_name = "N")]
    retry: Option<Retries>,

    /// Requests that are tried on another upstream. unsent: those for which no connection could be opened. unanswered: also upgrades and
    /// idempotent requests without a body whose connection ended before a response (nginx's default), which may then be processed twice
    /// [default: unsent]
    #[arg(long, value_enum, value_name = "REQUESTS")]
    retry_on: Option<RetryOn>,

    /// Number of failures in a row after which an upstream is not chosen for 30 s, and for longer each time, or `off`. A failure is a
    /// connection that cannot be opened, or an upgrade without a valid response [default: 5]
    #[arg(long, value_name = "N")]
    outlier: Option<Failures>,

    /// Name of a cookie that leads a client's requests and upgrades to the same upstream of a route with several. It is set with the first
    /// response, the 101 too, and removed from what upstreams get
    #[arg(long, value_name = "COOKIE", value_parser = Sticky::cookie)]
    sticky: Option<Sticky>,

    /// Time over which an upstream that was left out comes back to its full share of new tunnels and requests [default: 0s]
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    slow_start: Option<Duration>,
}

#[derive(Clone)]
struct Policy(Balance);

/// Number of further attempts.
#[derive(Clone, Copy)]
struct Retries(usize);

#[derive(Clone, Copy, ValueEnum)]
enum RetryOn {
    Unsent,
    Unanswered,
}

/// Number of failures; `None`: no ejection.
#[derive(Clone, Copy)]
struct Failures(Option<NonZeroU32>);

impl Balancing {
    /// Returns an option that is set.
    pub(super) fn is_set(&self) -> bool {
        self.retry_on.is_some()
            || self.slow_start.is_some()
            || self.balance.is_some()
            || self.retry.is_some()
            || self.outlier.is_some()
            || self.sticky.is_some()
    }

    pub(super) fn pool(&self, endpoints: impl IntoIterator<Item = Endpoint>) -> Pool {
        let Retries(retries) = self.retry.unwrap_or(Retries(2));
        let balance = self.balance.as_ref().map_or_else(Balance::default, |policy| policy.0.clone());
        let pool = Pool::new(endpoints)
            .balance(balance)
            .attempts(retries.saturating_add(1))
            .sticky(self.sticky.clone())
            .slow_start(self.slow_start.unwrap_or_default());
        let pool = match self.retry_on {
            Some(RetryOn::Unanswered) => pool.retry(Retry::Unanswered),
            Some(RetryOn::Unsent) | None => pool,
        };
        match self.outlier {
            Some(Failures(number)) => {
                pool.outlier(number.map(|number| Outlier::new().failures(number.get())))
            }
            None => pool,
        }
    }
}

impl FromStr for Policy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut words = text.splitn(3, ':');
        let (policy, part, value) = (words.next().unwrap_or_default(), words.next(), words.next());
        let value = value.filter(|value| !value.is_empty());
        let balance = match (policy, part, value) {
            ("least", None, None) => Balance::least_tunnels(),
            ("p2c", None, None) => Balance::p2c(),
            ("round-robin", None, None) => Balance::round_robin(),
            ("random", None, None) => Balance::random(),
            ("hash", Some("client"), None) => Balance::rendezvous(Key::client_ip()),
            ("hash", Some("header"), Some(name)) => {
                let name = name.parse::<HeaderName>().map_err(|error| error.to_string())?;
                Balance::rendezvous(Key::header(name))
            }
            ("hash", Some("cookie"), Some(name)) => Balance::rendezvous(Key::cookie(name)),
            ("hash", Some("query"), Some(name)) => Balance::rendezvous(Key::query(name)),
            ("hash", Some("path"), None) => Balance::rendezvous(Key::path()),
            ("hash", Some("path"), Some(number)) => {
                let number =
                    number.parse().map_err(|_| format!("{number:?} is not the number of a segment"))?;
                Balance::rendezvous(Key::path_segment(number))
            }
            _ => {
                return Err("write least, p2c, round-robin, random, hash:client, hash:header:NAME, \
                            hash:cookie:NAME, hash:query:NAME, hash:path or hash:path:N"
                    .to_owned());
            }
        };
        Ok(Self(balance))
    }
}

impl FromStr for Retries {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self(0)),
            number => number.parse().map(Self).map_err(|_| "write a number, or off".to_owned()),
        }
    }
}

impl FromStr for Failures {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self(None)),
            number => number
                .parse()
                .map(|number| Self(Some(number)))
                .map_err(|_| "write a number from 1, or off".to_owned()),
        }
    }
}
