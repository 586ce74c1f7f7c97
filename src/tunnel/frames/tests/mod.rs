//! The walker beside a decoder that takes a whole stream, and beside tungstenite.

mod reference;
mod streams;
mod table;
mod walk;
