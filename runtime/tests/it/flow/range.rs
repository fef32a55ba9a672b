//! Offsets that the log does not have, and partitions that it did not have before.

use std::process::Command;

use super::rig::{Rig, flights, setting};

#[test]
fn rows_that_retention_dropped_before_the_head_read_them_stop_it_and_the_command_that_it_names_goes_on() {
    let rig = Rig::new("dropped", 1);
    let (messages, mut ids) = flights(10, "a");
    rig.produce(&messages);
    let mut process = rig.start();
    rig.await_records("response", ids.len(), &mut process);
    process.drain();
    let (messages, more) = flights(10, "b");
    rig.produce(&messages);
    // the group stands behind the first ten, and the transaction of nobody is in between
    rig.drop_before(15);
    let (code, said) = rig.start().wait();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("rows 10 to 14 are gone (the topic's retention dropped them)"), "{said}");
    assert!(said.contains("--head") && said.contains("--to 0:15"), "{said}");
    // forward: the head first, then the sinks
    for which in ["--head", "--all"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_millrace"));
        command.args(["positions", "reset"]).arg(rig.file()).arg(which).args(["--to", "0:15", "--yes"]);
        command.arg("--state").arg(rig.folder.join("state")).env("KAFKA_BROKERS", setting("KAFKA_BROKERS"));
        let done = command.output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }
    ids.extend(more.into_iter().skip(5));
    let mut process = rig.start();
    rig.await_records("response", ids.len(), &mut process);
    process.drain();
    rig.assert_exactly_once(&ids);
}

#[test]
fn rows_of_a_partition_that_is_added_while_it_runs_reach_every_sink() {
    let mut rig = Rig::new("grown", 1);
    rig.edit("roll_seconds_max = 60", "roll_seconds_max = 1");
    let (messages, mut ids) = flights(50, "a");
    rig.produce(&messages);
    let mut process = rig.start();
    rig.await_stored(ids.len(), &mut process);
    rig.grow(3);
    for partition in 0..3 {
        let (messages, more) = flights(50, &format!("p{partition}-"));
        rig.produce_to(partition, &messages);
        ids.extend(more);
    }
    rig.await_stored(ids.len(), &mut process);
    rig.await_records("response", ids.len(), &mut process);
    let said = process.drain();
    assert!(!said.contains("not running"), "{said}");
    rig.assert_exactly_once(&ids);
}
