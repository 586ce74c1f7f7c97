//! [`CloseFrame`]: code and reason of a Close.

use std::borrow::Cow;

pub use super::frames::CloseCode;

/// A Close frame: a code, and a reason for debugging
/// ([RFC 6455, 5.5.1](https://www.rfc-editor.org/rfc/rfc6455#section-5.5.1)).
///
/// ```
/// use tower_upgrade_proxy::{CloseFrame, CloseCode};
///
/// let close = CloseFrame::new(CloseCode::SERVICE_RESTART).with_reason("deploy 42");
/// assert_eq!(close.code().get(), 1012);
/// assert_eq!(CloseCode::new(1006), None); // reported locally, never sent
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloseFrame {
    code: CloseCode,
    reason: Cow<'static, str>,
}

impl CloseFrame {
    /// A Close with this code and no reason.
    #[must_use]
    pub const fn new(code: CloseCode) -> Self {
        Self::from_static(code, "")
    }

    /// Sets the reason. It is truncated to the 123 bytes that fit into a Close when it is sent.
    #[must_use]
    pub fn with_reason(mut self, reason: impl Into<Cow<'static, str>>) -> Self {
        self.reason = reason.into();
        self
    }

    /// The code.
    #[must_use]
    pub fn code(&self) -> CloseCode {
        self.code
    }

    /// The reason, empty by default.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    pub(super) const fn from_static(code: CloseCode, reason: &'static str) -> Self {
        Self { code, reason: Cow::Borrowed(reason) }
    }
}
