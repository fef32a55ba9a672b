//! Guests that trap, spin, hoard and flood: the bad row goes, its neighbours stay.

use super::*;
use crate::stage::plugin::worker::Bounds;

/// The unlucky row alone is rejected; its code and reason.
fn unlucky(config: &str) -> (String, String) {
    let done = run(&guest(config), numbers(10..17));
    assert_eq!(ints(&done, "y"), [20, 22, 24, 28, 30, 32], "{config}");
    let [(code, reason, 3)] = rejects(&done)[..] else { panic!("{config}: {:?}", done.rejects) };
    assert_eq!(&*done.rejects[0].stage, "stage");
    (code.to_owned(), reason.to_owned())
}

#[test]
fn trap() {
    let (code, reason) = unlucky("panic");
    assert_eq!(code, "plugin_trap");
    assert!(reason.contains("unreachable") && reason.contains("it said: panicked at"), "{reason}");
    assert!(reason.ends_with("thirteen"), "{reason}");
}

#[test]
fn endless_loop() {
    let fuel = "it took more than the 1000000 units of fuel of `fuel_per_row_max`";
    assert_eq!(unlucky("loop"), ("plugin_fuel".into(), fuel.into()));
}

#[test]
fn memory_bomb() {
    assert_eq!(unlucky("memory"), ("plugin_trap".into(), "it wanted more than its 16 MiB of memory".into()));
}

#[test]
fn endless_recursion() {
    // fuel for ever: it is a stack that ends, the guest's own or the engine's
    for (mode, end) in [("stack", "out of bounds memory access"), ("calls", "call stack exhausted")] {
        let settings = Settings { fuel_per_row_max: 10_000_000_000, ..settings(mode) };
        let program = Program::load(&component("test-guest"), settings).expect("the test guest");
        let done = run(&program, numbers([1, 13]));
        let [("plugin_trap", reason, 1)] = rejects(&done)[..] else { panic!("{:?}", done.rejects) };
        assert!(reason.contains(end), "{reason}");
    }
}

#[test]
fn the_guests_own_error() {
    assert_eq!(unlucky("error"), ("plugin_error".into(), "thirteen is not welcome".into()));
}

#[test]
fn too_much_to_log() {
    let reason = "it logged and counted more than 1048576 bytes in a call";
    assert_eq!(unlucky("big-log"), ("plugin_trap".into(), reason.into()));
}

#[test]
fn a_flood_of_lines_is_only_left_out() {
    let settings = Settings { fuel_per_row_max: 1_000_000_000, ..settings("flood") };
    let program = Program::load(&component("test-guest"), settings).expect("the test guest");
    let done = run(&program, numbers([1]));
    assert_eq!(ints(&done, "y"), [2]);
}

/// What one instruction writes costs as much as writing it byte by byte, and leaving the guest costs too: fuel bounds
/// the time, not only the number of instructions.
#[test]
fn no_instruction_is_free() {
    let refused = |mode: &str| {
        let program = guest(mode);
        first_not(|n| run(&program, numbers([n])).rejects.is_empty())
    };
    let pieces = refused("fill");
    assert!(pieces <= (2 * FUEL + 1_000_000) as i64 / 65_536, "{pieces} pieces of 64 KiB were filled");
    let grown = refused("grow");
    assert!(grown <= (2 * FUEL + 1_000_000) as i64 / 200, "it left the guest {grown} times");
}

/// What it holds is lost with it, and comes with nobody else's rows.
#[test]
fn a_row_that_is_kept_back() {
    let (code, reason) = unlucky("keep-back");
    assert_eq!((&*code, &*reason), ("plugin_invalid_output", "it returned 0 values for 1 rows in `y`"));
}

/// Nobody can see it in one answer; each row still has one answer, and its place. `millrace plugin test` finds it.
#[test]
fn another_answer_with_each_call() {
    let program = guest("fickle");
    let mut worker = program.worker().expect("a worker");
    for call in 0..3 {
        let done = worker.process(numbers([1, 2])).expect("a batch").whole();
        assert_eq!((ints(&done, "y"), &*done.lineage), (vec![2 + call, 4 + call], &[0, 1][..]));
    }
}

#[test]
fn health_is_that_of_the_last_rows() {
    let program = guest("panic");
    let mut worker = program.worker().expect("a worker");
    let mut after = |rows: &[i64]| {
        worker.process(numbers(rows.iter().copied())).expect("a batch").whole();
        let health = program.health();
        (health.state, health.failed_rows_in_a_row)
    };
    assert_eq!(after(&[]), (HealthState::Unused, 0));
    assert_eq!(after(&[13]), (HealthState::Failing, 1), "it never answered");
    assert_eq!(after(&[1, 13]), (HealthState::Answering, 1), "a bad row");
    assert_eq!(after(&[13; 7]), (HealthState::Answering, 8), "nine of the last 64");
    assert_eq!(after(&[13]), (HealthState::Failing, 9), "ten");
    let last = program.health().last_failure.expect("a failure");
    assert_eq!(last.code, "plugin_trap");
    assert!(last.reason.ends_with("thirteen"), "{}", last.reason);
    assert_eq!(after(&[2]), (HealthState::Failing, 0), "one answer is no recovery");
    let good = [2; 59];
    assert_eq!(after(&good[..58]), (HealthState::Failing, 0), "five of the last 64");
    assert_eq!(after(&good[..1]), (HealthState::Answering, 0));
    // every other row, each of which was answered by a good one
    assert_eq!(after(&[1, 13].repeat(9)), (HealthState::Answering, 1));
    assert_eq!(after(&[1, 13]), (HealthState::Failing, 1));
    assert_eq!(after(&[1, 13].repeat(50)), (HealthState::Failing, 1));
}

/// An instance that fills up is replaced, and no row pays for it.
#[test]
fn a_leak_costs_no_row() {
    let program = guest("leak");
    let mut worker = program.worker().expect("a worker");
    for n in 0..50 {
        let done = worker.process(numbers([n, n + 1])).expect("a batch").whole();
        assert_eq!((ints(&done, "y"), done.rejects.len()), (vec![2 * n, 2 * n + 2], 0));
    }
}

#[test]
fn counts_of_failed_calls_do_not_count() {
    let program = guest("count");
    let mut worker = program.worker().expect("a worker");
    worker.process(numbers([1, 2, 3, 4])).expect("a batch").whole();
    assert_eq!(program.counters(), [("calls".to_owned(), 1), ("rows".to_owned(), 4)].into());
    let done = worker.process(numbers([12, 13, 14])).expect("a batch").whole();
    assert_eq!(done.rejects.len(), 1);
    assert_eq!(program.counters()["rows"], 6);
}

#[test]
fn what_it_costs_is_counted() {
    let program = guest("panic");
    assert_eq!((program.figures().calls, program.figures().memory_bytes), (0, 0));
    let mut worker = program.worker().expect("a worker");
    worker.process(numbers([1, 2])).expect("a batch").whole();
    let good = program.figures();
    assert_eq!((good.calls, good.renewals, good.refused_rows), (1, 0, 0));
    assert!(good.fuel > 0 && good.memory_bytes >= 1 << 16 && good.memory_bytes <= good.memory_peak_bytes, "{good:?}");
    worker.process(numbers([12, 13])).expect("a batch").whole();
    let bad = program.figures();
    // together, 12 alone, 13 alone, and what is left of it is its verdict in a fresh instance
    assert_eq!((bad.calls, bad.renewals, bad.refused_rows), (5, 2, 1));
    assert!(bad.fuel > good.fuel, "{bad:?}");
    // two workers have two instances, and each gives back what it had
    let other = program.worker().expect("a worker");
    worker.process(numbers([1])).expect("a batch").whole();
    assert_eq!(program.figures().memory_bytes, 2 * good.memory_bytes);
    drop((worker, other));
    assert_eq!(program.figures().memory_bytes, 0);
}

#[test]
fn the_peak_of_memory_stays_when_its_instance_is_gone() {
    let program = guest("memory");
    run(&program, numbers([1, 13]));
    let figures = program.figures();
    assert!(figures.memory_peak_bytes > 15 << 20 && figures.memory_peak_bytes <= 16 << 20, "{figures:?}");
    assert_eq!(figures.memory_bytes, 0);
}

/// Together the rows cost many times what one may: no reason to refuse any.
#[test]
fn many_dear_rows_are_not_one_too_dear() {
    let program = guest("burn");
    let mut worker = program.worker().expect("a worker");
    let steps = cheapest_refused(&program) * 3 / 4;
    for _ in 0..2 {
        let done = worker.process(numbers([steps; 40])).expect("a batch").whole();
        assert_eq!((done.rows(), done.rejects.len()), (40, 0));
    }
    assert!(worker.rows_per_call <= 4, "it goes on with {} rows a call", worker.rows_per_call);
    // and back to many when they are cheap again
    let done = worker.process(numbers(vec![1; 20_000])).expect("a batch").whole();
    assert_eq!(done.rows(), 20_000);
    assert!(worker.rows_per_call > 1_000, "{} rows a call", worker.rows_per_call);
}

/// To the very step: the same in company and alone, cold and warm.
#[test]
fn what_costs_too_much_does_so_in_any_company() {
    let program = guest("burn");
    let refused = cheapest_refused(&program);
    let mut worker = program.worker().expect("a worker");
    for company in [vec![], vec![1; 7], vec![refused - 1; 7], vec![refused; 3], vec![1; 500]] {
        for _ in 0..2 {
            let rows = [vec![refused], company.clone(), vec![refused - 1], company.clone(), vec![refused]].concat();
            let done = worker.process(numbers(rows.clone())).expect("a batch").whole();
            assert_eq!(ints(&done, "n"), rows.iter().copied().filter(|n| *n < refused).collect::<Vec<_>>());
            assert!(done.rejects.iter().all(|reject| reject.code == "plugin_fuel"));
        }
    }
}

/// What an instance sets up in its first call is not that call's rows' fault.
#[test]
fn the_first_call_may_cost_more() {
    let program = guest("lazy");
    let passes_warm = |steps: i64| {
        let mut worker = program.worker().expect("a worker");
        worker.process(numbers([1])).expect("a batch").whole();
        worker.process(numbers([steps])).expect("a batch").whole().rejects.is_empty()
    };
    let refused = first_not(passes_warm);
    let alone = run(&program, numbers([refused - 1]));
    assert_eq!(alone.rejects, []);
    assert_eq!(run(&program, numbers([refused])).rejects.len(), 1);
}

/// An instance that failed is not asked again, whatever it would say.
#[test]
fn a_failed_instance_answers_no_more() {
    let done = run(&guest("sticky"), numbers([13, 1, 2, 13, 3]));
    assert_eq!((ints(&done, "y"), done.rejects.len()), (vec![2, 4, 6], 2));
}

/// Steps of the cheapest row that is refused alone, in a fresh worker.
fn cheapest_refused(program: &Program) -> i64 {
    let refused = first_not(|steps| run(program, numbers([steps])).rejects.is_empty());
    // no step is cheaper than one unit of fuel
    assert!((1..2 * FUEL as i64).contains(&refused), "{refused}");
    refused
}

fn first_not(passes: impl Fn(i64) -> bool) -> i64 {
    let (mut good, mut bad) = (0, 10_000_000);
    while bad - good > 1 {
        let middle = good + (bad - good) / 2;
        if passes(middle) { good = middle } else { bad = middle }
    }
    bad
}

/// Opening anew costs more here than a piece may: a batch that begins with a bad row is not looked through by halves.
#[test]
fn a_dear_open_is_not_paid_for_every_half() {
    let program = guest("dear-open 100000");
    let mut worker = program.worker().expect("a worker");
    worker.bounds.failed_fuel_max = program.open_fuel();
    let opened = program.figures().renewals;
    let first = worker.process(numbers([13].into_iter().chain(0..1_023).collect::<Vec<_>>())).expect("a piece");
    assert_eq!((first.done.rows(), first.done.rejects.len()), (0, 1));
    // together, of those left in halves until it cost enough, alone, and the verdict: not ten halves
    let opened = program.figures().renewals - opened;
    assert!(opened <= 4, "{opened} instances");
}

/// In whatever pieces: what becomes of a row is the same.
#[test]
fn a_batch_that_fails_and_fails_goes_on_in_pieces() {
    let program = guest("trap-all");
    let open_fuel = program.open_fuel();
    let bounds =
        |failed_calls_max, failed_fuel_max| Bounds { failed_calls_max, failed_fuel_max, bytes_max: usize::MAX };
    for (bounds, pieces_min) in [
        (bounds(20, u64::MAX), 5),
        (bounds(u32::MAX, 20), 100),
        // what opening takes counts too, whatever the calls did
        (bounds(u32::MAX, 10 * open_fuel), 10),
    ] {
        let mut worker = program.worker().expect("a worker");
        worker.bounds = bounds;
        let pieces = pieces(&mut worker, numbers(0..100));
        assert!(pieces.len() >= pieces_min, "{} pieces", pieces.len());
        let offsets = pieces.iter().flat_map(|piece| {
            assert!(piece.rows() == 0 && piece.rejects.iter().all(|reject| reject.code == "plugin_trap"));
            piece.rejects.iter().map(|reject| piece.origins.offsets[reject.origin as usize])
        });
        assert_eq!(offsets.collect::<Vec<_>>(), (0..100).collect::<Vec<_>>());
    }
}

#[test]
fn the_next_batch_starts_anew() {
    let program = guest("panic");
    let mut worker = program.worker().expect("a worker");
    assert_eq!(worker.process(numbers([13, 13])).expect("a batch").whole().rejects.len(), 2);
    assert_eq!(ints(&worker.process(numbers([1, 2])).expect("a batch").whole(), "y"), [2, 4]);
}
