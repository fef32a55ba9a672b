//! What others send, thrown at the code that reads it first: messages, pipeline files, answers of guests.
//!
//! Each target takes any bytes, and panics where the code breaks a promise. `runtime/fuzz` gives them to libFuzzer
//! (`./dev fuzz`); the tests here run every kept input, and a fixed number of changed ones, the same at every run.
//!
//! Invariant: a target reads nothing but its bytes, and its outcome depends on nothing else.

mod answer;
mod config;
mod message;

pub(crate) use self::answer::Bytes;
pub use self::answer::answer;
pub use self::config::config;
pub use self::message::message;

#[cfg(test)]
mod tests;
