//! Services that come up after the pipeline, and vanish at every step of its start.

use std::net::TcpListener;
use std::sync::Arc;

use super::life::free_address;
use super::rig::{Rig, flights, setting};
use super::wire::Wire;

/// Connections that break, each one step later than the one before.
const BREAKS: usize = 12;

fn listener(address: &str) -> TcpListener {
    TcpListener::bind(address).unwrap()
}

/// `setting`: where the service is, in the pipeline's words, once somebody listens at the address that it is given.
fn late(test: &str, setting: impl Fn(&mut Rig, &str), word: &str, come: impl Fn(&str)) {
    let mut rig = Rig::new(test, 1);
    rig.edit("roll_seconds_max = 60", "roll_seconds_max = 1");
    let address = free_address();
    setting(&mut rig, &address);
    let (messages, mut ids) = flights(50, "a");
    rig.produce(&messages);
    let mut process = rig.start();
    process.await_word(word);
    come(&address);
    rig.await_stored(ids.len(), &mut process);
    let (messages, more) = flights(50, "b");
    rig.produce(&messages);
    ids.extend(more);
    rig.await_stored(ids.len(), &mut process);
    process.drain();
    rig.assert_exactly_once(&ids);
}

#[test]
fn a_broker_that_is_late_and_breaks_off_at_every_step() {
    let come = |address: &str| {
        Wire::to_broker(listener(address), setting("KAFKA_BROKERS"), BREAKS, Arc::new(|_, _| ()));
    };
    late("latebroker", |rig, address| rig.env("KAFKA_BROKERS", address), "not running", come);
}

#[test]
fn a_store_that_is_late_and_breaks_off_at_every_step() {
    let target = setting("MONGODB_URI").trim_start_matches("mongodb://").split('/').next().unwrap().to_owned();
    let there = |rig: &mut Rig, address: &str| {
        rig.env("MONGODB_URI", &format!("mongodb://{address}/?directConnection=true"));
        rig.edit("[sinks.store.mongodb]", "[sinks.store]\ntimeout_ms = 1500\n\n[sinks.store.mongodb]");
    };
    late("latestore", there, "sink is down", |address| drop(Wire::breaking(listener(address), target.clone(), BREAKS)));
}

#[test]
fn a_name_node_that_is_late_and_breaks_off_at_every_step() {
    let target = setting("HDFS_URI").trim_start_matches("hdfs://").to_owned();
    let there = |rig: &mut Rig, address: &str| rig.env("HDFS_URI", &format!("hdfs://{address}"));
    late("latenode", there, "sink is down", |address| drop(Wire::breaking(listener(address), target.clone(), BREAKS)));
}
