//! Configurations of docs/nginx.md, for readers to copy.
#![allow(unreachable_pub, reason = "written as in a program of one's own")]

pub(crate) mod a;
pub(crate) mod b;
pub(crate) mod c;
pub(crate) mod cache;
pub(crate) mod d;
pub(crate) mod e;
pub(crate) mod f;
