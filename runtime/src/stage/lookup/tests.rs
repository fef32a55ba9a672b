//! A table of distances; a batch in, and what comes out.

use std::fs;

use arrow_array::types::Float64Type;
use serde_json::json;

use super::*;
use crate::batch::Origins;
use crate::json::decode::Decoder;
use crate::json::lines::Line;

const DISTANCES: &str = r#"{"Origin":"ATL","Dest":"SFO","Distance":2139}
{"Origin":"SFO","Dest":"ATL","Distance":2139.5,"Remark":"a field that nobody asks for"}

{"Origin":"ATL","Dest":"SFO","Distance":2139}
"#;

fn file(name: &str, text: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("millrace-lookup-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder of our own");
    let file = folder.join(format!("{name}.jsonl"));
    fs::write(&file, text).expect("a table");
    file
}

fn fill(name: &str, there: Option<Kind>) -> Fill {
    Fill { name: name.into(), there, default: None }
}

fn settings(missing: Missing, fill: Vec<Fill>) -> Settings {
    let on = ["Origin", "Dest"].map(|name| (name.to_owned(), Some(Kind::Text)));
    Settings { stage: "distance".into(), on: on.to_vec(), fill, missing }
}

fn load(name: &str, text: &str, settings: Settings) -> Result<Lookup, String> {
    Lookup::load(&file(name, text), settings).map_err(|error| {
        let line = error.line.map_or(String::new(), |line| format!("{line}: "));
        format!("{line}{}", error.message)
    })
}

/// Rows of JSON, each a message of its own.
fn batch(fields: &[(&str, &str)], rows: &[&str]) -> Batch {
    let fields = fields.iter().map(|(name, ty)| Field::new(*name, ty.parse().expect("a type")));
    let mut decoder = Decoder::of(fields.collect());
    rows.iter().enumerate().for_each(|(row, text)| decoder.push(&Line { number: row, value: text.as_bytes() }));
    let batch = decoder.take(Vec::new()).expect("a batch");
    assert_eq!(batch.rejects, [], "the test's own rows");
    batch
}

const FLIGHT: [(&str, &str); 3] = [("Origin", "text?"), ("Dest", "text"), ("Distance", "float64?")];

fn flights() -> Batch {
    batch(
        &FLIGHT,
        &[
            r#"{"Origin":"ATL","Dest":"SFO"}"#,
            r#"{"Origin":"ATL","Dest":"XXX"}"#,
            r#"{"Origin":"ATL","Dest":"XXX","Distance":7}"#,
            r#"{"Dest":"ATL"}"#,
            r#"{"Origin":"SFO","Dest":"ATL","Distance":null}"#,
            r#"{"Origin":"SFO","Dest":"ATL","Distance":1}"#,
        ],
    )
}

fn numbers(batch: &Batch, name: &str) -> Vec<Option<f64>> {
    batch.columns.column_by_name(name).expect("the column").as_primitive::<Float64Type>().iter().collect()
}

#[test]
fn fills_what_is_null_and_refuses_what_has_no_match() {
    let settings = settings(Missing::Reject, vec![fill("Distance", Some(Kind::Float64))]);
    let lookup = load("rejects", DISTANCES, settings).expect("a table");
    let done = lookup.process(flights()).expect("a batch");
    assert_eq!(numbers(&done, "Distance"), [Some(2139.0), Some(7.0), Some(2139.5), Some(1.0)]);
    assert_eq!(done.lineage, [0, 2, 4, 5]);
    assert!(!done.columns.schema().field(2).is_nullable());
    let reasons: Vec<_> = done.rejects.iter().map(|reject| (reject.origin, &*reject.code, &*reject.reason)).collect();
    assert_eq!(
        reasons,
        [
            (1, "no_match", "no Distance for Origin `ATL`, Dest `XXX` in rejects.jsonl"),
            (3, "no_match", "no Distance for Origin null, Dest `ATL` in rejects.jsonl"),
        ]
    );
    let types = lookup.types();
    let reads: Vec<_> = types.reads.iter().map(|field| format!("{}: {}", field.name, field.ty)).collect();
    assert_eq!((reads.join(", ").as_str(), types.adds), ("Origin: text?, Dest: text?, Distance: float64?", vec![]));
}

#[test]
fn a_default_where_there_is_no_match() {
    let default = Fill { default: Some(json!(-1)), ..fill("Distance", Some(Kind::Float64)) };
    let lookup = load("default", DISTANCES, settings(Missing::Default, vec![default])).expect("a table");
    let done = lookup.process(flights()).expect("a batch");
    let expected = [2139.0, -1.0, 7.0, -1.0, 2139.5, 1.0];
    assert_eq!(numbers(&done, "Distance"), expected.map(Some));
    assert_eq!((done.rejects.len(), done.columns.schema().field(2).is_nullable()), (0, false));
}

#[test]
fn a_column_that_is_new_has_the_type_of_the_tables_values() {
    let fills = vec![fill("Distance", Some(Kind::Float64)), fill("Miles", None), fill("Zone", None)];
    let table = "{\"Origin\":\"A\",\"Dest\":\"B\",\"Distance\":5,\"Miles\":3,\"Zone\":\"x\"}\n";
    let table = format!("{table}{}", table.replace("\"B\"", "\"C\"").replace('3', "4.5"));
    let lookup = load("new", &table, settings(Missing::Default, fills)).expect("a table");
    let adds: Vec<_> = lookup.types().adds.iter().map(|field| format!("{} {}", field.name, field.ty)).collect();
    assert_eq!(adds, ["Miles float64?", "Zone text?"]);
    let rows = [r#"{"Origin":"A","Dest":"B","Distance":1}"#, r#"{"Origin":"A","Dest":"?"}"#];
    let done = lookup.process(batch(&FLIGHT, &rows)).expect("a batch");
    assert_eq!(numbers(&done, "Miles"), [Some(3.0), None]);
    // one of the columns is given, another is not: the given one stays
    assert_eq!(numbers(&done, "Distance"), [Some(1.0), None]);
    let zone = done.columns.column(4).as_string::<i32>();
    assert_eq!(zone.iter().collect::<Vec<_>>(), [Some("x"), None]);
}

#[test]
fn keys_of_every_kind() {
    let on = [("t", Kind::Text), ("i", Kind::Int64), ("d", Kind::Date), ("b", Kind::Boolean)];
    let on = on.map(|(name, kind)| (name.to_owned(), Some(kind))).to_vec();
    let settings = Settings { on, ..settings(Missing::Reject, vec![fill("x", None)]) };
    let table = r#"{"t":"a","i":1,"d":"2013-05-06","b":true,"x":"found"}"#;
    let lookup = load("kinds", table, settings).expect("a table");
    let fields = [("t", "text"), ("i", "int64"), ("d", "date"), ("b", "bool?")];
    let miss = r#"{"t":"a","i":1,"d":"2013-05-06","b":false}"#;
    let done = lookup.process(batch(&fields, &[table, miss])).expect("a batch");
    assert_eq!(done.lineage, [0]);
    assert_eq!(done.rejects[0].reason, "no x for t `a`, i 1, d 2013-05-06, b false in kinds.jsonl");
}

#[test]
fn texts_that_run_into_each_other_are_different_keys() {
    let table =
        "{\"Origin\":\"ab\",\"Dest\":\"c\",\"Distance\":1}\n{\"Origin\":\"a\",\"Dest\":\"bc\",\"Distance\":2}\n";
    let settings = settings(Missing::Reject, vec![fill("Distance", Some(Kind::Float64))]);
    let lookup = load("run", table, settings).expect("a table");
    let rows = [r#"{"Origin":"a","Dest":"bc"}"#, r#"{"Origin":"ab","Dest":"c"}"#, r#"{"Origin":"","Dest":"abc"}"#];
    let done = lookup.process(batch(&FLIGHT, &rows)).expect("a batch");
    assert_eq!(numbers(&done, "Distance"), [Some(2.0), Some(1.0)]);
}

#[test]
fn a_batch_without_rows() {
    let settings = settings(Missing::Reject, vec![fill("Distance", Some(Kind::Float64)), fill("More", None)]);
    let table = "{\"Origin\":\"a\",\"Dest\":\"b\",\"Distance\":1,\"More\":true}";
    let lookup = load("empty", table, settings).expect("a table");
    let done = lookup.process(batch(&FLIGHT, &[])).expect("a batch");
    assert_eq!((done.rows(), done.columns.num_columns()), (0, 4));
    let origins = Arc::new(Origins::default());
    let refused = lookup.process(Batch { origins, ..batch(&FLIGHT, &[r#"{"Dest":"b"}"#]) }).expect("a batch");
    assert_eq!((refused.rows(), refused.rejects.len()), (0, 1));
}

#[test]
fn what_is_wrong_with_the_table_is_said_with_its_line() {
    let wrong = |line: &str| {
        let settings = settings(Missing::Reject, vec![fill("Distance", Some(Kind::Float64)), fill("New", None)]);
        let good = r#"{"Origin":"A","Dest":"B","Distance":1,"New":1}"#;
        load("wrong", &format!("{good}\n\n{line}\n"), settings).expect_err("a fault")
    };
    let line = |from: &str, to: &str| r#"{"Origin":"A","Dest":"C","Distance":1,"New":1}"#.replace(from, to);
    assert!(wrong("{").starts_with("3: not JSON"), "{}", wrong("{"));
    assert_eq!(wrong("[]"), "3: the message is an array, not a JSON object");
    assert_eq!(wrong(&line("\"Origin\":\"A\",", "")), "3: field `Origin` is absent; it must be there, of type text");
    assert_eq!(wrong(&line("\"Distance\":1", "\"Distance\":null")), "3: field `Distance` must be float64, but is null");
    assert_eq!(wrong(&line("\"New\":1", "\"New\":\"x\"")), "3: `New` is \"x\", which is of another type than before");
    assert_eq!(
        wrong(&line("\"C\",\"Distance\":1", "\"B\",\"Distance\":2")),
        "3: Origin `A`, Dest `B` is in line 1 too, with other values"
    );
    assert_eq!(
        load("none", "", settings(Missing::Reject, vec![fill("New", None)])).expect_err("no rows"),
        "has no `New`"
    );
    let missing = Lookup::load(Path::new("/no/such/table"), settings(Missing::Reject, vec![fill("Distance", None)]));
    assert!(missing.expect_err("no file").message.starts_with("cannot be read: "));
}

#[test]
fn a_default_that_does_not_fit() {
    assert_eq!(check_default("Day", Kind::Date, &json!("2013-02-28")), Ok(()));
    let fault = check_default("Day", Kind::Date, &json!("2013-02-30")).expect_err("no such day");
    assert!(fault.contains("\"2013-02-30\""), "{fault}");
    assert_eq!(kind_of(&json!([1])), None);
}
