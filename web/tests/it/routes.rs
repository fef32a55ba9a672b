//! The routes as old pages and scripts use them, and what they say when a service is away.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::http;
use crate::pipeline::terminate;
use crate::rig::{CLASSIFY, FORM, Rig, events_path, fixture, prediction, response_path};

/// What is still open then is cut off.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn an_old_script_posts_and_polls() {
    let rig = Rig::new("old-script").await;
    let web = rig.web().await;
    let posted = http::post(web.address, CLASSIFY, FORM).await.json();
    let id = posted["id"].as_str().expect("an id").to_owned();
    assert_eq!(posted, json!({ "status": "OK", "id": id }));
    assert_eq!((id.len(), &id[14..15]), (36, "4"));

    let mut request = rig.next_request();
    let timestamp = request["Timestamp"].take();
    assert!(timestamp.as_str().is_some_and(|text| text.len() == 24 && text.ends_with('Z')), "{timestamp}");
    let typed = json!({
        "DepDelay": 14.0, "Carrier": "AA", "FlightDate": "2013-12-24", "Dest": "SFO", "FlightNum": "1519",
        "Origin": "JFK", "Timestamp": null, "UUID": id,
    });
    assert_eq!(request, typed);

    assert_eq!(web.response(&id).await, json!({ "status": "WAIT", "id": id }));
    rig.store(&id, 2).await;
    let found = web.response(&id).await;
    assert_eq!((&found["status"], &found["id"]), (&json!("OK"), &json!(id)));
    let document = &found["prediction"];
    assert!(document["_id"].as_str().is_some_and(|text| text.starts_with("flight-delay/")));
    assert_eq!((&document["FlightDate"], &document["Prediction"]), (&json!("2013-12-24"), &json!(2)));
    web.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_pages_hear_one_answer_and_an_event_source_then_stops() {
    let rig = Rig::new("events").await;
    let web = rig.web().await;
    let (id, other) = (web.send().await, web.send().await);
    let mut pages = [web.events(&id).await, web.events(&id).await, web.events(&id).await];
    let mut others = web.events(&other).await;
    let place = rig.answer(&id, 2).await;
    for page in &mut pages {
        assert_eq!((page.code, page.kind.as_str()), (200, "text/event-stream"));
        let event = page.next().await.expect("an event");
        assert_eq!((event.id, event.data), (place.clone(), prediction(&id, 2).to_string()));
        assert_eq!(page.next().await, None);
    }
    // an EventSource opens the stream again, and 204 is what tells it to stop
    assert_eq!(http::events(web.address, &events_path(&id), Some(&place)).await.code, 204);
    let mut elsewhere = http::events(web.address, &events_path(&id), Some("another-0-0")).await;
    assert_eq!(elsewhere.next().await.expect("an event").id, place);
    rig.answer(&other, 0).await;
    assert_eq!(others.next().await.expect("an event").data, prediction(&other, 0).to_string());
    web.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_over_several_lines_is_one_event() {
    let rig = Rig::new("lines").await;
    let web = rig.web().await;
    let id = web.send().await;
    rig.produce("response", "k", &format!("{{\r\n\"UUID\":\"{id}\",\n\"Prediction\":1}}")).await;
    let event = web.events(&id).await.next().await.expect("an event");
    assert_eq!(serde_json::from_str::<serde_json::Value>(&event.data).unwrap(), json!({"UUID": id, "Prediction": 1}));
    web.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_was_taken_back_is_never_shown() {
    let rig = Rig::new("aborted").await;
    let web = rig.web().await;
    let id = web.send().await;
    let mut listening = web.events(&id).await;
    rig.take_back("response", &id, &prediction(&id, 0).to_string()).await;
    rig.answer(&id, 2).await;
    assert_eq!(listening.next().await.expect("an event").data, prediction(&id, 2).to_string());
    web.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_message_of_ours_is_passed_over() {
    let rig = Rig::new("noise").await;
    let web = rig.web().await;
    let id = web.send().await;
    for role in ["request", "response", "rejected"] {
        rig.produce(role, "k", "no JSON").await;
        rig.produce(role, "k", r#"{"UUID":7}"#).await;
    }
    rig.answer(&id, 2).await;
    assert!(web.events(&id).await.next().await.is_some());
    web.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn open_streams_are_bounded_and_ended_when_the_module_ends() {
    let mut rig = Rig::new("bounded").await;
    rig.flag("streams-max", "1");
    let web = rig.web().await;
    let id = web.send().await;
    let mut first = web.events(&id).await;
    let refused = http::get(web.address, &events_path(&id)).await;
    let sentence = "Too many pages listen at the moment. Try again in a moment.".to_owned();
    assert_eq!(refused.said(), (503, "FAILED".into(), sentence));
    let asked = Instant::now();
    web.stop().await;
    assert_eq!(first.next().await, None);
    assert!(asked.elapsed() < DRAIN_TIMEOUT, "it was cut off, not ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_that_come_later_are_taken_up() {
    let rig = Rig::without_topics("later").await;
    let web = rig.web().await;
    assert_eq!(http::get(web.address, &response_path("a")).await.code, 404);
    for role in ["request", "response", "rejected"] {
        rig.create_topic(role).await;
    }
    let id = web.send().await;
    rig.answer(&id, 2).await;
    assert!(web.events(&id).await.next().await.is_some());
    web.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_away_is_said_and_the_events_come_all_the_same() {
    let mut rig = Rig::new("no-store").await;
    rig.flag("mongodb-uri", "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=300");
    let web = rig.web().await;
    let id = web.send().await;
    let said = http::get(web.address, &response_path(&id)).await.said();
    assert_eq!(said, (503, "FAILED".into(), "MongoDB does not answer. Ask again in a moment.".into()));
    rig.answer(&id, 2).await;
    assert!(web.events(&id).await.next().await.is_some());
    web.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_brokers_nothing_is_promised() {
    let mut rig = Rig::new("no-broker").await;
    rig.flag("brokers", "127.0.0.1:1");
    let web = rig.web().await;
    assert_eq!(http::get(web.address, "/healthz").await.code, 503);
    let sorry = "Kafka did not confirm that it has the flight, so nothing is promised. Send it again.";
    assert_eq!(http::post(web.address, CLASSIFY, FORM).await.said(), (503, "FAILED".into(), sorry.into()));
    let unread = "The topics are not read yet, so nothing is known of this flight. Ask again in a moment.";
    for path in [response_path("a"), events_path("a")] {
        assert_eq!(http::get(web.address, &path).await.said(), (503, "FAILED".into(), unread.into()));
    }
    web.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_is_whole_and_lets_nothing_else_in() {
    let rig = Rig::new("page").await;
    let web = rig.web().await;
    assert_eq!(http::get(web.address, "/").await.code, 307);
    let page = http::get(web.address, "/flights/delays/predict_kafka").await;
    for part in [
        "Prediction coming from KAFKA",
        "Prediction coming from MONGO",
        r#"<option value="ATL">Atlanta, Hartsfield-Jackson (ATL)</option>"#,
        r#"<option value="XYZ">XYZ</option>"#,
        r#"<option value="UA">United Air Lines (UA)</option>"#,
        "<dt>Early (15+ Minutes Early)</dt>",
        "<dt>Slightly Early (0-15 Minute Early)</dt>",
        "<dt>Slightly Late (0-30 Minute Delay)</dt>",
        "<dt>Very Late (30+ Minutes Late)</dt>",
    ] {
        assert!(page.text.contains(part), "{part}");
    }
    assert!(page.policy.is_some_and(|policy| policy.starts_with("default-src 'self';") && !policy.contains("unsafe")));
    for asset in ["style.css", "script.js", "pipeline.js", "elements.js", "icon.svg"] {
        assert_eq!(http::get(web.address, &format!("/assets/{asset}")).await.code, 200);
    }
    assert_eq!(http::get(web.address, "/nowhere").await.said().1, "UNKNOWN");
    web.stop().await;
}

/// Ends with the test, however that ends.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_serves_before_its_services_are_up_and_ends_well_on_a_signal() {
    let secret = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("web-mongodb-uri");
    fs::write(&secret, "mongodb://millrace:hunter2@127.0.0.1:1\n").expect("a file");
    let mut command = Command::new(env!("CARGO_BIN_EXE_millrace-web"));
    command.args(["--listen", "127.0.0.1:0", "--brokers", "127.0.0.1:1", "--mongodb-uri-file"]).arg(&secret);
    command.args(["--model", &fixture("model"), "--names", &fixture("names.json")]).env("MILLRACE_LOG", "debug");
    let mut process = Process(command.stderr(Stdio::piped()).spawn().expect("it starts"));
    let mut lines = BufReader::new(process.0.stderr.take().expect("stderr")).lines();
    let at = lines.find_map(|line| line.ok()?.split_once("http://").map(|(_, at)| at.trim_end_matches('/').to_owned()));
    let address: SocketAddr = at.expect("it says where the page is").parse().expect("an address");
    // whoever does not read what it says stops it at last
    let reading = std::thread::spawn(move || lines.map_while(Result::ok).collect::<String>());
    assert_eq!(http::get(address, "/flights/delays/predict_kafka").await.code, 200);
    let asked = http::get(address, &response_path("nobody")).await;
    assert!(asked.code >= 500 && !asked.text.contains("hunter2"), "{}", asked.text);
    assert!(terminate(process.0.id()) && process.0.wait().expect("it ends").success());
    let said = reading.join().expect("it is read");
    assert!(said.contains("127.0.0.1:1") && !said.contains("hunter2"), "{said}");
}

#[test]
fn a_secret_that_is_not_there_is_said_at_once() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_millrace-web"));
    command.args(["--listen", "127.0.0.1:0", "--mongodb-uri-file", "/nowhere/uri"]);
    let output =
        command.args(["--model", &fixture("model"), "--names", &fixture("names.json")]).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.code() == Some(1) && said.contains("error: --mongodb-uri-file /nowhere/uri: No such"),
        "{said}"
    );
}

#[test]
fn a_model_that_is_not_there_is_said_at_once() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_millrace-web"));
    let output = command.args(["--model", "/nowhere"]).output().expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "error: /nowhere/model.toml (--model or MILLRACE_WEB_MODEL chooses another folder): No such file or directory \
         (os error 2)\n"
    );

    // and where nobody hears it, as with `2>&1 | head -1`
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    assert_eq!(command.stderr(writer).status().expect("it runs").code(), Some(1));
}

#[test]
fn a_folder_that_is_damaged_is_said_and_no_page_is_promised() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("web-damaged");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("millrace.sqlite"), "this is a letter and no database. ".repeat(100)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_millrace-web"));
    command.args(["--listen", "127.0.0.1:0", "--embedded"]).arg(&folder);
    let output = command.args(["--model", &fixture("model"), "--names", &fixture("names.json")]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("error: ") && said.contains("is damaged"), "{said}");
    assert!(!said.contains("the page is at"), "{said}");
}

#[test]
fn help_has_examples_that_are_command_lines() {
    let help = Command::new(env!("CARGO_BIN_EXE_millrace-web")).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let examples = help.split_once("Examples:\n").expect("examples").1.split("\n\n").next().unwrap();
    assert!(examples.lines().count() > 1, "{examples}");
    for line in examples.lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        assert_eq!(words[0], "millrace-web");
        // the wrong model is what it fails at, so it has read all of the line
        let mut command = Command::new(env!("CARGO_BIN_EXE_millrace-web"));
        let tried = command.args(&words[1..]).args(["--model", "/nowhere"]).output().unwrap();
        let said = String::from_utf8_lossy(&tried.stderr);
        assert!(tried.status.code() == Some(1) && said.contains("/nowhere/model.toml"), "{line}: {said}");
    }
}
