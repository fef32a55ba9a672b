//! The SDKs of Python and JavaScript: every type there and back, all that the host gives, and what a guest has not got.

use std::sync::Mutex;

use arrow_array::types::Int32Type;
use arrow_array::{DictionaryArray, Int32Array, StringArray};
use serde_json::{Value, json};

use super::types::{Nans, column, echoes_every_type};
use super::*;
use crate::schema::{Kind, Type};

#[derive(Clone, Copy)]
struct Language {
    guest: &'static str,
    list: &'static str,
    /// The whole column as it came.
    echo: &'static str,
}

const PYTHON: Language = Language { guest: "test-guest-py", list: ".list()", echo: "lambda rows, x: Answer([x])" };
const JAVASCRIPT: Language =
    Language { guest: "test-guest-js", list: ".asList()", echo: "(rows, x) => ({ columns: [x] })" };

impl Language {
    fn load(self, config: &Value) -> Result<Program, CannotLoad> {
        // an interpreter takes a while to compile, once: not in several tests at once
        static LOADING: Mutex<()> = Mutex::new(());
        let _loading = LOADING.lock();
        let fuel_per_row_max = build::Language::Python.fuel_per_row_max();
        let settings = Settings { memory_mib_max: 64, fuel_per_row_max, ..settings(&config.to_string()) };
        Program::load(&component(self.guest), settings)
    }

    fn program(self, config: Value) -> Program {
        self.load(&config).unwrap_or_else(|error| panic!("{config}: {error}"))
    }

    fn field(self, name: &str, ty: Type) -> String {
        let kind = match ty.kind {
            Kind::Boolean => "boolean",
            kind => kind.name(),
        };
        let whole = self.guest == JAVASCRIPT.guest && matches!(ty.kind, Kind::Int64 | Kind::Timestamp);
        let mut field = format!("{kind}('{name}')");
        // any 64 bits
        field += if whole { ".bigint()" } else { "" };
        field += if ty.list { self.list } else { "" };
        field + if ty.nullable { ".nullable()" } else { "" }
    }

    fn echo(self, ty: Type) -> Program {
        let [x, echo] = ["x", "echo"].map(|name| format!("[{}]", self.field(name, ty)));
        self.program(json!({ "reads": x, "adds": echo, "columns": self.echo }))
    }

    /// A plugin whose column `y` is what that function gives of the number `n`.
    fn of_rows(self, row: &str) -> Program {
        self.program(json!({ "adds": "[int64('y')]", "row": row }))
    }
}

#[test]
fn every_type_in_python() {
    echoes_every_type(4, Nans::Kept, |ty| PYTHON.echo(ty));
}

#[test]
fn every_type_in_javascript() {
    echoes_every_type(4, Nans::One, |ty| JAVASCRIPT.echo(ty));
}

#[test]
fn texts_by_dictionary() {
    let texts = StringArray::from(vec!["zéro", "one", "two"]);
    let keys = Int32Array::from(vec![Some(2), None, Some(0), Some(2)]);
    let dict: ArrayRef = Arc::new(DictionaryArray::<Int32Type>::new(keys, Arc::new(texts)));
    for language in [PYTHON, JAVASCRIPT] {
        let program = language.echo(Type::of(Kind::Text).nullable());
        let done = run(&program, column(dict.clone(), true));
        let expected = StringArray::from(vec![Some("two"), None, Some("zéro"), Some("two")]);
        assert_eq!(done.columns.column(1).as_string::<i32>(), &expected, "{}", language.guest);
    }
}

/// Counters, columns that end, rows that become none and several, refusals by columns.
#[test]
fn what_a_plugin_may_do() {
    for (language, columns, count) in [
        (
            PYTHON,
            "lambda rows, n: count('rows', rows) or Answer([[x * 2 for x in n[1:] + n[1:2]]], [(0, 'first', 'is first')], \
             sorted([*range(1, rows), 1]))",
            "lambda n: count('seen') or n",
        ),
        (
            JAVASCRIPT,
            "(rows, n) => (count('rows', rows), { columns: [[n[1], n[1], ...n.slice(2)].map((x) => x * 2)], \
             refused: [{ row: 0, code: 'first', reason: 'is first' }], lineage: [1, ...Array(rows - 1).keys().map((x) => x + 1)] })",
            "({ n }) => (count('seen'), { y: n })",
        ),
    ] {
        let adds = "[int64('y')]";
        let program = language.program(json!({ "adds": adds, "drops": "['n']", "columns": columns }));
        assert_eq!(program.types().drops, ["n"]);
        let done = run(&program, numbers([5, 6, 7]));
        let y = ints(&done, "y");
        assert_eq!((y.iter().sum::<i64>(), y.len(), &*done.lineage), (12 + 12 + 14, 3, &[1, 1, 2][..]), "{y:?}");
        assert_eq!(rejects(&done), [("first", "is first", 0)]);
        assert!(done.columns.column_by_name("n").is_none());
        assert_eq!(program.counters(), [("rows".to_owned(), 3)].into());
        let program = language.of_rows(count);
        run(&program, numbers([1, 2]));
        assert_eq!(program.counters(), [("seen".to_owned(), 2)].into());
    }
}

#[test]
fn a_config_that_is_wrong_has_its_place() {
    for (language, wrong) in
        [(PYTHON, "ConfigError('is no number', '/limit/0')"), (JAVASCRIPT, "configError('is no number', '/limit/0')")]
    {
        let Err(CannotLoad::Config { faults, .. }) = language.load(&json!({ "wrong": wrong })) else {
            panic!("it takes its config");
        };
        assert_eq!(faults, [config::Fault::new("/limit/0", "is no number")], "{}", language.guest);
    }
}

/// What is wrong with the plugin is not said of its config.
#[test]
fn a_plugin_that_is_wrong_says_so() {
    let (python, javascript) = ("lambda n: n", "({ n }) => ({ y: n })");
    for (language, config, expected) in [
        (
            PYTHON,
            json!({ "reads": "['n']", "row": python }),
            "the plugin is wrong, whatever its config is: TypeError: reads holds 'n': expected a list as in [text(",
        ),
        (PYTHON, json!({ "drops": "'n'", "row": python }), "TypeError: drops is 'n': expected a list, as in ["),
        (
            PYTHON,
            json!({ "adds": "[int64(5)]", "row": python }),
            "its own code fails with it, and raises no ConfigError: <string>:1: TypeError: a column's name is a str, not 5",
        ),
        (PYTHON, json!({ "wrong": "ConfigError(ValueError('odd'), 5)" }), "odd"),
        (
            JAVASCRIPT,
            json!({ "reads": "['n']", "row": javascript }),
            "the plugin is wrong, whatever its config is: TypeError: reads holds \"n\": expected columns",
        ),
        (
            JAVASCRIPT,
            json!({ "adds": "undefined", "row": javascript }),
            "TypeError: adds is undefined: expected an array",
        ),
        (
            JAVASCRIPT,
            json!({ "drops": "'n'", "row": javascript }),
            "TypeError: drops is \"n\": expected an array of names",
        ),
        (
            JAVASCRIPT,
            json!({ "row": "5" }),
            "TypeError: row is 5 and columns is undefined: expected one of them, a function",
        ),
        (
            JAVASCRIPT,
            json!({ "row": javascript, "columns": javascript }),
            "TypeError: it has row and columns: expected one",
        ),
        (
            JAVASCRIPT,
            json!({ "adds": "[int64(5)]", "row": javascript }),
            "its own code fails with it, and throws no configError: TypeError: a column's name is a string, not 5",
        ),
        (JAVASCRIPT, json!({ "wrong": "configError('odd', ['a'])" }), "odd"),
    ] {
        let mut whole = json!({ "adds": "[int64('y')]" });
        whole.as_object_mut().unwrap().extend(config.as_object().unwrap().clone());
        let Err(CannotLoad::Config { faults, .. }) = language.load(&whole) else { panic!("{whole} is taken") };
        let said = &faults[0].message;
        assert!(faults.len() == 1 && said.contains(expected), "{whole}: {faults:?}");
    }
}

/// What is returned or called wrongly is an error of the row, and takes nothing from it in silence.
#[test]
fn a_row_that_is_wrong_says_so() {
    let level = "a line's level is one of debug, info, warn, error, not ";
    for (language, row, expected) in [
        (
            PYTHON,
            "lambda n: count('c', -1)",
            "ValueError: a counter grows by a whole number from 0 to below 2**64, not by -1".into(),
        ),
        (PYTHON, "lambda n: count('c', 1.5)", "below 2**64, not by 1.5".into()),
        (PYTHON, "lambda n: log('warning', 'x')", format!("ValueError: {level}'warning'")),
        (
            JAVASCRIPT,
            "() => count('c', -1)",
            "RangeError: a counter grows by a whole number from 0 to below 2^53, or 2^64 as BigInt, not by -1".into(),
        ),
        (JAVASCRIPT, "() => count('c', 2n ** 64n)", "as BigInt, not by 18446744073709551616n".into()),
        (JAVASCRIPT, "() => log('warning', 'x')", format!("TypeError: {level}\"warning\"")),
        (
            JAVASCRIPT,
            "() => { throw refuse('bad') }",
            "TypeError: a row is refused with \"bad\" and undefined: code".into(),
        ),
        (JAVASCRIPT, "() => {}", "TypeError: row returned undefined: expected an object, null or an array".into()),
        (
            JAVASCRIPT,
            "({ n }) => ({ Y: n })",
            "TypeError: row returned `Y`, and no column of that name is added: those are y".into(),
        ),
    ] {
        let program = language.program(json!({ "adds": "[int64('y').nullable()]", "row": row }));
        let done = run(&program, numbers([1]));
        let [(code, reason, _)] = rejects(&done)[..] else { panic!("{row}: {done:?}") };
        assert!(code == "plugin_error" && reason.contains(&expected), "{row}: {reason}");
        assert!(!reason.contains("initializer.js"), "a place that is none: {reason}");
        assert_eq!(program.counters(), [].into(), "{row}");
    }
    for (language, columns, expected) in [
        (PYTHON, "lambda rows, n: Answer([[]], [(-1, 'c', 'r')])", "ValueError: row -1 of 1 is refused"),
        (PYTHON, "lambda rows, n: None", "TypeError: columns returned None: expected an Answer"),
        (
            JAVASCRIPT,
            "() => ({ columns: [[]], refused: [{ row: -1, code: 'c', reason: 'r' }] })",
            "RangeError: row -1 of 1",
        ),
        (JAVASCRIPT, "() => {}", "TypeError: columns returned undefined: expected { columns: […] }"),
    ] {
        let program = language.program(json!({ "adds": "[int64('y')]", "columns": columns }));
        let done = run(&program, numbers([1]));
        assert!(rejects(&done)[0].1.contains(expected), "{columns}: {done:?}");
    }
}

/// What could be taken for a mistake and is none.
#[test]
fn a_plugin_may_be_written_so() {
    for (language, config) in [
        (
            PYTHON,
            json!({ "adds": "(int64(name) for name in 'y')", "drops": "(name for name in 'n')", "row": "lambda n: n" }),
        ),
        (
            JAVASCRIPT,
            json!({ "adds": "[{ ...int64('y') }]", "drops": "['n']", "columns": "null", "row": "({ n }) => ({ y: n })" }),
        ),
        (
            JAVASCRIPT,
            json!({
                "adds": "[int64('y'), text('note').nullable()]",
                "drops": "['n']",
                "row": "(row) => ({ ...row, y: row.n, note: undefined })",
            }),
        ),
    ] {
        let program = language.program(config.clone());
        assert_eq!(program.types().drops, ["n"], "{config}");
        assert_eq!(ints(&run(&program, numbers([1, 2])), "y"), [1, 2], "{config}");
    }
}

/// Nothing answers by a clock, by chance, or by what an instance did before: it is said what there is not.
#[test]
fn what_a_plugin_has_not() {
    let said = |language: Language, row: &str| {
        let done = run(&language.program(json!({ "adds": "[text('y')]", "row": row })), numbers([1, 2]));
        let refused = rejects(&done);
        assert!(refused.len() == 2 && refused[0].1 == refused[1].1, "{row}: {done:?}");
        (refused[0].0.to_owned(), refused[0].1.to_owned())
    };
    let none = "It said nothing, as where it asks for a clock, a file (an import that is not at the top of a Python \
                source is one), the network or chance: a plugin has none";
    for (row, code, expected) in [
        ("__import__('time').time()", "plugin_error", "RuntimeError: a plugin has no clock: a message's time can be a"),
        ("__import__('time').sleep(1)", "plugin_error", "RuntimeError: a plugin has no clock"),
        ("__import__('datetime').datetime.now()", "plugin_trap", none),
        ("__import__('random').random()", "plugin_error", "RuntimeError: a plugin has no randomness"),
        ("__import__('random').choice('ab')", "plugin_error", "RuntimeError: a plugin has no randomness"),
        ("__import__('random').seed(1)", "plugin_error", "RuntimeError: a plugin has no randomness"),
        ("__import__('random').Random()", "plugin_trap", none),
        ("__import__('os').urandom(2)", "plugin_trap", none),
        ("__import__('socket').socket()", "plugin_trap", none),
        ("open('/etc/passwd')", "plugin_error", "RuntimeError: a plugin has no files"),
        ("log('error', 'the end') or __import__('os').abort()", "plugin_trap", "it said: the end"),
        ("[0 for _ in iter(int, 1)]", "plugin_fuel", "20000000 units of fuel"),
        ("[0] * 10**9", "plugin_error", "MemoryError"),
        ("(lambda f: f(f))(lambda f: f(f))", "plugin_error", "RecursionError: maximum recursion depth exceeded"),
    ] {
        let found = said(PYTHON, &format!("lambda n: str({row})"));
        assert!(found.0 == code && found.1.contains(expected), "{row}: {found:?}");
    }
    for (row, code, expected) in [
        ("Date.now()", "plugin_error", "Error: a plugin has no clock: a message's time can be a column"),
        ("new Date()", "plugin_error", "Error: a plugin has no clock"),
        ("new (new Date(0).constructor)()", "plugin_error", "Error: a plugin has no clock"),
        ("Date()", "plugin_error", "Error: a plugin has no clock"),
        ("performance.now()", "plugin_error", "Error: a plugin has no clock"),
        ("setTimeout(() => 0, 1)", "plugin_error", "Error: a plugin has no clock"),
        ("Math.random()", "plugin_error", "Error: a plugin has no randomness"),
        ("crypto.getRandomValues(new Uint8Array(2))", "plugin_error", "Error: a plugin has no randomness"),
        ("crypto.randomUUID()", "plugin_error", "Error: a plugin has no randomness"),
        ("fetch('http://localhost')", "plugin_error", "Error: a plugin has no network"),
        ("(() => { for (;;); })()", "plugin_fuel", "20000000 units of fuel"),
    ] {
        let found = said(JAVASCRIPT, &format!("() => ({{ y: String({row}) }})"));
        assert!(found.0 == code && found.1.contains(expected), "{row}: {found:?}");
    }
    let promised = said(JAVASCRIPT, "async () => ({ y: 'later' })");
    assert!(promised.1.starts_with("TypeError: row returned a Promise: a plugin answers at once"), "{promised:?}");
    // what only looks like them is there
    for (language, row) in [
        (PYTHON, "lambda n: __import__('random').Random(5).randrange(10**9) * 0 + n"),
        (
            PYTHON,
            "lambda n: __import__('datetime').datetime.fromtimestamp(n, __import__('datetime').timezone.utc).second",
        ),
        (JAVASCRIPT, "({ n }) => ({ y: new Date(n).getTime() * (new Date(2020, 1) instanceof Date) })"),
        (JAVASCRIPT, "({ n }) => ({ y: Date.UTC(1970, 0, 1) + n })"),
    ] {
        assert_eq!(ints(&run(&language.of_rows(row), numbers([1, 2])), "y"), [1, 2], "{row}");
    }
}
