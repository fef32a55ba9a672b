//! Brokers that take signed tokens, an endpoint that gives them, and all that can go wrong between the two.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use super::free_address;
use super::rig::{PATIENCE, Rig, flights, setting};
use super::secure::{said_by_commands, secret, secured_at};
use crate::figures::get;
use crate::issuer::{Answers, CLIENT, Issuer, signed};
use crate::process::Process;

const SECRET: &str = "hunter4-and-more";

/// As librdkafka's settings, with what a file has to differ in.
fn settings(url: &str, secret: &str, authority: &str) -> [(&'static str, String); 7] {
    [
        ("sasl.mechanism", "OAUTHBEARER"),
        ("sasl.oauthbearer.method", "oidc"),
        ("sasl.oauthbearer.client.id", CLIENT),
        ("sasl.oauthbearer.client.secret", secret),
        ("sasl.oauthbearer.scope", "kafka"),
        ("sasl.oauthbearer.token.endpoint.url", url),
        ("https.ca.location", authority),
    ]
    .map(|(name, value)| (name, value.to_owned()))
}

fn toml(settings: &[(&str, String)]) -> String {
    settings.iter().map(|(name, value)| format!("{name} = \"{value}\"\n")).collect()
}

fn rig(test: &str, url: &str, secret_file: &Path) -> Rig {
    let secret = format!("${{file:{}}}", secret_file.display());
    told(test, &settings(url, &secret, "${KAFKA_CA}"))
}

/// Kafka alone: the other sinks know nothing of tokens.
fn told(test: &str, settings: &[(&str, String)]) -> Rig {
    let mut rig = secured_at("KAFKA_SIGNED", test, toml(settings).trim_end());
    rig.edit("[sinks.store.mongodb]", "[sinks.store]\nenabled = false\n[sinks.store.mongodb]");
    rig.edit("\"${HDFS_SINK:-true}\"", "false");
    rig
}

/// Every request has one answer, in a transaction that was committed.
fn assert_answered(rig: &Rig, ids: &BTreeSet<String>) {
    let answers = rig.responses();
    let found: BTreeSet<_> = answers.iter().map(|answer| answer["UUID"].as_str().unwrap().to_owned()).collect();
    assert_eq!((answers.len(), &found), (ids.len(), ids));
}

fn url(scheme: &str, address: impl std::fmt::Display) -> String {
    format!("{scheme}://{address}/token")
}

fn assert_no_secret(said: &str, issuer: &Issuer) {
    assert!(!said.contains(SECRET), "{said}");
    for token in issuer.given() {
        let (content, signature) = token.rsplit_once('.').unwrap();
        assert!(!said.contains(content) && !said.contains(signature), "{said}");
    }
}

#[test]
fn tokens_are_renewed_while_the_pipeline_runs() {
    // brokers send away who has not shown another one by then
    let issuer = Issuer::new(SECRET, 6);
    let rig = rig("renewed", &url("https", issuer.address()), &secret("renewed", SECRET));
    let (messages, mut ids) = flights(50, "first");
    rig.produce(&messages);
    let mut process = rig.start_with(&["--log", "debug"]);
    rig.await_records("response", ids.len(), &mut process);
    let (_, table) = rig.ask("doctor");
    assert!(table.contains("ok       Kafka") && table.contains("ok       transactions, rights"), "{table}");
    let deadline = Instant::now() + PATIENCE;
    let enough = issuer.given().len() + 4;
    while issuer.given().len() < enough {
        process.must_run();
        assert!(Instant::now() < deadline, "{} tokens of {enough}", issuer.given().len());
        std::thread::yield_now();
    }
    let (messages, more) = flights(50, "second");
    rig.produce(&messages);
    ids.extend(more);
    rig.await_records("response", ids.len(), &mut process);
    let said = process.drain() + &table;
    assert!(!said.contains("Authentication failed") && !said.contains("not running"), "{said}");
    assert_no_secret(&said, &issuer);
    assert_answered(&rig, &ids);
}

#[test]
fn what_is_wrong_with_an_endpoint_is_said_and_once_mended_it_goes_on() {
    let (address, listen) = (free_address(), free_address());
    let mut rig = rig("mended", &url("http", &address), &secret("mended", SECRET));
    rig.edit("[source.kafka]", "[source.kafka]\ntimeout_ms = 2000");
    let (messages, ids) = flights(50, "mended");
    rig.produce(&messages);
    let mut process = rig.start_with(&["--log", "debug", "--listen", &listen]);
    let place = format!("the token endpoint http://{address}/token");
    process.await_word(&format!("{place} does not answer (Connection refused"));
    let status = await_status(&listen, &mut process, &place);
    let issuer = Issuer::plain(&address, "another", 600);
    process.await_word(&format!("{place} refuses client `{CLIENT}` (401 Unauthorized, invalid_client, who?)"));
    let commands = said_by_commands(&rig, "mongodb://127.0.0.1:1");
    assert!(commands.contains(&format!("no token for the brokers at {}: {place} refuses", setting("KAFKA_SIGNED"))));
    issuer.answer(Answers::Silence);
    issuer.know(SECRET);
    process.await_word(&format!("{place} does not answer within 10s"));
    issuer.answer(Answers::NoToken);
    process.await_word(&format!("{place} answers without an `access_token`"));
    issuer.answer(Answers::Foreign);
    process.await_word(&format!("they refuse the token of {place}"));
    issuer.answer(Answers::Tokens);
    rig.await_records("response", ids.len(), &mut process);
    let said = process.drain() + &status + &commands + &said_by_commands(&rig, "mongodb://127.0.0.1:1");
    assert_no_secret(&said, &issuer);
    let kept = Command::new("grep").args(["-r", SECRET]).arg(&rig.folder).output().unwrap();
    assert_eq!(kept.status.code(), Some(1), "{}", String::from_utf8_lossy(&kept.stdout));
    assert_answered(&rig, &ids);
}

fn await_status(listen: &str, process: &mut Process, word: &str) -> String {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let status = get(listen, "/status").unwrap_or_default();
        if status.contains(word) {
            return status;
        }
        process.must_run();
        assert!(Instant::now() < deadline, "{status}");
    }
}

#[test]
fn commands_on_a_topic_get_tokens_too() {
    let issuer = Issuer::new(SECRET, 600);
    let rig = Rig::new("tokens-file", 1);
    let file = rig.folder.join("kafka.properties");
    let write = |secret: &str, authority: &str| {
        let settings = settings(&url("https", issuer.address()), secret, authority);
        let lines: String = settings.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
        let brokers = format!("security.protocol=SASL_SSL\nssl.ca.location={}\n", setting("KAFKA_CA"));
        fs::write(&file, brokers + &lines).unwrap();
    };
    let millrace = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_millrace"));
        command.args(arguments).args(["--brokers", &setting("KAFKA_SIGNED")]).arg("--kafka-properties").arg(&file);
        let done = command.output().unwrap();
        (done.status.code(), String::from_utf8(done.stdout).unwrap(), String::from_utf8(done.stderr).unwrap())
    };
    let (rows, topic) = (rig.folder.join("rows.jsonl"), rig.topic("request"));
    fs::write(&rows, "{\"n\":1}\n{\"n\":2}\n").unwrap();
    write(SECRET, &setting("KAFKA_CA"));
    let (code, _, said) = millrace(&["replay", rows.to_str().unwrap(), "--topic", &topic]);
    assert_eq!(code, Some(0), "{said}");
    let (code, read, said) = millrace(&["consume", &topic]);
    assert_eq!((code, read.as_str()), (Some(0), "{\"n\":1}\n{\"n\":2}\n"), "{said}");
    write("hunter5", &setting("KAFKA_CA"));
    let (code, _, said) = millrace(&["consume", &topic]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("refuses client `flights` (401") && !said.contains("hunter5"), "{said}");
    // whom nobody here trusts
    write(SECRET, "probe");
    let (code, _, said) = millrace(&["consume", &topic]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("is not trusted") && said.contains("`https.ca.location`"), "{said}");
    assert_no_secret(&said, &issuer);
    fs::write(&file, "sasl.oauthbearer.client.secret=hunter5\n").unwrap();
    let (code, _, said) = millrace(&["consume", &topic]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("`sasl.oauthbearer.method = \"oidc\"`") && !said.contains("hunter5"), "{said}");
}

#[test]
fn a_token_that_somebody_else_renews_is_read_from_its_file() {
    let file = secret("token", &signed(5));
    let who = [
        ("sasl.mechanism", "OAUTHBEARER".to_owned()),
        ("sasl.oauthbearer.method", "oidc".to_owned()),
        ("sasl.oauthbearer.token.endpoint.url", format!("file://{}", file.display())),
    ];
    let rig = told("token", &who);
    let mut process = rig.start();
    process.await_word("gives a token that has expired");
    // as a volume's files are renewed
    let fresh = secret("token-fresh", &signed(600));
    fs::rename(fresh, &file).unwrap();
    let (messages, ids) = flights(50, "token");
    rig.produce(&messages);
    rig.await_records("response", ids.len(), &mut process);
    process.await_word("gives tokens again");
    process.drain();
    assert_answered(&rig, &ids);
}
