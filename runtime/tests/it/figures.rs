//! A running pipeline's `/metrics` against the table of docs/metrics.md, both ways, and against what it did.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use millrace_embedded::Folder;

use crate::embedded::Bed;
use crate::flights::repository;
use crate::flow::{Rig, free_address};
use crate::guest;
use crate::process::{PATIENCE, Process};

/// Behind a plugin that counts, and fails on thirteen.
const SINKS: &str = r#"
[sinks.answers.kafka]
brokers = "localhost:9092"
topic = "flight-delay-ml-response"

[sinks.store]
required = true

[sinks.store.mongodb]
uri = "mongodb://localhost"
database = "counted"
collection = "counted"

[rejects.kafka]
topic = "flight-delay-ml-rejected"
"#;

/// Name and type, and the labels of its series.
type Table = BTreeMap<String, (String, BTreeSet<String>)>;

/// What the page says, and each series with its value.
pub struct Scrape {
    table: Table,
    pub series: BTreeMap<String, f64>,
}

pub fn get(address: &str, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    Some(body.to_owned())
}

fn scrape(address: &str) -> Scrape {
    let text = get(address, "/metrics").unwrap_or_default();
    let (mut table, mut series, mut family) = (Table::new(), BTreeMap::new(), (String::new(), String::new()));
    for line in text.lines() {
        if let Some(told) = line.strip_prefix("# TYPE ") {
            let (name, kind) = told.split_once(' ').unwrap();
            let suffix = match kind {
                "counter" => "_total",
                "info" => "_info",
                _ => "",
            };
            family = (name.to_owned(), format!("{name}{suffix}"));
            table.insert(family.1.clone(), (kind.to_owned(), BTreeSet::new()));
        } else if let Some((sample, value)) = line.rsplit_once(' ').filter(|_| !line.starts_with('#')) {
            assert!(sample.starts_with(&family.0), "{sample} is not of {family:?}");
            table.get_mut(&family.1).unwrap().1.extend(labels(sample));
            series.insert(sample.to_owned(), value.parse().unwrap());
        }
    }
    Scrape { table, series }
}

/// `a_total{stage="x",code="y"}`; a bound is no label of the table.
fn labels(sample: &str) -> BTreeSet<String> {
    let inside = sample.split_once('{').map_or("", |(_, inside)| inside.trim_end_matches('}'));
    let names = inside.split(',').filter_map(|label| label.split_once('='));
    names.map(|(name, _)| name.to_owned()).filter(|name| name != "le").collect()
}

fn documented() -> Table {
    let text = fs::read_to_string(repository().join("docs/metrics.md")).unwrap();
    let rows = text.lines().filter(|line| line.starts_with("| `millrace_"));
    let table = rows.map(|row| {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        let labels = cells[3].split(',').map(|label| label.trim().trim_matches('`').to_owned());
        let labels = labels.filter(|label| !label.is_empty()).collect();
        (cells[1].trim_matches('`').to_owned(), (cells[2].to_owned(), labels))
    });
    table.collect()
}

/// Waits until a scrape is as wanted; lag is told once a second, and a sink's position after its write.
pub fn await_scrape(address: &str, process: &mut Process, wanted: impl Fn(&Scrape) -> bool) -> Scrape {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = scrape(address);
        if wanted(&found) || Instant::now() > deadline {
            return found;
        }
        process.must_run();
    }
}

#[test]
fn the_page_of_figures_is_the_documented_table_and_says_what_happened() {
    let mut bed = Bed::new("figures");
    bed.toml = guest::pipeline("counted", "count", "1_000_000", SINKS);
    let messages = ["{\"n\":1}", "{\"n\":13}", "{\"n\":\"three\"}", "{\"n\":2,\"other\":0}"];
    bed.append(&messages.map(|message| (message.as_bytes().to_vec(), None)));
    let address = free_address();
    let mut process = bed.start(&["--listen", &address]);
    let documented = documented();
    let position = "millrace_sink_position{sink=\"store\",partition=\"0\"}";
    // what is said last
    let last = [(position, 4.0), ("millrace_unknown_fields_total", 1.0)];
    let found = await_scrape(&address, &mut process, |scrape| {
        scrape.table == documented && last.iter().all(|(series, value)| scrape.series.get(*series) == Some(value))
    });
    assert_eq!(found.table, documented);
    for (series, expected) in [
        ("millrace_messages_total", 4.0),
        ("millrace_message_bytes_total", messages.map(str::len).iter().sum::<usize>() as f64),
        ("millrace_unknown_fields_total", 1.0),
        ("millrace_rejects_total{stage=\"guest\",code=\"plugin_trap\"}", 1.0),
        ("millrace_rejects_total{stage=\"source\",code=\"wrong_type\"}", 1.0),
        ("millrace_stage_rows_total{stage=\"guest\"}", 3.0),
        ("millrace_sink_rows_total{sink=\"answers\"}", 2.0),
        ("millrace_sink_rows_total{sink=\"store\"}", 2.0),
        (position, 4.0),
        ("millrace_head_offset{partition=\"0\"}", 4.0),
        ("millrace_head_waiting{sink=\"store\"}", 0.0),
        ("millrace_lag{partition=\"0\"}", 0.0),
        ("millrace_plugin_refused_rows_total{stage=\"guest\"}", 1.0),
        // of the calls that were good: 1 and 2, each alone, for 13 failed in their company
        ("millrace_plugin_counter_total{stage=\"guest\",counter=\"rows\"}", 2.0),
        ("millrace_spans_exported_total", 0.0),
    ] {
        assert_eq!(found.series.get(series), Some(&expected), "{series}");
    }
    let bytes = written(&bed);
    for (series, expected) in [
        // three rows of one int64
        ("millrace_stage_bytes_total{stage=\"guest\"}", 24.0),
        ("millrace_sink_bytes_total{sink=\"answers\"}", bytes[0] as f64),
        ("millrace_sink_bytes_total{sink=\"store\"}", bytes[1] as f64),
    ] {
        assert_eq!(found.series.get(series), Some(&expected), "{series}");
    }
    for of in ["stage_seconds_count{stage=\"guest\"}", "sink_seconds_count{sink=\"answers\"}"] {
        assert_eq!(found.series.get(&format!("millrace_{of}")), found.series.get("millrace_batches_total"), "{of}");
    }
    let figure = |name: &str| found.series[&format!("millrace_plugin_{name}{{stage=\"guest\"}}")];
    assert!(figure("renewals_total") >= 1.0 && figure("calls_total") > figure("renewals_total"), "calls, renewals");
    assert!(figure("fuel_total") >= 1_000.0, "{}", figure("fuel_total"));
    let (memory, peak) = (figure("memory_bytes"), figure("memory_peak_bytes"));
    assert!((65_536.0..=peak).contains(&memory) && peak <= (16 << 20) as f64, "{memory} of {peak}");
    process.drain();
}

/// Bytes of the topic's values, and of the collection's documents, as another program reads them.
fn written(bed: &Bed) -> [usize; 2] {
    let folder = Folder::open(&bed.data).unwrap();
    let topic = folder.topic("flight-delay-ml-response").unwrap().unwrap();
    let answers = folder.read(&topic, 0, 0, 10, usize::MAX).unwrap();
    let documents = folder.documents("counted.counted").unwrap();
    [
        answers.iter().map(|answer| answer.value.as_ref().unwrap().len()).sum(),
        documents.iter().map(|(_, json)| json.len()).sum(),
    ]
}

/// The partitions that a process says something of.
fn partitions(scrape: &Scrape) -> BTreeSet<&str> {
    let heads = scrape.series.keys().filter_map(|series| series.strip_prefix("millrace_head_offset{partition=\""));
    heads.filter_map(|rest| rest.split('"').next()).collect()
}

#[test]
fn who_gives_a_partition_back_says_nothing_more_of_it() {
    let rig = Rig::new("given-back", 2);
    let addresses = [free_address(), free_address()];
    let mut first = rig.start_with(&["--listen", &addresses[0]]);
    let both = await_scrape(&addresses[0], &mut first, |scrape| partitions(scrape).len() == 2);
    assert_eq!(partitions(&both).into_iter().collect::<Vec<_>>(), ["0", "1"]);
    let mut second = rig.start_with(&["--listen", &addresses[1]]);
    let of = |scrape: &Scrape, family: &str| scrape.series.keys().filter(|series| series.starts_with(family)).count();
    // two sinks of their own, a partition each, once they are open
    let one = |scrape: &Scrape| partitions(scrape).len() == 1 && of(scrape, "millrace_sink_position{") == 2;
    let [theirs, others] = [(0, &mut first), (1, &mut second)].map(|(n, it)| await_scrape(&addresses[n], it, one));
    assert_eq!((partitions(&theirs).len(), partitions(&others).len()), (1, 1));
    assert_ne!(partitions(&theirs), partitions(&others));
    for held in [&theirs, &others] {
        assert_eq!(of(held, "millrace_sink_position{"), 2, "{:?}", held.series);
    }
    first.drain();
    second.drain();
}

#[test]
fn the_dashboard_shows_documented_figures() {
    let text = fs::read_to_string(repository().join("examples/grafana/millrace.json")).unwrap();
    let documented = documented();
    let mut shown = BTreeSet::new();
    for (at, _) in text.match_indices("millrace_") {
        let name: String = text[at..].chars().take_while(|&c| c.is_ascii_alphanumeric() || c == '_').collect();
        let base = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
        let histogram = base.filter(|base| documented.get(*base).is_some_and(|(kind, _)| kind == "histogram"));
        assert!(documented.contains_key(&name) || histogram.is_some(), "{name} is not in docs/metrics.md");
        shown.insert(name);
    }
    for name in [
        "millrace_lag",
        "millrace_head_waiting",
        "millrace_sink_bytes_total",
        "millrace_plugin_fuel_total",
        "millrace_plugin_memory_bytes",
    ] {
        assert!(shown.contains(name), "{name} is on no panel");
    }
}
