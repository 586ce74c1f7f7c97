//! [`Selection`]: the endpoints of one request, one after the other.

use std::{mem, net::IpAddr, sync::Arc};

use http::{Extensions, HeaderValue, Request, request::Parts};
use tower::retry::budget::Budget;

use super::{Hints, Lease, Pool, Purpose, Retry, Unavailable};
use crate::{
    error::{Error, Kind},
    metrics,
    rewrite::forwarded::Forwarded,
    upstream::Upstream,
};

/// Where the requests of a layer go.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    One(Upstream),
    Pool(Pool),
}

impl Target {
    /// Returns the target in the request's extensions. An upstream is more specific than a pool.
    pub(crate) fn from_extensions(extensions: &Extensions) -> Option<Self> {
        let one = extensions.get::<Upstream>().cloned().map(Self::One);
        one.or_else(|| extensions.get::<Pool>().cloned().map(Self::Pool))
    }
}

/// The choice of an upstream for a request, and of another if that one cannot be reached.
pub(crate) struct Selection {
    target: Target,
    hints: Hints,
    /// The client uses https.
    is_secure: bool,
    /// Ids of the endpoints that could not be reached.
    tried: Vec<Arc<str>>,
    /// The head of the request was given away.
    is_last: bool,
}

/// The upstream of an attempt.
pub(crate) struct Selected {
    pub(crate) upstream: Upstream,
    /// `None` without a pool.
    pub(crate) lease: Option<Lease>,
    /// Sets the sticky cookie, if the client has not that of this upstream.
    pub(crate) set_cookie: Option<HeaderValue>,
}

impl Selection {
    /// Removes the sticky cookie from the request.
    pub(crate) fn new(
        target: Target,
        purpose: Purpose,
        parts: &mut Parts,
        client: Option<IpAddr>,
        forwarded: &Forwarded,
    ) -> Self {
        let (mut hints, mut is_secure) = (Hints { key: None, wanted: None, purpose }, false);
        if let Target::Pool(pool) = &target {
            pool.budget.deposit();
            hints.key = pool.key(parts, client);
            if let Some(sticky) = &pool.settings.sticky {
                is_secure = forwarded.is_https(parts);
                hints.wanted = sticky.take(&mut parts.headers);
            }
        }
        Self { target, hints, is_secure, tried: Vec::new(), is_last: false }
    }

    /// Returns the upstream for the next attempt.
    ///
    /// # Errors
    ///
    /// If no endpoint is left.
    pub(crate) fn next(&self, parts: &Parts) -> Result<Selected, Error> {
        match &self.target {
            Target::One(upstream) => {
                Ok(Selected { upstream: upstream.clone(), lease: None, set_cookie: None })
            }
            Target::Pool(pool) => match pool.lease(parts, &self.tried, self.hints) {
                Ok(lease) => {
                    let set_cookie = pool.settings.sticky.as_ref().and_then(|sticky| {
                        let value = sticky.value(&lease.member().id);
                        let is_new = self.hints.wanted != Some(value);
                        is_new.then(|| sticky.set_cookie(value, self.is_secure)).flatten()
                    });
                    Ok(Selected { upstream: lease.upstream().clone(), lease: Some(lease), set_cookie })
                }
                Err(Unavailable::Full) => Err(Error::new(Kind::EndpointLimit)),
                Err(Unavailable::None) => Err(Error::new(Kind::NoEndpoint)),
            },
        }
    }

    /// Reports that the upstream has sent the head of a response.
    pub(crate) fn succeeded(&self, selected: &Selected) {
        if let (Target::Pool(pool), Some(lease)) = (&self.target, &selected.lease) {
            pool.succeeded(lease);
        }
    }

    /// Reports a failure of the upstream.
    pub(crate) fn failed(&self, selected: &Selected) {
        if let (Target::Pool(pool), Some(lease)) = (&self.target, &selected.lease) {
            pool.failed(lease);
        }
    }

    /// Returns the head for the next attempt. `parts` keep it only if another one may follow.
    pub(crate) fn head(&mut self, parts: &mut Parts) -> Parts {
        self.is_last = !self.may_retry();
        match self.is_last {
            true => mem::replace(parts, Request::new(()).into_parts().0),
            false => parts.clone(),
        }
    }

    /// Returns true if there may be another attempt after the current one.
    pub(crate) fn may_retry(&self) -> bool {
        match &self.target {
            Target::One(_) => false,
            Target::Pool(_) if self.is_last => false,
            Target::Pool(pool) => {
                self.tried.len() + 1 < pool.settings.attempts && pool.members().entries.len() > 1
            }
        }
    }

    /// Returns true if a request without a body may be sent again after this error.
    pub(crate) fn repeats(&self, error: &Error) -> bool {
        let Target::Pool(pool) = &self.target else { return false };
        pool.settings.retry == Retry::Unanswered && error.is_unanswered()
    }

    /// Excludes the endpoint of `failed` from the next attempts. Returns the upstream for the next one; `None` if none is left.
    pub(crate) fn retry(&mut self, failed: Selected, parts: &Parts) -> Option<Selected> {
        let Target::Pool(pool) = &self.target else { return None };
        let id = Arc::clone(&failed.lease.as_ref()?.member().id);
        if !self.may_retry() || !pool.budget.withdraw() {
            return None;
        }
        metrics::failed_over(&pool.settings.name);
        self.tried.push(id);
        drop(failed);
        self.next(parts).ok()
    }
}
