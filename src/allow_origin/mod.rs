//! [`AllowOrigin`]: the policy for the origins of web pages.

mod origin;

use std::{collections::BTreeSet, fmt, sync::Arc};

use http::{HeaderValue, header::ORIGIN, request::Parts};

use crate::{
    authority,
    error::{Error, Kind},
    rewrite::host,
};

pub use origin::InvalidOrigin;
use origin::{Origin, explicit_port};

/// Policy for the origins of the web pages that may open tunnels, by the `Origin` field of the request
/// ([RFC 6454, 7](https://www.rfc-editor.org/rfc/rfc6454#section-7)).
///
/// A browser allows any page to open a WebSocket to any server, and sends that server's cookies. A server
/// that trusts cookies must therefore check the origin of the page, or any site can act for its visitors:
/// cross-site WebSocket hijacking ([RFC 6455, 10.2](https://www.rfc-editor.org/rfc/rfc6455#section-10.2)).
/// The upstream can check `Origin` itself, as the field is passed on unchanged; this policy makes the proxy
/// check it for all upstreams. An upgrade from any other origin gets a 403 before the proxy connects to the
/// upstream, in HTTP/1.1 and HTTP/2.
///
/// Upgrades without `Origin` are allowed: browsers always send the field, and other programs can send any
/// value. Upgrades with several `Origin` lines are rejected. Ordinary requests are not checked.
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
    /// Allows pages of any origin. The default: the check is left to the upstream.
    #[must_use]
    pub fn any() -> Self {
        Self(Policy::Any)
    }

    /// Allows `http` and `https` pages of the requested host, that of `Host` or `:authority`, with the same
    /// port. The two schemes are treated alike, as a proxy in front may terminate TLS. Pages of any other
    /// scheme, such as those of browser extensions, and pages without an origin (`null`) are rejected.
    ///
    /// If a proxy in front changes `Host`, configure it to preserve the field, or use [`list`](Self::list).
    ///
    /// # DNS rebinding
    ///
    /// The policy allows any name that resolves to the server. A site can have its own name resolve to the
    /// address of your server: its pages then send this name in `Origin` and in `Host`, and are allowed. They
    /// get no cookies of your users, but they reach a server that trusts the network, for example on
    /// `localhost` or in a company's network. Such a server must refuse requests whose `Host` is not one of its
    /// names, also ordinary ones. For upgrades, [`list`](Self::list) with the server's own origins is
    /// enough. A server with TLS only is not affected, as it has no certificate for the name of the other site.
    #[must_use]
    pub fn same_host() -> Self {
        Self(Policy::SameHost)
    }

    /// Allows pages of these origins, each `scheme://host` or `scheme://host:port`, of any scheme. Case and the
    /// default port of the scheme are ignored. `null` allows pages without an origin, such as local files and sandboxed
    /// frames, which any site can create.
    ///
    /// # Errors
    ///
    /// If an entry is not an origin, for example without a scheme, with a path (`https://app.example/`), or with
    /// a wildcard (`https://*.app.example`).
    pub fn list<I>(origins: I) -> Result<Self, InvalidOrigin>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let origins = origins.into_iter().map(|origin| origin.as_ref().parse());
        Ok(Self(Policy::List(Arc::new(origins.collect::<Result<_, _>>()?))))
    }

    /// Allows pages for which `allow` returns true, given the value of `Origin` and the head of the request.
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

    /// Allows the origins of `other` in addition.
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

    /// Checks the origin of an upgrade request.
    ///
    /// # Errors
    ///
    /// If the origin is not allowed; the error has the received value as its source.
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
            false => Err(Error::in_request(Kind::Origin, received_origin(parts))),
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

/// Returns the received `Origin`, escaped and truncated for a log line.
fn received_origin(parts: &Parts) -> String {
    const MAX_LEN: usize = 200;
    let lines: Vec<_> = parts.headers.get_all(ORIGIN).iter().map(HeaderValue::as_bytes).collect();
    let lines = lines.join(&b", "[..]);
    lines[..lines.len().min(MAX_LEN)].escape_ascii().to_string()
}

/// Returns true if `origin` is one of the web, with the host and port of the request.
fn matches_host(parts: &Parts, origin: &Origin) -> bool {
    let Origin::Tuple { scheme, host, port } = origin else { return false };
    let requested = host::requested(parts);
    let requested = requested.as_ref().and_then(|requested| authority::parse(requested.as_bytes()));
    matches!(scheme.as_str(), "http" | "https")
        && requested.is_some_and(|requested| {
            requested.host.eq_ignore_ascii_case(host) && explicit_port(scheme, requested.port) == *port
        })
}

#[cfg(test)]
mod tests {
    use http::{Request, header::HOST};

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
        let table: [(&str, &[u8], bool); 11] = [
            ("/", b"http://app.example:8080", true),
            ("/", b"https://app.example:8080", true),
            ("/", b"http://app.example", false),
            ("/", b"http://evil.example:8080", false),
            ("/", b"null", false),
            ("https://other.example/", b"https://other.example", true),
            ("https://other.example:443/", b"https://other.example", true),
            ("http://other.example:/", b"http://other.example:80", true),
            ("http://[::1]:9000/", b"http://[::1]:9000", true),
            ("http://other.example:80/", b"https://other.example", false),
            ("https://other.example/", b"http://app.example:8080", false),
        ];
        for (target, origin, allowed) in table {
            assert_eq!(is_allowed(&same, target, &[origin]), allowed, "{target} {}", origin.escape_ascii());
        }
        let encoded =
            Request::get("/").header(HOST, "%2Frun%2Fa.sock").header(ORIGIN, "http://%2frun%2fa.sock");
        assert!(same.check(&encoded.body(()).unwrap().into_parts().0).is_ok());
    }

    #[test]
    fn same_host_allows_only_origins_of_the_web() {
        let schemes = ["chrome-extension", "moz-extension", "file", "ws", "wss", "capacitor", "httpx", "app"];
        let others = schemes.map(|scheme| format!("{scheme}://app.example:8080"));
        let others = others.iter().map(String::as_bytes);
        let odd: [&[u8]; 8] = [
            b"null",
            b"file://",
            b"",
            b"app.example:8080",
            b"//app.example:8080",
            b"http:app.example:8080",
            b"http://user@app.example:8080",
            b"http://app.example:8080 http://evil.example",
        ];
        let policies = [
            AllowOrigin::same_host(),
            AllowOrigin::same_host().or(AllowOrigin::list(["https://app.example"]).unwrap()),
        ];
        for (policy, origin) in
            policies.iter().flat_map(|policy| others.clone().chain(odd).map(move |origin| (policy, origin)))
        {
            assert!(!is_allowed(policy, "/", &[origin]), "{policy:?} {}", origin.escape_ascii());
        }
        for policy in policies {
            assert!(is_allowed(&policy, "/", &[b"HTTPS://app.EXAMPLE:8080"]));
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
