//! What the whole pipeline costs, against a bare loop that takes the same bytes from topic to topic, exactly once, in the
//! same run: on real services a transactional consume → produce loop, on a folder one that reads, appends and commits
//! through the folder's own library. Figures of two runs are not comparable, nor those of services and of a folder:
//! ratios of one run on one of them are.
//!
//! Run it by `./dev bench`. `--rows N` sets the backlog, `--seconds N` how long the paced part takes, `--embedded` leaves
//! out the services, `--apart` measures sinks in trouble, and nothing else, `--outage MINUTES` the memory while a sink is
//! away, and `--hostile` plugins that mean harm.

mod apart;
mod bare;
#[allow(dead_code)]
#[path = "../../tests/it/embedded/bed.rs"]
mod bed;
mod embedded;
#[path = "../../tests/it/flow/eyes.rs"]
mod eyes;
mod figures;
#[allow(dead_code)]
#[path = "../../tests/it/flights.rs"]
mod flights;
#[path = "../../tests/it/guest.rs"]
mod guest;
mod hostile;
mod load;
#[path = "../../tests/it/hostile/pipeline.rs"]
mod pipeline;
#[allow(dead_code)]
#[path = "../../tests/it/process.rs"]
mod process;
#[allow(dead_code, unused_imports)]
#[path = "../../tests/it/flow/rig.rs"]
mod rig;
mod services;
#[allow(dead_code)]
#[path = "../../tests/it/flow/wire.rs"]
mod wire;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bed::Bed;
use flights::flights;
use process::Process;
use rig::Rig;

struct Options {
    rows: usize,
    seconds: u64,
    embedded_alone: bool,
    apart_alone: bool,
    hostile_alone: bool,
    outage_minutes: u64,
}

fn options() -> Options {
    let mut options = Options {
        rows: 300_000,
        seconds: 20,
        embedded_alone: false,
        apart_alone: false,
        hostile_alone: false,
        outage_minutes: 0,
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut number = || words.next().and_then(|word| word.parse().ok()).unwrap_or_else(|| panic!("{word} N"));
        match word.as_str() {
            "--rows" => options.rows = number() as usize,
            "--outage" => options.outage_minutes = number(),
            "--seconds" => options.seconds = number(),
            "--embedded" => options.embedded_alone = true,
            "--apart" => options.apart_alone = true,
            "--hostile" => options.hostile_alone = true,
            _ => {}
        }
    }
    options
}

/// Of the pipeline's sinks only the one that the head writes is left.
fn response_topic_alone(toml: &mut String) {
    let start = toml.find("[sinks.store.mongodb]").unwrap();
    let end = toml.find("[rejects.kafka]").unwrap();
    toml.replace_range(start..end, "");
}

/// What a pipeline and the bare loop run on.
trait Ground {
    const NAME: &str;
    /// What is special about the rows that come at a pace.
    const TRANSACTIONS: &str;

    /// Nothing is in it.
    fn fresh(test: &str) -> Self;

    /// Nobody looks at it any more.
    fn clear(&self) {}

    fn toml(&mut self) -> &mut String;

    fn produce(&self, messages: &[Vec<u8>]);

    /// The pipeline.
    fn start(&self) -> Process;

    /// The limit, in the place of the pipeline, until it is told to end: transactions of so many rows at most, each
    /// waiting so long for them.
    fn bare(&self, rows_max: usize, wait: Duration) -> Arc<AtomicBool>;

    /// Rows a second between the first commit that is seen and the last.
    fn rate(&self, rows: usize) -> f64;

    /// Milliseconds from produce to response for each of the rows, at 1,000 a second.
    fn pace(&self, time: Duration) -> Vec<f64>;
}

fn main() {
    let options = options();
    println!("{}", figures::machine());
    if options.outage_minutes > 0 {
        return apart::outage(options.outage_minutes);
    }
    if options.hostile_alone {
        return hostile::run();
    }
    if options.apart_alone {
        return apart::run(options.rows, options.seconds);
    }
    if !options.embedded_alone {
        run::<Rig>(&options);
    }
    run::<Bed>(&options);
}

type Edit = fn(&mut String);

fn run<G: Ground>(options: &Options) {
    println!("\non {}: backlog of {} rows, one partition, one worker", G::NAME, options.rows);
    let bare = from_backlog::<G>("bare loop, 5,000 rows a transaction", options, None);
    let alone = from_backlog::<G>("pipeline, response topic alone", options, Some(response_topic_alone));
    let all = from_backlog::<G>("pipeline, all three sinks", options, Some(|_| ()));
    println!("ratio to the bare loop: response topic alone {:.2}, all three {:.2}", alone / bare, all / bare);
    println!("paced at 1,000 rows/s for {} s{}, produce to response topic", options.seconds, G::TRANSACTIONS);
    let bare = paced::<G>("bare loop", options, None);
    let alone = paced::<G>("pipeline, response topic alone", options, Some(response_topic_alone));
    paced::<G>("pipeline, all three sinks", options, Some(|_| ()));
    println!("ratio to the bare loop, response topic alone: p50 {:.2}, p99 {:.2}", alone.0 / bare.0, alone.1 / bare.1);
}

fn from_backlog<G: Ground>(what: &str, options: &Options, edit: Option<Edit>) -> f64 {
    let mut ground = G::fresh("bench");
    ground.produce(&flights(options.rows, "x").0);
    let (rate, note) = match edit {
        None => {
            let stop = ground.bare(5_000, Duration::from_millis(50));
            let rate = ground.rate(options.rows);
            stop.store(true, Ordering::Relaxed);
            (rate, String::new())
        }
        Some(edit) => {
            edit(ground.toml());
            let mut process = ground.start();
            let rate = ground.rate(options.rows);
            let usage = figures::usage(process.id());
            process.drain();
            (rate, usage)
        }
    };
    println!("{what:<40} {rate:>10.0} rows/s{note}");
    ground.clear();
    rate
}

/// p50 and p99.
fn paced<G: Ground>(what: &str, options: &Options, edit: Option<Edit>) -> (f64, f64) {
    let mut ground = G::fresh("paced");
    let time = Duration::from_secs(options.seconds);
    let (mut latencies, note) = match edit {
        None => {
            let stop = ground.bare(1_000, Duration::from_millis(5));
            let latencies = ground.pace(time);
            stop.store(true, Ordering::Relaxed);
            (latencies, String::new())
        }
        Some(edit) => {
            edit(ground.toml());
            let mut process = ground.start();
            process.await_word("positions read");
            let latencies = ground.pace(time);
            let usage = figures::usage(process.id());
            process.drain();
            (latencies, usage)
        }
    };
    latencies.sort_by(f64::total_cmp);
    let at = |share| figures::percentile(&latencies, share);
    println!("{what:<40} p50 {:>6.1}  p99 {:>6.1}  p99.9 {:>6.1} ms{note}", at(0.5), at(0.99), at(0.999));
    ground.clear();
    (at(0.5), at(0.99))
}
