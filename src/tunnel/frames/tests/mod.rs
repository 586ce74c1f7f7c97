//! The walker beside a decoder that takes a whole stream, and beside tungstenite.

mod endpoint;
mod filter;
mod insert;
mod reference;
mod streams;
mod table;
mod walk;
