//! Tests on the real Kafka and MongoDB, from the outside; the tests play the pipeline.

mod browser;
mod cluster;
#[path = "../../../runtime/trace/tests/collector/mod.rs"]
mod collector;
mod corner;
mod embedded;
mod http;
mod mistakes;
mod pipeline;
mod rig;
mod routes;
mod traces;
mod webdriver;
