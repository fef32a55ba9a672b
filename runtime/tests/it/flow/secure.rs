//! Brokers that ask who one is, over TLS; and a password that nothing repeats.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::free_address;
use super::rig::{Rig, flights, setting};
use crate::figures::get;

/// Each way to say who one is, as librdkafka's settings.
fn mechanisms(password: &str) -> [(&'static str, String); 3] {
    let by_password = |mechanism: &str| {
        format!("sasl = {{ mechanism = \"{mechanism}\", username = \"millrace\", password = \"{password}\" }}")
    };
    let by_token = "sasl.mechanism = \"OAUTHBEARER\"\nsasl.oauthbearer.config = \"principal=millrace\"\n\
                    enable.sasl.oauthbearer.unsecure.jwt = true";
    [("scram", by_password("SCRAM-SHA-512")), ("plain", by_password("PLAIN")), ("oauth", by_token.to_owned())]
}

/// The pipeline on the brokers' secure listener.
fn secured(test: &str, who: &str) -> Rig {
    secured_at("KAFKA_SECURE", test, who)
}

pub fn secured_at(listener: &str, test: &str, who: &str) -> Rig {
    let mut rig = Rig::new(&format!("secure-{test}"), 1);
    let topic = format!("topic = \"{}\"", rig.topic("request"));
    rig.edit("${KAFKA_BROKERS:-localhost:9092}", &format!("${{{listener}}}"));
    let table = format!(
        "[source.kafka.properties]\nsecurity.protocol = \"SASL_SSL\"\nssl.ca.location = \"${{KAFKA_CA}}\"\n{who}\n\n"
    );
    rig.edit("[source.fields]", &format!("{table}[source.fields]"));
    assert!(rig.toml.contains(&topic));
    rig
}

/// A file of its own with a secret, as containers have them.
pub fn secret(test: &str, text: &str) -> PathBuf {
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("secret-{test}"));
    fs::write(&file, format!("{text}\n")).unwrap();
    file
}

#[test]
fn brokers_are_told_who_it_is_in_every_way() {
    let file = secret("right", &setting("KAFKA_SECRET"));
    for (name, who) in mechanisms(&format!("${{file:{}}}", file.display())) {
        let rig = secured(name, &who);
        let (messages, ids) = flights(50, name);
        rig.produce(&messages);
        let mut process = rig.start();
        rig.await_records("response", ids.len(), &mut process);
        let said = process.drain();
        assert!(!said.contains(&setting("KAFKA_SECRET")), "{said}");
        rig.assert_exactly_once(&ids);
        let doctor = Command::new(env!("CARGO_BIN_EXE_millrace")).arg("doctor").arg(rig.file()).output().unwrap();
        let table = String::from_utf8(doctor.stdout).unwrap();
        assert!(table.contains("ok       Kafka") && !table.contains(&setting("KAFKA_SECRET")), "{table}");
    }
}

/// Of what the client says, and not only that nobody answered.
#[test]
fn the_doctor_says_that_a_password_is_wrong() {
    let file = secret("doctors", "hunter3-and-more");
    let (_, who) = &mechanisms(&format!("${{file:{}}}", file.display()))[0];
    let mut rig = secured("doctor", who);
    rig.edit("[source.kafka]", "[source.kafka]\ntimeout_ms = 4000");
    rig.write();
    let doctor = Command::new(env!("CARGO_BIN_EXE_millrace")).arg("doctor").arg(rig.file()).output().unwrap();
    let table = String::from_utf8(doctor.stdout).unwrap();
    assert_eq!(doctor.status.code(), Some(1), "{table}");
    assert!(table.contains("Authentication failed") && table.contains("sasl.*"), "{table}");
    assert!(!table.contains("hunter3"), "{table}");
}

/// What each command on the pipeline's file says, at its most talkative.
pub fn said_by_commands(rig: &Rig, mongodb_uri: &str) -> String {
    let toml = rig.file().to_str().unwrap();
    let commands: [&[&str]; 8] = [
        &["check", toml],
        &["graph", toml],
        &["graph", toml, "--format", "json"],
        &["positions", "show", toml],
        &["topics", "create", toml],
        &["explain", toml, "0:0"],
        &["doctor", toml],
        &["rejects", "show", toml],
    ];
    let say = |arguments: &&[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_millrace"));
        let done = command.args(*arguments).args(["--log", "debug"]).env("MONGODB_URI", mongodb_uri).output().unwrap();
        String::from_utf8(done.stdout).unwrap() + &String::from_utf8(done.stderr).unwrap()
    };
    commands.iter().map(say).collect()
}

/// Everything that a person or a script can make it say, with a password that is wrong.
#[test]
fn a_password_is_in_no_word() {
    const SECRET: &str = "hunter2-and-more";
    let file = secret("wrong", SECRET);
    let (_, who) = &mechanisms(&format!("${{file:{}}}", file.display()))[0];
    let mut rig = secured("wrong", who);
    rig.edit("[source.kafka]", "[source.kafka]\ntimeout_ms = 2000");
    let uri = format!("mongodb://millrace:{SECRET}@127.0.0.1:1");
    rig.env("MONGODB_URI", &uri);
    let (mut said, listen) = (String::new(), free_address());
    let mut process = rig.start_with(&["--log", "debug", "--listen", &listen]);
    process.await_word("Authentication failed");
    process.await_word("not running");
    for path in ["/status", "/metrics"] {
        said += &get(&listen, path).unwrap();
    }
    said += &process.drain();
    said += &said_by_commands(&rig, &uri);
    // of a setting that is wrong the line is shown, and what it sets is not
    let literal = rig.toml.replace("password = \"${", "pasword = \"").replace(&file.display().to_string(), SECRET);
    assert_ne!(literal, rig.toml);
    let wrong = rig.folder.join("wrong.toml");
    fs::write(&wrong, literal).unwrap();
    let done = Command::new(env!("CARGO_BIN_EXE_millrace")).arg("check").arg(&wrong).output().unwrap();
    fs::remove_file(&wrong).unwrap();
    let refused = String::from_utf8(done.stderr).unwrap();
    assert!(refused.contains("No such configuration property: \"sasl.pasword\""), "{refused}");
    said += &refused;
    assert!(said.contains("Authentication failed"), "{said}");
    assert!(!said.contains(SECRET), "{said}");
    // what was expanded is not kept: the next start reads the secret again
    let kept = Command::new("grep").args(["-r", SECRET]).arg(&rig.folder).output().unwrap();
    assert_eq!(kept.status.code(), Some(1), "{}", String::from_utf8_lossy(&kept.stdout));
}

#[test]
fn commands_on_a_topic_take_a_file_of_settings() {
    let rig = Rig::new("secure-file", 1);
    let file = rig.folder.join("kafka.properties");
    let properties = |password: &str| {
        format!(
            "# as a client of Java has them, almost\nsecurity.protocol=SASL_SSL\nssl.ca.location={}\n\
             sasl.mechanism=SCRAM-SHA-512\nsasl.username=millrace\nsasl.password={password}\n",
            setting("KAFKA_CA")
        )
    };
    fs::write(&file, properties(&setting("KAFKA_SECRET"))).unwrap();
    let rows = rig.folder.join("rows.jsonl");
    fs::write(&rows, "{\"n\":1}\n{\"n\":2}\n").unwrap();
    let topic = rig.topic("request");
    let millrace = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_millrace"));
        command.args(arguments).args(["--brokers", &setting("KAFKA_SECURE")]).arg("--kafka-properties").arg(&file);
        let done = command.output().unwrap();
        (done.status.code(), String::from_utf8(done.stdout).unwrap(), String::from_utf8(done.stderr).unwrap())
    };
    let (code, _, said) = millrace(&["replay", rows.to_str().unwrap(), "--topic", &topic]);
    assert_eq!(code, Some(0), "{said}");
    let (code, read, said) = millrace(&["consume", &topic]);
    assert_eq!((code, read.as_str()), (Some(0), "{\"n\":1}\n{\"n\":2}\n"), "{said}");
    assert_eq!(rig.records("request").len(), 2);
    fs::write(&file, properties("hunter2")).unwrap();
    let (code, _, said) = millrace(&["consume", &topic]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("invalid credentials") && !said.contains("hunter2"), "{said}");
    fs::write(&file, "sasl.pasword=hunter2\n").unwrap();
    let (code, _, said) = millrace(&["consume", &topic]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("No such configuration property: \"sasl.pasword\"") && !said.contains("hunter2"), "{said}");
}
