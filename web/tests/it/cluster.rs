//! The cluster page: what processes say in the status topic, as a person sees it.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::http;
use crate::pipeline::{Real, program, terminate};
use crate::rig::{Rig, Web, setting};
use crate::webdriver::{Browser, ENTER};

const STATUS: &str = "/cluster/status";

async fn open(web: &Web) -> Browser {
    let browser = Browser::start().await;
    browser.look(1440, 900, "light").await;
    browser.go(&format!("http://{}/cluster", web.address)).await;
    browser
}

/// The cells of a table's rows, as a person reads them.
async fn rows(browser: &Browser, caption: &str) -> Vec<Vec<String>> {
    let script = format!(
        "const table = [...document.querySelectorAll('table')].find((one) => one.caption.textContent === {caption:?}); \
         return [...table.tBodies[0].rows].map((row) => [...row.cells].map((cell) => cell.innerText));"
    );
    serde_json::from_value(browser.run(&script).await).expect("rows of texts")
}

async fn until_rows(browser: &Browser, caption: &str, count: usize) {
    let found = format!(
        "[...document.querySelectorAll('table')].find((one) => one.caption.textContent === {caption:?})\
         ?.tBodies[0].rows.length === {count}"
    );
    browser.until(&found).await;
}

async fn lead(browser: &Browser) -> String {
    browser.run("return document.getElementById('lead').textContent").await.as_str().expect("text").to_owned()
}

async fn everywhere(browser: &Browser, name: &str) {
    for (width, height) in [(1440, 900), (360, 740)] {
        for scheme in ["light", "dark"] {
            browser.look(width, height, scheme).await;
            let wide =
                browser.run("return document.documentElement.scrollWidth - document.documentElement.clientWidth").await;
            assert_eq!(wide, 0, "{name} at {width}");
            browser.screenshot(&format!("{name}-{width}-{scheme}")).await;
        }
    }
    browser.look(1440, 900, "light").await;
}

/// A heartbeat as docs/status.md has it.
fn beat(host: &str, workers: Value, sinks: Value) -> Value {
    json!({
        "pipeline": "flight-delay", "generation": "2f6b1c09d4e70a11", "version": "0.1.0", "host": host, "process": 41,
        "listen": format!("{host}:9464"), "started": 1_000, "at": 19_000, "every_seconds": 60, "workers": workers,
        "workers_left_out": 0, "sinks": sinks, "rejects": { "features/bad_delay": 12, "source/not_json": 1 },
        "rejects_total": 13,
    })
}

fn worker(state: &str, partitions: Value, rate: Value, lag: Value) -> Value {
    json!({
        "state": state, "since": 4_000, "head_waits_for": [], "partitions": partitions, "partitions_left_out": 0,
        "rows_per_second": rate, "lag": lag,
    })
}

fn sinks(store: Value, positions: Value) -> Value {
    let sink = |kind: &str, behind: Value, workers: Value| json!({ "kind": kind, "required": false, "behind": behind, "positions": positions, "workers": workers });
    let mut archive = sink("hdfs", json!(8), json!({ "0": { "state": "in_step", "since": 4_000 } }));
    archive["publishes_within_seconds"] = json!(60);
    json!({
        "responses": sink("kafka", json!(0), json!({})),
        "store": sink("mongodb", json!(41), json!({ "0": store })),
        "archive": archive,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn it_shows_who_works_on_what_and_who_is_silent() {
    let rig = Rig::new("cluster").await;
    rig.create_topic("status").await;
    let in_step = json!({ "state": "in_step", "since": 4_000 });
    let down = json!({ "state": "down", "why": "MongoDB at mongo:27017: no server is available", "next_try": 1 });
    let running = json!({ "0": worker("running", json!([0, 1, 2, 5]), json!(1_234.5), json!(7)) });
    let mill = beat("mill-1", running, sinks(in_step.clone(), json!({ "0": 1_041, "1": 1_038, "2": 990, "5": 7 })));
    rig.produce("status", "one", &mill.to_string()).await;
    let waits = json!({ "0": worker("running", json!([3, 4]), json!(0.0), json!(3)),
                        "1": worker("idle", json!([]), json!(null), json!(null)) });
    let other = beat("mill-2", waits, sinks(down, json!({ "3": 500, "4": 512 })));
    rig.produce("status", "two", &other.to_string()).await;
    // one that was heard five minutes of its own pace ago, before this module was started
    let lost = beat("mill-3", json!({ "0": worker("running", json!([6]), json!(5.0), json!(9)) }), json!({}));
    let mut lost = lost;
    lost["every_seconds"] = json!(2);
    rig.produce_before("status", "three", &lost.to_string(), 15_000).await;
    let web = rig.web().await;
    let browser = open(&web).await;
    until_rows(&browser, "Workers", 4).await;
    assert_eq!(lead(&browser).await, format!("As every process says itself, in the topic {}.", rig.topic("status")));
    let said = rows(&browser, "Workers").await;
    assert_eq!(said[0][0], "mill-1\nprocess 41, worker 0\nstatus at mill-1:9464");
    assert_eq!(said[0][2..], ["5 h", "0–2, 5", "1,235", "7", "2f6b1c09d4e70a11"].map(str::to_owned));
    assert!(said[0][1].starts_with("Running\nfor 4 h"), "{:?}", said[0]);
    assert!(said[2][1].starts_with("Idle"), "{:?}", said[2]);
    assert_eq!(said[2][3..6], ["none", "unknown", "unknown"].map(str::to_owned));
    assert!(said[3][1].starts_with("Silent\nfor ") && said[3][1].ends_with("it counts for nothing"), "{:?}", said[3]);
    assert_eq!(said[3][4..6], ["unknown", "unknown"].map(str::to_owned), "its figures are old");
    let media: BTreeMap<_, _> = rows(&browser, "Sinks").await.into_iter().map(|row| (row[0].clone(), row)).collect();
    let store = &media["store\nMongoDB"];
    assert_eq!(store[1], "Away\nAway, 82 behind: MongoDB at mongo:27017: no server is available.");
    assert_eq!(store[2..], ["82", "0: 1,041 · 1: 1,038 · 2: 990 · 3: 500 · 4: 512 · 5: 7"].map(str::to_owned));
    assert_eq!(media["archive\nHDFS"][1..3], ["In step", "16\nin an open file for at most 60 s"].map(str::to_owned));
    assert_eq!(media["responses\nKafka"][1], "In step");
    let refused = rows(&browser, "Refused messages and rows by stage and reason").await;
    assert_eq!(
        refused,
        [["features/bad_delay", "24"], ["source/not_json", "2"]].map(|row| row.map(str::to_owned).to_vec())
    );
    let figures = "return [...document.querySelectorAll('.figures dd')].map((dd) => dd.textContent)";
    assert_eq!(browser.run(figures).await, json!(["2", "1,235", "10", "26", "2f6b1c09d4e70a11"]));
    everywhere(&browser, "cluster").await;

    // drawn as cards it is still a table, and its state is said once
    browser.look(360, 740, "light").await;
    let tree = browser.accessibility().await;
    let roles = tree["nodes"].as_array().unwrap().iter().filter_map(|node| node["role"]["value"].as_str());
    let mut counts = BTreeMap::<&str, usize>::new();
    roles.for_each(|role| *counts.entry(role).or_default() += 1);
    assert_eq!((counts.get("table"), counts.get("rowheader")), (Some(&3), Some(&9)), "{counts:?}");
    let announced = "return document.getElementById('announcer').textContent";
    assert_eq!(browser.run(announced).await, "flight-delay: Runs, and lacks something, 2 processes.");
    browser.look(1440, 900, "light").await;

    // live: a word more, and one that takes its word back
    rig.produce(
        "status",
        "two",
        &beat("mill-2", json!({ "0": worker("waiting", json!([]), json!(null), json!(null)) }), json!({})).to_string(),
    )
    .await;
    until_rows(&browser, "Workers", 3).await;
    browser.until("document.querySelector('.application-head').dataset.state === 'waiting'").await;
    rig.take_off("status", "two").await;
    until_rows(&browser, "Workers", 2).await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    web.stop().await;
    browser
        .until("document.getElementById('lead').textContent.startsWith('This page\\'s server has not answered')")
        .await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_there_is_said_with_the_reason_and_words_of_strangers_are_text() {
    let rig = Rig::new("cluster-nobody").await;
    let web = rig.web().await;
    let browser = open(&web).await;
    let nobody = |why: &str| format!("Topic {}: {why}", rig.topic("status"));
    let absent = nobody("There is no such topic yet: no worker has announced itself.");
    browser.until(&format!("document.getElementById('lead').textContent === {absent:?}")).await;
    everywhere(&browser, "cluster-nobody").await;
    rig.create_topic("status").await;
    let none = nobody("No worker has announced itself in the last two minutes.");
    browser.until(&format!("document.getElementById('lead').textContent.startsWith({none:?})")).await;
    let stranger = beat(
        "<img src=x onerror=alert(1)>",
        json!({ "0": worker("no such", json!([0]), json!("x"), json!({})) }),
        json!({ "s<b>": 1 }),
    );
    rig.produce("status", "evil", &stranger.to_string()).await;
    rig.produce("status", "worse", "no heartbeat").await;
    until_rows(&browser, "Workers", 1).await;
    assert!(rows(&browser, "Workers").await[0][0].starts_with("<img src=x onerror=alert(1)>"));
    assert_eq!(rows(&browser, "Workers").await[0][1].lines().next(), Some("Not understood"));
    assert_eq!(browser.run("return document.querySelectorAll('main img, main b').length").await, 0);
    let answer = http::get(web.address, "/cluster").await;
    assert!(answer.policy.is_some_and(|policy| policy.contains("default-src 'self'")), "no policy");
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    browser.close().await;
    web.stop().await;
}

/// A `millrace run` of the shipped pipeline, under the names of a test.
struct Worker(Child);

impl Worker {
    fn start(rig: &Rig, state: &str) -> Worker {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let name = rig.topic("").trim_end_matches('-').to_owned();
        let toml = std::fs::read_to_string(root.join("pipelines/flight-delay.toml"))
            .unwrap()
            .replace("\"flight-delay\"", &format!("\"{name}\""))
            .replace("flight-delay-ml-", &format!("{name}-"))
            .replace("agile_data_science", "millrace_test")
            .replace("flight_delay_ml_response", &name)
            .replace("/user/flight_predictions", &format!("/millrace-test/{name}"))
            .replace("\"../", &format!("\"{}/", root.display()));
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(&name);
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("pipeline.toml");
        std::fs::write(&file, toml).unwrap();
        let mut process = Command::new(program())
            .arg("run")
            .arg(&file)
            .arg("--state")
            .arg(folder.join(state))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines().map_while(Result::ok);
        let said: Vec<_> = lines.by_ref().take_while(|line| !line.contains("positions read")).collect();
        assert!(process.try_wait().unwrap().is_none(), "{said:?}");
        std::thread::spawn(move || lines.for_each(drop));
        Worker(process)
    }

    fn drain(mut self) {
        assert!(terminate(self.0.id()) && self.0.wait().unwrap().success());
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Nobody lists them: two processes of one pipeline on the real services, each with its part.
#[tokio::test(flavor = "multi_thread")]
async fn real_processes_are_seen_as_they_come_and_go() {
    assert!(!setting("HDFS_URI").is_empty());
    let rig = Rig::new("cluster-real").await;
    let web = rig.web().await;
    let browser = open(&web).await;
    let first = Worker::start(&rig, "first");
    until_rows(&browser, "Workers", 1).await;
    let second = Worker::start(&rig, "second");
    until_rows(&browser, "Workers", 2).await;
    let shared = "[...document.querySelectorAll('.application tr[data-state=running] td[data-label=Partitions]')]\
                  .map((cell) => cell.textContent).filter((said) => said !== 'none').length === 2";
    browser.until(shared).await;
    let ids: Vec<String> = futures::future::join_all((0..20).map(|_| web.send())).await;
    for id in &ids {
        browser_free_response(&web, id).await;
    }
    // positions of three partitions, from two processes
    let all = "[...document.querySelectorAll('.application tr')].some((row) => row.cells[0].textContent.startsWith('store') \
               && row.dataset.state === 'in_step' && row.cells[3].textContent.split('·').length === 3)";
    browser.until(all).await;
    browser.until("document.querySelectorAll('.figures dd')[2].textContent === '0'").await;
    let told = http::get(web.address, STATUS).await.json();
    let application = &told["applications"][0];
    assert_eq!((&application["state"], &application["processes"]), (&json!("running"), &json!(2)), "{application}");
    // each process says it in its own time
    let deadline = std::time::Instant::now() + crate::rig::PATIENCE;
    while store_taken(&http::get(web.address, STATUS).await.json()) != ids.len() as i64 {
        assert!(std::time::Instant::now() < deadline, "{}", http::get(web.address, STATUS).await.json());
    }

    second.drain();
    until_rows(&browser, "Workers", 1).await;
    browser.until("document.querySelector('.application td[data-label=Partitions]').textContent === '0–2'").await;
    first.drain();
    browser.until("document.querySelectorAll('.application').length === 0").await;
    browser.close().await;
    web.stop().await;
}

/// The sum of the store's positions: the topic is new.
fn store_taken(told: &Value) -> i64 {
    let sinks = told["applications"][0]["sinks"].as_array().into_iter().flatten();
    let positions =
        sinks.filter(|sink| sink["name"] == "store").filter_map(|sink| sink["positions"].as_array()).flatten();
    positions.filter_map(|position| position[1].as_i64()).sum()
}

async fn browser_free_response(web: &Web, id: &str) {
    let deadline = std::time::Instant::now() + crate::rig::PATIENCE;
    while web.response(id).await["status"] != "OK" {
        assert!(std::time::Instant::now() < deadline, "{id} is not answered");
    }
}

/// The same of a pipeline on a folder, reached from the corner of the prediction page by keyboard.
#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_on_a_folder_is_seen_too() {
    let real = Real::start("cluster-folder");
    let mut rig = Rig::without_topics("cluster-folder").await;
    rig.flag("embedded", &real.folder.display().to_string());
    rig.flag("status-topic", "flight-delay-status");
    rig.flag("pipeline-status", &format!("http://{}", real.address));
    let web = rig.web().await;
    let browser = crate::browser::open(&web).await;
    browser.run("document.querySelector('.pipeline-link a').focus()").await;
    browser.keys(ENTER).await;
    until_rows(&browser, "Workers", 1).await;
    browser.until("document.querySelector('.application-head').dataset.state === 'running'").await;
    assert!(rows(&browser, "Workers").await[0][0].contains(&format!("status at {}", real.address)));
    real.drain();
    browser.until("document.querySelectorAll('.application').length === 0").await;
    browser.close().await;
    web.stop().await;
}
