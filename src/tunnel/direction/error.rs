//! Errors of a direction.

use std::{io, sync::Arc, task::Poll};

/// An error of the reader or of the writer.
#[derive(Clone, Debug)]
pub(in super::super) enum CopyError {
    Read(Arc<io::Error>),
    Write(Arc<io::Error>),
}

/// Result of a poll of a direction.
pub(in super::super) type PollCopy = Poll<Result<(), CopyError>>;

impl CopyError {
    pub(super) fn read(error: io::Error) -> Self {
        Self::Read(Arc::new(error))
    }

    pub(super) fn write(error: io::Error) -> Self {
        Self::Write(Arc::new(error))
    }
}
