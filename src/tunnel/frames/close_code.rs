//! Status codes of Close frames.

/// A status code that may be sent in a Close frame
/// ([RFC 6455, 7.4](https://www.rfc-editor.org/rfc/rfc6455#section-7.4)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CloseCode(u16);

impl CloseCode {
    /// 1000: normal closure, the purpose of the connection is fulfilled.
    pub const NORMAL: Self = Self(1000);
    /// 1001: a server shuts down, or a page is left.
    pub const GOING_AWAY: Self = Self(1001);
    /// 1002: invalid framing.
    pub const PROTOCOL_ERROR: Self = Self(1002);
    /// 1008: violation of a policy that no other code describes.
    pub const POLICY_VIOLATION: Self = Self(1008);
    /// 1009: a message is too big.
    pub const TOO_BIG: Self = Self(1009);
    /// 1011: the server failed.
    pub const INTERNAL_ERROR: Self = Self(1011);
    /// 1012: the server restarts; the client may reconnect.
    pub const SERVICE_RESTART: Self = Self(1012);
    /// 1013: the server is overloaded; the client should reconnect later.
    pub const TRY_AGAIN_LATER: Self = Self(1013);
    /// 1014: a gateway received no valid response from its upstream.
    pub const BAD_GATEWAY: Self = Self(1014);

    /// 1005: a Close without a code was received. Never sent
    /// ([RFC 6455, 7.1.5](https://www.rfc-editor.org/rfc/rfc6455#section-7.1.5)).
    pub(crate) const NO_STATUS: u16 = 1005;

    /// A code that may be sent: [registered](https://www.iana.org/assignments/websocket#close-code-number) between
    /// 1000 and 1014, or defined by a library or an application, 3000 to 4999. `None` otherwise: 1004 is
    /// reserved; 1005, 1006 and 1015 are reported locally and never sent.
    #[must_use]
    pub fn new(code: u16) -> Option<Self> {
        matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999).then_some(Self(code))
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> u16 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registered_and_private_codes_may_be_sent() {
        let table = [
            (0..=999, false),
            (1000..=1003, true),
            (1004..=1006, false),
            (1007..=1014, true),
            (1015..=2999, false),
            (3000..=4999, true),
            (5000..=u16::MAX, false),
        ];
        for (codes, sendable) in table {
            for code in codes {
                assert_eq!(CloseCode::new(code).map(CloseCode::get), sendable.then_some(code), "{code}");
            }
        }
    }

    #[test]
    fn named_codes_may_be_sent() {
        let named = [
            CloseCode::NORMAL,
            CloseCode::GOING_AWAY,
            CloseCode::PROTOCOL_ERROR,
            CloseCode::POLICY_VIOLATION,
            CloseCode::TOO_BIG,
            CloseCode::INTERNAL_ERROR,
            CloseCode::SERVICE_RESTART,
            CloseCode::TRY_AGAIN_LATER,
            CloseCode::BAD_GATEWAY,
        ];
        for code in named {
            assert_eq!(CloseCode::new(code.get()), Some(code));
        }
    }
}
