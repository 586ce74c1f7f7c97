//! [`Received`]: a request as the client sent it, for logs and for the identity of a tunnel.

#[cfg(feature = "tracing")]
pub(crate) mod text;

use std::net::IpAddr;

use http::{Extensions, Method, Uri, Version, request::Parts};

/// Identity of a request, and the target of the upstream's request. Kept until the response head is known, and not
/// longer: a URI keeps the server's read buffer.
#[derive(Debug)]
#[cfg_attr(not(feature = "tracing"), allow(dead_code, reason = "some fields are for events only"))]
pub(crate) struct Received {
    pub(crate) method: Method,
    pub(crate) version: Version,
    pub(crate) client: Option<IpAddr>,
    /// Before a router removed a prefix.
    uri: Uri,
    /// The target of the upstream's request, once it is known.
    forwarded: Option<Uri>,
}

impl Received {
    pub(crate) fn new(parts: &Parts, client: Option<IpAddr>) -> Self {
        let uri = original_uri(&parts.uri, &parts.extensions).clone();
        Self { method: parts.method.clone(), version: parts.version, client, uri, forwarded: None }
    }

    /// Records the target of the upstream's request.
    pub(crate) fn forwarded_to(&mut self, uri: &Uri) {
        self.forwarded = Some(uri.clone());
    }

    /// Path as the client sent it, without the query, which may contain secrets.
    pub(crate) fn path(&self) -> &str {
        self.uri.path()
    }

    /// Path of the upstream's request, without the query. `None` before the request is rewritten.
    pub(crate) fn upstream_path(&self) -> Option<&str> {
        self.forwarded.as_ref().map(Uri::path)
    }
}

/// Returns the URI as the client sent it, if a router of axum has recorded it, else `uri`.
pub(crate) fn original_uri<'a>(uri: &'a Uri, extensions: &'a Extensions) -> &'a Uri {
    #[cfg(feature = "axum")]
    if let Some(original) = extensions.get::<axum::extract::OriginalUri>() {
        return &original.0;
    }
    #[cfg(not(feature = "axum"))]
    let _ = extensions;
    uri
}
