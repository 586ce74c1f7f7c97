//! Tests that compare the parser with a decoder of complete streams and with tungstenite.

mod check;
#[cfg(test)]
mod endpoint;
#[cfg(test)]
mod filter;
#[cfg(test)]
mod insert;
#[cfg(test)]
mod parser;
mod reference;
#[cfg(test)]
mod streams;
#[cfg(test)]
mod table;

pub(crate) use check::check;
