//! [`SanitizeRequestLayer`]: removal of fields by which a client could pose as the application's middleware.

use std::task::{Context, Poll};

use http::{
    HeaderMap, HeaderName, Request,
    header::{CONNECTION, InvalidHeaderName},
};
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    body::trailers::{Names, TrailerRules},
    fields::{is_plain, remove, remove_if},
    rewrite::hop_by_hop,
};

/// A layer for the outermost place: it removes the fields of a request that a client could use to remove or to imitate
/// those that middleware adds.
///
/// A proxy must remove the fields that `Connection` names
/// ([RFC 9110, 7.6.1](https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1)). When the proxy reads `Connection`, middleware
/// in front may have added fields: a client that sends `Connection: x-user` would have the `x-user` of the middleware
/// removed, and the upstream would see no user. With this layer outside of that middleware, only the client's own fields
/// are removed. From every request, upgrades included, it removes:
///
/// - the fields that `Connection` names, and these names in `Connection`. The options `upgrade`, `close` and `keep-alive`, and
///   the fields that are hop-by-hop anyway, such as `TE`, are left to the proxy;
/// - all fields with other characters in their names than letters, digits and dashes, as nginx does by default
///   (`underscores_in_headers off`, `ignore_invalid_headers on`): many servers read `X_User` as `X-User`. Not with
///   [`allow_all_names`](Self::allow_all_names);
/// - the fields given to [`remove`](Self::remove): those that only middleware may set.
///
/// Trailers of a request that the proxy forwards lose the same fields. The proxy reads their names in the request's extensions,
/// which middleware must therefore keep.
///
/// Responses are not changed. The hook [`authorize`](crate::UpgradeProxyLayer::authorize) needs no such layer: its fields are
/// set after the client's are removed.
///
/// ```
/// use axum::{Router, extract::Request, http::HeaderValue, middleware::map_request};
/// use tower_upgrade_proxy::{SanitizeRequestLayer, UpgradeProxyLayer};
///
/// async fn add_user(mut request: Request) -> Request {
///     request.headers_mut().insert("x-user", HeaderValue::from_static("guest"));
///     request
/// }
///
/// let proxy = UpgradeProxyLayer::new("http://127.0.0.1:9000".parse()?);
/// let app: Router = Router::new()
///     .nest_service("/ws", proxy.forward())
///     .layer(map_request(add_user))
///     .layer(SanitizeRequestLayer::new().remove(["x-user", "x-role"])?); // the last layer is the outermost one
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct SanitizeRequestLayer(Rules);

#[derive(Clone, Debug)]
struct Rules {
    removed: Vec<HeaderName>,
    names: Names,
}

impl SanitizeRequestLayer {
    /// Returns the layer.
    #[must_use]
    pub fn new() -> Self {
        Self(Rules { removed: Vec::new(), names: Names::Plain })
    }

    /// Removes these fields from every request, and the spellings of their names that servers may take for the same, such
    /// as `X_User`. For fields that middleware sets for some requests only.
    ///
    /// # Errors
    ///
    /// If a name is not a valid field name.
    pub fn remove<'a>(mut self, names: impl IntoIterator<Item = &'a str>) -> Result<Self, InvalidHeaderName> {
        for name in names {
            self.0.removed.push(name.parse()?);
        }
        Ok(self)
    }

    /// Keeps fields with other characters in their names than letters, digits and dashes, such as `X_Request_Id`: nginx's
    /// `underscores_in_headers on` and `ignore_invalid_headers off`. The spellings of removed fields are removed still.
    #[must_use]
    pub fn allow_all_names(mut self) -> Self {
        self.0.names = Names::All;
        self
    }
}

impl Default for SanitizeRequestLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for SanitizeRequestLayer {
    type Service = SanitizeRequest<S>;

    fn layer(&self, inner: S) -> SanitizeRequest<S> {
        SanitizeRequest { inner, rules: self.0.clone() }
    }
}

/// The service of [`SanitizeRequestLayer`].
#[derive(Clone, Debug)]
pub struct SanitizeRequest<S> {
    inner: S,
    rules: Rules,
}

impl<S, B> Service<Request<B>> for SanitizeRequest<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        let trailers = self.rules.apply(request.headers_mut());
        let of_outer_layer: Option<TrailerRules> = request.extensions_mut().remove();
        request.extensions_mut().insert(trailers.and(of_outer_layer.unwrap_or_default()));
        self.inner.call(request)
    }
}

impl Rules {
    /// Removes the fields. Returns the rules for the trailers, which the proxy applies.
    fn apply(&self, headers: &mut HeaderMap) -> TrailerRules {
        let mut removed = self.removed.clone();
        if headers.contains_key(CONNECTION) {
            removed.extend(hop_by_hop::take_nominated(headers));
        }
        for name in &removed {
            remove(headers, name);
        }
        if self.names == Names::Plain {
            remove_if(headers, |name| !is_plain(name));
        }
        TrailerRules::new(removed, self.names)
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::*;

    fn map(lines: &[(&str, &str)]) -> HeaderMap {
        let field = |(name, value): &(&str, &str)| {
            (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap())
        };
        lines.iter().map(field).collect()
    }

    /// Returns the fields that are left, without those of `Connection`, and its lines.
    fn left(layer: &SanitizeRequestLayer, lines: &[(&str, &str)]) -> (Vec<String>, Vec<String>) {
        let mut headers = map(lines);
        layer.0.apply(&mut headers);
        let connection = headers.get_all(CONNECTION).iter().map(|line| line.to_str().unwrap().to_owned());
        let connection = connection.collect();
        headers.remove(CONNECTION);
        let mut names: Vec<_> = headers.keys().map(ToString::to_string).collect();
        names.sort_unstable();
        (names, connection)
    }

    #[test]
    fn nominated_fields_are_removed_and_connection_keeps_its_options() {
        let layer = SanitizeRequestLayer::new().allow_all_names();
        let all = &["host", "te", "x-user", "x.user", "x_user"][..];
        let without_user = &["host", "te"][..];
        // Lines of Connection; fields that are left, and the line that is left.
        let table: &[(&[&str], &[&str], &[&str])] = &[
            (&["Upgrade"], all, &["Upgrade"]),
            (&["x-user"], without_user, &[]),
            (&["X_USER"], without_user, &[]),
            (&["keep-alive, X-User", "Upgrade, TE"], without_user, &["keep-alive, Upgrade, TE"]),
            (&["Upgrade, Host, x-absent, \"x-user\", \u{e9}"], all, &["Upgrade"]),
            (&["", "close"], all, &["close"]),
            (&[""], all, &[]),
        ];
        for (lines, fields, options) in table {
            let connection = lines.iter().map(|line| ("connection", *line));
            let headers: Vec<_> = connection.chain(all.iter().map(|name| (*name, "1"))).collect();
            let (names, connection) = left(&layer, &headers);
            assert_eq!(names, *fields, "{lines:?}");
            assert_eq!(connection, *options, "{lines:?}");
        }
    }

    #[test]
    fn unusual_and_named_fields_are_removed() {
        let lines =
            [("x-user", "1"), ("x_user", "1"), ("x-user", "2"), ("x_id", "1"), ("x.id", "1"), ("x-id", "1")];
        assert_eq!(left(&SanitizeRequestLayer::new(), &lines).0, ["x-id", "x-user"]);
        let named = SanitizeRequestLayer::new().remove(["X-User"]).unwrap();
        assert_eq!(left(&named, &lines).0, ["x-id"]);
        assert_eq!(left(&named.allow_all_names(), &lines).0, ["x-id", "x.id", "x_id"]);
        assert!(SanitizeRequestLayer::new().remove(["x user"]).is_err());
    }
}
