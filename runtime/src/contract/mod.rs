//! What every connector owes to the engine, tried on the real thing: one suite for each role, run against every
//! connector of that role by one line (`writers/mod.rs`; `logs/mod.rs` for the suites of sources, transactions and messages sent again).
//!
//! Invariant: a case looks from outside, through a client of its own, never through the connector that it tries.
//! Every place (topic, collection, directory, folder) is its case's alone. Services that are not there fail a case.

#[macro_use]
mod logs;
mod resends;
mod rows;
mod sources;
mod transactions;
mod writers;

use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;

/// Long enough for a busy machine; nothing waits for it to pass.
const PATIENCE: Duration = Duration::from_secs(120);
/// What connectors are given for each call to a service that is there.
const TIMEOUT: Duration = Duration::from_secs(30);
/// And to one that is not.
const SHORT: Duration = Duration::from_secs(3);

fn setting(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run the tests with ./dev test"))
}

/// A name that nobody used before.
fn fresh_name() -> String {
    format!("contract-{}", uuid::Uuid::new_v4().simple())
}

/// A folder that is not there yet.
fn fresh_folder() -> PathBuf {
    // where cargo puts what tests write, which it names to integration tests only
    let target = std::env::current_exe().unwrap();
    let target = target.ancestors().find(|folder| folder.ends_with("target")).expect("tests run from target/");
    target.join("tmp").join(fresh_name())
}

/// A path where no folder can be made: one below a file.
fn impossible_folder() -> PathBuf {
    let file = fresh_folder();
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, "a file").unwrap();
    file.join("below")
}

/// An address where nobody is of use.
struct Nobody {
    address: String,
    /// Takes connections into its backlog, and never a word.
    _silent: Option<TcpListener>,
}

impl Nobody {
    /// One where nothing listens, and one that never answers.
    fn each() -> [Nobody; 2] {
        let bind = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = |listener: &TcpListener| listener.local_addr().unwrap().to_string();
        let (closed, silent) = (bind(), bind());
        let closed = Nobody { address: address(&closed), _silent: None };
        [closed, Nobody { address: address(&silent), _silent: Some(silent) }]
    }
}
