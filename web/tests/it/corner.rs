//! The corner of the page that says how the pipeline is, and the route that it asks.

use std::time::Instant;

use futures::future::join_all;
use millrace_embedded::{Folder, Record, TOPIC_ROWS_MAX};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::browser::{everywhere, fill, open, state, text};
use crate::http;
use crate::pipeline::{Played, Real, held, partly, running, status, waiting};
use crate::rig::Rig;
use crate::webdriver::{Browser, ENTER};

const PIPELINE: &str = "/flights/delays/pipeline";
const AWAY: &str = "sink `store`: MongoDB at mongodb://mongo:27017: no server is available";

/// What the corner says in a line: a term's description.
async fn said(browser: &Browser, term: &str) -> String {
    let script = format!(
        "const term = [...document.querySelectorAll('#pipeline dt')].find((dt) => dt.textContent === {term:?}); \
         return term?.nextElementSibling.textContent ?? '';"
    );
    browser.run(&script).await.as_str().expect("text").to_owned()
}

async fn until_said(browser: &Browser, term: &str, said: &str) {
    let found = format!(
        "[...document.querySelectorAll('#pipeline dt')].some((dt) => dt.textContent === {term:?} && \
         dt.nextElementSibling.textContent === {said:?})"
    );
    browser.until(&found).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_says_how_the_pipeline_is_and_what_it_waits_for() {
    let played = Played::new(running(json!(0))).await;
    let mut rig = Rig::new("corner").await;
    rig.flag("pipeline-status", &played.url());
    let web = rig.web().await;
    let browser = open(&web).await;
    state(&browser, "pipeline", "running").await;
    assert_eq!(text(&browser, "#pipeline-state").await, "Pipeline running");
    assert_eq!(text(&browser, ".pipeline-sentence").await, "Every flight that came is answered.");
    for (term, expected) in [
        ("Waiting in the topic", "0 messages"),
        ("responses (Kafka)", "in step"),
        ("store (MongoDB)", "in step"),
        ("archive (HDFS)", "8 behind"),
        ("Refused", "3 since it started (features/bad_delay 2, source/not_json 1)"),
        ("Generation", "2f6b1c09d4e7"),
    ] {
        assert_eq!(said(&browser, term).await, expected, "{term}");
    }
    // how it looks is in the pictures of the first screen
    played.say(running(json!(1_234)));
    until_said(&browser, "Waiting in the topic", "1,234 messages").await;
    assert_eq!(text(&browser, ".pipeline-sentence").await, "1,234 flights still to be answered.");

    played.say(waiting(AWAY));
    state(&browser, "pipeline", "waiting").await;
    assert_eq!(said(&browser, "Why").await, "Sink store: MongoDB at mongodb://mongo:27017: no server is available.");
    assert_eq!(
        text(&browser, ".pipeline-sentence").await,
        "Something that it needs is away for 10 min. It tries again by itself."
    );
    // what is not known while it waits is not claimed
    assert_eq!(said(&browser, "store (MongoDB)").await, "");
    everywhere(&browser, "pipeline-waiting").await;

    played.say(partly("no server is available"));
    state(&browser, "pipeline", "partly").await;
    assert_eq!(said(&browser, "store (MongoDB)").await, "away, 41 behind: no server is available");
    assert_eq!(said(&browser, "archive (HDFS)").await, "catching up, 8 behind, about 2 s left");
    everywhere(&browser, "pipeline-partly").await;

    played.say(held("no server is available"));
    state(&browser, "pipeline", "waiting").await;
    assert_eq!(
        text(&browser, ".pipeline-sentence").await,
        "7 flights still to be answered. It goes on when its sink store takes rows again."
    );
    assert_eq!(said(&browser, "store (MongoDB)").await, "away, unknown how far behind: no server is available");

    played.go_away().await;
    state(&browser, "pipeline", "away").await;
    assert_eq!(text(&browser, "#pipeline-state").await, "Pipeline not reachable");
    assert!(said(&browser, "Why").await.starts_with("No answer from http://127.0.0.1:"), "it says where it asked");
    everywhere(&browser, "pipeline-away").await;

    web.stop().await;
    state(&browser, "pipeline", "lost").await;
    assert!(text(&browser, ".pipeline-sentence").await.starts_with("This page's server has not answered"));
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_one_line_on_a_narrow_screen_and_opened_by_keyboard() {
    let played = Played::new(running(json!(0))).await;
    let mut rig = Rig::new("corner-narrow").await;
    rig.flag("pipeline-status", &played.url());
    let web = rig.web().await;
    let browser = open(&web).await;
    browser.look(360, 740, "light").await;
    state(&browser, "pipeline", "running").await;
    let height = "return document.getElementById('pipeline').getBoundingClientRect().height < 40";
    assert_eq!(browser.run(height).await, true);
    browser.run("document.getElementById('pipeline-more').focus()").await;
    browser.keys(ENTER).await;
    browser.until("document.getElementById('pipeline-more').getAttribute('aria-expanded') === 'true'").await;
    assert_eq!(browser.run(height).await, false);
    assert_eq!(said(&browser, "archive (HDFS)").await, "8 behind");
    browser.screenshot("pipeline-open-360-light").await;
    // a change of the state is said aloud, politely
    let tree = browser.accessibility().await;
    let spoken = tree["nodes"].as_array().unwrap().iter().find(|node| {
        node["role"]["value"] == "status" && property(node, "live") == json!("polite") && is_corner(&tree, node)
    });
    assert!(spoken.is_some(), "no live region has the state");
    browser.close().await;
    web.stop().await;
}

fn property(node: &Value, name: &str) -> Value {
    let properties = node["properties"].as_array().into_iter().flatten();
    properties
        .into_iter()
        .find(|known| known["name"] == name)
        .map_or(Value::Null, |found| found["value"]["value"].clone())
}

/// One of its children is the text of the state.
fn is_corner(tree: &Value, node: &Value) -> bool {
    let nodes = tree["nodes"].as_array().unwrap();
    let is_child = |child: &Value| node["childIds"].as_array().is_some_and(|ids| ids.contains(&child["nodeId"]));
    nodes.iter().any(|child| is_child(child) && child["name"]["value"] == "Pipeline running")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_whose_answer_takes_long_says_what_the_pipeline_does() {
    let played = Played::new(waiting(AWAY)).await;
    let mut rig = Rig::new("corner-slow").await;
    rig.flag("pipeline-status", &played.url());
    let web = rig.web().await;
    let browser = open(&web).await;
    state(&browser, "pipeline", "waiting").await;
    fill(&browser).await;
    browser.keys(ENTER).await;
    state(&browser, "kafka", "waiting").await;
    browser.until("document.querySelector('#kafka .quiet').textContent.startsWith('Still listening.')").await;
    let slow = text(&browser, "#kafka .quiet").await;
    assert!(slow.contains("The pipeline is waiting. Something that it needs is away"), "{slow}");
    browser.until("document.querySelector('#mongo .quiet').textContent.startsWith('Still looking.')").await;
    everywhere(&browser, "slow").await;
    browser.close().await;
    web.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_pipelines_are_told_and_the_worst_first() {
    let (one, other) = (Played::new(running(json!(0))).await, Played::new(waiting(AWAY)).await);
    let mut rig = Rig::new("corner-several").await;
    rig.flag("pipeline-status", &format!("{},{}", one.url(), other.url()));
    let web = rig.web().await;
    let browser = open(&web).await;
    state(&browser, "pipeline", "waiting").await;
    let names = "return [...document.querySelectorAll('.pipeline-name')].map((name) => name.textContent)";
    assert_eq!(browser.run(names).await, json!(["flight-delay: running", "flight-delay: waiting"]));
    browser.close().await;
    web.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn however_many_look_the_pipeline_is_asked_once_a_second() {
    let played = Played::new(running(json!(0))).await;
    let mut rig = Rig::new("corner-many").await;
    rig.flag("pipeline-status", &played.url());
    let web = rig.web().await;
    let begun = Instant::now();
    for _ in 0..10 {
        let answers = join_all((0..50).map(|_| http::get(web.address, PIPELINE))).await;
        assert!(answers.iter().all(|answer| answer.json()["pipelines"][0]["state"] == "running"));
    }
    let seconds = begun.elapsed().as_secs() as usize;
    assert!((1..=seconds + 1).contains(&played.asked()), "asked {} times in {seconds} s", played.asked());
    web.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_that_never_answers_holds_nothing_up() {
    // the connection is taken, and nobody reads it
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut rig = Rig::new("corner-silent").await;
    rig.flag("pipeline-status", &format!("http://{}", silent.local_addr().unwrap()));
    let web = rig.web().await;
    let (told, page) =
        tokio::join!(http::get(web.address, PIPELINE), http::get(web.address, "/flights/delays/predict_kafka"));
    assert_eq!((told.code, page.code), (200, 200));
    let report = &told.json()["pipelines"][0];
    assert_eq!(report["state"], "away");
    assert!(report["why"].as_str().unwrap().ends_with("nothing came within 1s"), "{report}");
    let id = web.send().await;
    assert_eq!(web.response(&id).await["status"], "WAIT");
    web.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_pipeline_is_told() {
    for (answer, why) in [
        (json!("hello"), "says nothing of a pipeline's workers"),
        (json!({ "workers": [] }), "says nothing of a pipeline's workers"),
        (json!({ "workers": {}, "filler": "x".repeat(1 << 20) }), "length limit exceeded"),
    ] {
        let played = Played::new(answer).await;
        let mut rig = Rig::without_topics("corner-wrong").await;
        rig.flag("pipeline-status", &played.url());
        let web = rig.web().await;
        let told = http::get(web.address, PIPELINE).await.json();
        assert!(told["pipelines"][0]["why"].as_str().unwrap().contains(why), "{told}");
        web.stop().await;
    }
    let played = Played::new(status(json!({ "state": "running", "partitions": {} }))).await;
    let mut rig = Rig::without_topics("corner-path").await;
    rig.flag("pipeline-status", &format!("{}/elsewhere", played.url()));
    let web = rig.web().await;
    let told = http::get(web.address, PIPELINE).await.json();
    assert!(told["pipelines"][0]["why"].as_str().unwrap().ends_with("it says 404 Not Found"), "{told}");
    web.stop().await;
}

/// The real program on a folder: what it says is understood, and follows what happens.
#[tokio::test(flavor = "multi_thread")]
async fn the_real_pipeline_is_understood() {
    let real = Real::start("corner-real");
    let mut rig = Rig::without_topics("corner-real").await;
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/flight-delay");
    for (name, value) in [
        ("embedded", real.folder.display().to_string()),
        ("pipeline-status", format!("http://{}", real.address)),
        ("database", "agile_data_science".into()),
        ("collection", "flight_delay_ml_response".into()),
        ("request-topic", "flight-delay-ml-request".into()),
        ("response-topic", "flight-delay-ml-response".into()),
        ("rejects-topic", "flight-delay-ml-rejected".into()),
        ("model", format!("{examples}/model")),
        ("names", format!("{examples}/names.json")),
    ] {
        rig.flag(name, &value);
    }
    let web = rig.web().await;
    let browser = open(&web).await;
    state(&browser, "pipeline", "running").await;
    assert_eq!(said(&browser, "Refused").await, "none since it started");
    let status = http::get(real.address, "/status").await.json();
    assert_eq!(json!(said(&browser, "Generation").await), status["generation"]);

    // the first screen, one click and one key: an answer on both sides
    browser.run("document.getElementById('example').click()").await;
    browser.keys(ENTER).await;
    state(&browser, "kafka", "answered").await;
    state(&browser, "mongo", "answered").await;
    until_said(&browser, "Waiting in the topic", "0 messages").await;
    until_said(&browser, "archive (directory)", "in step, 1 in an open file for at most 60 s").await;
    for (dest, delay) in [("BOS", "-8"), ("MIA", "95")] {
        let change = format!(
            "document.getElementById('Dest').value = '{dest}'; document.getElementById('DepDelay').value = '{delay}'; \
             document.getElementById('send').focus()"
        );
        browser.run(&change).await;
        browser.keys(ENTER).await;
        browser.until(&format!("document.getElementById('which').textContent.includes('{dest}')")).await;
        state(&browser, "kafka", "answered").await;
        state(&browser, "mongo", "answered").await;
    }
    let listed = "document.querySelectorAll('#recent-list li').length === 3";
    browser.until(listed).await;
    everywhere(&browser, "last-answers").await;

    let mut folder = Folder::open(&real.folder).unwrap();
    let mut transaction = folder.begin().unwrap();
    let topic = transaction.topic("flight-delay-ml-request", 1, TOPIC_ROWS_MAX).unwrap();
    transaction.append(&topic, 0, [Record { value: Some(b"{\"broken\""), ..Record::default() }]).unwrap();
    transaction.commit().unwrap();
    until_said(&browser, "Refused", "1 since it started (source/not_json 1)").await;

    real.drain();
    state(&browser, "pipeline", "away").await;
    browser.close().await;
    web.stop().await;
}
