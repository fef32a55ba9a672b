//! Plugins that mean harm, each in a pipeline of its own on a folder: the bad row is a reject with the reason, its
//! neighbours are answered, and `/status` says how the plugin fares.

use std::time::Instant;

use serde_json::Value;

use crate::embedded::Bed;
use crate::figures::get;
use crate::flights::repository;
use crate::flow::free_address;
use crate::process::Process;

const PIPELINE: &str = r#"
name = "hostile"

[source.kafka]
brokers = "localhost:9092"
topic = "flight-delay-ml-request"
group = "hostile"

[source.fields]
n = "int64"

[[stages]]
name = "guest"
[stages.plugin]
component = "ROOT/plugins/test-guest"
memory_mib_max = 16
fuel_per_row_max = 1_000_000
config = { mode = "MODE" }

[sinks.answers]
columns = ["n", "y"]
[sinks.answers.kafka]
topic = "flight-delay-ml-response"

[rejects.kafka]
topic = "flight-delay-ml-rejected"
"#;

/// What the guest does with the row 13: its role, and the code and a part of the reason of that row's reject.
const ROLES: [(&str, &str, &str); 15] = [
    ("panic", "plugin_trap", "thirteen"),
    ("loop", "plugin_fuel", "fuel_per_row_max"),
    ("memory", "plugin_trap", "it wanted more than its 16 MiB of memory"),
    ("stack", "plugin_", ""),
    ("error", "plugin_error", "thirteen is not welcome"),
    ("big-log", "plugin_trap", "it logged and counted more than 1048576 bytes in a call"),
    ("keep-back", "plugin_invalid_output", "0 values for 1 rows in `y`"),
    ("lie int64:kind", "plugin_invalid_output", "f64s where its signature says int64 in `y`"),
    ("lie int64:long", "plugin_invalid_output", "2 values for 1 rows in `y`"),
    ("lie int64:lineage-beyond", "plugin_invalid_output", "a lineage with row 1 of 1"),
    ("lie int64:lineage-many", "plugin_invalid_output", "more than 1024 rows for one row"),
    ("lie int64:refused-beyond", "plugin_invalid_output", "a refusal of row 1 of 1"),
    ("lie int64:code", "plugin_invalid_output", "the code `plugin_trap`, which is the host's"),
    ("lie int64:giant", "plugin_invalid_output", "too much data"),
    ("lie text:utf-8", "plugin_invalid_output", "texts that are not UTF-8 in `y`"),
];

fn bed(test: &str, role: &str) -> Bed {
    let name: String = role.chars().map(|char| if char.is_ascii_alphanumeric() { char } else { '-' }).collect();
    let mut bed = Bed::new(&format!("hostile-{test}-{name}"));
    bed.toml = PIPELINE.replace("ROOT", &repository().display().to_string()).replace("MODE", role);
    bed
}

fn start(test: &str, role: &str) -> (Bed, Process, String) {
    let (bed, address) = (bed(test, role), free_address());
    let process = bed.start(&["--listen", &address]);
    (bed, process, address)
}

fn health(address: &str) -> Value {
    let status: Value = serde_json::from_str(&get(address, "/status").unwrap()).unwrap();
    status["plugins"]["guest"].clone()
}

fn rows(numbers: impl IntoIterator<Item = i64>) -> Vec<Vec<u8>> {
    numbers.into_iter().map(|n| format!("{{\"n\":{n}}}").into_bytes()).collect()
}

#[test]
fn a_hostile_row_is_a_reject_with_its_reason_and_costs_no_other() {
    for (role, code, reason) in ROLES {
        let (bed, mut process, address) = start("rows", role);
        bed.produce(&rows([1, 13, 2]));
        bed.await_rows(2, &mut process);
        bed.await_records("flight-delay-ml-rejected", 1, &mut process);
        let [answers, rejects] =
            ["flight-delay-ml-response", "flight-delay-ml-rejected"].map(|topic| bed.consume(topic));
        assert_eq!(answers.iter().map(|row| row["n"].as_i64()).collect::<Vec<_>>(), [Some(1), Some(2)], "{role}");
        let [reject] = &rejects[..] else { panic!("{role}: {rejects:?}") };
        let said = |key: &str| reject[key].as_str().unwrap().to_owned();
        assert!(said("code").starts_with(code) && said("reason").contains(reason), "{role}: {reject}");
        assert_eq!(said("original"), "{\"n\":13}", "{role}");
        let health = health(&address);
        assert_eq!(health["last_failure"]["reason"], said("reason"), "{role}: {health}");
        process.drain();
    }
}

#[test]
fn a_plugin_that_keeps_failing_is_a_state_until_it_answers() {
    let (bed, mut process, address) = start("failing", "panic");
    process.await_word("positions read");
    assert_eq!(health(&address)["state"], "unused");
    bed.produce(&rows([1]));
    bed.await_rows(1, &mut process);
    assert_eq!(health(&address)["state"], "answering");
    bed.produce(&rows([13; 12]));
    bed.await_records("flight-delay-ml-rejected", 12, &mut process);
    let failing = health(&address);
    assert_eq!((&failing["state"], &failing["failed_rows_in_a_row"]), (&"failing".into(), &12.into()), "{failing}");
    bed.produce(&rows([2]));
    bed.await_rows(2, &mut process);
    assert_eq!(health(&address)["state"], "answering");
    let said = process.drain();
    assert!(said.contains("the plugin is failing, and its rows are rejects (plugin_trap): "), "{said}");
    assert!(said.contains("the plugin answers again"), "{said}");
}

/// However much it says: some lines, and how many were left out.
#[test]
fn a_flood_of_lines_is_left_out_and_counted() {
    let mut bed = bed("flood", "flood");
    bed.toml = bed.toml.replace("fuel_per_row_max = 1_000_000", "fuel_per_row_max = 1_000_000_000");
    let began = Instant::now();
    let mut process = bed.start(&[]);
    bed.produce(&rows([1]));
    bed.await_rows(1, &mut process);
    let said = process.drain();
    let lines = said.lines().filter(|line| line.contains(" water ")).count();
    assert!((1..=10 * (began.elapsed().as_secs() as usize + 1)).contains(&lines), "{lines} lines");
    let left_out = said.lines().filter(|line| line.contains("lines of the plugin were left out"));
    let counted = left_out.filter_map(|line| line.split("left_out=").nth(1)?.split(' ').next()?.parse::<usize>().ok());
    assert_eq!(counted.sum::<usize>() + lines, 100_000, "{said}");
}

/// 61 messages in a batch, of which one becomes 17 MiB, and the others 9 each: the one is a reject, and of the others not
/// all are held at once.
#[test]
fn what_is_made_of_a_batch_is_not_held_all_at_once() {
    let mut bed = bed("large", "large-text");
    bed.toml = bed.toml.replace("memory_mib_max = 16", "memory_mib_max = 64").replace(r#"["n", "y"]"#, r#"["n"]"#);
    bed.toml = bed.toml.replace("fuel_per_row_max = 1_000_000", "fuel_per_row_max = 1_000_000_000");
    bed.produce(&rows((0..61).map(|at| if at == 30 { 17 * 1_024 } else { 9 * 1_024 })));
    let mut process = bed.start(&[]);
    bed.await_rows(60, &mut process);
    bed.await_records("flight-delay-ml-rejected", 1, &mut process);
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")).unwrap();
    assert!(peak.parse::<u64>().unwrap() < 512 << 10, "{peak} kB at most");
    process.drain();
    let [reject] = &bed.consume("flight-delay-ml-rejected")[..] else { panic!() };
    assert_eq!((&reject["code"], &reject["offset"]), (&"plugin_invalid_output".into(), &30.into()), "{reject}");
}

/// What `check` cannot know: the columns that come are not those that were declared.
#[test]
fn other_columns_than_declared_are_found_with_the_first_row() {
    let (bed, mut process, address) = start("columns", "lie int64:kind");
    bed.produce(&rows([13, 13]));
    bed.await_records("flight-delay-ml-rejected", 2, &mut process);
    assert_eq!(health(&address)["state"], "failing");
    process.drain();
}
