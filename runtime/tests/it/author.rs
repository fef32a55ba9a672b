//! A new author's way: a plugin from `new` to an answer in a pipeline that runs, and from an edit to a column of one's own
//! in the next. How long it takes is printed: `./dev test author -- --nocapture`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::embedded::Bed;
use crate::plugins::{millrace, said, temporary};
use crate::process::{PATIENCE, Process};

const LOOK: Duration = Duration::from_millis(10);

struct Language {
    name: &'static str,
    /// Of the folder that is kept from run to run: building anew takes a minute.
    kept: &'static str,
    source: &'static str,
    /// What the author writes, for a column of the bill in cents, and a line in the log.
    edits: &'static [(&'static str, &'static str)],
    /// What the author may write by mistake, and what the build says of it.
    mistakes: &'static [(&'static str, &'static str, &'static str)],
}

const RUST: Language = Language {
    name: "rust",
    kept: "target",
    source: "src/lib.rs",
    edits: &[
        ("    total: f64,\n", "    total: f64,\n    cents: i64,\n"),
        ("use millrace_plugin::{", "use millrace_plugin::{Level, log, "),
        ("    let total", "    log(Level::Info, &format!(\"a bill for {}\", order.customer));\n    let total"),
        ("Ok(Bill { total,", "Ok(Bill { total, cents: (total * 100.0).round() as i64,"),
    ],
    mistakes: &[
        ("    price: f64,", "    price: f32,", "error[E0277]: a column cannot be read as `f32`"),
        ("#[derive(WriteRow)]\n", "", "error[E0277]: `Bill` is no answer to a row"),
        (
            "-> Result<Bill, Refused>",
            "-> Bill",
            "error: a plugin's function is `fn(Row<'_>) -> Result<Answer, Refused>`",
        ),
    ],
};

const PYTHON: Language = Language {
    name: "python",
    kept: "python-plugin.wasm",
    source: "main.py",
    edits: &[
        ("        discount =", "        print(\"a bill for\", customer)\n        discount ="),
        ("adds = [float64(\"total\"),", "adds = [int64(\"cents\"), float64(\"total\"),"),
        ("return price * count", "return round(price * count * discount * 100), price * count"),
    ],
    mistakes: &[],
};

const JAVASCRIPT: Language = Language {
    name: "js",
    kept: "js-plugin.wasm",
    source: "main.js",
    edits: &[
        ("    const discount", "    console.log(\"a bill for\", customer);\n    const discount"),
        ("adds: [float64(\"total\"),", "adds: [int64(\"cents\"), float64(\"total\"),"),
        ("return { total:", "return { cents: Math.round(price * count * discount * 100), total:"),
    ],
    mistakes: &[("import {", "import (", "main.js:4\nimport ( float64")],
};

/// As `millrace new` makes it.
fn new(Language { name: language, kept, .. }: &Language) -> PathBuf {
    let made = temporary(&format!("made-{language}")).join(format!("{language}-plugin"));
    let (code, out, err) = said(&millrace(&["new", "plugin", made.to_str().unwrap(), "--lang", language]));
    assert_eq!(code, Some(0), "{out}{err}");
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("new-{language}"));
    fs::create_dir_all(&folder).unwrap();
    let built = folder.join(format!("{language}-plugin"));
    if let Ok(entries) = fs::read_dir(&built) {
        for path in entries.map(|entry| entry.unwrap().path()).filter(|path| !path.ends_with(kept)) {
            if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.unwrap();
        }
    }
    let copied = Command::new("cp").arg("-r").arg(&made).arg(&folder).status().unwrap();
    assert!(copied.success());
    built
}

fn done(arguments: &[&str], folder: &Path) -> String {
    let (code, out, err) = said(&millrace(&[arguments, &[folder.to_str().unwrap()]].concat()));
    assert_eq!(code, Some(0), "{arguments:?}: {out}{err}");
    out
}

/// The pipeline of the plugin's folder, on a folder.
fn bed(plugin: &Path) -> Bed {
    let (file, data) = (plugin.join("pipeline.toml"), plugin.join("data"));
    Bed { folder: plugin.to_owned(), toml: fs::read_to_string(&file).unwrap(), file, data }
}

/// What becomes of one more order.
fn answer(bed: &Bed, topic: &str, order: &str, count: usize, process: &mut Process) -> Value {
    bed.try_produce_to(&format!("{topic}-in"), &[order.as_bytes().to_owned()]).unwrap();
    let out = format!("{topic}-out");
    bed.await_records(&out, count, process);
    bed.records(&out).pop().unwrap().0
}

fn edit(source: &Path, edits: &[(&str, &str)]) {
    let mut text = fs::read_to_string(source).unwrap();
    for (written, instead) in edits {
        assert_eq!(text.matches(written).count(), 1, "{written} in {}", source.display());
        text = text.replace(written, instead);
    }
    fs::write(source, text).unwrap();
}

/// A plugin of that language, from nothing to an answer, and from an edit to the next.
fn from_new_to_a_column_of_ones_own(language: &Language) {
    let name = language.name;
    let started = Instant::now();
    let folder = new(language);
    assert_eq!(done(&["plugin", "test"], &folder), "orders: ok\n");
    let topic = folder.file_name().unwrap().to_str().unwrap().to_owned();
    let bed = bed(&folder);
    let mut process = bed.start(&["--watch"]);
    process.await_word(" workers=");
    let bill = answer(&bed, &topic, r#"{"customer":"Ann","price":2.5,"count":2}"#, 1, &mut process);
    assert_eq!((&bill["total"], &bill["greeting"]), (&5.0.into(), &"Dear Ann".into()), "{name}: {bill}");
    println!("{name}: from `new` to an answer {:.1?}", started.elapsed());

    let started = Instant::now();
    edit(&folder.join(language.source), language.edits);
    done(&["plugin", "build"], &folder);
    let deadline = Instant::now() + PATIENCE;
    // it was drained, and has begun anew
    while process.said().matches(" workers=").count() < 2 {
        process.must_run();
        assert!(Instant::now() < deadline, "said:\n{}", process.said());
        std::thread::sleep(LOOK);
    }
    let bill = answer(&bed, &topic, r#"{"customer":"Bob","price":0.25,"count":3}"#, 2, &mut process);
    assert_eq!((&bill["cents"], &bill["greeting"]), (&75.into(), &"Dear Bob".into()), "{name}: {bill}");
    println!("{name}: from the edit to its column {:.1?}", started.elapsed());
    let log = process.drain();
    assert!(log.contains("a bill for Bob"), "{name}: {log}");

    let source = folder.join(language.source);
    let text = fs::read_to_string(&source).unwrap();
    for (written, instead, expected) in language.mistakes {
        fs::write(&source, text.replacen(written, instead, 1)).unwrap();
        let (code, _, err) = said(&millrace(&["plugin", "build", folder.to_str().unwrap()]));
        assert_eq!(code, Some(1), "{name}: {instead}");
        assert!(err.contains(expected), "{name}: {instead}: {err}");
    }

    let (code, _, err) = said(&millrace(&["new", "plugin", folder.to_str().unwrap()]));
    assert_eq!(code, Some(1));
    assert!(err.ends_with("is there already: choose another name, or remove it\n"), "{err}");
}

#[test]
fn from_new_to_a_column_of_ones_own_in_rust() {
    from_new_to_a_column_of_ones_own(&RUST);
}

#[test]
fn from_new_to_a_column_of_ones_own_in_python() {
    from_new_to_a_column_of_ones_own(&PYTHON);
}

#[test]
fn from_new_to_a_column_of_ones_own_in_javascript() {
    from_new_to_a_column_of_ones_own(&JAVASCRIPT);
}
