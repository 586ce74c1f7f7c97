//! Routes: a path prefix and its upstreams.

use std::str::FromStr;

use tower_upgrade_proxy::{Endpoint, Upstream};

/// Upstreams for paths that start with a prefix.
#[derive(Clone)]
pub(crate) struct Route {
    pub(crate) prefix: String,
    pub(super) upstreams: Vec<WeightedUpstream>,
}

#[derive(Clone)]
pub(super) struct WeightedUpstream {
    pub(super) upstream: Upstream,
    weight: Option<u16>,
    pub(super) is_https: bool,
}

impl WeightedUpstream {
    /// Returns the endpoint, with its upstream changed.
    pub(super) fn endpoint(&self, change: impl Fn(Upstream) -> Upstream) -> Endpoint {
        Endpoint::new(change(self.upstream.clone())).weight(self.weight.unwrap_or(1))
    }
}

impl FromStr for Route {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (prefix, upstreams) = text
            .split_once('=')
            .ok_or("`=` is missing; write PREFIX=UPSTREAM, like /ws/=http://127.0.0.1:9000")?;
        if !prefix.starts_with('/') || prefix.contains(['?', '#']) {
            return Err(format!("the prefix {prefix:?} is not the start of a path, like /ws/"));
        }
        let upstreams = upstreams.split(',').map(str::parse).collect::<Result<Vec<WeightedUpstream>, _>>()?;
        for (index, one) in upstreams.iter().enumerate() {
            if upstreams[..index].iter().any(|earlier| earlier.upstream == one.upstream) {
                return Err(format!("the upstream {} is there twice; give it a weight", one.upstream));
            }
        }
        if upstreams.iter().all(|upstream| upstream.weight == Some(0)) {
            return Err("all weights are 0".to_owned());
        }
        Ok(Self { prefix: prefix.to_owned(), upstreams })
    }
}

impl FromStr for WeightedUpstream {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (upstream, parameter) = match text.split_once(';') {
            Some((upstream, parameter)) => (upstream, Some(parameter)),
            None => (text, None),
        };
        let weight = parameter
            .map(|parameter| {
                let number = parameter.strip_prefix("weight=").and_then(|number| number.parse().ok());
                number.ok_or_else(|| {
                    format!("{parameter:?} is not a weight; write weight=N with N from 0 to {}", u16::MAX)
                })
            })
            .transpose()?;
        let scheme = upstream.split(':').next().unwrap_or_default().to_ascii_lowercase();
        let is_https = matches!(scheme.as_str(), "https" | "wss");
        let upstream = upstream.parse::<Upstream>().map_err(|error| error.to_string())?;
        Ok(Self { upstream, weight, is_https })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_has_upstreams_with_weights() {
        let route: Route = "/ws/=http://a;weight=3,https://b,unix:/run/c.sock:/x;weight=0".parse().unwrap();
        let shown: Vec<_> = route
            .upstreams
            .iter()
            .map(|upstream| (upstream.upstream.to_string(), upstream.weight, upstream.is_https))
            .collect();
        let expected = [
            ("http://a".to_owned(), Some(3), false),
            ("https://b".to_owned(), None, true),
            ("unix:/run/c.sock:/x".to_owned(), Some(0), false),
        ];
        assert_eq!((route.prefix.as_str(), &shown[..]), ("/ws/", &expected[..]));
    }

    #[test]
    fn an_invalid_route_has_a_reason() {
        let table = [
            ("/=http://a,", "it is not a URI"),
            ("/=http://a;weight=x", "\"weight=x\" is not a weight"),
            ("/=http://a;weight=65536", "N from 0 to 65535"),
            ("/=http://a;backup", "\"backup\" is not a weight"),
            ("/=http://a,http://b,http://a", "http://a is there twice"),
            ("/=http://a;weight=0,http://b;weight=0", "all weights are 0"),
        ];
        for (text, reason) in table {
            let error = text.parse::<Route>().err().unwrap();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
