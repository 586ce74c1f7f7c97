//! [`ReceiveBound`] and [`ObservedBody`]: progress of a pooled connection and of a request's body.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::{body::BoxBody, connect::interim::InterimLimit, error::BoxError, io::bounded::ReadBound};

/// Bound of the reads of a pooled connection. It takes note of received bytes.
#[derive(Clone, Default)]
pub(super) struct ReceiveBound {
    pub(super) interim: InterimLimit,
    /// Set when a byte is received.
    pub(super) has_received: Arc<AtomicBool>,
}

impl ReadBound for ReceiveBound {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.interim.poll_next(cx)
    }

    fn on_read(&mut self, bytes: usize) {
        if bytes > 0 {
            self.has_received.store(true, Ordering::Relaxed);
        }
    }
}

/// A request's body that holds an `Arc` until hyper drops it.
pub(super) struct ObservedBody {
    pub(super) body: BoxBody,
    pub(super) _sending: Arc<()>,
}

impl Body for ObservedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
