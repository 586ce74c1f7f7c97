//! Programs started by tests: those of this repository, and clients and servers in other languages.

mod program;
pub mod script;
pub mod socketio;
pub mod trials;

pub use program::{Program, ServerProgram, run};
