//! Streams of any kind as one type: `Box<dyn Io>`.

use tokio::io::{AsyncRead, AsyncWrite};

/// A connection or a tunnel.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}
