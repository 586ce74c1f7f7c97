//! [`Retry`]: which requests are sent to another endpoint, and the budget for all of them.

use std::time::Duration;

use tower::retry::budget::TpsBudget;

/// Budget of attempts on other endpoints, which keeps a pool without any live endpoint from being asked three times as often.
const BUDGET_TIME: Duration = Duration::from_secs(10);
const RETRIES_PER_SECOND: u32 = 10;
const RETRIED_SHARE: f32 = 0.2;

/// Which requests of a [`Pool`](crate::Pool) are sent to another endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Retry {
    /// Those that the first endpoint has not got: there is no connection to it, or it has not processed the request in HTTP/2.
    #[default]
    Unsent,
    /// Also those without a body whose connection ended before the head of a response: upgrades, and requests with an idempotent
    /// method ([RFC 9110, 9.2.2](https://www.rfc-editor.org/rfc/rfc9110#section-9.2.2)). The first endpoint may have processed
    /// them. nginx does the same by default. Not after a timeout, and not after a response of any status.
    Unanswered,
}

pub(super) fn budget() -> TpsBudget {
    TpsBudget::new(BUDGET_TIME, RETRIES_PER_SECOND, RETRIED_SHARE)
}
