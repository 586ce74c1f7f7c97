//! [`PathRewrite`]: the policy for the path of the upstream request.

use http::{Uri, request::Parts, uri::PathAndQuery};

use super::dot_segments::may_escape;
use crate::{
    error::{Error, Kind},
    received::original_uri,
    upstream::Upstream,
};

/// Policy for the path of the upstream request. The query is always passed on byte for byte, and nothing is
/// percent-decoded.
///
/// The resulting path is appended to the upstream's base path, if any. With a prefix, axum's `nest` or a base
/// path, a request whose dot segments (`..`) would escape from that prefix or base path gets a 400. Without
/// prefix and base path there is nothing to escape from, and the path is passed on byte for byte.
///
/// # Interpretations
///
/// Servers interpret paths differently. A path is rejected if it escapes when a server, in any combination:
///
/// - decodes percent-encoded octets any number of times (`%2e%2e`, `..%2f`, `%252e`), or decodes overlong UTF-8
///   (`%c0%ae`);
/// - treats a backslash as a slash (`..\`, `..%5c`), or an encoded slash as part of a name;
/// - ends a segment at `;`, as with path parameters (`..;x`), or at `?`, `#`, a space or a control character
///   (`..%3b`, `..%00`), or skips empty segments.
///
/// A server that maps other characters to dots or slashes, such as `%u002e` or full-width forms, is not covered.
///
/// ```
/// use tower_upgrade_proxy::{PathRewrite, UpgradeProxyLayer};
///
/// // nginx: location /chat/ { proxy_pass http://127.0.0.1:9000/; }
/// let layer = UpgradeProxyLayer::new("http://127.0.0.1:9000".parse()?)
///     .path(PathRewrite::strip_prefix("/chat"));
/// # Ok::<(), tower_upgrade_proxy::InvalidUpstream>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct PathRewrite(Policy);

#[derive(Clone, Debug, Default)]
enum Policy {
    #[default]
    Keep,
    /// The prefix.
    KeepWithin(String),
    #[cfg(feature = "axum")]
    Original,
    /// Both without a trailing slash.
    Replace { prefix: String, with: String },
}

impl PathRewrite {
    /// Keeps the path of the request that the layer receives. The default. Within axum's `nest` that is the
    /// path without the prefix.
    #[must_use]
    pub fn keep() -> Self {
        Self(Policy::Keep)
    }

    /// Keeps the path. If it starts with `prefix` and its dot segments would lead out of it, the request gets a 400: for a
    /// router in front that matches prefixes, and does not resolve dot segments. `prefix` need not end at a segment boundary:
    /// with `/app`, `/app/../x` and `/apple/../x` get a 400. All other paths are passed on byte for byte; with `/` there is nothing to
    /// escape from.
    ///
    /// ```
    /// use axum::Router;
    /// use tower_upgrade_proxy::{PathRewrite, UpgradeProxyLayer};
    ///
    /// // nginx: location /chat/ { proxy_pass http://127.0.0.1:9000; }
    /// let chat = UpgradeProxyLayer::new("http://127.0.0.1:9000".parse()?)
    ///     .path(PathRewrite::keep_within("/chat/"));
    /// let app: Router = Router::new().route_service("/chat/{*path}", chat.forward());
    /// # Ok::<(), tower_upgrade_proxy::InvalidUpstream>(())
    /// ```
    #[must_use]
    pub fn keep_within(prefix: &str) -> Self {
        Self(Policy::KeepWithin(prefix.to_owned()))
    }

    /// Restores the path sent by the client, before axum's `nest` removed the prefix, from the `OriginalUri`
    /// extension. Without that extension it is the same as [`keep`](Self::keep).
    #[cfg(feature = "axum")]
    #[cfg_attr(docsrs, doc(cfg(feature = "axum")))]
    #[must_use]
    pub fn original_uri() -> Self {
        Self(Policy::Original)
    }

    /// Removes `prefix` if it ends at a segment boundary: with `/chat`, `/chat/x` becomes `/x` and `/chat`
    /// becomes `/`, but `/chatter` is unchanged. Other paths are unchanged.
    #[must_use]
    pub fn strip_prefix(prefix: &str) -> Self {
        Self::replace_prefix(prefix, "")
    }

    /// Replaces `prefix` by `with` if it ends at a segment boundary: nginx's `proxy_pass` with a URI. Other
    /// paths are unchanged.
    #[must_use]
    pub fn replace_prefix(prefix: &str, with: &str) -> Self {
        let normalise = |path: &str| match path.trim_matches('/') {
            "" => String::new(),
            path => format!("/{path}"),
        };
        Self(Policy::Replace { prefix: normalise(prefix), with: normalise(with) })
    }

    /// Returns the request target for `upstream`, in origin form.
    ///
    /// # Errors
    ///
    /// If the target has no path, is not ASCII, or escapes from its prefix or base path.
    pub(crate) fn apply(&self, parts: &Parts, upstream: &Upstream) -> Result<PathAndQuery, Error> {
        let uri = self.source_uri(parts);
        let path = match uri.path() {
            path if path.starts_with('/') => path,
            _ => return Err(Error::new(Kind::Request("the target is not a path"))),
        };
        if !path.is_ascii() {
            return Err(Error::new(Kind::Request("the target is not ASCII")));
        }
        let (with, rest, bounded) = match &self.0 {
            Policy::Replace { prefix, with } => match after_prefix(path, prefix) {
                Some(rest) => (with.as_str(), rest, true),
                None => ("", path, false),
            },
            _ => ("", path, false),
        };
        let base = upstream.base_path();
        let escapes = (bounded || !base.is_empty()) && may_escape(rest);
        let leaves = matches!(&self.0, Policy::KeepWithin(prefix) if may_leave(path, prefix));
        if escapes || leaves || is_nested(parts) && may_escape(parts.uri.path()) {
            return Err(Error::new(Kind::Request("the path escapes its prefix")));
        }
        match uri.path_and_query() {
            // In older versions of `http`, the path of `http://host` is empty, and is sent as such.
            Some(root) if base.is_empty() && !bounded && root.as_str() == "/" => {
                Ok(PathAndQuery::from_static("/"))
            }
            Some(same) if base.is_empty() && !bounded && same.as_str().starts_with('/') => Ok(same.clone()),
            _ => {
                let slash = if rest.starts_with('/') { "" } else { "/" };
                let mut target = [base, with, slash, rest].concat();
                if let Some(query) = uri.query() {
                    target.push('?');
                    target.push_str(query);
                }
                PathAndQuery::try_from(target)
                    .map_err(|_| Error::new(Kind::Request("the target is not a path")))
            }
        }
    }

    /// Returns the prefix removed from the client's path by axum's `nest` or by
    /// [`strip_prefix`](Self::strip_prefix).
    pub(crate) fn stripped_prefix(&self, parts: &Parts) -> Option<String> {
        let mut stripped = String::new();
        #[cfg(feature = "axum")]
        if let (Some(original), false) =
            (parts.extensions.get::<axum::extract::OriginalUri>(), matches!(self.0, Policy::Original))
        {
            // `nest` leaves a slash if it removes the whole path.
            let seen = parts.uri.path();
            let original = original.0.path();
            stripped.push_str(
                original.strip_suffix(seen).or_else(|| original.strip_suffix(seen.trim_end_matches('/')))?,
            );
        }
        if let Policy::Replace { prefix, with } = &self.0
            && with.is_empty()
            && after_prefix(parts.uri.path(), prefix).is_some()
        {
            stripped.push_str(prefix);
        }
        Some(stripped).filter(|stripped| !stripped.is_empty())
    }

    /// Returns the URI whose path is rewritten: the original one, or that of the request.
    #[cfg_attr(not(feature = "axum"), allow(clippy::unused_self))]
    fn source_uri<'a>(&self, parts: &'a Parts) -> &'a Uri {
        #[cfg(feature = "axum")]
        if let (Policy::Original, Some(original)) =
            (&self.0, parts.extensions.get::<axum::extract::OriginalUri>())
        {
            return &original.0;
        }
        &parts.uri
    }
}

/// Returns true if `path` starts with `prefix`, and its dot segments may lead out of it.
fn may_leave(path: &str, prefix: &str) -> bool {
    let Some(rest) = path.strip_prefix(prefix).filter(|_| prefix != "/") else { return false };
    // The rest of a segment that the prefix begins belongs to the prefix.
    let below =
        if prefix.ends_with('/') { rest } else { rest.split_once('/').map_or("", |(_, below)| below) };
    may_escape(rest) || may_escape(below)
}

/// Returns true if axum's `nest` has removed a prefix from the path.
fn is_nested(parts: &Parts) -> bool {
    original_uri(&parts.uri, &parts.extensions).path() != parts.uri.path()
}

/// Returns the part of `path` after `prefix`, if the prefix ends at a segment boundary.
fn after_prefix<'a>(path: &'a str, prefix: &str) -> Option<&'a str> {
    path.strip_prefix(prefix).filter(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn apply(policy: &PathRewrite, target: &str, upstream: &str) -> Result<String, Error> {
        let (parts, ()) = Request::get(target).body(()).unwrap().into_parts();
        // As it is sent.
        policy.apply(&parts, &upstream.parse().unwrap()).map(|path| Uri::from(path).to_string())
    }

    #[test]
    fn each_policy_builds_its_path_and_keeps_the_query() {
        let (root, base) = ("http://up", "http://up/base/");
        let keep = PathRewrite::keep();
        let strip = PathRewrite::strip_prefix("/ws/");
        let replace = PathRewrite::replace_prefix("ws", "/a/b/");
        let table = [
            (&keep, "/ws/x?a=%2F&b=?", root, "/ws/x?a=%2F&b=?"),
            (&keep, "/", base, "/base/"),
            (&keep, "/x?", base, "/base/x?"),
            (&keep, "http://evil.example/x?y", root, "/x?y"),
            (&keep, "http://evil.example", root, "/"),
            (&keep, "//evil/x", root, "//evil/x"),
            (&keep, "/@evil/x", root, "/@evil/x"),
            (&keep, "/:80@evil/", base, "/base/:80@evil/"),
            (&keep, "/../%2e%2e/x", root, "/../%2e%2e/x"),
            (&keep, "/a%0d%0ab", root, "/a%0d%0ab"),
            (&strip, "/ws/x", root, "/x"),
            (&strip, "/ws", root, "/"),
            (&strip, "/ws?q", base, "/base/?q"),
            (&strip, "/ws/", root, "/"),
            (&strip, "/wss/x", root, "/wss/x"),
            (&strip, "/ws//x", root, "//x"),
            (&replace, "/ws/x?q", root, "/a/b/x?q"),
            (&replace, "/other", base, "/base/other"),
        ];
        for (policy, target, upstream, expected) in table {
            assert_eq!(apply(policy, target, upstream).unwrap(), expected, "{policy:?} {target} {upstream}");
        }
    }

    #[test]
    fn dot_segments_cannot_escape_base_path_or_prefix() {
        let strip = PathRewrite::strip_prefix("/ws");
        let replace = PathRewrite::replace_prefix("/ws", "/a/b");
        for path in ["/..", "/a/../../x", "/..%2fx", "/..%3b/x", "/%252e%252e/x", "/%c0%ae%c0%ae/x"] {
            assert!(apply(&PathRewrite::keep(), path, "http://up/base").is_err(), "{path}");
            for policy in [&strip, &replace] {
                assert!(apply(policy, &format!("/ws{path}"), "http://up").is_err(), "{policy:?} {path}");
            }
        }
        for path in ["/a/../x", "/a%2fb/../x", "/a;b=c/..foo/%2525", "/x/%2e"] {
            let base = "http://up/base";
            assert_eq!(apply(&PathRewrite::keep(), path, base).unwrap(), format!("/base{path}"));
            assert_eq!(apply(&strip, &format!("/ws{path}"), base).unwrap(), format!("/base{path}"));
        }
    }

    #[test]
    fn dot_segments_cannot_leave_the_prefix_that_is_kept() {
        let table = [
            ("/ws/", "/ws/../x", false),
            ("/ws/", "/ws/..", false),
            ("/ws/", "/ws/a/../../ws/x", false),
            ("/ws/", "/ws/%2e%2e/x", false),
            ("/ws/", "/ws/%252e%252e/x", false),
            ("/ws/", "/ws/a/../x?q=/../..", true),
            ("/ws/", "/ws//a;b=c/%2fx/.", true),
            ("/ws/", "/ws", true),
            ("/ws/", "/other/../x", true),
            ("/ws", "/ws", true),
            ("/ws", "/ws/a/../x", true),
            ("/ws", "/ws/../x", false),
            ("/ws", "/wss/../x", false),
            ("/ws", "/ws..", false),
            ("/ws", "/ws%2f../x", false),
            ("/ws", "/ws%2f..%2fx", false),
            ("/", "/a/../x", true),
            ("/", "/../x", true),
        ];
        for (prefix, target, is_kept) in table {
            let path = apply(&PathRewrite::keep_within(prefix), target, "http://up").ok();
            assert_eq!(path.as_deref(), is_kept.then_some(target), "{prefix} {target}");
        }
    }

    #[cfg(feature = "axum")]
    #[test]
    fn dot_segments_cannot_escape_the_prefix_of_nest() {
        let nested = |policy: &PathRewrite, original: &str, seen: &str| {
            let (mut parts, ()) = Request::get(seen).body(()).unwrap().into_parts();
            parts.extensions.insert(axum::extract::OriginalUri(original.parse().unwrap()));
            policy.apply(&parts, &"http://up".parse().unwrap()).map(|path| path.to_string())
        };
        for policy in [PathRewrite::keep(), PathRewrite::original_uri(), PathRewrite::strip_prefix("/x")] {
            for path in ["/../y", "/x/../../y", "/%252e%252e/y", "/..%3b/y"] {
                assert!(nested(&policy, &format!("/ws{path}"), path).is_err(), "{policy:?} {path}");
            }
            assert!(nested(&policy, "/ws/a/../y", "/a/../y").is_ok());
            // Without `nest` there is no prefix.
            assert!(nested(&policy, "/../y", "/../y").is_ok());
        }
    }

    #[test]
    fn target_without_a_path_is_rejected() {
        assert!(apply(&PathRewrite::keep(), "*", "http://up").is_err());
    }
}
