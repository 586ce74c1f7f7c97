//! The walker beside a decoder that takes a whole stream, and beside tungstenite.

mod check;
#[cfg(test)]
mod endpoint;
#[cfg(test)]
mod filter;
#[cfg(test)]
mod insert;
mod reference;
#[cfg(test)]
mod streams;
#[cfg(test)]
mod table;
#[cfg(test)]
mod walk;

pub(crate) use check::check;
