//! [`InterimLimit`]: a limit on the interim responses to a request
//! ([RFC 9110, 15.2](https://www.rfc-editor.org/rfc/rfc9110#section-15.2)).
//!
//! # HTTP/1.1
//!
//! hyper's client skips interim responses in a loop that reads and parses until the response has arrived or
//! the socket has no more bytes. An upstream that sends them without end would occupy the thread, and no
//! timeout would fire. hyper calls a function of the request for each of them: it counts, and above the limit
//! it lets all further reads of the connection fail. That ends the loop, the request and the connection. A
//! single read is bounded too, because hyper parses all of it before it reads again. The function belongs to a
//! request, the limit to a connection.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    task::{Context, Poll},
};

use http::Request;

use crate::{error::TooManyInterim, io::bounded::ReadBound};

/// Limit on the interim responses to a request.
pub(super) const MAX_INTERIM: u32 = 32;

/// Maximum size of a read. Smaller ones slow large bodies down.
const MAX_READ: usize = 64 * 1024;

/// The limit of one connection in HTTP/1.1.
#[derive(Clone, Debug, Default)]
pub(crate) struct InterimLimit(Arc<AtomicBool>);

impl InterimLimit {
    /// Counts the interim responses to `request`, which is sent on the connection of this limit.
    pub(super) fn apply<B>(&self, request: &mut Request<B>) {
        let limit = self.clone();
        count(request, move || limit.exceed());
    }

    /// Fails if more interim responses came than are allowed. All of them can be in one read with the response.
    pub(crate) fn check(&self) -> Result<(), TooManyInterim> {
        if self.0.load(Ordering::Relaxed) { Err(TooManyInterim) } else { Ok(()) }
    }

    fn exceed(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Calls `on_excess` at the first interim response above the limit.
fn count<B>(request: &mut Request<B>, on_excess: impl Fn() + Send + Sync + 'static) {
    let received = AtomicU32::new(0);
    hyper::ext::on_informational(request, move |_| {
        if received.fetch_add(1, Ordering::Relaxed) == MAX_INTERIM {
            on_excess();
        }
    });
}

impl ReadBound for InterimLimit {
    fn poll_next(&mut self, _: &mut Context<'_>) -> Poll<io::Result<usize>> {
        Poll::Ready(self.check().map(|()| MAX_READ).map_err(io::Error::other))
    }
}

#[cfg(test)]
mod tests {
    use hyper_util::rt::TokioIo;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;
    use crate::io::{bounded::Bounded, transport::Transport};

    #[tokio::test]
    async fn a_read_is_bounded_and_fails_above_the_limit() {
        let (mut upstream, connection) = duplex(4 * MAX_READ);
        upstream.write_all(&[0; 4 * MAX_READ]).await.unwrap();
        let limit = InterimLimit::default();
        let mut io = Bounded::new(Transport::from_hyper(TokioIo::new(connection)), limit.clone());
        let mut bytes = [0; 2 * MAX_READ];
        for _ in 0..2 {
            assert_eq!(io.read(&mut bytes).await.unwrap(), MAX_READ);
        }
        limit.exceed();
        let error = io.read(&mut bytes).await.unwrap_err();
        assert!(error.get_ref().unwrap().is::<TooManyInterim>());
    }
}
