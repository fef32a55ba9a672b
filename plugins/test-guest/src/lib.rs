//! A plugin that behaves as its config says, well or badly: for tests of the host.
//!
//! The config is `mode argument`, so that no JSON is parsed here, or `{ mode = "mode argument" }` in a pipeline file,
//! which has tables only. Modes that are about rows read the int64 column `n`; a row whose `n` is 13 is the one that
//! goes wrong.

use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use millrace_plugin::{
    Column, ConfigError, Data, Field, Input, Items, Kind, Level, Output, Plugin, Scalars, Signature, Varlen,
    VarlenBuilder, count, int64, log, refuse, text,
};

/// The row that goes wrong.
const UNLUCKY: i64 = 13;

/// What an instance's first call does in the mode `lazy`, beyond what any call may cost besides its rows.
const SET_UP_STEPS: i64 = 50_000;
static SET_UP: Once = Once::new();

/// This instance has failed before, and answers wrongly from then on.
static STUCK: AtomicBool = AtomicBool::new(false);

/// Calls of this instance.
static CALLS: AtomicI64 = AtomicI64::new(0);

/// What this instance has kept back, to give it with its next answer.
static KEPT: AtomicI64 = AtomicI64::new(0);

const PIECE_BYTES: usize = 1 << 16;

struct TestGuest {
    mode: String,
    argument: String,
}

impl Plugin for TestGuest {
    const NAME: &str = env!("CARGO_PKG_NAME");
    const VERSION: &str = env!("CARGO_PKG_VERSION");

    fn open(config: &str) -> Result<TestGuest, Vec<ConfigError>> {
        let config = config.strip_prefix("{\"mode\":").and_then(|rest| rest.strip_suffix('}')).unwrap_or(config);
        let config = config.trim_matches('"');
        let (mode, argument) = config.split_once(' ').unwrap_or((config, ""));
        match mode {
            "bad-config" => Err(vec![
                ConfigError { path: "/limit".into(), message: "is not a number".into() },
                ConfigError { path: String::new(), message: "no good\u{7}".into() },
            ]),
            "open-loop" => forever(),
            "open-panic" => panic!("no way to open"),
            "open-memory" => {
                hoard();
                unreachable!("it wants more for ever")
            }
            "dear-open" => {
                burn(&[argument.parse().unwrap()]);
                Ok(TestGuest { mode: "panic".into(), argument: String::new() })
            }
            _ => Ok(TestGuest { mode: mode.into(), argument: argument.into() }),
        }
    }

    fn signature(&self) -> Signature {
        match &*self.mode {
            // reads what the argument says, adds the same as `echo`
            "echo" | "echo-dict" => {
                let field = field("x", &self.argument);
                let echo = Field { name: "echo".into(), ..field.clone() };
                Signature {
                    reads: vec![field],
                    adds: vec![echo],
                    accepts_dict: self.mode == "echo-dict",
                    ..Signature::NONE
                }
            }
            // reads as many columns as the argument says, adds their sum
            "wide" => {
                let columns = self.argument.parse().unwrap_or(1);
                let reads = (0..columns).map(|column: u32| int64(&format!("c{column}"))).collect();
                Signature { reads, adds: vec![int64("y")], ..Signature::NONE }
            }
            // reads nothing, adds what the argument says before the `:`, and returns what comes after it
            "lie" | "lie-all" => Signature {
                reads: vec![int64("n")],
                adds: vec![field("y", self.argument.split(':').next().unwrap_or_default())],
                ..Signature::NONE
            },
            "twice-named" => Signature { adds: vec![int64("y"), int64("y")], ..Signature::NONE },
            "long-name" => Signature { adds: vec![int64(&"y".repeat(300))], ..Signature::NONE },
            "nameless" => Signature { reads: vec![int64("")], ..Signature::NONE },
            "kinds" => {
                Signature { reads: vec![text("x")], adds: vec![text("kind")], accepts_dict: true, ..Signature::NONE }
            }
            "kinds-plain" => {
                Signature { reads: vec![text("x")], adds: vec![text("kind")], accepts_dict: false, ..Signature::NONE }
            }
            "replace" => Signature {
                reads: vec![int64("n")],
                adds: vec![text("n")],
                drops: vec!["n".into(), "s".into()],
                ..Signature::NONE
            },
            "large-text" | "large-dict" => {
                Signature { reads: vec![int64("n")], adds: vec![text("large")], ..Signature::NONE }
            }
            "hidden" => Signature { reads: vec![int64("n")], adds: vec![field("large", "text?")], ..Signature::NONE },
            _ => Signature { reads: vec![int64("n")], adds: vec![int64("y")], ..Signature::NONE },
        }
    }

    fn process(&self, input: &Input) -> Result<Output, String> {
        if self.mode.starts_with("echo") {
            return Ok(Output::of(vec![input.column(0).clone()]));
        }
        if self.mode.starts_with("kinds") {
            return Ok(kinds(input));
        }
        if self.mode == "wide" {
            return Ok(sums(input));
        }
        let numbers = input.ints(0).values();
        let unlucky = numbers.contains(&UNLUCKY);
        match &*self.mode {
            "loop" if unlucky => forever(),
            "loop-after" if numbers.iter().any(|n| *n >= UNLUCKY) => forever(),
            "panic" if unlucky => panic!("thirteen"),
            "trap-all" => core::panic!("always"),
            "memory" if unlucky => hoard(),
            "leak" => std::mem::forget(vec![1_u8; 1 << 20]),
            "calls" if unlucky => assert!(call(1) > 0),
            "stack" if unlucky => assert!(dig(1) > 0),
            "error" if unlucky => return Err("thirteen is not\nwelcome".into()),
            "giant-error" if unlucky => return Err("thirteen ".repeat(1 << 17)),
            "flood" => (0..100_000).for_each(|_| log(Level::Info, "water")),
            "big-log" if unlucky => (0..3).for_each(|_| log(Level::Info, &"x".repeat(1 << 20))),
            "count" => count_all(numbers),
            "burn" => burn(numbers),
            "fill" => fill(numbers),
            "grow" => grow(numbers),
            "lazy" => {
                SET_UP.call_once(|| burn(&[SET_UP_STEPS]));
                burn(numbers);
            }
            "sticky" if unlucky => {
                STUCK.store(true, Ordering::Relaxed);
                return Err("stuck".into());
            }
            "lie" | "lie-all" => return Ok(self.lie(input)),
            "backwards" if numbers.len() > 1 => return Ok(backwards(numbers)),
            _ => {}
        }
        Ok(match &*self.mode {
            "sticky" if STUCK.load(Ordering::Relaxed) => Output::of(vec![Column::ints(vec![-1; numbers.len()])]),
            "filter" => pick(numbers, |n| usize::from(n % 2 == 0)),
            "explode" => pick(numbers, |n| n as usize),
            "refuse" => refused(numbers),
            "keep-back" => keep_back(numbers),
            "sly" => sly(numbers),
            "fickle" => fickle(numbers),
            "shy" if numbers.len() < 2 => pick(numbers, |_| 0),
            "fates" => self.fates(numbers),
            "replace" => replace(numbers),
            "large-text" => large_text(numbers),
            "large-dict" => large_dict(numbers),
            "hidden" => hidden(numbers),
            _ => Output::of(vec![Column::ints(doubled(numbers))]),
        })
    }
}

/// So many KiB of nothing, which costs next to no fuel: memory that is new is zero.
fn large_text(kib: &[i64]) -> Output {
    let ends = kib.iter().scan(0, |end, kib| {
        *end += (*kib as u32) << 10;
        Some(*end)
    });
    let offsets: Vec<u32> = [0].into_iter().chain(ends).collect();
    let bytes = vec![0; offsets.last().copied().unwrap_or_default() as usize];
    Output::of(vec![flat(Scalars::Texts(Varlen { offsets, bytes }))])
}

/// The same, and no row has it.
fn hidden(kib: &[i64]) -> Output {
    let mut output = large_text(kib);
    output.columns[0].validity = Some(vec![0; kib.len().div_ceil(8)]);
    output
}

/// A row for every 64 KiB, each of which is the same text.
fn large_dict(kib: &[i64]) -> Output {
    let rows: Vec<u32> =
        (0_u32..).zip(kib).flat_map(|(row, kib)| (0..(*kib as u32).div_ceil(64)).map(move |_| row)).collect();
    let values = varlen(&[0, 1 << 16], &[b'x'; 1 << 16]);
    let dict = flat(Scalars::DictTexts(millrace_plugin::Dict { keys: vec![0; rows.len()], values }));
    Output { lineage: Some(rows), columns: vec![dict], refused: Vec::new() }
}

/// No frame of it needs memory: the engine's own stack ends.
fn call(depth: i64) -> i64 {
    if STUCK.load(Ordering::Relaxed) { depth } else { call(depth + 1).rotate_left(1) ^ depth }
}

fn doubled(numbers: &[i64]) -> Vec<i64> {
    numbers.iter().map(|n| n * 2).collect()
}

/// `float64`, `list<text>?`
fn field(name: &str, ty: &str) -> Field {
    let (ty, nullable) = ty.strip_suffix('?').map_or((ty, false), |ty| (ty, true));
    let (ty, list) = match ty.strip_prefix("list<").and_then(|ty| ty.strip_suffix('>')) {
        Some(ty) => (ty, true),
        None => (ty, false),
    };
    let kind = match ty {
        "bool" => Kind::Boolean,
        "int64" => Kind::Int64,
        "float64" => Kind::Float64,
        "text" => Kind::Text,
        "binary" => Kind::Binary,
        "date" => Kind::Date,
        "timestamp" => Kind::Timestamp,
        other => panic!("no type: {other}"),
    };
    Field { name: name.into(), kind, list, nullable }
}

fn forever() -> ! {
    loop {
        std::hint::spin_loop();
    }
}

fn hoard() {
    let mut hoard = Vec::new();
    loop {
        hoard.push(Vec::<u8>::with_capacity(1 << 20));
        std::hint::black_box(&hoard);
    }
}

fn dig(depth: u64) -> u64 {
    let here = std::hint::black_box([depth; 64]);
    if depth == 0 { here[1] } else { dig(std::hint::black_box(depth + 1)) + here[63] }
}

/// As many steps as the numbers say.
fn burn(numbers: &[i64]) {
    for n in numbers {
        (0..*n).for_each(|step| {
            std::hint::black_box(step);
        });
    }
}

/// Pieces of memory, as many as the numbers say, each by one instruction.
fn fill(numbers: &[i64]) {
    let mut piece = vec![0_u8; PIECE_BYTES];
    for n in numbers {
        (0..*n).for_each(|step| std::hint::black_box(&mut piece).fill(step as u8));
    }
}

/// Asks for no memory, as often as the numbers say.
fn grow(numbers: &[i64]) {
    #[cfg(target_arch = "wasm32")]
    for n in numbers {
        (0..*n).for_each(|_| {
            std::hint::black_box(core::arch::wasm32::memory_grow::<0>(0));
        });
    }
    #[cfg(not(target_arch = "wasm32"))]
    let _ = numbers;
}

/// Leaves the unlucky row out without a word, and gives it with the next call's.
fn keep_back(numbers: &[i64]) -> Output {
    let mut values = doubled(numbers);
    match KEPT.swap(0, Ordering::Relaxed) {
        0 => {}
        kept => values.push(kept),
    }
    if let Some(unlucky) = numbers.iter().position(|n| *n == UNLUCKY) {
        KEPT.store(values.remove(unlucky), Ordering::Relaxed);
    }
    Output::of(vec![Column::ints(values)])
}

/// The same in a way that no rule forbids: the row is filtered, and its answer is one more of another row.
fn sly(numbers: &[i64]) -> Output {
    let mut lineage: Vec<u32> = (0..).zip(numbers).filter(|(_, n)| **n != UNLUCKY).map(|(row, _)| row).collect();
    let mut values: Vec<i64> = lineage.iter().map(|row| numbers[*row as usize] * 2).collect();
    if let (Some(last), true) = (lineage.last().copied(), KEPT.swap(0, Ordering::Relaxed) > 0) {
        lineage.push(last);
        values.push(UNLUCKY * 2);
    }
    if numbers.contains(&UNLUCKY) {
        KEPT.store(UNLUCKY, Ordering::Relaxed);
    }
    Output { lineage: Some(lineage), columns: vec![Column::ints(values)], refused: Vec::new() }
}

/// The last row first.
fn backwards(numbers: &[i64]) -> Output {
    let values = doubled(numbers).into_iter().rev().collect();
    let lineage = (0..numbers.len() as u32).rev().collect();
    Output { lineage: Some(lineage), columns: vec![Column::ints(values)], refused: Vec::new() }
}

/// Another answer with each call.
fn fickle(numbers: &[i64]) -> Output {
    let calls = CALLS.fetch_add(1, Ordering::Relaxed);
    Output::of(vec![Column::ints(doubled(numbers).into_iter().map(|y| y + calls).collect())])
}

fn count_all(numbers: &[i64]) {
    count("calls", 1);
    count("rows", numbers.len() as u64);
    assert!(!numbers.contains(&UNLUCKY), "thirteen");
}

/// Each row as often as `times` says.
fn pick(numbers: &[i64], times: impl Fn(i64) -> usize) -> Output {
    let rows = numbers.iter().enumerate().flat_map(|(row, n)| std::iter::repeat_n(row as u32, times(*n)));
    let lineage: Vec<u32> = rows.collect();
    let values = lineage.iter().map(|row| numbers[*row as usize] * 2).collect();
    Output { lineage: Some(lineage), columns: vec![Column::ints(values)], refused: Vec::new() }
}

/// Refuses multiples of three with words that the host has to tidy.
fn refused(numbers: &[i64]) -> Output {
    let refused = |row: usize| refuse(row, "not three!", format!("{}\n{}", numbers[row], "z".repeat(5_000)));
    Output {
        lineage: None,
        columns: vec![Column::ints(numbers.iter().filter(|n| *n % 3 != 0).map(|n| n * 2).collect())],
        refused: (0..numbers.len()).filter(|row| numbers[*row] % 3 == 0).map(refused).collect(),
    }
}

fn replace(numbers: &[i64]) -> Output {
    let mut words = VarlenBuilder::with_capacity(numbers.len(), 0);
    numbers.iter().for_each(|n| words.push(n.to_string()));
    Output::of(vec![Column::texts(words)])
}

fn sums(input: &Input) -> Output {
    let mut sums = vec![0_i64; input.rows()];
    for column in 0..input.columns() {
        sums.iter_mut().zip(input.ints(column).values()).for_each(|(sum, value)| *sum = sum.wrapping_add(*value));
    }
    Output::of(vec![Column::ints(sums)])
}

/// How the texts came.
fn kinds(input: &Input) -> Output {
    let kind = match &input.column(0).data {
        Data::Flat(Scalars::DictTexts(_)) => "dict",
        Data::Flat(Scalars::Texts(_)) => "plain",
        _ => "other",
    };
    let mut words = VarlenBuilder::with_capacity(input.rows(), 0);
    (0..input.rows()).for_each(|_| words.push(kind));
    Output::of(vec![Column::texts(words)])
}

fn flat(values: Scalars) -> Column {
    Column { validity: None, data: Data::Flat(values) }
}

fn varlen(offsets: &[u32], bytes: &[u8]) -> Varlen {
    Varlen { offsets: offsets.to_vec(), bytes: bytes.to_vec() }
}

impl TestGuest {
    /// What becomes of a row is in the last two digits of its number; the rows of a message are told apart by `y`, which
    /// is the number times the argument, and one more for each row after the first.
    fn fates(&self, numbers: &[i64]) -> Output {
        let factor: i64 = self.argument.parse().unwrap();
        let (mut lineage, mut values, mut refusals) = (Vec::new(), Vec::new(), Vec::new());
        for (row, n) in numbers.iter().enumerate() {
            let rows = match n % 100 {
                13 => panic!("thirteen"),
                14 => forever(),
                15 => {
                    refusals.push(refuse(row, "unwelcome", ""));
                    0
                }
                16 => 0,
                17 => 3,
                _ => 1,
            };
            lineage.extend((0..rows).map(|_| row as u32));
            values.extend((0..rows).map(|index| n * factor + index));
        }
        Output { lineage: Some(lineage), columns: vec![Column::ints(values)], refused: refusals }
    }

    /// Two good rows are told of if the call has no unlucky one; else the lie of that name.
    fn lie(&self, input: &Input) -> Output {
        let numbers = input.ints(0).values();
        let (rows, n) = (numbers.len() as u32, numbers.len());
        let (ty, name) = self.argument.split_once(':').unwrap_or_default();
        let honest = honest(ty, n);
        if !numbers.contains(&UNLUCKY) && self.mode == "lie" {
            return Output::of(vec![honest]);
        }
        let column = |column: Column| Output::of(vec![column]);
        let lineage = |lineage: Vec<u32>| {
            let column = Column::ints(vec![0; lineage.len()]);
            Output { lineage: Some(lineage), columns: vec![column], refused: Vec::new() }
        };
        let zeros = |more: u32| vec![0; (rows + more) as usize];
        match name {
            "no-columns" => Output::of(Vec::new()),
            "two-columns" => Output::of(vec![honest.clone(), honest]),
            "short" => column(Column::ints(vec![0; n - 1])),
            "long" => column(Column::ints(vec![0; n + 1])),
            "kind" => column(Column::floats(vec![0.0; n])),
            "nested" => column(nested(zeros(1), flat(Scalars::S64s(Vec::new())))),
            "validity-short" => column(Column { validity: Some(vec![0; n.div_ceil(8) - 1]), ..honest }),
            "validity-long" => column(Column { validity: Some(vec![255; n.div_ceil(8) + 1]), ..honest }),
            "nulls" => column(Column { validity: Some(vec![0; n.div_ceil(8)]), ..honest }),
            "bits-short" => column(flat(Scalars::Bits(Vec::new()))),
            "no-offsets" => column(flat(Scalars::Texts(varlen(&[], b"")))),
            "offsets-short" => column(flat(Scalars::Texts(Varlen { offsets: vec![0; n], bytes: Vec::new() }))),
            "offsets-not-0" => column(flat(Scalars::Texts(Varlen { offsets: vec![1; n + 1], bytes: vec![b'a'] }))),
            "offsets-fall" => {
                let mut offsets = vec![2; n + 1];
                (offsets[0], offsets[n]) = (0, 1);
                offsets.insert(1, 2);
                offsets.truncate(n + 1);
                column(flat(Scalars::Texts(Varlen { offsets, bytes: vec![b'a'] })))
            }
            "offsets-beyond" => {
                let mut offsets = zeros(1);
                offsets[n] = u32::MAX;
                column(flat(Scalars::Texts(Varlen { offsets, bytes: vec![b'a'] })))
            }
            "offsets-before-end" => column(flat(Scalars::Texts(Varlen { offsets: zeros(1), bytes: vec![b'a'] }))),
            "utf-8" => {
                let mut offsets = zeros(1);
                offsets[n] = 2;
                column(flat(Scalars::Texts(Varlen { offsets, bytes: vec![0xff, 0xfe] })))
            }
            "dict-key" => column(flat(Scalars::DictTexts(millrace_plugin::Dict {
                keys: vec![1; n],
                values: varlen(&[0, 1], b"a"),
            }))),
            "dict-empty" => {
                column(flat(Scalars::DictTexts(millrace_plugin::Dict { keys: zeros(0), values: varlen(&[0], b"") })))
            }
            "dict-no-offsets" => {
                column(flat(Scalars::DictTexts(millrace_plugin::Dict { keys: zeros(0), values: varlen(&[], b"") })))
            }
            "dict-short" => {
                let values = varlen(&[0, 1], b"a");
                column(flat(Scalars::DictTexts(millrace_plugin::Dict { keys: Vec::new(), values })))
            }
            "items-short" => {
                let mut offsets = zeros(1);
                offsets[n] = 3;
                column(nested(offsets, Column::ints(vec![0; 2])))
            }
            "items-null" => {
                let mut offsets = zeros(1);
                offsets[n] = 1;
                column(Column {
                    validity: None,
                    data: Data::Nested(Items { offsets, validity: Some(vec![0]), values: Scalars::S64s(vec![0]) }),
                })
            }
            "items-no-offsets" => column(nested(Vec::new(), Column::ints(Vec::new()))),
            "lineage-beyond" => lineage(vec![rows]),
            "lineage-many" => lineage(vec![0; 1_025]),
            "lineage-refused" => Output { refused: vec![refuse(0, "x", "")], ..lineage(vec![0]) },
            "refused-beyond" => Output { refused: vec![refuse(n, "x", "")], ..column(honest) },
            "refused-twice" => Output { refused: vec![refuse(0, "x", ""), refuse(0, "x", "")], ..column(honest) },
            "refused-and-there" => Output { refused: vec![refuse(0, "x", "")], ..column(honest) },
            "code" => Output { refused: vec![refuse(0, "plugin_trap", "")], ..column(Column::ints(vec![0; n - 1])) },
            // one MiB, handed over a hundred times: more than the guest itself may hold
            "giant" => Output::of(aliases(vec![0; 1 << 17], 100)),
            other => panic!("no lie: {other}"),
        }
    }
}

fn nested(offsets: Vec<u32>, values: Column) -> Column {
    let Data::Flat(values) = values.data else { unreachable!("values of lists are flat") };
    Column { validity: None, data: Data::Nested(Items { offsets, validity: None, values }) }
}

/// Columns that are all the same memory.
fn aliases(values: Vec<i64>, count: usize) -> Vec<Column> {
    let mut values = std::mem::ManuallyDrop::new(values);
    let (first, len) = (values.as_mut_ptr(), values.len());
    // SAFETY: none of them is read or freed here: the host stops this call while it takes them over
    let alias = |_| unsafe { Vec::from_raw_parts(first, len, len) };
    (0..count).map(alias).map(Column::ints).collect()
}

fn honest(ty: &str, rows: usize) -> Column {
    match ty {
        "int64" => Column::ints(vec![0; rows]),
        "bool" => flat(Scalars::Bits(vec![0; rows.div_ceil(8)])),
        "text" => flat(Scalars::Texts(Varlen { offsets: vec![0; rows + 1], bytes: Vec::new() })),
        "list<int64>" => nested(vec![0; rows + 1], Column::ints(Vec::new())),
        other => panic!("no honest column of {other}"),
    }
}

millrace_plugin::export!(TestGuest);
