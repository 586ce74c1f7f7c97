//! [`Host`]: the policy for the `Host` field of the upstream request.

use http::{HeaderValue, header::HOST, header::InvalidHeaderValue, request::Parts};

use crate::upstream::Upstream;

/// Policy for the `Host` field of the upstream request.
///
/// It does not change the name checked in the upstream's TLS certificate, which is always that of the
/// upstream.
///
/// ```
/// use tower_upgrade_proxy::{Host, UpgradeProxyLayer};
///
/// let layer = UpgradeProxyLayer::new("http://10.0.0.7:9000".parse()?).host(Host::upstream());
/// # Ok::<(), tower_upgrade_proxy::InvalidUpstream>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Host(Policy);

#[derive(Clone, Debug, Default)]
enum Policy {
    #[default]
    Preserve,
    Upstream,
    Fixed(HeaderValue),
}

impl Host {
    /// Sends the host that the client requested: nginx's `proxy_set_header Host $host`. The default.
    ///
    /// The host of a request target in absolute form takes precedence over the field
    /// ([RFC 9112, 3.2.2](https://www.rfc-editor.org/rfc/rfc9112#section-3.2.2)).
    #[must_use]
    pub fn preserve() -> Self {
        Self(Policy::Preserve)
    }

    /// Sends the upstream's authority, as written in its URI: nginx's default, `$proxy_host`. For a unix
    /// socket it is `localhost`.
    #[must_use]
    pub fn upstream() -> Self {
        Self(Policy::Upstream)
    }

    /// Sends the fixed value `host`. For an upstream in HTTP/2 it must be an authority (`host` or `host:port`),
    /// otherwise requests get a 400.
    ///
    /// # Errors
    ///
    /// If `host` is not a valid field value.
    pub fn fixed(host: &str) -> Result<Self, InvalidHeaderValue> {
        HeaderValue::from_str(host).map(|value| Self(Policy::Fixed(value)))
    }

    /// Sets `Host` on the upstream request.
    pub(crate) fn apply(&self, parts: &mut Parts, upstream: &Upstream) {
        let value = match &self.0 {
            Policy::Preserve => requested(parts),
            Policy::Upstream => HeaderValue::from_str(upstream.authority()).ok(),
            Policy::Fixed(value) => Some(value.clone()),
        };
        if let Some(value) = value {
            parts.headers.insert(HOST, value);
        }
    }
}

/// Returns the host that the client requested: the authority of the target, else the `Host` field.
///
/// Both have been checked before, so the authority has no user information.
pub(crate) fn requested(parts: &Parts) -> Option<HeaderValue> {
    match parts.uri.authority() {
        Some(authority) => HeaderValue::from_str(authority.as_str()).ok(),
        None => parts.headers.get(HOST).cloned(),
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn host(policy: &Host, uri: &str, upstream: &str) -> String {
        let (mut parts, ()) = Request::get(uri).header(HOST, "client.example").body(()).unwrap().into_parts();
        policy.apply(&mut parts, &upstream.parse().unwrap());
        assert_eq!(parts.headers.get_all(HOST).iter().count(), 1);
        parts.headers[HOST].to_str().unwrap().to_owned()
    }

    #[test]
    fn each_policy_sends_exactly_one_host() {
        let tcp = "http://10.0.0.7:9000/base";
        let unix = "unix:/run/a.sock";
        let fixed = Host::fixed("fixed.example").unwrap();
        assert_eq!(host(&Host::preserve(), "/x", tcp), "client.example");
        assert_eq!(host(&Host::preserve(), "http://abs.example:81/x", tcp), "abs.example:81");
        assert_eq!(host(&Host::upstream(), "/x", tcp), "10.0.0.7:9000");
        assert_eq!(host(&Host::upstream(), "/x", unix), "localhost");
        assert_eq!(host(&fixed, "/x", tcp), "fixed.example");
        assert!(Host::fixed("a\r\nb").is_err());
    }
}
