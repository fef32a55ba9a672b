//! Plugins that mean harm, each in a pipeline of its own on a folder: the bad row is a reject with the reason, its
//! neighbours are answered, and `/status` says how the plugin fares.

mod pipeline;

use std::time::Instant;

use serde_json::Value;

use self::pipeline::{ROLES, toml, word};
use crate::embedded::Bed;
use crate::figures::get;
use crate::flow::free_address;
use crate::process::Process;

fn bed(test: &str, role: &str) -> Bed {
    Bed::of(&format!("hostile-{test}-{}", word(role)), toml(role))
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
    assert_eq!(health(&address)["state"], "failing", "one answer is no recovery");
    bed.produce(&rows([2; 63]));
    bed.await_rows(65, &mut process);
    assert_eq!(health(&address)["state"], "answering");
    // every other row: each failure has an answer behind it
    bed.produce(&rows([1, 13].repeat(12)));
    bed.await_records("flight-delay-ml-rejected", 24, &mut process);
    assert_eq!(health(&address)["state"], "failing");
    let said = process.drain();
    let lines = |words: &str| said.lines().filter(|line| line.contains(words)).count();
    assert_eq!(lines("the plugin is failing, and its rows are rejects (plugin_trap): "), 2, "{said}");
    assert_eq!(lines("the plugin answers again"), 1, "{said}");
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

/// What `check` cannot know: the columns that come are never those that were declared.
#[test]
fn other_columns_than_declared_are_found_with_the_first_batch() {
    let (bed, mut process, address) = start("columns", "lie-all int64:kind");
    bed.produce(&rows(0..300));
    bed.await_records("flight-delay-ml-rejected", 300, &mut process);
    let health = health(&address);
    assert_eq!((&health["state"], &health["failed_rows_in_a_row"]), (&"failing".into(), &300.into()), "{health}");
    process.drain();
    let rejects = bed.consume("flight-delay-ml-rejected");
    assert!(rejects.iter().all(|reject| reject["code"] == "plugin_invalid_output"), "{rejects:?}");
    assert_eq!(bed.consume("flight-delay-ml-response"), Vec::<Value>::new());
}

/// Together its rows come back in another order; alone each is in order, so none is lost.
#[test]
fn a_plugin_that_breaks_in_company_alone_costs_no_row() {
    let (bed, mut process, address) = start("company", "backwards");
    bed.produce(&rows(0..100));
    bed.await_rows(100, &mut process);
    assert_eq!(health(&address)["state"], "answering");
    process.drain();
    let answers = bed.consume("flight-delay-ml-response");
    assert_eq!(
        answers.iter().map(|row| row["y"].as_i64()).collect::<Vec<_>>(),
        (0..100).map(|n| Some(2 * n)).collect::<Vec<_>>()
    );
    assert_eq!(bed.consume("flight-delay-ml-rejected"), Vec::<Value>::new());
}

/// What no rule forbids: another answer each time, a row that is answered as another's. The host cannot know it, and
/// `plugin test` does; but each message is done with once, and what is there stays there, whoever is killed.
#[test]
fn a_plugin_that_answers_otherwise_is_asked_once_for_each_message() {
    for (role, answered) in [("fickle", [8, 9, 10]), ("sly", [7, 9, 10])] {
        let (bed, mut process, _) = start("otherwise", role);
        bed.produce(&rows([0, 1, 2, 3, 4, 5, 6, 13]));
        bed.await_rows(answered[0], &mut process);
        bed.produce(&rows([50]));
        bed.await_rows(answered[1], &mut process);
        let before = bed.consume("flight-delay-ml-response");
        process.kill_nine();
        let mut process = bed.start(&[]);
        bed.produce(&rows([60]));
        bed.await_rows(answered[2], &mut process);
        process.drain();
        let after = bed.consume("flight-delay-ml-response");
        assert_eq!((after.len(), &after[..answered[1]]), (answered[2], &before[..]), "{role}");
        assert_eq!(bed.consume("flight-delay-ml-rejected"), Vec::<Value>::new(), "{role}");
    }
}
