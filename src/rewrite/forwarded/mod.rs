//! Forwarding fields: `X-Forwarded-*`, `X-Real-IP`, `Forwarded` and `Via`.
//!
//! [`Forwarded`] is the policy. [`apply`] computes the values for one request, [`field`] sets one field
//! by its [`ForwardedField`], [`client`] reads the received fields to find the client's address and scheme, and
//! [`node`] has the syntax of RFC 7239.

mod apply;
mod client;
mod field;
mod node;
mod peer;

use std::net::IpAddr;

use http::{HeaderName, uri::Scheme};
use ipnet::IpNet;

pub use field::ForwardedField;
pub use node::InvalidIdentifier;
pub use peer::Peer;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Policy for the forwarding fields: which are sent upstream, and which peers are trusted to supply them.
///
/// The fields are set after the hop-by-hop fields have been removed, so a client cannot have them removed
/// with `Connection: X-Real-IP`. Received fields that `Connection` names are removed, even those of a trusted peer.
///
/// The peer's address and scheme come from a [`Peer`] in the request's extensions, else from
/// axum's `ConnectInfo<SocketAddr>` (feature `axum`; serve with
/// `into_make_service_with_connect_info`). Without either, the address is unknown: the proxy adds nothing to
/// `X-Forwarded-For` and `X-Real-IP`, sends `for=unknown` in `Forwarded`, does not trust the peer, and logs one warning.
///
/// The scheme is `https` only if the [`Peer`] says so, or by [`Forwarded::scheme`], else `http`. The scheme in the request's
/// URI (a target in absolute form, `:scheme` in HTTP/2) is never used: any client can write any scheme there. A server that
/// terminates TLS must therefore insert a `Peer`, or have a fixed scheme.
///
/// # Behind trusted peers
///
/// With [`Append`](ForwardedField::Append), the fields of a [trusted](Self::trust) peer are kept if they are valid:
///
/// - `X-Forwarded-Proto` if it is `http`, `https`, `ws` or `wss`; of a list, the last element, which is the peer's own. If
///   it is missing, as is `X-Forwarded-For`, the scheme is that of the `proto` parameter of the client's element of `Forwarded`.
///   Beside `X-Forwarded-For`, `Forwarded` is not read, because it may be the client's.
/// - `X-Forwarded-Host` if it is a host with an optional port; of a list, the last element.
/// - `X-Forwarded-Prefix` if it is an absolute path, or a list of them, that does not start with `//`.
/// - `X-Real-IP` is [the client's address](Self#the-clients-address). If that is not reported by `X-Forwarded-For` or
///   `Forwarded`, it is the received value if it is an address, else the peer's.
/// - `X-Forwarded-For` and `Forwarded` are appended to. If the peer sends only one of them, the other one starts with
///   the client's address.
///
/// A value that is not valid is replaced by the proxy's own.
///
/// # The client's address
///
/// Limits per client and [`TunnelInfo::client`](crate::TunnelInfo::client) use the address behind your own
/// proxies, as nginx does with `real_ip_recursive on`:
///
/// - If the peer is not [trusted](Self::trust), the client is the peer.
/// - If it is, the client is the last address in `X-Forwarded-For` that is not trusted, or the first address
///   if all are trusted. Ports are ignored. The search stops at the first entry from the right that is not an
///   address, such as `unknown`, and after 32 addresses; the client is then the last address read, or the
///   peer.
/// - Without `X-Forwarded-For`, the `for` parameters of `Forwarded` are searched in the same way
///   ([RFC 7239, 5.2](https://www.rfc-editor.org/rfc/rfc7239#section-5.2)).
///
/// Both fields are read as received, independently of what is sent upstream.
///
/// A trusted peer must therefore set each of these fields, append to it or remove it. A peer that passes one on
/// unchanged, such as a load balancer that only supports `Forwarded`, lets clients forge it.
///
/// ```
/// use tower_upgrade_proxy::{Forwarded, UpgradeProxyLayer};
///
/// // X-Real-IP, X-Forwarded-For and X-Forwarded-Proto; load balancers in 10/8 are trusted.
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
    trusts_unix: bool,
}

impl Forwarded {
    /// Passes every field as the client sent it. The default, like nginx without `proxy_set_header`. The
    /// upstream must not trust any of the fields then.
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
            trusts_unix: false,
        }
    }

    /// The usual three fields of an nginx configuration: `X-Real-IP $remote_addr`,
    /// `X-Forwarded-For $proxy_add_x_forwarded_for` and `X-Forwarded-Proto $scheme`.
    ///
    /// Each with [`Append`](ForwardedField::Append): the values of a [trusted](Self::trust) peer are kept, so `X-Real-IP` is
    /// the address of the client, not of the peer, and `X-Forwarded-Proto` is the client's scheme. Values of other peers
    /// are replaced. nginx appends to any received `X-Forwarded-For`.
    #[must_use]
    pub fn nginx() -> Self {
        Self {
            x_forwarded_for: ForwardedField::Append,
            x_forwarded_proto: ForwardedField::Append,
            x_real_ip: ForwardedField::Append,
            ..Self::none()
        }
    }

    /// All fields, each with [`Append`](ForwardedField::Append).
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

    /// Sets the policy for `X-Forwarded-For`: the addresses of the client and of the proxies in between, in
    /// this order.
    #[must_use]
    pub fn x_forwarded_for(self, x_forwarded_for: ForwardedField) -> Self {
        Self { x_forwarded_for, ..self }
    }

    /// Sets the policy for `X-Forwarded-Proto`: `http` or `https`, the scheme of the client's connection, or what a trusted
    /// peer reports.
    #[must_use]
    pub fn x_forwarded_proto(self, x_forwarded_proto: ForwardedField) -> Self {
        Self { x_forwarded_proto, ..self }
    }

    /// Sets the policy for `X-Forwarded-Host`: the host that the client requested, with the port.
    #[must_use]
    pub fn x_forwarded_host(self, x_forwarded_host: ForwardedField) -> Self {
        Self { x_forwarded_host, ..self }
    }

    /// Sets the policy for `X-Forwarded-Prefix`: the prefix removed from the path by axum's `nest` or
    /// [`PathRewrite::strip_prefix`](crate::PathRewrite::strip_prefix). The proxy adds no value if no prefix
    /// was removed.
    #[must_use]
    pub fn x_forwarded_prefix(self, x_forwarded_prefix: ForwardedField) -> Self {
        Self { x_forwarded_prefix, ..self }
    }

    /// Sets the policy for `X-Real-IP`: [the client's address](Self#the-clients-address).
    #[must_use]
    pub fn x_real_ip(self, x_real_ip: ForwardedField) -> Self {
        Self { x_real_ip, ..self }
    }

    /// Sets the policy for `Forwarded`, with `for`, `host`, `proto` and `by`
    /// ([RFC 7239](https://www.rfc-editor.org/rfc/rfc7239#section-4)).
    #[must_use]
    pub fn forwarded(self, forwarded: ForwardedField) -> Self {
        Self { forwarded, ..self }
    }

    /// Sets the policy for `Via`, with the HTTP version of the client's request and a pseudonym
    /// ([RFC 9110, 7.6.3](https://www.rfc-editor.org/rfc/rfc9110#section-7.6.3)).
    #[must_use]
    pub fn via(self, via: ForwardedField) -> Self {
        Self { via, ..self }
    }

    /// Sets a fixed scheme for all requests, for a server behind a proxy that terminates TLS. It takes precedence over that of
    /// a trusted peer. Default: the scheme of the client's connection.
    #[must_use]
    pub fn scheme(self, scheme: Scheme) -> Self {
        Self { scheme: Some(scheme), ..self }
    }

    /// Sets the `by` parameter of `Forwarded`, an obfuscated identifier such as `_gateway`
    /// ([RFC 7239, 6.3](https://www.rfc-editor.org/rfc/rfc7239#section-6.3)). Default none.
    ///
    /// # Errors
    ///
    /// If `identifier` does not start with an underscore, or contains other characters than letters, digits,
    /// `.`, `_` and `-`.
    pub fn by(self, identifier: &str) -> Result<Self, InvalidIdentifier> {
        node::check_obfuscated(identifier)?;
        Ok(Self { by: identifier.to_owned(), ..self })
    }

    /// Sets the name in `Via`. Default `tower-upgrade-proxy`.
    ///
    /// # Errors
    ///
    /// If `name` is not a token.
    pub fn pseudonym(self, name: &str) -> Result<Self, InvalidIdentifier> {
        node::check_token(name)?;
        Ok(Self { pseudonym: name.to_owned(), ..self })
    }

    /// Adds trusted peers: your own proxies in front of this one, whose forwarding fields are kept. Default
    /// none. Their fields also determine [the client's address](Self#the-clients-address).
    #[must_use]
    pub fn trust(mut self, peers: impl IntoIterator<Item = IpNet>) -> Self {
        self.trusted.extend(peers);
        self
    }

    /// Trusts the peers on unix sockets: those without an address, which the server marks with [`Peer::unknown`]. nginx's
    /// `set_real_ip_from unix:`. Default: they are not trusted, and [limits per
    /// client](crate::UpgradeProxyLayer::max_tunnels_per_client) count all of them as one client.
    #[must_use]
    pub fn trust_unix_sockets(self) -> Self {
        Self { trusts_unix: true, ..self }
    }

    /// Returns true if one of the fields, or the trust in a peer, depends on the address of the peer.
    pub(crate) fn needs_address(&self) -> bool {
        let is_set = |field| matches!(field, ForwardedField::Replace | ForwardedField::Append);
        [self.x_forwarded_for, self.x_real_ip, self.forwarded].into_iter().any(is_set)
            || !self.trusted.is_empty()
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
