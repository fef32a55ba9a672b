//! What a pipeline is left with by a plugin that means harm: rows a second on a folder, against the same plugin that
//! means well.

use crate::bed::Bed;
use crate::embedded::Log;
use crate::figures;
use crate::pipeline::{ROLES, toml, word};

const GROUP: &str = "hostile";
const REJECTS: &str = "flight-delay-ml-rejected";
const ROWS: usize = 50_000;
/// The row on which the guest breaks.
const UNLUCKY: usize = 13;

pub fn run() {
    println!("\na plugin that breaks on a row, {ROWS} rows on a folder: rows/s, against one that does not");
    let good = rate("double", None);
    println!("{:<28} {good:>10.0}", "no row");
    let told = |role: &str, every: usize| {
        let rate = rate(role, Some(every));
        println!("{role:<28} {rate:>10.0} {:>6.2}  one row of {every}", rate / good);
    };
    for (role, ..) in ROLES {
        told(role, 1_000);
    }
    for (role, ..) in &ROLES[..2] {
        told(role, 2);
    }
}

fn rate(role: &str, bad_every: Option<usize>) -> f64 {
    let every = bad_every.map_or(String::new(), |every| format!("-{every}"));
    let bed = Bed::of(&format!("bench-hostile-{}{every}", word(role)), toml(role));
    let mut log = Log::of(&bed, GROUP);
    let bad = |row: usize| bad_every.is_some_and(|every| row % every == every - 1);
    let messages: Vec<_> =
        (0..ROWS).map(|row| format!("{{\"n\":{}}}", if bad(row) { UNLUCKY } else { 1 }).into_bytes()).collect();
    messages.chunks(ROWS / 10).for_each(|rows| log.append(rows));
    let mut process = bed.start(&[]);
    let rate = figures::rate(ROWS, || log.committed() as u64);
    process.drain();
    let rejects = if bad_every.is_some() { bed.consume(REJECTS).len() } else { 0 };
    assert_eq!(rejects, bad_every.map_or(0, |every| ROWS / every), "{role}");
    std::fs::remove_dir_all(&bed.folder).unwrap();
    rate
}
