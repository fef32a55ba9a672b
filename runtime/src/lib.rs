//! millrace: a streaming pipeline in one binary. See ARCHITECTURE.md for the map.

pub mod announce;
pub mod batch;
pub mod calendar;
pub mod cases;
pub mod clock;
pub mod config;
#[cfg(test)]
mod contract;
pub mod doctor;
pub mod embedded;
pub mod engine;
pub mod error;
pub mod explain;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
pub mod graph;
pub mod ground;
pub mod hash;
pub mod json;
pub mod kafka;
pub mod new;
pub mod observe;
pub mod path;
pub mod plan;
pub mod positions;
pub mod probe;
pub mod rejects;
pub mod resend;
pub mod schema;
pub mod sink;
pub mod source;
pub mod stage;
pub mod topic;
pub mod topics;
pub mod train;
pub mod trial;
pub mod words;
