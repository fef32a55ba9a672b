//! What a sink that is frozen, slow, away or killed and started again costs the others: from produce to the response
//! topic, as a ratio to a run in which nothing is wrong; how fast such a sink catches up, as a ratio to the head; and the
//! memory of a pipeline that a sink is away from for minutes, at full load.

use std::path::Path;
use std::process::Command;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use mongodb::Client;
use mongodb::bson::Document;

use crate::figures::{self, percentile};
use crate::load;
use crate::rig::{Rig, flights, setting};
use crate::wire::{State, Wire};

/// Each way, at every piece of an answer: some insert or rename takes several.
const SLOW: Duration = Duration::from_millis(100);

/// Rows that wait for the head, so that it never waits for them.
const BACKLOG_ROWS: usize = 50_000;

#[derive(Clone, Copy)]
enum Trouble {
    Wire(State),
    /// With -9, by the name that `services/run` has for it, for half of the time.
    Killed(&'static str),
}

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
        rig.edit("[sinks.store.mongodb]", "[sinks.store]\ntimeout_ms = 2000\n\n[sinks.store.mongodb]");
        rig.edit("[sinks.archive]", "[sinks.archive]\ntimeout_ms = 2000");
        Bench { rig, store, archive }
    }

    fn set(&self, sink: &str, state: State) {
        let wire = if sink == "store" { &self.store } else { &self.archive };
        if matches!(state, State::Cut) { wire.cut() } else { wire.set(state) }
    }

    /// Milliseconds from produce to response, with this going on.
    fn pace(&self, sink: &str, trouble: Trouble, time: Duration) -> Vec<f64> {
        match trouble {
            Trouble::Wire(state) => {
                self.set(sink, state);
                load::pace(&self.rig, time)
            }
            Trouble::Killed(name) => thread::scope(|scope| {
                scope.spawn(|| {
                    sleep(time / 4);
                    service("kill", name);
                    sleep(time / 2);
                    service("start", name);
                });
                load::pace(&self.rig, time)
            }),
        }
    }
}

/// `services/run COMMAND NAME`.
fn service(command: &str, name: &str) {
    let run = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("services/run");
    let done = Command::new(run).args([command, name]).arg(setting("MILLRACE_SERVICES")).status().unwrap();
    assert!(done.success(), "services/run {command} {name}");
}

pub fn run(rows: usize, seconds: u64) {
    println!("\na sink in trouble: 1,000 rows/s for {seconds} s, produce to response topic");
    // what the broker's machine has yet to compile is nobody's trouble
    drop(troubled("store", Trouble::Wire(State::Flows), Duration::from_secs(seconds)));
    let mut alone = None;
    for (sink, what, trouble) in [
        ("store", "nothing is wrong", Trouble::Wire(State::Flows)),
        ("store", "MongoDB frozen", Trouble::Wire(State::Frozen)),
        ("store", "MongoDB 100 ms away, each way", Trouble::Wire(State::Slow(SLOW))),
        ("store", "MongoDB away", Trouble::Wire(State::Cut)),
        ("store", "MongoDB killed, and started again", Trouble::Killed("mongodb")),
        ("archive", "NameNode frozen", Trouble::Wire(State::Frozen)),
        ("archive", "NameNode 100 ms away, each way", Trouble::Wire(State::Slow(SLOW))),
        ("archive", "NameNode away", Trouble::Wire(State::Cut)),
        ("archive", "NameNode killed, and started again", Trouble::Killed("namenode")),
        ("archive", "DataNode killed, and started again", Trouble::Killed("datanode")),
    ] {
        let (latencies, usage) = troubled(sink, trouble, Duration::from_secs(seconds));
        tell(what, latencies, &mut alone, &usage);
    }
    for (what, kill) in [("another worker comes, this one drains", false), ("another comes, this one is killed", true)]
    {
        let latencies = hand_over(kill, Duration::from_secs(seconds));
        let longest = latencies.iter().copied().fold(0.0, f64::max);
        tell(what, latencies, &mut alone, &format!("  longest {longest:.0} ms"));
    }
    catches_up(rows);
}

/// Beside `alone`, p50 and p99 of the first that is told.
fn tell(what: &str, mut latencies: Vec<f64>, alone: &mut Option<(f64, f64)>, more: &str) {
    latencies.sort_by(f64::total_cmp);
    let (p50, p99) = (percentile(&latencies, 0.5), percentile(&latencies, 0.99));
    let (p50_alone, p99_alone) = *alone.get_or_insert((p50, p99));
    println!("{what:<40} p50 {p50:>6.1} ({:.2})  p99 {p99:>6.1} ms ({:.2}){more}", p50 / p50_alone, p99 / p99_alone);
}

/// Milliseconds from produce to response with this going on, and what the pipeline took.
fn troubled(sink: &str, trouble: Trouble, time: Duration) -> (Vec<f64>, String) {
    let bench = Bench::fresh();
    let mut process = bench.rig.start();
    process.await_word("sink is in step sink=store");
    process.await_word("sink is in step sink=archive");
    let latencies = bench.pace(sink, trouble, time);
    let usage = figures::usage(process.id());
    process.kill_nine();
    (latencies, usage)
}

/// Milliseconds from produce to response while all that one worker has goes to another.
fn hand_over(kill: bool, time: Duration) -> Vec<f64> {
    let bench = Bench::fresh();
    let mut first = bench.rig.start();
    first.await_word("sink is in step sink=archive");
    thread::scope(|scope| {
        let working = scope.spawn(|| {
            sleep(time / 4);
            let second = bench.rig.start();
            sleep(time / 4);
            if kill {
                first.kill_nine()
            } else {
                drop(first.drain())
            }
            second
        });
        let latencies = load::pace(&bench.rig, time);
        working.join().unwrap().kill_nine();
        latencies
    })
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

/// The store is away for so long, and the head has always more to do; told each minute, beside the same without it.
pub fn outage(minutes: u64) {
    println!("\nfull load, with MongoDB away for {minutes} min: most memory until then");
    for (what, state, minutes) in [("nothing is wrong", State::Flows, 1), ("MongoDB away", State::Cut, minutes)] {
        let bench = Bench::fresh();
        let mut process = bench.rig.start();
        process.await_word("sink is in step sink=store");
        bench.set("store", state);
        let (messages, committed) = (flights(BACKLOG_ROWS, "x").0, load::committed(&bench.rig));
        let (since, mut sent) = (Instant::now(), 0);
        for minute in 1..=minutes {
            while since.elapsed() < Duration::from_secs(60 * minute) {
                bench.rig.produce(&messages);
                sent += messages.len() as u64;
                while committed() + messages.len() as u64 <= sent {
                    process.must_run();
                    sleep(Duration::from_millis(10));
                }
            }
            let usage = figures::usage(process.id());
            println!("{what:<20} minute {minute:>2}, {:>9} rows{usage}", committed());
        }
        process.kill_nine();
    }
}
