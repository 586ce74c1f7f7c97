//! The hook that authorizes requests: what it returns ([`Authorized`], [`Rejection`]), and its call.

use std::{fmt, pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Extensions, HeaderName, HeaderValue, Response, StatusCode, request::Parts};
use http_body::Body;
use http_body_util::BodyExt;
use tokio::time::timeout;

use crate::{
    body::BoxBody,
    error::{BoxError, Error, Kind},
    on_tunnel::TunnelLabel,
    rewrite::field_changes::FieldChanges,
    upstream::Upstream,
};

/// Decision of the [`authorize`](crate::UpgradeProxyLayer::authorize) hook to proxy a request, and the changes that
/// it makes: fields for the upstream, the upstream itself, the label of the tunnel.
///
/// ```
/// use http::{HeaderName, HeaderValue};
/// use tower_upgrade_proxy::{Authorized, TunnelLabel};
///
/// let authorized = Authorized::new()
///     .header(HeaderName::from_static("x-user"), HeaderValue::from_static("alice"))
///     .label(TunnelLabel::new("alice"));
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Authorized {
    fields: FieldChanges,
    upstream: Option<Upstream>,
    label: Option<TunnelLabel>,
}

impl Authorized {
    /// The request is proxied as it is.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a field of the upstream request. The client's values are removed, and so are its spellings of the name
    /// with underscores or dots (`X_User`), which some servers treat as the same name.
    ///
    /// The client cannot remove the field by naming it in `Connection`. Fields of the connection and of the framing, such
    /// as `Connection` and `Content-Length`, are ignored, so that the fields of another response can be passed here.
    /// Fields are set after all policies of the layer and before
    /// [`on_request`](crate::UpgradeProxyLayer::on_request).
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.fields.set(name, Some(value));
        self
    }

    /// Removes a field of the client, with its other spellings: a credential that the upstream must not
    /// see, or a field that it trusts, for requests for which it is not [set](Self::header).
    pub fn remove_header(mut self, name: HeaderName) -> Self {
        self.fields.set(name, None);
        self
    }

    /// Sets the upstream, in place of that of the layer or of the request's extensions.
    pub fn upstream(mut self, upstream: Upstream) -> Self {
        self.upstream = Some(upstream);
        self
    }

    /// Sets the label of the tunnel, in place of that of the request's extensions.
    pub fn label(mut self, label: TunnelLabel) -> Self {
        self.label = Some(label);
        self
    }

    fn apply(self, extensions: &mut Extensions) {
        extensions.insert(self.fields);
        if let Some(upstream) = self.upstream {
            extensions.insert(upstream);
        }
        if let Some(label) = self.label {
            extensions.insert(label);
        }
    }
}

/// Decision of the [`authorize`](crate::UpgradeProxyLayer::authorize) hook not to proxy a request: the response to the
/// client.
///
/// Made from a status, by `into()` or by `?`: its response is that of
/// [`error_response`](crate::UpgradeProxyLayer::error_response). Or made from a whole response with any body, such as
/// axum's `Response` or an [`http::Response<String>`]:
///
/// ```
/// use http::{HeaderMap, HeaderValue, Response, StatusCode, header::{AUTHORIZATION, WWW_AUTHENTICATE}};
/// use tower_upgrade_proxy::Rejection;
///
/// fn check(headers: &HeaderMap) -> Result<(), Rejection> {
///     let Some(credentials) = headers.get(AUTHORIZATION) else {
///         let mut response = Response::new("log in first".to_owned());
///         *response.status_mut() = StatusCode::UNAUTHORIZED;
///         response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
///         return Err(response.into());
///     };
///     let credentials = credentials.to_str().map_err(|_| StatusCode::BAD_REQUEST)?;
///     if credentials == "Bearer secret" { Ok(()) } else { Err(StatusCode::FORBIDDEN.into()) }
/// }
/// ```
///
/// A status below 200, and a 2xx in response to a `CONNECT`, would mean a tunnel to the client. It is replaced by a 500.
#[derive(Debug)]
pub struct Rejection {
    status: StatusCode,
    response: Option<Response<BoxBody>>,
}

impl Rejection {
    /// The status of the response.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }
}

impl From<StatusCode> for Rejection {
    fn from(status: StatusCode) -> Self {
        Self { status, response: None }
    }
}

impl<B> From<Response<B>> for Rejection
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    fn from(response: Response<B>) -> Self {
        let response = response.map(|body| body.map_err(Into::into).boxed_unsync());
        Self { status: response.status(), response: Some(response) }
    }
}

/// The application's hook.
#[derive(Clone)]
pub(crate) struct Authorize(Arc<dyn Fn(Parts) -> Decision + Send + Sync>);

type Decision = Pin<Box<dyn Future<Output = Result<Authorized, Rejection>> + Send>>;

/// A failed request, with the response that the application has made for it.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) error: Error,
    pub(crate) response: Option<Response<BoxBody>>,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { error, response: None }
    }
}

impl Authorize {
    pub(crate) fn new<F>(hook: impl Fn(Parts) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Authorized, Rejection>> + Send + 'static,
    {
        Self(Arc::new(move |parts| Box::pin(hook(parts))))
    }

    /// Calls the hook, and applies its changes to `parts`.
    ///
    /// # Errors
    ///
    /// If the hook rejects the request, or takes longer than `limit`.
    pub(crate) async fn check(&self, parts: &mut Parts, limit: Duration) -> Result<(), Failure> {
        match timeout(limit, (self.0)(parts.clone())).await {
            Ok(Ok(authorized)) => {
                authorized.apply(&mut parts.extensions);
                Ok(())
            }
            Ok(Err(Rejection { status, response })) => {
                Err(Failure { error: Error::new(Kind::Unauthorized(status)), response })
            }
            Err(_) => Err(Error::new(Kind::AuthorizeTimeout).into()),
        }
    }
}

impl fmt::Debug for Authorize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorize").finish_non_exhaustive()
    }
}
