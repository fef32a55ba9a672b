//! What a sink that is frozen, slow or away costs the others: from produce to the response topic, as a ratio to a run in
//! which nothing is wrong; and how fast such a sink catches up, as a ratio to the head.

use std::time::Duration;

use mongodb::Client;
use mongodb::bson::Document;

use crate::figures::{self, percentile};
use crate::load;
use crate::rig::{Rig, flights, setting};
use crate::wire::{State, Wire};

/// Each way, at every piece of an answer: some insert or rename takes several.
const SLOW: Duration = Duration::from_millis(100);

struct Bench {
    rig: Rig,
    store: Wire,
    archive: Wire,
}

impl Bench {
    fn fresh() -> Bench {
        let mut rig = Rig::new("apart", 1);
        let host =
            |name: &str, scheme: &str| setting(name).trim_start_matches(scheme).split('/').next().unwrap().to_owned();
        let store = Wire::to(host("MONGODB_URI", "mongodb://"));
        let archive = Wire::to(host("HDFS_URI", "hdfs://"));
        rig.env("MONGODB_URI", &format!("mongodb://{}/?directConnection=true", store.address));
        rig.env("HDFS_URI", &format!("hdfs://{}", archive.address));
        rig.edit("roll_seconds_max = 60", "roll_seconds_max = 1");
        for sink in ["store", "archive"] {
            let kind = if sink == "store" { "mongodb" } else { "hdfs" };
            let table = format!("[sinks.{sink}.{kind}]");
            rig.edit(&table, &format!("[sinks.{sink}]\ntimeout_ms = 2000\n\n{table}"));
        }
        Bench { rig, store, archive }
    }

    fn set(&self, sink: &str, state: State) {
        let wire = if sink == "store" { &self.store } else { &self.archive };
        if matches!(state, State::Cut) { wire.cut() } else { wire.set(state) }
    }
}

pub fn run(rows: usize, seconds: u64) {
    println!("\na sink in trouble: 1,000 rows/s for {seconds} s, produce to response topic");
    let mut alone = None;
    for (sink, what, state) in [
        ("store", "nothing is wrong", State::Flows),
        ("store", "MongoDB frozen", State::Frozen),
        ("store", "MongoDB 100 ms away, each way", State::Slow(SLOW)),
        ("store", "MongoDB away", State::Cut),
        ("archive", "NameNode frozen", State::Frozen),
        ("archive", "NameNode 100 ms away, each way", State::Slow(SLOW)),
        ("archive", "NameNode away", State::Cut),
    ] {
        let bench = Bench::fresh();
        let mut process = bench.rig.start();
        process.await_word("sink is in step sink=store");
        process.await_word("sink is in step sink=archive");
        bench.set(sink, state);
        let mut latencies = load::pace(&bench.rig, Duration::from_secs(seconds));
        let usage = figures::usage(process.id());
        process.kill_nine();
        latencies.sort_by(f64::total_cmp);
        let (p50, p99) = (percentile(&latencies, 0.5), percentile(&latencies, 0.99));
        let (p50_alone, p99_alone) = *alone.get_or_insert((p50, p99));
        println!(
            "{what:<40} p50 {p50:>6.1} ({:.2})  p99 {p99:>6.1} ms ({:.2}){usage}",
            p50 / p50_alone,
            p99 / p99_alone
        );
    }
    catches_up(rows);
}

/// The store is frozen while the head works through a backlog, then it is not.
fn catches_up(rows: usize) {
    let bench = Bench::fresh();
    let mut process = bench.rig.start();
    process.await_word("sink is in step sink=store");
    bench.set("store", State::Frozen);
    bench.rig.produce(&flights(rows, "x").0);
    let head = load::rate(&bench.rig, rows);
    let frozen = figures::usage(process.id());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let client = runtime.block_on(Client::with_uri_str(setting("MONGODB_URI"))).unwrap();
    let collection = client.database("agile_data_science").collection::<Document>(&bench.rig.name);
    bench.store.mend();
    let stored = async || collection.estimated_document_count().await.unwrap();
    let rate = figures::rate(rows, || runtime.block_on(stored()));
    let usage = figures::usage(process.id());
    process.drain();
    println!("a backlog of {rows} rows, with MongoDB frozen {head:>10.0} rows/s{frozen}");
    println!("and MongoDB catches up, by reading it again {rate:>10.0} rows/s ({:.2}){usage}", rate / head);
}
