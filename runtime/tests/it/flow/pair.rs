//! An HDFS of two NameNodes, of which one at a time is active: the name service `pair`.

use std::collections::BTreeSet;

use super::rig::{Process, Rig, flights, services, setting};

const ONE: &str = "pair-namenode1";
const TWO: &str = "pair-namenode2";

/// As docs/security.md has it.
fn on_the_pair(test: &str) -> Rig {
    let mut rig = Rig::new(test, 2);
    let properties = format!(
        "dfs.nameservices = \"pair\"\ndfs.ha.namenodes.pair = \"nn1,nn2\"\n\
         \"dfs.namenode.rpc-address.pair.nn1\" = \"{}\"\n\"dfs.namenode.rpc-address.pair.nn2\" = \"{}\"",
        setting("HDFS_NAMENODE1"),
        setting("HDFS_NAMENODE2")
    );
    rig.archive_at("hdfs://pair", &properties);
    rig
}

/// More requests, which are answered whatever the NameNodes do.
fn ask(rig: &Rig, label: &str, ids: &mut BTreeSet<String>, process: &mut Process) {
    let (messages, more) = flights(200, label);
    rig.produce(&messages);
    ids.extend(more);
    rig.await_records("response", ids.len(), process);
}

/// `services/run active` and this test are all that says who is active: one test, for there is one pair.
#[test]
fn rows_are_there_once_whichever_name_node_is_active_and_whichever_is_dead() {
    services("start", "pair");
    services("active", ONE);
    let (rig, mut ids) = (on_the_pair("pair"), BTreeSet::new());
    let (code, said) = rig.ask("check");
    assert_eq!(code, Some(0), "{said}");
    let mut process = rig.start();
    ask(&rig, "a", &mut ids, &mut process);
    rig.await_lines_on("pair", &ids, &mut process);

    // with rows in files that are open
    ask(&rig, "b", &mut ids, &mut process);
    services("kill", ONE);
    ask(&rig, "c", &mut ids, &mut process);
    process.await_word("sink is down");
    let (code, said) = rig.ask("doctor");
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("StandbyException") || said.contains("Connection refused"), "{said}");
    services("active", TWO);
    rig.await_lines_on("pair", &ids, &mut process);
    let (code, said) = rig.ask("doctor");
    assert!(code == Some(0) && said.contains("NameNode at hdfs://pair, as user"), "{said}");

    // nobody dies, and the one that was asked is in standby from here on
    services("start", ONE);
    ask(&rig, "d", &mut ids, &mut process);
    services("active", ONE);
    ask(&rig, "e", &mut ids, &mut process);
    rig.await_lines_on("pair", &ids, &mut process);

    services("kill", ONE);
    services("kill", TWO);
    ask(&rig, "f", &mut ids, &mut process);
    services("start", TWO);
    services("active", TWO);
    rig.await_lines_on("pair", &ids, &mut process);
    process.drain();
    // nothing came after the last of them
    rig.must_be_on("pair", &ids);
    services("start", "pair");
}
