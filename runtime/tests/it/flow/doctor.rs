//! `millrace doctor` on the real services: what is there, and each thing that may not be.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::rig::{Rig, flights};

struct Seen {
    code: Option<i32>,
    said: Value,
}

impl Seen {
    fn health(&self, what: &str) -> &str {
        self.finding(what)["health"].as_str().unwrap()
    }

    fn found(&self, what: &str) -> &str {
        self.finding(what)["found"].as_str().unwrap()
    }

    fn fix(&self, what: &str) -> &str {
        self.finding(what)["fix"].as_str().unwrap_or_default()
    }

    fn finding(&self, what: &str) -> &Value {
        let findings = self.said["findings"].as_array().unwrap();
        findings.iter().find(|finding| finding["what"] == what).unwrap_or_else(|| panic!("{what}: {:#}", self.said))
    }

    /// Only these lines are wrong.
    fn only_wrong(&self, expected: &[&str]) {
        let wrong = self.said["findings"].as_array().unwrap().iter().filter(|finding| finding["health"] == "wrong");
        let wrong: Vec<_> = wrong.map(|finding| finding["what"].as_str().unwrap()).collect();
        assert_eq!(wrong, expected, "{:#}", self.said);
        assert_eq!(self.code, Some(if expected.is_empty() { 0 } else { 1 }));
        assert_eq!(self.said["wrong"], json!(expected.len()));
    }
}

fn command(rig: &Rig) -> Command {
    rig.write();
    let mut command = Command::new(env!("CARGO_BIN_EXE_millrace"));
    command.arg("doctor").arg(rig.file()).arg("--state").arg(rig.folder.join("state"));
    command
}

fn look(command: &mut Command) -> Seen {
    let done = command.arg("--json").output().unwrap();
    let said = serde_json::from_slice(&done.stdout);
    let said = said.unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&done.stderr)));
    Seen { code: done.status.code(), said }
}

#[test]
fn what_is_there_is_told_and_nothing_is_changed() {
    let rig = Rig::new("doctor-good", 3);
    let (request, status) = (rig.topic("request"), rig.topic("status"));
    let seen = look(&mut command(&rig));
    seen.only_wrong(&[]);
    assert!(seen.found("Kafka").starts_with("1 broker at "), "{:#}", seen.said);
    assert_eq!(seen.health("group protocol"), "good", "{:#}", seen.said);
    let topic = seen.found(&format!("topic {request}"));
    assert_eq!(topic, "of the source: 3 partitions, replication 1, kept for ever");
    assert!(seen.found("sink store").starts_with("MongoDB "), "{:#}", seen.said);
    assert!(seen.found("sink archive, directory").contains("is to be made"), "{:#}", seen.said);
    for what in ["transactions, rights", "sink store, rights", "sink store, clock", "sink archive", "state folder"] {
        assert_eq!(seen.health(what), "good", "{what}");
    }
    assert_eq!(seen.health(&format!("group {}, rights", rig.name)), "good");
    assert_eq!(seen.found(&format!("group {}, lag", rig.name)), "nothing is committed yet; no member now");
    assert!(seen.said["versions"].as_array().unwrap().iter().any(|line| line.as_str().unwrap().contains("librdkafka")));
    // heartbeats have no topic yet, which is nobody's trouble, and it was not made
    assert_eq!(seen.health(&format!("topic {status}")), "odd");
    assert_eq!(look(&mut command(&rig)).health(&format!("topic {status}")), "odd");
    assert!(!rig.folder.join("state").exists() && rig.documents().is_empty() && rig.responses().is_empty());

    let mut process = rig.start();
    let (messages, ids) = flights(20, "d-");
    rig.produce(&messages);
    rig.await_records("response", ids.len(), &mut process);
    process.drain();
    rig.produce(&messages[..5]);
    let seen = look(&mut command(&rig));
    seen.only_wrong(&[]);
    assert!(
        seen.found(&format!("group {}, lag", rig.name)).starts_with("5 messages, over 3 of 3 partitions"),
        "{:#}",
        seen.said
    );
    assert_eq!(seen.found("sink store, position"), "0 messages behind the head");
    assert_eq!(
        seen.found(&format!("topic {status}")),
        "of the heartbeats: 1 partition, replication 1, kept for 1 hour, compacted"
    );
    let table = command(&rig).output().unwrap();
    let table = String::from_utf8(table.stdout).unwrap();
    assert!(table.contains("\nok       Kafka ") && table.ends_with("\nnothing is wrong\n"), "{table}");
}

#[test]
fn a_topic_that_is_not_there_is_wrong_until_it_is_made() {
    let rig = Rig::new("doctor-topic", 3);
    let (response, rejected) = (rig.topic("response"), rig.topic("rejected"));
    rig.delete_topic(&response);
    rig.delete_topic(&rejected);
    let lines = [&rejected, &response].map(|topic| format!("topic {topic}"));
    let seen = look(&mut command(&rig));
    seen.only_wrong(&lines.each_ref().map(String::as_str));
    assert_eq!(seen.found(&lines[1]), "of the sink responses: not there");
    assert!(seen.fix(&lines[1]).ends_with("--create` makes it, or make it as you make topics"), "{:#}", seen.said);
    let seen = look(command(&rig).arg("--create"));
    seen.only_wrong(&[]);
    assert_eq!(seen.found(&lines[1]), "of the sink responses: made now; 4 partitions, replication 1, kept for 7 days");
    assert_eq!(rig.describe(&response).0, 4);
    assert_eq!(rig.describe(&rig.topic("request")).0, 3, "what is there stays as it is");
    assert_eq!(rig.describe(&rig.topic("status")).0, 1);
}

#[test]
fn a_service_that_is_away_is_one_wrong_line_and_hides_no_other() {
    let rig = Rig::new("doctor-away", 3);
    let seen = look(command(&rig).env("KAFKA_BROKERS", "127.0.0.1:1"));
    seen.only_wrong(&["Kafka"]);
    assert!(seen.found("Kafka").contains("127.0.0.1:1") && seen.fix("Kafka").contains("advertised.listeners"));
    assert_eq!(seen.health(&format!("topic {}", rig.topic("request"))), "unknown");
    assert_eq!((seen.health("sink store"), seen.health("sink archive")), ("good", "good"));

    let seen = look(command(&rig).env("MONGODB_URI", "mongodb://someone:secret@127.0.0.1:1"));
    seen.only_wrong(&["sink store"]);
    assert!(seen.found("sink store").contains("127.0.0.1:1"), "{:#}", seen.said);
    assert!(!seen.said.to_string().contains("secret"), "{:#}", seen.said);
    assert_eq!((seen.health("sink store, rights"), seen.health("sink store, position")), ("unknown", "unknown"));
    assert_eq!((seen.health("Kafka"), seen.health("sink archive")), ("good", "good"));

    let seen = look(command(&rig).env("HDFS_URI", "hdfs://127.0.0.1:1"));
    seen.only_wrong(&["sink archive"]);
    assert!(seen.found("sink archive").contains("hdfs://127.0.0.1:1"), "{:#}", seen.said);
    assert_eq!((seen.health("sink archive, directory"), seen.health("sink store")), ("unknown", "good"));
}

#[test]
fn a_directory_that_may_not_be_written_is_wrong_with_what_gives_the_right() {
    let mut rig = Rig::new("doctor-directory", 3);
    rig.edit("format = \"jsonl\"", "format = \"jsonl\"\nuser = \"somebody\"");
    let directory = rig.directory();
    rig.on_hdfs(async |client| client.mkdirs(&directory, 0o755, true).await.unwrap());
    let seen = look(&mut command(&rig));
    seen.only_wrong(&["sink archive, directory"]);
    assert!(seen.found("sink archive, directory").ends_with("; somebody may not create in it"), "{:#}", seen.said);
    let fix = format!("hdfs dfs -chown somebody {directory}");
    assert!(seen.fix("sink archive, directory").contains(&fix), "{:#}", seen.said);
    // as the NameNode sees it too
    let refused = rig.on_hdfs(async |_| {
        let other = hdfs_native::ClientBuilder::new().with_url(super::rig::setting("HDFS_URI")).with_user("somebody");
        other.build().unwrap().mkdirs(&format!("{directory}/x"), 0o755, true).await.is_err()
    });
    assert!(refused);
    rig.on_hdfs(async |client| client.set_owner(&directory, Some("somebody"), None).await.unwrap());
    look(&mut command(&rig)).only_wrong(&[]);
}

#[test]
fn a_state_folder_that_cannot_be_written_and_a_folder_that_is_none_are_wrong() {
    let rig = Rig::new("doctor-state", 3);
    rig.write();
    let doctor = || {
        let mut doctor = Command::new(env!("CARGO_BIN_EXE_millrace"));
        doctor.arg("doctor").arg(rig.file());
        doctor
    };
    let seen = look(doctor().args(["--state", "/dev/null/state"]));
    seen.only_wrong(&["state folder"]);

    // embedded: nothing is made by looking, topics are where that is asked for
    let folder = rig.folder.join("embedded");
    let seen = look(doctor().arg("--embedded").arg(&folder));
    seen.only_wrong(&[]);
    assert!(!folder.exists());
    assert!(seen.found(&format!("topic {}", rig.topic("request"))).ends_with("not there yet, a start makes it"));
    look(doctor().arg("--create").arg("--embedded").arg(&folder)).only_wrong(&[]);
    let seen = look(doctor().arg("--embedded").arg(&folder));
    assert_eq!(seen.found(&format!("topic {}", rig.topic("request"))), "of the source");
    let seen = look(doctor().arg("--embedded").arg(Path::new("/dev/null")));
    assert_eq!((seen.code, seen.health("folder")), (Some(1), "wrong"), "{:#}", seen.said);
}
