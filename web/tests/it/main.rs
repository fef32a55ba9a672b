//! Tests on the real Kafka and MongoDB, from the outside; the tests play the pipeline.

mod browser;
mod embedded;
mod http;
mod mistakes;
mod rig;
mod routes;
mod webdriver;
