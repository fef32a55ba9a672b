//! Positions shown and reset on the real services.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use millrace::batch::{Batch, Origins, Span};
use millrace::config;
use millrace::ground::Ground;
use millrace::plan::{Plan, SinkKind};
use millrace::sink::ledger::Ledger;
use millrace::sink::refusals::Nowhere;
use millrace::sink::transaction::Advance;
use millrace::sink::{Context, Log, Of, Outbound, Start, Writer, hdfs, mongodb};
use millrace::source::group::{Group, Offsets};
use serde_json::Value;

use super::rig::{Process, Rig, flights};
use crate::positions::{Positions, standing, wrongs};
use crate::process::PATIENCE;

impl Rig {
    fn positions(&self) -> Positions<'_> {
        let state = vec!["--state".to_owned(), self.folder.join("state").display().to_string()];
        Positions { file: self.file(), ground: Vec::new(), state }
    }

    fn run_until(&self, rows: usize) -> String {
        let mut process = self.start();
        self.await_records("response", rows, &mut process);
        process.drain()
    }

    fn plan(&self) -> Plan {
        config::check(self.file(), &|name| std::env::var(name).ok()).unwrap_or_else(|said| panic!("{said}"))
    }
}

/// As brokers do it after a week without members.
#[test]
fn a_group_that_has_lost_its_offsets_answers_nothing_twice() {
    let rig = Rig::new("pos-expired", 1);
    let (messages, mut ids) = flights(60, "a");
    rig.produce(&messages);
    rig.run_until(60);
    let (messages, more) = flights(40, "b");
    rig.produce(&messages);
    ids.extend(more);
    rig.delete_group();
    let expect = |words: &str| {
        let (code, said) = rig.start().wait();
        assert_eq!(code, Some(1), "{said}");
        let words = [words, "the group's offsets expired, or were deleted", "--head --to 0:60`"];
        words.iter().for_each(|word| assert!(said.contains(word), "{word:?} is not in: {said}"));
    };
    expect("stands at offset 60 of partition 0");
    std::fs::remove_dir_all(rig.folder.join("state")).unwrap();
    expect("stands at offset 60 of partition 0");
    assert_eq!(rig.records("response").len(), 60);
    rig.positions().reset(&["--head", "--to", "0:60", "--yes"]).assert_done(&[]);
    rig.run_until(100);
    rig.assert_exactly_once(&ids);
}

/// Nothing but the state folder knows of it then.
#[test]
fn a_group_that_has_lost_its_offsets_answers_nothing_twice_where_kafka_is_the_only_sink() {
    let mut rig = Rig::new("pos-alone", 1);
    let others = rig.toml.find("[sinks.store.mongodb]").unwrap()..rig.toml.find("[rejects.kafka]").unwrap();
    rig.toml.replace_range(others, "");
    rig.produce(&flights(60, "a").0);
    rig.run_until(60);
    rig.delete_group();
    let (code, said) = rig.start().wait();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("this pipeline was there before, by its state folder"), "{said}");
    assert_eq!(rig.records("response").len(), 60);
}

/// Shows until everything stands there.
fn await_standing(rig: &Rig, process: &mut Process, expected: [Option<i64>; 3]) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let shown = rig.positions().show();
        if standing(&shown, 0) == expected {
            return shown;
        }
        process.must_run();
        assert!(Instant::now() < deadline, "{shown}; said:\n{}", process.said());
    }
}

fn often(rows: &[Value]) -> BTreeMap<usize, usize> {
    let mut counts = BTreeMap::<_, usize>::new();
    rows.iter().for_each(|row| *counts.entry(row["UUID"].to_string()).or_default() += 1);
    let mut often = BTreeMap::new();
    counts.values().for_each(|count| *often.entry(*count).or_default() += 1);
    often
}

#[test]
fn they_are_shown_while_it_runs_and_a_reset_waits_for_its_members_to_go() {
    let mut rig = Rig::new("pos-show", 1);
    rig.edit("roll_seconds_max = 60", "roll_seconds_max = 3000");
    let (messages, mut ids) = flights(100, "a");
    rig.produce(&messages);
    let mut process = rig.start();
    rig.await_records("response", 100, &mut process);
    let head = rig.positions().show()["partitions"][0]["head"]["position"].as_i64().unwrap();
    let running = await_standing(&rig, &mut process, [Some(head), Some(head), Some(0)]);
    let member = running["members"][0].as_str().unwrap();
    assert!(member.starts_with(&format!("millrace-{}-", rig.name)) && member.contains(" on "), "{member}");
    let refused = rig.positions().reset(&["--all", "--to", "earliest", "--yes"]);
    refused.assert_refused(&["a worker of this pipeline runs on this host", "0.lock"]);
    // with another state folder it cannot know that, and the group says it
    let elsewhere = rig.folder.join("elsewhere").display().to_string();
    let mut positions = rig.positions();
    positions.state = vec!["--state".into(), elsewhere];
    positions.reset(&["--all", "--to", "earliest", "--yes"]).assert_refused(&["has living members", member]);
    let (messages, more) = flights(50, "b");
    rig.produce(&messages);
    ids.extend(more);
    rig.await_records("response", 150, &mut process);
    let said = process.drain();
    // whoever looked fenced nobody
    let is_trouble = |line: &&str| line.contains("WARN") || line.contains("ERROR");
    // a heartbeat may be late
    let trouble = said.lines().filter(is_trouble).find(|line| !line.contains("not seen in the status topic"));
    assert_eq!(trouble, None, "{said}");
    rig.assert_exactly_once(&ids);
    let shown = rig.positions().show();
    assert_eq!(shown["members"], Value::Array(Vec::new()));
    let end = shown["partitions"][0]["log"]["end"].as_i64().unwrap();
    assert_eq!(standing(&shown, 0), [Some(end); 3], "{shown}");
    assert_eq!(shown["partitions"][0]["sinks"]["archive"]["detail"], format!("files up to {}", end - 1));
    assert_eq!((shown["partitions"][0]["head"]["lag"].as_i64(), wrongs(&shown, 0)), (Some(0), Vec::new()));
    let entry = &shown["partitions"][0]["head"]["generations"][0];
    assert_eq!((&entry["from"], entry["generation"].as_str()), (&0.into(), Some(&*rig.plan().generation)));
}

#[test]
fn a_rewind_of_everything_repeats_rows_on_the_topic_and_changes_no_document() {
    let rig = Rig::new("pos-rewind", 2);
    let (messages, ids) = flights(200, "r");
    rig.produce(&messages);
    rig.run_until(200);
    let documents: BTreeSet<_> = rig.documents().iter().map(ToString::to_string).collect();
    let positions = rig.positions();
    let refused = positions.reset(&["--all", "--to", "earliest", "--yes"]);
    refused.assert_refused(&[
        "partition 0: sink `archive`",
        "partition 1: sink `archive`",
        "move them to another directory first",
    ]);
    rig.move_files_away();
    let done = positions.reset(&["--all", "--to", "earliest", "--yes"]);
    done.assert_done(&["partition 0, head: 100 → 0: 100 messages are worked on again", "6 positions moved"]);
    let shown = positions.show();
    assert_eq!([standing(&shown, 0), standing(&shown, 1)], [[Some(0); 3]; 2]);
    rig.run_until(400);
    assert_eq!(often(&rig.responses()), BTreeMap::from([(2, ids.len())]));
    assert_eq!(rig.documents().iter().map(ToString::to_string).collect::<BTreeSet<_>>(), documents);
    assert_eq!(often(&rig.archived()), BTreeMap::from([(1, ids.len())]));
}

#[test]
fn a_sink_skips_what_it_lacks_after_its_worker_was_killed() {
    let mut rig = Rig::new("pos-skip", 1);
    // whose members are dropped sooner
    rig.edit("group_protocol = \"consumer\"", "group_protocol = \"classic\"");
    rig.edit("roll_seconds_max = 60", "roll_seconds_max = 3000");
    let (messages, first) = flights(100, "s");
    rig.produce(&messages);
    let mut process = rig.start();
    rig.await_records("response", 100, &mut process);
    let head = rig.positions().show()["partitions"][0]["head"]["position"].as_i64().unwrap();
    await_standing(&rig, &mut process, [Some(head), Some(head), Some(0)]);
    process.kill_nine();
    let positions = rig.positions();
    let done = loop {
        let answer = positions.reset(&["--sink", "archive", "--to", "latest", "--yes"]);
        if answer.code == Some(0) {
            break answer;
        }
        answer.assert_refused(&["has living members"]);
    };
    done.assert_done(&["sink `archive`: 0 → 100: 100 messages are skipped"]);
    let (messages, second) = flights(50, "t");
    rig.produce(&messages);
    rig.run_until(150);
    let archived: BTreeSet<_> = rig.archived().iter().map(|row| row["UUID"].as_str().unwrap().to_owned()).collect();
    assert_eq!(archived, second);
    assert_eq!(rig.documents().len(), first.len() + second.len());
    assert_eq!(often(&rig.responses()), BTreeMap::from([(1, 150)]));
}

#[test]
fn after_a_topic_was_made_again_a_reset_lets_it_run() {
    let rig = Rig::new("pos-again", 1);
    rig.produce(&flights(10, "a").0);
    rig.run_until(10);
    rig.delete_topic(&rig.topic("request"));
    rig.create_topic(&rig.topic("request"), 1);
    let (messages, ids) = flights(20, "b");
    rig.produce(&messages);
    assert_eq!(rig.start().wait().0, Some(1));
    let positions = rig.positions();
    let wrong = wrongs(&positions.show(), 0);
    let of_another = wrong.iter().filter(|said| said.contains("made again") || said.contains("made anew"));
    assert_eq!(of_another.count(), 2, "{wrong:?}");
    positions.reset(&["--all", "--to", "earliest", "--yes"]).assert_refused(&["move them to another directory first"]);
    rig.move_files_away();
    positions.reset(&["--all", "--to", "earliest", "--yes"]).assert_done(&["it begins anew", "sink `store`: 10 → 0"]);
    assert_eq!(wrongs(&positions.show(), 0), Vec::<String>::new());
    rig.run_until(30);
    assert_eq!(rig.documents().len(), 30);
    assert_eq!(often(&rig.archived()), BTreeMap::from([(1, ids.len())]));
}

#[test]
fn a_service_that_is_away_hides_its_own_sink_only() {
    let mut rig = Rig::new("pos-away", 1);
    rig.produce(&flights(10, "a").0);
    rig.run_until(10);
    let address = super::life::free_address();
    rig.edit("${MONGODB_URI:-mongodb://localhost:27017}", &format!("mongodb://{address}"));
    rig.edit("[sinks.store.mongodb]", "[sinks.store]\ntimeout_ms = 1000\n[sinks.store.mongodb]");
    rig.write();
    let answer = rig.positions().answer("show", &["--json"]);
    answer.assert_refused(&["sink `store`", &address]);
    let shown: Value = serde_json::from_str(&answer.out).unwrap();
    assert_eq!(standing(&shown, 0), [Some(10), None, Some(10)]);
    rig.positions().reset(&["--head", "--to", "0", "--yes"]).assert_refused(&["sink `store` gave no answer"]);
}

#[test]
fn brokers_let_nobody_move_the_offsets_of_a_group_that_lives() {
    for protocol in ["consumer", "classic"] {
        let mut rig = Rig::new("pos-alive", 1);
        rig.edit("group_protocol = \"consumer\"", &format!("group_protocol = \"{protocol}\""));
        rig.produce(&flights(10, "a").0);
        let mut process = rig.start();
        rig.await_records("response", 10, &mut process);
        let mut group = Group::new(&Ground::Services, &rig.plan().source, Offsets::Settled).unwrap();
        let back = Advance { from: Some(10), to: 0, metadata: String::new() };
        let refused = group.commit(&BTreeMap::from([(0, back.clone())]));
        assert!(refused.is_err(), "{protocol}");
        process.drain();
        group.commit(&BTreeMap::from([(0, back)])).unwrap();
        assert_eq!(group.read().unwrap()[&0].committed.offset, Some(0), "{protocol}");
    }
}

/// A sink's context in a pipeline of one column, on a log that is nowhere.
fn context(rig: &Rig) -> Context {
    let log = Log { cluster: "c".into(), topic: rig.topic("request"), topic_id: "id".into() };
    let (pipeline, sink, timeout) = (rig.name.as_str().into(), "s".into(), Duration::from_secs(60));
    Context { pipeline, sink, log, of: Of::Rows, columns: vec!["o".into()], timeout }
}

/// A row for each offset.
fn rows(from: i64, to: i64) -> Arc<Outbound> {
    let column = Arc::new((from..to).collect::<Int64Array>()) as ArrayRef;
    let count = (to - from) as usize;
    let origins = Origins { partitions: vec![0; count], offsets: (from..to).collect(), ..Origins::default() };
    let batch = Batch {
        columns: RecordBatch::try_from_iter([("o", column)]).unwrap(),
        lineage: (0..count as u32).collect(),
        origins: Arc::new(origins),
        spans: vec![Span { partition: 0, from, to }],
        rejects: Vec::new(),
    };
    Arc::new(Outbound { batch, generation: "g".into() })
}

/// A writer that is still alive when its sink is reset, and knows nothing of it, does not move the position.
async fn assert_fenced(mut zombie: impl Writer, successor: impl Writer, mut ledger: impl Ledger, to: i64) {
    let all = BTreeSet::from([0]);
    zombie.open(&BTreeMap::from([(0, Start::At(0))])).await.unwrap();
    zombie.write(rows(0, 10)).await.unwrap();
    zombie.finish().await.unwrap();
    let found = ledger.read(&all).await.unwrap();
    assert_eq!(found[&0].next, Some(10));
    // looking has not fenced it
    zombie.write(rows(10, 12)).await.unwrap();
    zombie.finish().await.unwrap();
    let stale = ledger.reset(0, &found[&0], to).await.unwrap_err();
    assert!(stale.to_string().contains("somebody else has moved it"), "{stale}");
    // a reset that came too late may have taken the token already
    let mut zombie = successor;
    zombie.open(&BTreeMap::from([(0, Start::At(0))])).await.unwrap();
    let found = ledger.read(&all).await.unwrap();
    assert_eq!(found[&0].next, Some(12));
    ledger.reset(0, &found[&0], to).await.unwrap();
    let written = zombie.write(rows(12, 30)).await;
    let finished = if written.is_ok() { zombie.finish().await } else { written.map(drop) };
    assert!(finished.is_err(), "a zombie wrote on");
    assert_eq!(ledger.read(&all).await.unwrap()[&0].next, Some(to));
}

#[tokio::test]
async fn a_zombie_does_not_move_a_cursor_that_was_reset() {
    let rig = tokio::task::spawn_blocking(|| Rig::new("pos-cursor", 1)).await.unwrap();
    let plan = rig.plan();
    let Some(SinkKind::Mongodb(plan)) =
        plan.sinks.iter().map(|sink| sink.kind.clone()).find(|kind| matches!(kind, SinkKind::Mongodb(_)))
    else {
        panic!("no such sink")
    };
    let writer = || mongodb::Writer::new(context(&rig), &plan, Box::new(Nowhere)).unwrap();
    // down, where a late `$max` would win
    Box::pin(assert_fenced(writer(), writer(), mongodb::Ledger::new(context(&rig), &plan), 3)).await;
    tokio::task::spawn_blocking(|| drop(rig)).await.unwrap();
}

#[tokio::test]
async fn a_zombie_publishes_nothing_where_the_token_was_reset() {
    let rig = tokio::task::spawn_blocking(|| Rig::new("pos-token", 1)).await.unwrap();
    let plan = rig.plan();
    let Some(SinkKind::Hdfs(plan)) =
        plan.sinks.iter().map(|sink| sink.kind.clone()).find(|kind| matches!(kind, SinkKind::Hdfs(_)))
    else {
        panic!("no such sink")
    };
    let writer = || hdfs::Writer::new(context(&rig), &plan).unwrap();
    Box::pin(assert_fenced(writer(), writer(), hdfs::Ledger::new(context(&rig), &plan).unwrap(), 20)).await;
    tokio::task::spawn_blocking(|| drop(rig)).await.unwrap();
}
