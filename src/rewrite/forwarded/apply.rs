//! Values of the forwarding fields for one request.

use std::net::SocketAddr;

use http::{
    HeaderName, HeaderValue, Version,
    header::{FORWARDED, VIA},
    request::Parts,
    uri::Scheme,
};

use super::{Forwarded, ForwardedField, Peer, X_FORWARDED_FOR, field, node};
use crate::rewrite::host;

const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

impl Forwarded {
    /// Sets the fields of the upstream request. Must run after the hop-by-hop fields are removed and while
    /// `Host` is still that of the client. `prefix` returns the prefix removed from the path.
    pub(crate) fn apply(&self, parts: &mut Parts, prefix: impl FnOnce(&Parts) -> Option<String>) {
        if self.passes_all() {
            return;
        }
        let peer = Peer::from_extensions(&parts.extensions);
        let address = peer.and_then(Peer::address);
        let trusted = address.is_some_and(|address| self.trusts(address.ip()));
        let scheme = self.scheme_of(parts, peer);
        let ip = address.map(|address| address.ip().to_canonical().to_string());
        let host = host::requested(parts);
        let element = self.forwarded_element(address, scheme, host.as_ref());
        let via = format!("{} {}", via_version(parts.version), self.pseudonym);
        let prefix = prefix(parts);
        let value = |text: Option<&str>| text.and_then(|text| HeaderValue::from_str(text).ok());
        let list = [
            (X_FORWARDED_FOR, self.x_forwarded_for, value(ip.as_deref())),
            (FORWARDED, self.forwarded, value(Some(&element))),
            (VIA, self.via, value(Some(&via))),
        ];
        let single = [
            (X_FORWARDED_PROTO, self.x_forwarded_proto, value(Some(scheme))),
            (X_FORWARDED_HOST, self.x_forwarded_host, host),
            (X_FORWARDED_PREFIX, self.x_forwarded_prefix, value(prefix.as_deref())),
            (X_REAL_IP, self.x_real_ip, value(ip.as_deref())),
        ];
        for (name, policy, added) in list {
            field::set(&mut parts.headers, &name, policy, trusted, added, field::append);
        }
        for (name, policy, added) in single {
            field::set(&mut parts.headers, &name, policy, trusted, added, field::keep);
        }
    }

    fn passes_all(&self) -> bool {
        let fields = [
            self.x_forwarded_for,
            self.x_forwarded_proto,
            self.x_forwarded_host,
            self.x_forwarded_prefix,
            self.x_real_ip,
            self.forwarded,
            self.via,
        ];
        fields.iter().all(|field| *field == ForwardedField::Pass)
    }

    fn scheme_of<'a>(&'a self, parts: &Parts, peer: Option<Peer>) -> &'a str {
        match (&self.scheme, peer, parts.uri.scheme()) {
            (Some(scheme), ..) => scheme.as_str(),
            (None, Some(peer), _) if peer.is_https() => "https",
            (None, _, Some(scheme)) if *scheme == Scheme::HTTPS => "https",
            _ => "http",
        }
    }

    /// Returns the proxy's own element of `Forwarded`.
    fn forwarded_element(
        &self,
        address: Option<SocketAddr>,
        scheme: &str,
        host: Option<&HeaderValue>,
    ) -> String {
        let node = address.map_or_else(|| "unknown".to_owned(), |address| node::for_value(address.ip()));
        let mut element = format!("for={node}");
        if let Some(host) = host.and_then(|host| host.to_str().ok()) {
            element.push_str(";host=");
            element.push_str(&node::parameter_value(host));
        }
        element.push_str(";proto=");
        element.push_str(scheme);
        if !self.by.is_empty() {
            element.push_str(";by=");
            element.push_str(&self.by);
        }
        element
    }
}

/// Returns the received protocol version as written in `Via`.
fn via_version(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        Version::HTTP_3 => "3",
        _ => "1.1",
    }
}

#[cfg(test)]
mod tests {
    use http::{Request, header::HOST};

    use super::*;

    struct Case {
        forwarded: Forwarded,
        peer: Option<Peer>,
        lines: &'static [(&'static str, &'static str)],
        expected: &'static [(&'static str, &'static str)],
    }

    fn peer(address: &str) -> Option<Peer> {
        Some(Peer::new(address.parse().unwrap()))
    }

    fn check(case: &Case) {
        let mut builder = Request::get("/").header("host", "site.example:8080");
        for (name, value) in case.lines {
            builder = builder.header(*name, *value);
        }
        let (mut parts, ()) = builder.body(()).unwrap().into_parts();
        if let Some(peer) = case.peer {
            parts.extensions.insert(peer);
        }
        case.forwarded.apply(&mut parts, |_| Some("/ws".to_owned()));
        parts.headers.remove(HOST);
        let mut got: Vec<(String, String)> = parts
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect();
        got.sort();
        let expected: Vec<_> =
            case.expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        assert_eq!(got, expected);
    }

    const FORGED: &[(&str, &str)] = &[
        ("x-forwarded-for", "6.6.6.6"),
        ("x-forwarded-for", "7.7.7.7"),
        ("x_forwarded_for", "8.8.8.8"),
        ("x-forwarded-proto", "https"),
        ("x-real-ip", "6.6.6.6"),
    ];

    #[test]
    fn none_passes_every_field_unchanged() {
        let expected = &[
            ("x-forwarded-for", "6.6.6.6"),
            ("x-forwarded-for", "7.7.7.7"),
            ("x-forwarded-proto", "https"),
            ("x-real-ip", "6.6.6.6"),
            ("x_forwarded_for", "8.8.8.8"),
        ];
        check(&Case { forwarded: Forwarded::none(), peer: peer("10.0.0.9:5"), lines: FORGED, expected });
    }

    #[test]
    fn nginx_replaces_the_fields_of_an_untrusted_peer() {
        let expected =
            &[("x-forwarded-for", "10.0.0.9"), ("x-forwarded-proto", "http"), ("x-real-ip", "10.0.0.9")];
        check(&Case { forwarded: Forwarded::nginx(), peer: peer("10.0.0.9:5"), lines: FORGED, expected });
    }

    #[test]
    fn nginx_appends_to_the_fields_of_a_trusted_peer() {
        let forwarded = Forwarded::nginx().trust(["10.0.0.0/8".parse().unwrap()]);
        let expected = &[
            ("x-forwarded-for", "6.6.6.6, 7.7.7.7, 10.0.0.9"),
            ("x-forwarded-proto", "http"),
            ("x-real-ip", "10.0.0.9"),
            ("x_forwarded_for", "8.8.8.8"),
        ];
        for address in ["10.0.0.9:5", "[::ffff:10.0.0.9]:5"] {
            check(&Case { forwarded: forwarded.clone(), peer: peer(address), lines: FORGED, expected });
        }
    }

    #[test]
    fn all_sets_every_field() {
        let expected = &[
            ("forwarded", r#"for="[2001:db8::1]";host="site.example:8080";proto=https;by=_edge"#),
            ("via", "1.1 gw"),
            ("x-forwarded-for", "2001:db8::1"),
            ("x-forwarded-host", "site.example:8080"),
            ("x-forwarded-prefix", "/ws"),
            ("x-forwarded-proto", "https"),
            ("x-real-ip", "2001:db8::1"),
        ];
        let forwarded = Forwarded::all().by("_edge").unwrap().pseudonym("gw").unwrap();
        let peer = Some(Peer::new("[2001:db8::1]:77".parse().unwrap()).https());
        check(&Case { forwarded, peer, lines: &[], expected });
    }

    #[test]
    fn all_keeps_the_fields_of_a_trusted_peer() {
        let lines = &[
            ("forwarded", "for=1.2.3.4"),
            ("via", "2 front"),
            ("x-forwarded-host", "public.example"),
            ("x-forwarded-proto", "https"),
            ("x-real-ip", "1.2.3.4"),
        ];
        let expected = &[
            ("forwarded", r#"for=1.2.3.4, for=10.0.0.9;host="site.example:8080";proto=http"#),
            ("via", "2 front, 1.1 tower-upgrade-proxy"),
            ("x-forwarded-for", "10.0.0.9"),
            ("x-forwarded-host", "public.example"),
            ("x-forwarded-prefix", "/ws"),
            ("x-forwarded-proto", "https"),
            ("x-real-ip", "1.2.3.4"),
        ];
        let forwarded = Forwarded::all().trust(["10.0.0.9/32".parse().unwrap()]);
        check(&Case { forwarded, peer: peer("10.0.0.9:5"), lines, expected });
    }

    #[test]
    fn absolute_target_provides_scheme_and_host() {
        let request = Request::get("https://site.example:444/x").header("host", "other.example");
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        let fields = Forwarded::none()
            .x_forwarded_proto(ForwardedField::Replace)
            .x_forwarded_host(ForwardedField::Replace);
        fields.apply(&mut parts, |_| None);
        assert_eq!(parts.headers["x-forwarded-proto"], "https");
        assert_eq!(parts.headers["x-forwarded-host"], "site.example:444");
    }

    #[test]
    fn unknown_address_is_not_sent_and_not_trusted() {
        let forwarded = Forwarded::all()
            .trust(["0.0.0.0/0".parse().unwrap()])
            .x_forwarded_host(ForwardedField::Remove)
            .via(ForwardedField::Remove)
            .x_forwarded_prefix(ForwardedField::Remove)
            .scheme(Scheme::HTTPS);
        let expected = &[
            ("forwarded", r#"for=unknown;host="site.example:8080";proto=https"#),
            ("x-forwarded-proto", "https"),
        ];
        check(&Case { forwarded, peer: None, lines: FORGED, expected });
    }
}
