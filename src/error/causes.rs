//! Causes that decide what kind of failure an error is.

use std::fmt;

/// A connection did not come about in time.
#[derive(Debug)]
pub(crate) struct ConnectTimeout;

impl fmt::Display for ConnectTimeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("timed out")
    }
}

impl std::error::Error for ConnectTimeout {}

/// All connections are full, and stayed so.
#[derive(Debug)]
pub(crate) struct NoStreamFree;

impl fmt::Display for NoStreamFree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("all its HTTP/2 connections are full")
    }
}

impl std::error::Error for NoStreamFree {}
