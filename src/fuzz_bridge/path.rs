//! Property: rewritten paths do not escape their upstream, base path or prefix.

use http::{Request, Uri, request::Parts, uri::PathAndQuery};

use super::{
    input::{first_line, words},
    servers::{escapes_on_a_server, may_escape},
};
use crate::{rewrite::path::PathRewrite, upstream::Upstream};

/// Input: a line `keep`, `within PREFIX`, `original`, `strip PREFIX` or `replace PREFIX WITH`; a line with the upstream; a
/// line with the request target; and optionally a line with the target before axum's `nest`.
pub fn check(input: &[u8]) {
    let (line, text) = first_line(input);
    let [kind, prefix, with] = words(line);
    let mut lines = text.split(|byte| *byte == b'\n');
    let mut next = || lines.next().unwrap_or_default();
    let (upstream, target) = (next(), next());
    let Some(upstream) = str::from_utf8(upstream).ok().and_then(|text| text.parse::<Upstream>().ok()) else {
        return;
    };
    let Ok(uri) = Uri::try_from(target) else { return };
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.uri = uri;
    #[cfg(feature = "axum")]
    let original = Uri::try_from(next()).ok();
    #[cfg(feature = "axum")]
    if let Some(original) = &original {
        parts.extensions.insert(axum::extract::OriginalUri(original.clone()));
    }
    #[cfg(feature = "axum")]
    let nested = original.as_ref().is_some_and(|original| original.path() != parts.uri.path());
    #[cfg(not(feature = "axum"))]
    let nested = false;
    // The replacement comes from the configuration and is valid.
    let with =
        Some(with).filter(|with| with.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'/'));
    let with =
        with.unwrap_or("").split('/').filter(|segment| !segment.is_empty()).collect::<Vec<_>>().join("/");
    match kind {
        "strip" => {
            let policy = PathRewrite::strip_prefix(prefix);
            check_policy(&parts, &policy, &upstream, Some((prefix, "")), nested);
        }
        "replace" => {
            let policy = PathRewrite::replace_prefix(prefix, &with);
            check_policy(&parts, &policy, &upstream, Some((prefix, &with)), nested);
        }
        #[cfg(feature = "axum")]
        "original" => {
            let seen = original.unwrap_or_else(|| parts.uri.clone());
            match PathRewrite::original_uri().apply(&parts, &upstream) {
                Ok(target) => {
                    assert!(!nested || !escapes_on_a_server(parts.uri.path()), "{target} escapes its prefix");
                    parts.uri = seen;
                    check_target(
                        &parts.uri,
                        &target,
                        &upstream,
                        upstream.base_path(),
                        parts.uri.path(),
                        false,
                    );
                }
                Err(_) => {
                    let escapes = nested && may_escape(parts.uri.path());
                    assert!(escapes || may_be_rejected(&seen, seen.path(), !upstream.base_path().is_empty()));
                }
            }
        }
        "within" => {
            let kept = PathRewrite::keep_within(prefix).apply(&parts, &upstream);
            let below = parts.uri.path().strip_prefix(prefix).filter(|_| prefix != "/");
            if kept.is_ok()
                && let Some(below) = below
            {
                let (whole, segment) = (prefix.ends_with('/'), below.split_once('/'));
                let rest = if whole { below } else { segment.map_or("", |(_, rest)| rest) };
                assert!(!escapes_on_a_server(rest), "{} leaves {prefix}", parts.uri);
            }
            // Any other path is kept, or rejected for another reason.
            if below.is_none_or(|below| !may_escape(below) && !below.contains("..") && !below.contains('%')) {
                let same = PathRewrite::keep().apply(&parts, &upstream);
                assert_eq!(kept.ok(), same.ok(), "{}", parts.uri);
            }
        }
        _ => check_policy(&parts, &PathRewrite::keep(), &upstream, None, nested),
    }
}

/// Checks a policy that rewrites the path of the request, from which `nest` has removed a prefix if `nested`.
fn check_policy(
    parts: &Parts,
    policy: &PathRewrite,
    upstream: &Upstream,
    replaced: Option<(&str, &str)>,
    nested: bool,
) {
    let path = parts.uri.path();
    let mut above = upstream.base_path().to_owned();
    let mut rest = path;
    let mut bounded = !above.is_empty();
    if let Some((prefix, with)) = replaced {
        let prefix = prefix.trim_matches('/');
        let below = if prefix.is_empty() { Some(path) } else { path.strip_prefix(&format!("/{prefix}")) };
        if let Some(below) = below.filter(|below| below.is_empty() || below.starts_with('/')) {
            rest = below;
            bounded = true;
            if !with.is_empty() {
                above = format!("{above}/{with}");
            }
        }
    }
    match policy.apply(parts, upstream) {
        Ok(target) => {
            assert!(!nested || !escapes_on_a_server(path), "{target} escapes its prefix");
            check_target(&parts.uri, &target, upstream, &above, rest, bounded);
        }
        Err(_) => {
            let escapes = nested && may_escape(path);
            assert!(escapes || may_be_rejected(&parts.uri, rest, bounded), "{} is rejected", parts.uri);
        }
    }
}

/// Returns true if the path may be rejected.
fn may_be_rejected(seen: &Uri, rest: &str, bounded: bool) -> bool {
    !seen.path().starts_with('/') || !seen.path().is_ascii() || bounded && may_escape(rest)
}

/// Checks the rewritten target: the fixed part `above`, then `rest`, the part from the client.
fn check_target(
    seen: &Uri,
    target: &PathAndQuery,
    upstream: &Upstream,
    above: &str,
    rest: &str,
    bounded: bool,
) {
    let text = target.as_str();
    assert!(text.starts_with('/') && target.path().bytes().all(|byte| byte.is_ascii_graphic()), "{text:?}");
    assert_eq!(target.query(), seen.query(), "the query is passed on byte for byte");
    let slash = if rest.starts_with('/') { "" } else { "/" };
    assert_eq!(target.path(), format!("{above}{slash}{rest}"));
    // The target has no authority, and does not change that of a URI it is appended to.
    let alone = Uri::from(target.clone());
    assert_eq!(alone.authority(), None);
    assert_eq!(alone.path_and_query(), Some(target));
    let whole: Uri = format!("http://up.example{text}").parse().unwrap();
    assert_eq!(whole.authority().unwrap(), "up.example");
    if bounded || !upstream.base_path().is_empty() {
        assert!(!escapes_on_a_server(rest), "{text} escapes {above:?}");
    }
}
