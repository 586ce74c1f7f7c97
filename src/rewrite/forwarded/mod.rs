//! What the upstream is told of the client: `X-Forwarded-*`, `X-Real-IP`, `Forwarded`, `Via`.

mod client;
mod field;
mod node;

use std::net::{IpAddr, SocketAddr};

use http::{
    HeaderName, HeaderValue, Version,
    header::{FORWARDED, HOST, VIA},
    request::Parts,
    uri::Scheme,
};
use ipnet::IpNet;

pub use node::{InvalidIdentifier, Peer};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// What happens to one of the fields that [`Forwarded`] knows.
///
/// Whatever a peer that is not [trusted](Forwarded::trust) says in the field is removed first,
/// except with [`Pass`](Self::Pass); and so is what it says under the name with underscores
/// (`X_Forwarded_For`), which some servers take for the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForwardedField {
    /// Left alone: it arrives as the client sent it, forged or not.
    Pass,
    /// Removed, from whomever it came.
    Remove,
    /// Set by the proxy; what came is removed.
    Replace,
    /// What a trusted peer said stays. A list gets the proxy's element at its end; a field with one
    /// value is set by the proxy only when there is none.
    Append,
}

/// Which fields tell the upstream about the client, and whose word is taken for them.
///
/// They are set after hop-by-hop fields were removed, so that no `Connection: X-Real-IP` of a
/// client takes them away.
///
/// The client's address and scheme come from a [`Peer`] in the request's extensions, else from
/// axum's `ConnectInfo<SocketAddr>` (feature `axum`; serve with
/// `into_make_service_with_connect_info`). When there is neither, no address is told:
/// `X-Forwarded-For` and `X-Real-IP` get nothing from the proxy, `Forwarded` says `for=unknown`,
/// and the peer is trusted by nobody. Without a [`Peer`] the scheme is that of the request's URI, as HTTP/2
/// has one, else `http`.
///
/// # The client's address
///
/// Limits per client and [`TunnelInfo::client`](crate::TunnelInfo::client) are about whoever is behind
/// the proxies of your own, as with nginx's `real_ip_recursive on`: the peer, or, when that is
/// [trusted](Self::trust), the last address in `X-Forwarded-For` that is not trusted itself. If all
/// are, it is the first of them. Ports are ignored. What is no address, like `unknown`, ends the search
/// where it has come to, and so do 32 addresses.
///
/// When there is no `X-Forwarded-For`, the `for` of each element of `Forwarded` counts in the same way
/// ([RFC 7239, 5.2](https://www.rfc-editor.org/rfc/rfc7239#section-5.2)). Both are read as they came,
/// whatever is then sent on.
///
/// A trusted peer must therefore set `X-Forwarded-For`, append to it or remove it. One that passes it on
/// as it came, like a balancer that only knows `Forwarded`, lets its clients choose their addresses.
///
/// ```
/// use tower_upgrade_proxy::{Forwarded, UpgradeProxyLayer};
///
/// // X-Real-IP, X-Forwarded-For and X-Forwarded-Proto, believed from a load balancer in 10/8.
/// let forwarded = Forwarded::nginx().trust(["10.0.0.0/8".parse()?]);
/// let location = UpgradeProxyLayer::new("http://127.0.0.1:9000".parse()?).forwarded(forwarded);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Forwarded {
    x_forwarded_for: ForwardedField,
    x_forwarded_proto: ForwardedField,
    x_forwarded_host: ForwardedField,
    x_forwarded_prefix: ForwardedField,
    x_real_ip: ForwardedField,
    forwarded: ForwardedField,
    via: ForwardedField,
    scheme: Option<Scheme>,
    by: String,
    pseudonym: String,
    trusted: Vec<IpNet>,
}

impl Forwarded {
    /// Every field passes as the client sent it. The default, as nginx's without
    /// `proxy_set_header`. The upstream must then not believe any of them.
    #[must_use]
    pub fn none() -> Self {
        Self {
            x_forwarded_for: ForwardedField::Pass,
            x_forwarded_proto: ForwardedField::Pass,
            x_forwarded_host: ForwardedField::Pass,
            x_forwarded_prefix: ForwardedField::Pass,
            x_real_ip: ForwardedField::Pass,
            forwarded: ForwardedField::Pass,
            via: ForwardedField::Pass,
            scheme: None,
            by: String::new(),
            pseudonym: "tower-upgrade-proxy".to_owned(),
            trusted: Vec::new(),
        }
    }

    /// The three lines of every nginx guide: `X-Real-IP $remote_addr`,
    /// `X-Forwarded-For $proxy_add_x_forwarded_for` and `X-Forwarded-Proto $scheme`.
    ///
    /// nginx appends to whatever `X-Forwarded-For` the client made up; here only to a
    /// [trusted](Self::trust) peer's.
    #[must_use]
    pub fn nginx() -> Self {
        Self {
            x_forwarded_for: ForwardedField::Append,
            x_forwarded_proto: ForwardedField::Replace,
            x_real_ip: ForwardedField::Replace,
            ..Self::none()
        }
    }

    /// All fields, each [`Append`](ForwardedField::Append).
    #[must_use]
    pub fn all() -> Self {
        Self {
            x_forwarded_for: ForwardedField::Append,
            x_forwarded_proto: ForwardedField::Append,
            x_forwarded_host: ForwardedField::Append,
            x_forwarded_prefix: ForwardedField::Append,
            x_real_ip: ForwardedField::Append,
            forwarded: ForwardedField::Append,
            via: ForwardedField::Append,
            ..Self::none()
        }
    }

    /// `X-Forwarded-For`: the addresses the request passed, the client's first.
    #[must_use]
    pub fn x_forwarded_for(self, x_forwarded_for: ForwardedField) -> Self {
        Self { x_forwarded_for, ..self }
    }

    /// `X-Forwarded-Proto`: `http` or `https`, as the client's connection was.
    #[must_use]
    pub fn x_forwarded_proto(self, x_forwarded_proto: ForwardedField) -> Self {
        Self { x_forwarded_proto, ..self }
    }

    /// `X-Forwarded-Host`: the host the client asked for, port included.
    #[must_use]
    pub fn x_forwarded_host(self, x_forwarded_host: ForwardedField) -> Self {
        Self { x_forwarded_host, ..self }
    }

    /// `X-Forwarded-Prefix`: what axum's `nest` or
    /// [`PathRewrite::strip_prefix`](crate::PathRewrite::strip_prefix) took off the path. Nothing
    /// when nothing was taken off.
    #[must_use]
    pub fn x_forwarded_prefix(self, x_forwarded_prefix: ForwardedField) -> Self {
        Self { x_forwarded_prefix, ..self }
    }

    /// `X-Real-IP`: the address of the peer.
    #[must_use]
    pub fn x_real_ip(self, x_real_ip: ForwardedField) -> Self {
        Self { x_real_ip, ..self }
    }

    /// `Forwarded`, with `for`, `host`, `proto` and `by`
    /// ([RFC 7239](https://www.rfc-editor.org/rfc/rfc7239#section-4)).
    #[must_use]
    pub fn forwarded(self, forwarded: ForwardedField) -> Self {
        Self { forwarded, ..self }
    }

    /// `Via`, with the version the client spoke and a pseudonym
    /// ([RFC 9110, 7.6.3](https://www.rfc-editor.org/rfc/rfc9110#section-7.6.3)).
    #[must_use]
    pub fn via(self, via: ForwardedField) -> Self {
        Self { via, ..self }
    }

    /// The scheme to tell, whatever the connection was: for a server behind something that takes
    /// TLS off.
    #[must_use]
    pub fn scheme(self, scheme: Scheme) -> Self {
        Self { scheme: Some(scheme), ..self }
    }

    /// The `by` of `Forwarded`, an obfuscated identifier like `_gateway`
    /// ([RFC 7239, 6.3](https://www.rfc-editor.org/rfc/rfc7239#section-6.3)). None by default.
    ///
    /// # Errors
    ///
    /// When it does not start with an underscore or holds other than letters, digits, `.`, `_`, `-`.
    pub fn by(self, identifier: &str) -> Result<Self, InvalidIdentifier> {
        node::check_obfuscated(identifier)?;
        Ok(Self { by: identifier.to_owned(), ..self })
    }

    /// The name in `Via`. Default `tower-upgrade-proxy`.
    ///
    /// # Errors
    ///
    /// When it is no token.
    pub fn pseudonym(self, name: &str) -> Result<Self, InvalidIdentifier> {
        node::check_token(name)?;
        Ok(Self { pseudonym: name.to_owned(), ..self })
    }

    /// Peers whose fields are believed: proxies of your own in front of this one. Nobody by default.
    /// They also say [who the client is](Self#the-clients-address).
    #[must_use]
    pub fn trust(mut self, peers: impl IntoIterator<Item = IpNet>) -> Self {
        self.trusted.extend(peers);
        self
    }

    /// Sets the fields on the upstream's head, hygiene done and `Host` still the client's. `prefix`
    /// is what the path has lost.
    pub(crate) fn apply(&self, parts: &mut Parts, prefix: impl FnOnce(&Parts) -> Option<String>) {
        if self.passes_all() {
            return;
        }
        let peer = Peer::from_extensions(&parts.extensions);
        let address = peer.and_then(Peer::address);
        let trusted = address.is_some_and(|address| self.trusts(address.ip()));
        let scheme = self.scheme_of(parts, peer);
        let ip = address.map(|address| address.ip().to_canonical().to_string());
        let host = match parts.uri.authority() {
            Some(authority) => HeaderValue::from_str(super::host::without_user_info(authority)).ok(),
            None => parts.headers.get(HOST).cloned(),
        };
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

    /// Our element of `Forwarded`.
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

    fn trusts(&self, ip: IpAddr) -> bool {
        // An IPv4 peer of a dual-stack listener shows as ::ffff:a.b.c.d.
        let ip = ip.to_canonical();
        self.trusted.iter().any(|net| net.contains(&ip))
    }
}

impl Default for Forwarded {
    fn default() -> Self {
        Self::none()
    }
}

/// The version in `Via`.
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
    use http::Request;

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
        let request = Request::get("https://user@site.example:444/x").header("host", "other.example");
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
