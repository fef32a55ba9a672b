//! What the whole pipeline costs, against a bare transactional consume → produce loop of the same bytes on the same
//! broker in the same run. Figures of two runs are not comparable: ratios of one are.
//!
//! Run it by `./dev bench`. `--rows N` sets the backlog, `--seconds N` how long the paced part takes.

mod bare;
#[allow(dead_code)]
#[path = "../../tests/it/flow/eyes.rs"]
mod eyes;
#[allow(dead_code)]
#[path = "../../tests/it/flights.rs"]
mod flights;
mod load;
#[allow(dead_code)]
#[path = "../../tests/it/process.rs"]
mod process;
#[allow(dead_code, unused_imports)]
#[path = "../../tests/it/flow/rig.rs"]
mod rig;

use std::time::Duration;

use rig::Rig;

struct Options {
    rows: usize,
    seconds: u64,
}

fn options() -> Options {
    let mut options = Options { rows: 300_000, seconds: 20 };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut number = || words.next().and_then(|word| word.parse().ok()).unwrap_or_else(|| panic!("{word} N"));
        match word.as_str() {
            "--rows" => options.rows = number() as usize,
            "--seconds" => options.seconds = number(),
            _ => {}
        }
    }
    options
}

/// Only the Kafka sink is left.
fn kafka_alone(rig: &mut Rig) {
    let start = rig.toml.find("[sinks.store.mongodb]").unwrap();
    let end = rig.toml.find("[rejects.kafka]").unwrap();
    rig.toml.replace_range(start..end, "");
}

fn main() {
    let options = options();
    println!("backlog of {} rows, one partition, one worker", options.rows);
    let bare = from_backlog("bare loop, 5,000 rows a transaction", &options, None);
    let kafka = from_backlog("pipeline, Kafka sink alone", &options, Some(kafka_alone));
    let all = from_backlog("pipeline, all three sinks", &options, Some(|_| ()));
    println!("ratio to the bare loop: Kafka alone {:.2}, all three {:.2}", kafka / bare, all / bare);
    println!("\npaced at 1,000 rows/s for {} s, produce to response topic", options.seconds);
    let bare = paced("bare loop", &options, None);
    let kafka = paced("pipeline, Kafka sink alone", &options, Some(kafka_alone));
    paced("pipeline, all three sinks", &options, Some(|_| ()));
    println!("ratio to the bare loop, Kafka alone: p50 {:.2}, p99 {:.2}", kafka.0 / bare.0, kafka.1 / bare.1);
}

type Edit = fn(&mut Rig);

fn from_backlog(what: &str, options: &Options, edit: Option<Edit>) -> f64 {
    let mut rig = Rig::new("bench", 1);
    rig.produce(&rig::flights(options.rows, "x").0);
    let (rate, note) = match edit {
        None => (bare::drain(&rig, options.rows), String::new()),
        Some(edit) => {
            edit(&mut rig);
            let mut process = rig.start();
            let rate = load::rate(&rig, options.rows);
            let usage = load::usage(process.id());
            process.drain();
            (rate, usage)
        }
    };
    println!("{what:<40} {rate:>10.0} rows/s{note}");
    rate
}

fn paced(what: &str, options: &Options, edit: Option<Edit>) -> (f64, f64) {
    let mut rig = Rig::new("paced", 1);
    let time = Duration::from_secs(options.seconds);
    let (mut latencies, note) = match edit {
        None => {
            let stop = bare::start(&rig);
            let latencies = load::pace(&rig, time);
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
            (latencies, String::new())
        }
        Some(edit) => {
            edit(&mut rig);
            let mut process = rig.start();
            process.await_word("positions read");
            let latencies = load::pace(&rig, time);
            let usage = load::usage(process.id());
            process.drain();
            (latencies, usage)
        }
    };
    latencies.sort_by(f64::total_cmp);
    let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize];
    println!("{what:<40} p50 {:>6.1}  p99 {:>6.1}  p99.9 {:>6.1} ms{note}", at(0.5), at(0.99), at(0.999));
    (at(0.5), at(0.99))
}
