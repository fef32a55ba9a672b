//! Positions shown and reset on a folder.

use std::collections::BTreeMap;
use std::fs;
use std::time::Instant;

use millrace::config;
use millrace::ground::Ground;
use millrace::positions::{Request, Reset, Target, To};
use millrace_embedded::Folder;
use serde_json::{Value, json};

use super::{Bed, append};
use crate::flights::flights;
use crate::positions::{Positions, standing, wrongs};
use crate::process::{PATIENCE, Process};

impl Bed {
    fn positions(&self) -> Positions<'_> {
        let ground = vec!["--embedded".to_owned(), self.data.display().to_string()];
        Positions { file: &self.file, ground, state: Vec::new() }
    }

    /// As a person who rewinds has to.
    fn move_files_away(&self) {
        let directory = self.data.join("hdfs/user/flight_predictions");
        let away = self.folder.join(format!("away-{}", fs::read_dir(&self.folder).unwrap().count()));
        fs::create_dir(&away).unwrap();
        for entry in fs::read_dir(&directory).unwrap().map(Result::unwrap).filter(|entry| entry.path().is_file()) {
            fs::rename(entry.path(), away.join(entry.file_name())).unwrap();
        }
    }

    fn resets(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.data.join("state/flight-delay/resets.jsonl")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// How often each UUID is there, and how many there are.
fn counts(rows: &[Value]) -> (usize, Vec<usize>) {
    let mut counts = BTreeMap::<_, usize>::new();
    rows.iter().for_each(|row| *counts.entry(row["UUID"].to_string()).or_default() += 1);
    let mut often: Vec<_> = counts.values().copied().collect();
    often.dedup();
    (counts.len(), often)
}

fn await_standing(bed: &Bed, process: &mut Process, expected: [Option<i64>; 3]) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let shown = bed.positions().show();
        if standing(&shown, 0) == expected {
            return shown;
        }
        process.must_run();
        assert!(Instant::now() < deadline, "{shown}; said:\n{}", process.said());
    }
}

#[test]
fn they_are_shown_while_it_runs_and_after_and_nothing_is_disturbed() {
    let mut bed = Bed::new("show");
    bed.toml = bed.toml.replace("roll_seconds_max = 60", "roll_seconds_max = 3000");
    bed.produce(&flights(100, "a").0);
    let mut process = bed.start(&[]);
    bed.await_rows(100, &mut process);
    // the directory publishes at the end
    let running = await_standing(&bed, &mut process, [Some(100), Some(100), Some(0)]);
    assert_eq!(running["partitions"][0]["sinks"]["archive"]["behind"], 100);
    bed.produce(&flights(50, "b").0);
    bed.await_rows(150, &mut process);
    await_standing(&bed, &mut process, [Some(150), Some(150), Some(0)]);
    let said = process.drain();
    assert!(!said.contains("WARN") && !said.contains("ERROR"), "{said}");
    let mut shown = bed.positions().show();
    let (topic_id, generation) =
        (shown["topic_id"].take(), shown["partitions"][0]["head"]["generations"][0]["generation"].take());
    assert_eq!((topic_id.as_str().unwrap().len(), generation.as_str().unwrap().len()), (36, 16));
    let sink = |detail: Value| json!({ "position": 150, "topic_id": topic_id, "lag": 0, "behind": 0, "detail": detail, "wrong": null });
    let expected = json!({
        "pipeline": "flight-delay", "topic": "flight-delay-ml-request", "topic_id": null, "cluster": "embedded",
        "group": "flight-delay", "members": null,
        "partitions": [{
            "partition": 0,
            "log": { "first": 0, "end": 150 },
            "head": {
                "position": 150, "topic_id": topic_id, "lag": 0,
                "generations": [{ "from": 0, "generation": null }], "wrong": null,
            },
            "sinks": { "archive": sink("files up to 149".into()), "store": sink(Value::Null) },
        }],
    });
    assert_eq!(shown, expected);
    let table = bed.positions().table();
    let row = table.lines().find(|line| line.contains("`archive`")).unwrap();
    assert_eq!(
        row.split_whitespace().collect::<Vec<_>>().join(" "),
        "0 sink `archive` 150 0..150 0 in step, files up to 149"
    );
}

#[test]
fn a_folder_that_is_none_is_not_made_by_looking() {
    let bed = Bed::new("none");
    fs::write(&bed.file, &bed.toml).unwrap();
    bed.positions().reset(&["--head", "--to", "0"]).assert_refused(&["is no embedded folder"]);
    assert!(!bed.data.exists());
}

#[test]
fn a_rewind_of_everything_repeats_rows_on_the_topic_and_changes_no_document() {
    let bed = Bed::new("rewind");
    bed.produce(&flights(100, "r").0);
    bed.run_until(100);
    let documents = bed.documents();
    let positions = bed.positions();
    let refused = positions.reset(&["--all", "--to", "40", "--yes"]);
    // one file holds everything
    refused.assert_refused(&[
        "move them to another directory first, and move the position to 0 instead",
        "-0000000000000000099.jsonl",
    ]);
    assert_eq!(standing(&positions.show(), 0), [Some(100); 3]);
    assert_eq!(bed.resets(), Vec::<Value>::new());
    bed.move_files_away();
    let done = positions.reset(&["--all", "--to", "earliest", "--yes"]);
    done.assert_done(&[
        "partition 0, head: 100 → 0: 100 messages are worked on again",
        "once more to `flight-delay-ml-rejected`, `flight-delay-ml-response`",
        "sink `store`: 100 → 0: 100 messages are worked on again: their rows are written again; a document that is there",
        "rows are computed by generation: from 0 ",
        "3 positions moved; recorded in ",
    ]);
    let shown = positions.show();
    assert_eq!((standing(&shown, 0), wrongs(&shown, 0)), ([Some(0); 3], Vec::new()));
    bed.run_until(200);
    assert_eq!(counts(&bed.consume("flight-delay-ml-response")), (100, vec![2]));
    assert_eq!(bed.documents(), documents);
    assert_eq!(counts(&bed.archived()), (100, vec![1]));
    assert_eq!(standing(&positions.show(), 0), [Some(100); 3]);
    let resets = bed.resets();
    let events: Vec<_> = resets.iter().map(|line| (&line["event"], &line["who"], &line["from"], &line["to"])).collect();
    let moved = |who: &str| (json!("moved"), json!(who), json!(100), json!(0));
    let [store, archive, head] = [moved("sink `store`"), moved("sink `archive`"), moved("head")];
    let expected = [(json!("begun"), Value::Null, Value::Null, Value::Null), archive, store, head];
    assert_eq!(events, expected.iter().map(|(a, b, c, d)| (a, b, c, d)).collect::<Vec<_>>());
    assert!(
        resets.iter().all(|line| line["by"].as_str().unwrap().contains("uid") && line["reset"] == resets[0]["reset"])
    );
    assert_eq!(resets[0]["moves"].as_array().unwrap().len(), 3);
}

#[test]
fn a_sink_skips_what_it_lacks() {
    let bed = Bed::new("skip");
    bed.produce(&flights(100, "s").0);
    let mut process = bed.start(&[]);
    process.await_word("sink is in step sink=archive");
    bed.await_rows(100, &mut process);
    process.kill_nine();
    let positions = bed.positions();
    let done = positions.reset(&["--sink", "archive", "--to", "latest", "--yes"]);
    done.assert_done(&["sink `archive`: 0 → 100: 100 messages are skipped: none of their rows comes to `archive`"]);
    assert!(!done.out.contains("computed by"), "{}", done.out);
    positions.reset(&["--sink", "archive", "--to", "latest", "--yes"]).assert_done(&["nothing to move"]);
    let (messages, ids) = flights(50, "t");
    bed.produce(&messages);
    bed.run_until(150);
    assert_eq!(counts(&bed.archived()), (ids.len(), vec![1]));
    assert!(bed.archived().iter().all(|row| ids.contains(row["UUID"].as_str().unwrap())));
    assert_eq!(bed.documents().len(), 150);
}

#[test]
fn what_the_engine_would_not_accept_is_refused_and_nothing_moves() {
    let bed = Bed::new("refuse");
    let mut folder = Folder::open(&bed.data).unwrap();
    append(&mut folder, 0, &flights(60, "p").0);
    append(&mut folder, 1, &flights(40, "q").0);
    let mut process = bed.start(&[]);
    bed.await_rows(100, &mut process);
    let positions = bed.positions();
    let held = positions.reset(&["--all", "--to", "earliest", "--yes"]);
    held.assert_refused(&["is held by another millrace", &process.id().to_string()]);
    process.drain();
    let before = positions.show();
    let refusals: [(&[&str], &[&str]); 10] = [
        (&["--sink", "store", "--to", "0"], &["there is no terminal to ask on: add --yes"]),
        (&["--sink", "nobody", "--to", "0", "--yes"], &["has no sink `nobody`", "`store`"]),
        (&["--sink", "responses", "--to", "0", "--yes"], &["the head's transaction", "--head"]),
        (
            &["--head", "--to", "10", "--yes"],
            &["the head would be at 10, and sink `archive` is at 60", "at 40", "Use --all"],
        ),
        (&["--all", "--to", "50", "--yes"], &["partition 1: 50 is beyond the log's end, 40"]),
        (&["--all", "--to", "2:0", "--yes"], &["has no partition 2: it has 2, from 0"]),
        (&["--all", "--to", "earliest", "--partition", "7", "--yes"], &["has no partition 7"]),
        (&["--sink", "archive", "--to", "1:39", "--yes"], &["move the position to 0 instead", "request-1-"]),
        (&["--all", "--to", "latest", "--state", "x", "--yes", "--sink", "store"], &["cannot be used with"]),
        (&["--all", "--to", "soon", "--yes"], &["expected earliest, latest"]),
    ];
    for (options, words) in refusals {
        let answer = positions.reset(options);
        if answer.code != Some(2) {
            answer.assert_refused(words);
        }
        assert!(words.iter().all(|word| answer.said.contains(word)), "{options:?}: {}", answer.said);
    }
    assert_eq!(positions.show(), before);
    assert_eq!(bed.resets(), Vec::<Value>::new());
    // beyond the head: only where the head is not at the end
    append(&mut folder, 0, &flights(5, "n").0);
    let beyond = positions.reset(&["--sink", "store", "--to", "0:65", "--yes"]);
    beyond.assert_refused(&["sink `store` would be at 65, beyond the head at 60: use --all, or --to 0:60"]);
}

#[test]
fn it_asks_and_takes_only_a_yes() {
    let bed = Bed::new("ask");
    bed.produce(&flights(10, "a").0);
    bed.run_until(10);
    let positions = bed.positions();
    let no = positions.reset_on_a_terminal(&["--sink", "store", "--to", "4"], "n");
    assert!(no.out.contains("Move them? [y/N]") && no.out.contains("nothing was moved"), "{}", no.out);
    assert_eq!((no.code, standing(&positions.show(), 0)), (Some(1), [Some(10); 3]));
    let yes = positions.reset_on_a_terminal(&["--sink", "store", "--to", "4"], "y");
    assert!(yes.out.contains("1 position moved"), "{}", yes.out);
    assert_eq!((yes.code, standing(&positions.show(), 0)), (Some(0), [Some(10), Some(4), Some(10)]));
}

#[test]
fn after_a_topic_was_made_again_a_reset_lets_it_run() {
    let bed = Bed::new("made-again");
    bed.produce(&flights(10, "a").0);
    bed.run_until(10);
    let mut folder = Folder::open(&bed.data).unwrap();
    let topic = folder.topic("flight-delay-ml-request").unwrap().unwrap();
    let mut transaction = folder.begin().unwrap();
    transaction.delete_topic(&topic).unwrap();
    transaction.commit().unwrap();
    let (messages, ids) = flights(20, "b");
    bed.produce(&messages);
    assert_eq!(bed.start(&[]).wait().0, Some(1));
    let positions = bed.positions();
    let wrong = wrongs(&positions.show(), 0);
    assert_eq!(
        wrong.iter().filter(|said| said.contains("made again") || said.contains("made anew")).count(),
        2,
        "{wrong:?}"
    );
    positions
        .reset(&["--all", "--to", "earliest", "--yes"])
        .assert_refused(&["sink `archive`", "move them to another directory first"]);
    bed.move_files_away();
    let done = positions.reset(&["--all", "--to", "earliest", "--yes"]);
    done.assert_done(&["sink `store`: 10 → 0: what is there says nothing of this log; it begins anew"]);
    assert_eq!(wrongs(&positions.show(), 0), Vec::<String>::new());
    bed.run_until(30);
    assert_eq!(bed.documents().len(), 30);
    assert_eq!(counts(&bed.archived()), (ids.len(), vec![1]));
}

#[test]
fn rows_before_the_generation_list_are_its_first_ones_and_that_is_said() {
    let mut bed = Bed::new("generations");
    bed.produce(&flights(100, "old").0);
    bed.run_until(100);
    bed.toml = bed.toml.replace("unknown_category = \"missing\"", "unknown_category = \"reject\"");
    bed.produce(&flights(100, "new").0);
    bed.run_until(200);
    let positions = bed.positions();
    let list = |shown: &Value| shown["partitions"][0]["head"]["generations"].clone();
    let shown = list(&positions.show());
    let generation = shown[1]["generation"].as_str().unwrap();
    forget_before_last(&bed, 200);
    assert_eq!(list(&positions.show()), json!([{ "from": 100, "generation": generation }]));
    bed.move_files_away();
    let done = positions.reset(&["--all", "--to", "30", "--yes"]);
    done.assert_done(&[&format!(
        "rows are computed by generation: from 30 {generation}; which generation computed rows before 100 first is not known any more"
    )]);
    assert_eq!(list(&positions.show()), json!([{ "from": 30, "generation": generation }]));
    bed.run_until(370);
    let rows = bed.consume("flight-delay-ml-response");
    let again = &rows[200..];
    assert!(again.iter().all(|row| row["Generation"] == generation), "{:?}", again[0]);
    assert_eq!(again[0]["UUID"], "old-000030");
}

/// As after many more generations: only the last is named.
fn forget_before_last(bed: &Bed, head: i64) {
    let mut folder = Folder::open(&bed.data).unwrap();
    let topic = folder.topic("flight-delay-ml-request").unwrap().unwrap();
    let mut transaction = folder.begin().unwrap();
    let mut offset = transaction.offset("flight-delay", &topic, 0).unwrap().unwrap();
    let mut beside: Value = serde_json::from_str(&offset.metadata).unwrap();
    let generations = beside["generations"].as_array_mut().unwrap();
    generations.drain(..generations.len() - 1);
    offset.metadata = beside.to_string();
    transaction.move_offset("flight-delay", &topic, 0, Some(head), &offset).unwrap();
    transaction.commit().unwrap();
}

#[test]
fn a_sink_before_the_generation_list_stops_and_goes_on_after_a_reset() {
    let mut bed = Bed::new("forgotten");
    let (messages, mut ids) = flights(100, "old");
    bed.produce(&messages);
    bed.run_until(100);
    bed.toml = bed.toml.replace("unknown_category = \"missing\"", "unknown_category = \"reject\"");
    let (messages, more) = flights(100, "new");
    ids.extend(more);
    bed.produce(&messages);
    bed.run_until(200);
    forget_before_last(&bed, 200);
    bed.spoil_store(|position| position.next = 30);
    let mut process = bed.start(&[]);
    process.await_word("which generation row 30 of partition 0 is of is not known any more");
    process.signal("TERM");
    assert_eq!(process.wait().0, Some(1));
    let positions = bed.positions();
    let done = positions.reset(&["--sink", "store", "--to", "0:30", "--yes"]);
    done.assert_done(&["sink `store`: 30 → 30: it stays, and goes on", "first is not known any more"]);
    let mut process = bed.start(&[]);
    await_standing(&bed, &mut process, [Some(200); 3]);
    process.drain();
    bed.assert_exactly_once(&ids);
}

#[test]
fn what_moved_between_the_question_and_the_answer_is_not_moved_again() {
    let bed = Bed::new("between");
    bed.produce(&flights(10, "a").0);
    bed.run_until(10);
    let plan = config::check(&bed.file, &|name| std::env::var(name).ok()).unwrap_or_else(|said| panic!("{said}"));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (ground, state) = (Ground::Embedded(bed.data.clone()), bed.data.join("state"));
    let mut reset = Reset::begin(&plan, &ground, &state, runtime.handle().clone()).unwrap();
    let request = |to| Request { target: Target::Sink("store".into()), to, partition: None };
    let proposal = reset.propose(request(To::Offset(4))).unwrap();
    // somebody else, by hand
    bed.spoil_store(|position| position.next = 7);
    let error = reset.run(&proposal).unwrap_err().to_string();
    assert!(error.contains("positions have moved since they were shown, and nothing was reset"), "{error}");
    assert_eq!((standing(&bed.positions().show(), 0)[1], bed.resets()), (Some(7), Vec::new()));
    // a log that only grows meanwhile is none of its concern
    let proposal = reset.propose(request(To::Latest)).unwrap();
    append(&mut Folder::open(&bed.data).unwrap(), 0, &flights(5, "b").0);
    reset.run(&proposal).unwrap();
    assert_eq!(standing(&bed.positions().show(), 0)[1], Some(10));
}
