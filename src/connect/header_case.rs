//! [`HeaderCase`], and title case that spells `WebSocket` as RFC 6455 does.
//!
//! hyper's title case is `Sec-Websocket-Key`. It writes a name in another case only if it has received a message with the name in that
//! case: the cases are in an extension of the message, whose type is private. So a response with these names is parsed once,
//! in memory, and its extensions are added to messages.

use std::{
    future::poll_fn,
    mem,
    pin::pin,
    sync::LazyLock,
    task::{Context, Poll, Waker},
};

use http::{Extensions, Request};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

use crate::body;

/// Case of field names in requests to an upstream, and in its responses.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct HeaderCase {
    /// Keep the case in which a field name was received.
    pub(crate) preserve: bool,
    /// Write other field names as `Sec-WebSocket-Key`.
    pub(crate) title: bool,
}

impl HeaderCase {
    /// Adds the cases of the fields of upgrades to the extensions of a message, if it is written in title case. A message that was
    /// received with its cases keeps them.
    pub(crate) fn apply(self, extensions: &mut Extensions) {
        if self.title {
            let received = mem::replace(extensions, UPGRADE_FIELDS.clone());
            extensions.extend(received);
        }
    }
}

/// Names of the fields of upgrades. Those that may have several lines are repeated.
const NAMES: [(&str, usize); 7] = [
    ("Connection", 4),
    ("Upgrade", 4),
    ("Sec-WebSocket-Accept", 1),
    ("Sec-WebSocket-Extensions", 16),
    ("Sec-WebSocket-Key", 1),
    ("Sec-WebSocket-Protocol", 16),
    ("Sec-WebSocket-Version", 4),
];

/// Extensions of a message with these names; empty if hyper does not parse it.
static UPGRADE_FIELDS: LazyLock<Extensions> = LazyLock::new(|| {
    let mut parsed = pin!(parse());
    let mut cx = Context::from_waker(Waker::noop());
    // Everything is in memory: a few polls suffice.
    (0..64)
        .find_map(|_| match parsed.as_mut().poll(&mut cx) {
            Poll::Ready(extensions) => extensions,
            Poll::Pending => None,
        })
        .unwrap_or_default()
});

/// Exchanges a request for a response with the names.
async fn parse() -> Option<Extensions> {
    let (client, mut server) = duplex(4096);
    let mut builder = http1::Builder::new();
    let handshake = builder.preserve_header_case(true).handshake(TokioIo::new(client));
    let (mut sender, mut connection) = handshake.await.ok()?;
    let mut response = pin!(sender.send_request(Request::new(body::empty())));
    let mut respond = pin!(async {
        // The request has been written.
        server.read_u8().await.ok()?;
        let fields: String =
            NAMES.iter().map(|(name, lines)| format!("{name}: x\r\n").repeat(*lines)).collect();
        server.write_all(format!("HTTP/1.1 204 No Content\r\n{fields}\r\n").as_bytes()).await.ok()?;
        std::future::pending::<Option<()>>().await
    });
    poll_fn(|cx| {
        let _ = pin!(&mut connection).poll(cx);
        let _ = respond.as_mut().poll(cx);
        response.as_mut().poll(cx).map(|response| Some(response.ok()?.into_parts().0.extensions))
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cases_are_found_without_a_runtime() {
        assert!(!UPGRADE_FIELDS.is_empty());
    }

    #[test]
    fn messages_in_lower_case_get_none() {
        let mut extensions = Extensions::new();
        HeaderCase::default().apply(&mut extensions);
        assert!(extensions.is_empty());
    }
}
