//! Redirect of paths that lack only the slash at the end of a route's prefix.

use http::{
    HeaderValue, Method, Request, Response, StatusCode,
    header::{LOCATION, UPGRADE},
};

use crate::{Body, plain};

/// Returns where a GET or HEAD for `/x` is redirected: to `/x/` with its query, if there is a route for `/x/` and none for
/// `/x`. WebSockets are not redirected, because browsers don't follow redirects of them.
pub(crate) fn location<'a, B>(
    request: &Request<B>,
    prefixes: impl Iterator<Item = &'a str>,
) -> Option<HeaderValue> {
    let path = request.uri().path();
    if ![Method::GET, Method::HEAD].contains(request.method()) || is_websocket(request) {
        return None;
    }
    let mut lacks_slash = false;
    for prefix in prefixes {
        if prefix == path {
            return None;
        }
        lacks_slash |= prefix.strip_suffix('/') == Some(path);
    }
    if !lacks_slash {
        return None;
    }
    let location = match request.uri().query() {
        Some(query) => format!("{path}/?{query}"),
        None => format!("{path}/"),
    };
    HeaderValue::try_from(location).ok()
}

fn is_websocket<B>(request: &Request<B>) -> bool {
    let lines = request.headers().get_all(UPGRADE).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|protocol| protocol.trim().eq_ignore_ascii_case("websocket"))
}

/// Permanent redirect to this location, which is relative like a path.
pub(crate) fn redirect(location: &HeaderValue) -> Response<Body> {
    let mut response = plain(StatusCode::MOVED_PERMANENTLY, "301 Moved Permanently\n");
    response.headers_mut().insert(LOCATION, location.clone());
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_lacks_only_a_slash_is_redirected() {
        let prefixes = ["/", "/ws/", "/app", "/app/", "/a/b/"];
        let table = [
            ("GET", "/ws", Some("/ws/")),
            ("HEAD", "/ws?a=/b&c", Some("/ws/?a=/b&c")),
            ("GET", "/ws?", Some("/ws/?")),
            ("GET", "http://a.example/ws?x", Some("/ws/?x")),
            ("POST", "/ws", None),
            ("GET", "/ws/", None),
            ("GET", "/wsx", None),
            ("GET", "/WS", None),
            ("GET", "/app", None),
            ("GET", "/a", None),
            ("GET", "/a/b", Some("/a/b/")),
            ("GET", "/", None),
            ("OPTIONS", "*", None),
        ];
        for (method, uri, expected) in table {
            let request = Request::builder().method(method).uri(uri).body(()).unwrap();
            let location = location(&request, prefixes.into_iter());
            assert_eq!(
                location.as_ref().map(|location| location.to_str().unwrap()),
                expected,
                "{method} {uri}"
            );
        }
        let upgrade = Request::builder().uri("/ws").header(UPGRADE, "websocket").body(()).unwrap();
        assert_eq!(location(&upgrade, prefixes.into_iter()), None);
        // curl and others offer it with each request.
        let offer = Request::builder().uri("/ws").header(UPGRADE, "h2c").body(()).unwrap();
        assert!(location(&offer, prefixes.into_iter()).is_some());
    }
}
