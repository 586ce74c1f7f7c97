//! [`Selection`]: the endpoints of one request, one after the other.

use std::{net::IpAddr, sync::Arc};

use http::{Extensions, request::Parts};

use super::{Lease, Pool, Unavailable};
use crate::{
    error::{Error, Kind},
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
    key: Option<u64>,
    /// Ids of the endpoints that could not be reached.
    tried: Vec<Arc<str>>,
}

/// The upstream of an attempt.
pub(crate) struct Selected {
    pub(crate) upstream: Upstream,
    /// `None` without a pool.
    pub(crate) lease: Option<Lease>,
}

impl Selection {
    pub(crate) fn new(target: Target, parts: &Parts, client: Option<IpAddr>) -> Self {
        let key = match &target {
            Target::One(_) => None,
            Target::Pool(pool) => pool.key(parts, client),
        };
        Self { target, key, tried: Vec::new() }
    }

    /// Returns the upstream for the next attempt.
    ///
    /// # Errors
    ///
    /// If no endpoint is left.
    pub(crate) fn next(&self, parts: &Parts) -> Result<Selected, Error> {
        match &self.target {
            Target::One(upstream) => Ok(Selected { upstream: upstream.clone(), lease: None }),
            Target::Pool(pool) => match pool.lease(self.key, parts, &self.tried) {
                Ok(lease) => Ok(Selected { upstream: lease.upstream().clone(), lease: Some(lease) }),
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

    /// Returns true if there may be another attempt after the current one.
    pub(crate) fn may_retry(&self) -> bool {
        match &self.target {
            Target::One(_) => false,
            Target::Pool(pool) => {
                self.tried.len() + 1 < pool.settings.attempts && pool.members().entries.len() > 1
            }
        }
    }

    /// Excludes the endpoint of `failed` from the next attempts. Returns the upstream for the next one; `None` if none is left.
    pub(crate) fn retry(&mut self, failed: Selected, parts: &Parts) -> Option<Selected> {
        let id = Arc::clone(&failed.lease.as_ref()?.member().id);
        if !self.may_retry() {
            return None;
        }
        self.tried.push(id);
        drop(failed);
        self.next(parts).ok()
    }
}
