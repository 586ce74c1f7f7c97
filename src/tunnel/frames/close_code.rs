//! Why a WebSocket is closed.

/// A status code that may stand in a Close frame
/// ([RFC 6455, 7.4](https://www.rfc-editor.org/rfc/rfc6455#section-7.4)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CloseCode(u16);

impl CloseCode {
    /// The purpose is fulfilled.
    pub const NORMAL: Self = Self(1000);
    /// A server shuts down, or a page is left.
    pub const GOING_AWAY: Self = Self(1001);
    /// The framing is not valid.
    pub const PROTOCOL_ERROR: Self = Self(1002);
    /// A rule that has no code of its own was broken.
    pub const POLICY_VIOLATION: Self = Self(1008);
    /// A message is too big.
    pub const TOO_BIG: Self = Self(1009);
    /// The server failed.
    pub const INTERNAL_ERROR: Self = Self(1011);
    /// The server restarts; the client may come back.
    pub const SERVICE_RESTART: Self = Self(1012);
    /// The server is overloaded; the client should come back later.
    pub const TRY_AGAIN_LATER: Self = Self(1013);
    /// A gateway had no valid answer from its upstream.
    pub const BAD_GATEWAY: Self = Self(1014);

    /// A Close without a code
    /// ([RFC 6455, 7.1.5](https://www.rfc-editor.org/rfc/rfc6455#section-7.1.5)).
    pub(crate) const NO_STATUS: u16 = 1005;

    /// A code that may be sent: one that is
    /// [registered](https://www.iana.org/assignments/websocket#close-code-number) between 1000 and
    /// 1014, or one of a library's or an application's own, 3000 to 4999. 1004 has no meaning yet;
    /// 1005, 1006 and 1015 stand for the absence of a Close frame.
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
    fn every_named_code_may_be_sent() {
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
