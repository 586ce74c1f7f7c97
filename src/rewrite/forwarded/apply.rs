//! Values of the forwarding fields for one request.

use std::net::IpAddr;

use http::{
    HeaderMap, HeaderName, HeaderValue, Version,
    header::{FORWARDED, VIA},
    request::Parts,
};

use super::{
    Forwarded, ForwardedField, Peer, X_FORWARDED_FOR,
    client::parse,
    field::{append, last, set},
    node,
};
use crate::{authority, rewrite::host};

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
        let trusted = self.trusts_peer(&parts.extensions);
        let peer = Peer::from_extensions(&parts.extensions);
        let address = peer.and_then(Peer::address).map(|address| address.ip().to_canonical());
        let client = self.reported_client(parts);
        let host = host::requested(parts);
        let via = format!("{} {}", via_version(parts.version), self.pseudonym);
        let prefix = prefix(parts);

        let own_scheme = self.own_scheme(peer);
        let headers = &mut parts.headers;
        let reported_scheme = reported_scheme(headers);
        // Behind a trusted peer that sends only one of the two lists, the other one starts with the client.
        let behind = client.address.filter(|client| Some(*client) != address);

        set(headers, &X_FORWARDED_FOR, self.x_forwarded_for, trusted, |kept| {
            append(kept, behind.map(|ip| ip.to_string()), address.map(|ip| ip.to_string()))
        });
        set(headers, &FORWARDED, self.forwarded, trusted, |kept| {
            let first = behind.map(|ip| element(ip, reported_scheme));
            append(kept, first, Some(self.own_element(address, own_scheme, host.as_ref())))
        });
        set(headers, &VIA, self.via, trusted, |kept| append(kept, None, Some(via)));
        set(headers, &X_FORWARDED_PROTO, self.x_forwarded_proto, trusted, |kept| {
            let kept = kept.filter(|_| self.scheme.is_none());
            let reported =
                kept.and_then(|list| if list.is_empty() { client.scheme } else { reported_scheme });
            HeaderValue::from_str(reported.unwrap_or(own_scheme)).ok()
        });
        set(headers, &X_FORWARDED_HOST, self.x_forwarded_host, trusted, |kept| {
            let reported = kept.map(last).filter(|host| authority::parse(host).is_some());
            reported.and_then(|host| HeaderValue::from_bytes(host).ok()).or(host)
        });
        set(headers, &X_FORWARDED_PREFIX, self.x_forwarded_prefix, trusted, |kept| {
            let reported = kept.filter(|prefixes| parse::is_prefix(prefixes));
            reported.and_then(|prefixes| HeaderValue::from_bytes(prefixes).ok()).or(value(prefix))
        });
        set(headers, &X_REAL_IP, self.x_real_ip, trusted, |kept| {
            let reported = kept.filter(|_| !client.is_reported).and_then(parse::node);
            value(reported.or(client.address).map(|ip| ip.to_string()))
        });
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

    /// Returns true if the client uses https: on its connection, or as a trusted peer reports.
    pub(crate) fn is_https(&self, parts: &Parts) -> bool {
        let own = self.own_scheme(Peer::from_extensions(&parts.extensions));
        if self.scheme.is_some() || !self.trusts_peer(&parts.extensions) {
            return own == "https";
        }
        reported_scheme(&parts.headers).or(self.reported_client(parts).scheme).unwrap_or(own) == "https"
    }

    /// Returns the scheme of the client's connection. That of the request's URI is only the client's word.
    fn own_scheme(&self, peer: Option<Peer>) -> &str {
        match &self.scheme {
            Some(scheme) => scheme.as_str(),
            None if peer.is_some_and(Peer::is_https) => "https",
            None => "http",
        }
    }

    /// Returns the proxy's own element of `Forwarded`.
    fn own_element(&self, address: Option<IpAddr>, scheme: &str, host: Option<&HeaderValue>) -> String {
        let node = address.map_or_else(|| "unknown".to_owned(), node::for_value);
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

/// Returns an element of `Forwarded` for a hop before the peer.
/// Returns the last scheme in `X-Forwarded-Proto`.
fn reported_scheme(headers: &HeaderMap) -> Option<&'static str> {
    let line = headers.get_all(X_FORWARDED_PROTO).iter().next_back()?;
    parse::scheme(last(line.as_bytes()))
}

fn element(ip: IpAddr, scheme: Option<&str>) -> String {
    let proto = scheme.map(|scheme| format!(";proto={scheme}")).unwrap_or_default();
    format!("for={}{proto}", node::for_value(ip))
}

fn value(text: Option<String>) -> Option<HeaderValue> {
    text.and_then(|text| HeaderValue::try_from(text).ok())
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
    use http::{Request, header::HOST, uri::Scheme};

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
            ("x-forwarded-proto", "https"),
            ("x-real-ip", "7.7.7.7"),
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
            ("x-forwarded-for", "1.2.3.4, 10.0.0.9"),
            ("x-forwarded-host", "public.example"),
            ("x-forwarded-prefix", "/ws"),
            ("x-forwarded-proto", "https"),
            ("x-real-ip", "1.2.3.4"),
        ];
        let forwarded = Forwarded::all().trust(["10.0.0.9/32".parse().unwrap()]);
        check(&Case { forwarded, peer: peer("10.0.0.9:5"), lines, expected });
    }

    #[test]
    fn absolute_target_provides_the_host_and_never_the_scheme() {
        let peer = peer("192.0.2.1:5");
        let table = [
            ("https", None, "http"),
            ("https", Some(Peer::unknown()), "http"),
            ("https", peer, "http"),
            ("http", peer.map(Peer::https), "https"),
        ];
        for (scheme, peer, expected) in table {
            let request =
                Request::get(format!("{scheme}://site.example:444/x")).header("host", "other.example");
            let (mut parts, ()) = request.body(()).unwrap().into_parts();
            if let Some(peer) = peer {
                parts.extensions.insert(peer);
            }
            Forwarded::all().apply(&mut parts, |_| None);
            assert_eq!(parts.headers["x-forwarded-proto"], expected);
            let proto = format!("proto={expected}");
            assert!(parts.headers["forwarded"].to_str().unwrap().ends_with(&proto));
            assert_eq!(parts.headers["x-forwarded-host"], "site.example:444");
        }
    }

    #[test]
    fn invalid_values_of_a_trusted_peer_are_replaced() {
        // Field, received value, value sent upstream.
        let table: &[(&str, &str, &str)] = &[
            ("x-forwarded-proto", "https", "https"),
            ("x-forwarded-proto", "HTTPS", "https"),
            ("x-forwarded-proto", "wss", "wss"),
            ("x-forwarded-proto", "http, https", "https"),
            ("x-forwarded-proto", "https,http", "http"),
            ("x-forwarded-proto", "https, javascript", "http"),
            ("x-forwarded-proto", "javascript", "http"),
            ("x-forwarded-proto", "https://", "http"),
            ("x-forwarded-proto", "", "http"),
            ("x-forwarded-host", "public.example:8443", "public.example:8443"),
            ("x-forwarded-host", "forged.example, public.example", "public.example"),
            ("x-forwarded-host", "a/b", "site.example:8080"),
            ("x-forwarded-host", "u@a", "site.example:8080"),
            ("x-forwarded-host", "a:80x", "site.example:8080"),
            ("x-forwarded-host", "", "site.example:8080"),
            ("x-real-ip", "192.0.2.7", "192.0.2.7"),
            ("x-real-ip", "::ffff:192.0.2.7", "192.0.2.7"),
            ("x-real-ip", "192.0.2.7, 192.0.2.8", "10.0.0.9"),
            ("x-real-ip", "unknown", "10.0.0.9"),
            ("x-real-ip", "", "10.0.0.9"),
            ("x-forwarded-for", "", "10.0.0.9"),
            ("x-forwarded-prefix", "/a/b%20c", "/a/b%20c"),
            ("x-forwarded-prefix", "/a, /b", "/a, /b"),
            ("x-forwarded-prefix", "/", "/"),
            ("x-forwarded-prefix", "//evil.example", "/ws"),
            ("x-forwarded-prefix", "/\\evil.example", "/ws"),
            ("x-forwarded-prefix", "//evil.example, /a", "/ws"),
            ("x-forwarded-prefix", "/a, //evil.example", "/ws"),
            ("x-forwarded-prefix", "javascript:a", "/ws"),
            ("x-forwarded-prefix", "https://evil.example/", "/ws"),
            ("x-forwarded-prefix", "/a\"><b>", "/ws"),
            ("x-forwarded-prefix", "/a b", "/ws"),
            ("x-forwarded-prefix", "/a?b", "/ws"),
            ("x-forwarded-prefix", "", "/ws"),
        ];
        let forwarded = Forwarded::all().trust(["10.0.0.0/8".parse().unwrap()]);
        for (name, received, expected) in table {
            let request = Request::get("/").header("host", "site.example:8080").header(*name, *received);
            let (mut parts, ()) = request.body(()).unwrap().into_parts();
            parts.extensions.insert(peer("10.0.0.9:5").unwrap());
            forwarded.apply(&mut parts, |_| Some("/ws".to_owned()));
            assert_eq!(parts.headers[*name], expected, "{name}: {received}");
            let fixed = forwarded.clone().scheme(Scheme::HTTPS);
            fixed.apply(&mut parts, |_| None);
            assert_eq!(parts.headers["x-forwarded-proto"], "https", "a fixed scheme takes precedence");
        }
    }

    #[test]
    fn a_trusted_peer_may_send_only_one_of_the_lists() {
        let forwarded = Forwarded::all().trust(["10.0.0.0/8".parse().unwrap()]).via(ForwardedField::Remove);
        let own = r#"for=10.0.0.9;host="site.example:8080";proto=http"#;
        let only_for: &[(&str, &str)] = &[
            ("x-forwarded-for", "6.6.6.6, 2001:db8::7"),
            ("x-forwarded-proto", "https"),
            ("x-real-ip", "6.6.6.6"),
        ];
        let only_forwarded: &[(&str, &str)] =
            &[("forwarded", r#"for=6.6.6.6;proto=http, for="[2001:db8::7]:80";proto=https"#)];
        for lines in [only_for, only_forwarded] {
            let mut request = Request::get("/").header("host", "site.example:8080");
            for (name, value) in lines {
                request = request.header(*name, *value);
            }
            let (mut parts, ()) = request.body(()).unwrap().into_parts();
            parts.extensions.insert(peer("10.0.0.9:5").unwrap());
            forwarded.apply(&mut parts, |_| None);
            let list = parts.headers["x-forwarded-for"].to_str().unwrap();
            assert!(list.ends_with("2001:db8::7, 10.0.0.9"), "{list}");
            let list = parts.headers["forwarded"].to_str().unwrap();
            assert!(
                list.ends_with(own) && list.contains(r#"for="[2001:db8::7]"#) && list.contains("https"),
                "{list}"
            );
            assert_eq!(parts.headers["x-forwarded-proto"], "https");
            assert_eq!(parts.headers["x-real-ip"], "2001:db8::7");
        }
    }

    #[test]
    fn x_real_ip_of_a_trusted_peer_is_kept_unless_a_list_reports_an_address() {
        let forwarded = Forwarded::nginx().trust(["10.0.0.0/8".parse().unwrap()]);
        // Field, received value, X-Real-IP sent upstream.
        let table: &[(&str, &str, &str)] = &[
            ("forwarded", "proto=https", "192.0.2.7"),
            ("forwarded", "for=unknown", "192.0.2.7"),
            ("forwarded", "for=6.6.6.6, for=_hidden", "192.0.2.7"),
            ("x-forwarded-for", "unknown", "192.0.2.7"),
            ("x-forwarded-for", "", "192.0.2.7"),
            ("forwarded", "for=6.6.6.6", "6.6.6.6"),
            ("x-forwarded-for", "6.6.6.6", "6.6.6.6"),
            ("x-forwarded-for", "10.0.0.9", "10.0.0.9"),
            ("x-forwarded-for", "unknown, 10.0.0.8", "10.0.0.8"),
        ];
        for (name, list, expected) in table {
            let request = Request::get("/").header(*name, *list).header("x-real-ip", "192.0.2.7");
            let (mut parts, ()) = request.body(()).unwrap().into_parts();
            parts.extensions.insert(peer("10.0.0.9:5").unwrap());
            forwarded.apply(&mut parts, |_| None);
            assert_eq!(parts.headers["x-real-ip"], expected, "{name}: {list}");
        }
    }

    #[test]
    fn scheme_in_forwarded_is_not_read_beside_x_forwarded_for() {
        // A peer that sends the latter may pass on the client's `Forwarded`.
        let forwarded = Forwarded::nginx().trust(["10.0.0.0/8".parse().unwrap()]);
        let request = Request::get("/")
            .header("x-forwarded-for", "6.6.6.6")
            .header("forwarded", "for=6.6.6.6;proto=https");
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        parts.extensions.insert(peer("10.0.0.9:5").unwrap());
        forwarded.apply(&mut parts, |_| None);
        assert_eq!(parts.headers["x-forwarded-proto"], "http");
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
