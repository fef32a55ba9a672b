//! JSON to columns at the source, columns to JSON at a sink. Nothing between the two knows JSON.

pub mod column;
pub mod decode;
pub mod encode;
pub mod foreign;
pub mod lines;
mod scalar;
pub mod time;
