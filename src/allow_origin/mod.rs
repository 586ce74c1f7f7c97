//! Which web pages may open tunnels.

mod origin;

use std::{collections::BTreeSet, fmt, sync::Arc};

use http::{
    HeaderValue,
    header::{HOST, ORIGIN},
    request::Parts,
};

use crate::{error::Error, error::Kind, rewrite::host::without_user_info};

pub use origin::InvalidOrigin;
use origin::{Origin, without_default_port};

/// Which web pages may open tunnels, by the `Origin` of the request
/// ([RFC 6454, 7](https://www.rfc-editor.org/rfc/rfc6454#section-7)).
///
/// A browser lets any page open a WebSocket to any server, and sends the server's cookies along. A server
/// that trusts cookies must therefore look at where the page is from, or any site can act for its visitors:
/// cross-site WebSocket hijacking
/// ([RFC 6455, 10.2](https://www.rfc-editor.org/rfc/rfc6455#section-10.2)). The upstream can do so, as
/// `Origin` is passed on as it came; with this the proxy does it for all of them. An upgrade from elsewhere
/// is answered with 403 before anything is dialled, over HTTP/1.1 and HTTP/2.
///
/// A request without `Origin` is no page's: browsers always send it, and other programs can claim what they
/// like. It is let through. With several lines it is refused. Ordinary requests are not looked at.
///
/// ```
/// use tower_upgrade_proxy::{AllowOrigin, UpgradeProxyLayer};
///
/// let layer = UpgradeProxyLayer::new("http://127.0.0.1:9000".parse()?)
///     .allow_origin(AllowOrigin::list(["https://app.example", "https://admin.example:8443"])?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default)]
pub struct AllowOrigin(Policy);

type Predicate = Arc<dyn Fn(&HeaderValue, &Parts) -> bool + Send + Sync>;

#[derive(Clone, Default)]
enum Policy {
    #[default]
    Any,
    SameHost,
    List(Arc<BTreeSet<Origin>>),
    Predicate(Predicate),
    Or(Arc<[AllowOrigin; 2]>),
}

impl AllowOrigin {
    /// Pages from anywhere. The default: the check is the upstream's.
    #[must_use]
    pub fn any() -> Self {
        Self(Policy::Any)
    }

    /// Pages of the host that the request is for, its port included: what `Host` or `:authority` says. `http`
    /// and `https` are not told apart, as a proxy in front may have taken TLS off.
    ///
    /// A proxy in front that changes `Host` must be told not to, or [`list`](Self::list) be used.
    #[must_use]
    pub fn same_host() -> Self {
        Self(Policy::SameHost)
    }

    /// Pages of these origins, each `scheme://host` or `scheme://host:port`. Case does not matter, nor a port
    /// that is the scheme's own. `null` stands for pages that have none, such as local files and sandboxed
    /// frames: any site can make one of those.
    ///
    /// # Errors
    ///
    /// When one is no origin: without scheme, or with a path (`https://app.example/`).
    pub fn list<I>(origins: I) -> Result<Self, InvalidOrigin>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let origins = origins.into_iter().map(|origin| origin.as_ref().parse());
        Ok(Self(Policy::List(Arc::new(origins.collect::<Result<_, _>>()?))))
    }

    /// Pages for which `allow` says so. It is given `Origin` and the client's head.
    ///
    /// ```
    /// use tower_upgrade_proxy::AllowOrigin;
    ///
    /// let ours = AllowOrigin::predicate(|origin, _| {
    ///     let host = origin.as_bytes().strip_prefix(b"https://");
    ///     host.is_some_and(|host| host.ends_with(b".app.example"))
    /// });
    /// ```
    #[must_use]
    pub fn predicate(allow: impl Fn(&HeaderValue, &Parts) -> bool + Send + Sync + 'static) -> Self {
        Self(Policy::Predicate(Arc::new(allow)))
    }

    /// Also what `other` allows.
    ///
    /// ```
    /// use tower_upgrade_proxy::AllowOrigin;
    ///
    /// let origins = AllowOrigin::same_host().or(AllowOrigin::list(["https://partner.example"])?);
    /// # Ok::<(), tower_upgrade_proxy::InvalidOrigin>(())
    /// ```
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        match (&self.0, &other.0) {
            (Policy::Any, _) | (_, Policy::Any) => Self::any(),
            _ => Self(Policy::Or(Arc::new([self, other]))),
        }
    }

    /// Lets the request through, or says which origin is refused.
    pub(crate) fn check(&self, parts: &Parts) -> Result<(), Error> {
        if matches!(self.0, Policy::Any) {
            return Ok(());
        }
        let mut lines = parts.headers.get_all(ORIGIN).iter();
        let allowed = match (lines.next(), lines.next()) {
            (None, _) => return Ok(()),
            (Some(origin), None) => self.allows(origin, parts),
            (Some(_), Some(_)) => false,
        };
        match allowed {
            true => Ok(()),
            false => Err(Error::of_client(Kind::Origin, received_origin(parts))),
        }
    }

    fn allows(&self, origin: &HeaderValue, parts: &Parts) -> bool {
        let parsed = || origin.to_str().ok()?.parse::<Origin>().ok();
        match &self.0 {
            Policy::Any => true,
            Policy::SameHost => parsed().is_some_and(|origin| matches_host(parts, &origin)),
            Policy::List(origins) => parsed().is_some_and(|origin| origins.contains(&origin)),
            Policy::Predicate(allow) => allow(origin, parts),
            Policy::Or(both) => both.iter().any(|one| one.allows(origin, parts)),
        }
    }
}

impl fmt::Debug for AllowOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Policy::Any => f.write_str("Any"),
            Policy::SameHost => f.write_str("SameHost"),
            Policy::List(origins) => f.debug_tuple("List").field(origins).finish(),
            Policy::Predicate(_) => f.write_str("Predicate"),
            Policy::Or(both) => f.debug_tuple("Or").field(&both[0]).field(&both[1]).finish(),
        }
    }
}

/// What was sent as `Origin`, as far as a line of a log has room for it.
fn received_origin(parts: &Parts) -> String {
    const MAX_LEN: usize = 200;
    let lines: Vec<_> = parts.headers.get_all(ORIGIN).iter().map(HeaderValue::as_bytes).collect();
    let lines = lines.join(&b", "[..]);
    lines[..lines.len().min(MAX_LEN)].escape_ascii().to_string()
}

/// Whether `origin` is of the host, and port, that the request is for.
fn matches_host(parts: &Parts, origin: &Origin) -> bool {
    let Origin::Tuple { scheme, host } = origin else { return false };
    let requested = match parts.uri.authority() {
        Some(authority) => Some(without_user_info(authority)),
        None => parts.headers.get(HOST).and_then(|host| host.to_str().ok()),
    };
    requested.is_some_and(|requested| without_default_port(scheme, &requested.to_ascii_lowercase()) == host)
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn is_allowed(policy: &AllowOrigin, target: &str, origins: &[&[u8]]) -> bool {
        let mut request = Request::get(target).header(HOST, "App.example:8080");
        for origin in origins {
            request = request.header(ORIGIN, *origin);
        }
        policy.check(&request.body(()).unwrap().into_parts().0).is_ok()
    }

    #[test]
    fn listed_origins_ignore_case_and_default_ports() {
        let list = AllowOrigin::list([
            "https://App.example:443",
            "http://app.example:8080",
            "capacitor://localhost",
        ])
        .unwrap();
        let table: [(&[u8], bool); 17] = [
            (b"https://app.example", true),
            (b"HTTPS://APP.EXAMPLE", true),
            (b"https://app.example:443", true),
            (b"http://app.example:8080", true),
            (b"capacitor://localhost", true),
            (b"http://app.example", false),
            (b"https://app.example:80", false),
            (b"https://app.example:8080", false),
            (b"https://app.example.evil.example", false),
            (b"https://evil.example/https://app.example", false),
            (b"https://user@app.example", false),
            (b"https://app.example https://evil.example", false),
            (b"https://app.example/", false),
            (b"null", false),
            (b"", false),
            (b"app.example", false),
            (b"https://app.ex\xe4mple", false),
        ];
        for (origin, allowed) in table {
            assert_eq!(is_allowed(&list, "/", &[origin]), allowed, "{}", origin.escape_ascii());
        }
        assert!(is_allowed(&AllowOrigin::list(["null"]).unwrap(), "/", &[b"null"]));
    }

    #[test]
    fn same_host_compares_the_port() {
        let same = AllowOrigin::same_host();
        let table: [(&str, &[u8], bool); 9] = [
            ("/", b"http://app.example:8080", true),
            ("/", b"https://app.example:8080", true),
            ("/", b"http://app.example", false),
            ("/", b"http://evil.example:8080", false),
            ("/", b"null", false),
            ("https://other.example/", b"https://other.example", true),
            ("https://other.example:443/", b"https://other.example", true),
            ("https://user@other.example/", b"https://other.example", true),
            ("https://other.example/", b"http://app.example:8080", false),
        ];
        for (target, origin, allowed) in table {
            assert_eq!(is_allowed(&same, target, &[origin]), allowed, "{target} {}", origin.escape_ascii());
        }
    }

    #[test]
    fn or_allows_the_origins_of_both_policies() {
        let listed = AllowOrigin::list(["https://a.example"]).unwrap();
        let both = AllowOrigin::same_host().or(listed.clone());
        for (origin, allowed) in [
            (&b"https://a.example"[..], true),
            (b"http://app.example:8080", true),
            (b"https://b.example", false),
        ] {
            assert_eq!(is_allowed(&both, "/", &[origin]), allowed, "{}", origin.escape_ascii());
        }
        assert!(is_allowed(&listed.or(AllowOrigin::any()), "/", &[b"https://b.example"]));
    }

    #[test]
    fn missing_origin_is_allowed_and_repeated_origin_is_rejected() {
        let none = AllowOrigin::predicate(|_, _| false);
        let all = AllowOrigin::predicate(|_, _| true);
        assert!(is_allowed(&none, "/", &[]) && !is_allowed(&none, "/", &[b"https://a"]));
        assert!(
            is_allowed(&all, "/", &[b"anything"]) && !is_allowed(&all, "/", &[b"https://a", b"https://a"])
        );
        assert!(is_allowed(&AllowOrigin::any(), "/", &[b"https://a", b"https://b"]));
    }

    #[test]
    fn error_text_truncates_and_escapes_the_origin() {
        let long = [b"https://\xff".to_vec(), vec![b'a'; 60_000]].concat();
        let request = Request::get("/").header(ORIGIN, &*long).body(()).unwrap();
        let parts = request.into_parts().0;
        let text = AllowOrigin::same_host().check(&parts).unwrap_err().to_string();
        assert!(
            text.starts_with(r"the origin is not allowed: https://\xffaaa") && text.len() < 300,
            "{text}"
        );
    }
}
