use std::time::Duration;

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Float64Type, Int64Type, TimestampMicrosecondType};

use super::*;
use crate::json::encode::Encoder;
use crate::plan::{GroupProtocol, Start};

#[derive(Default)]
struct Line<'a> {
    offset: i64,
    timestamp_ms: Option<i64>,
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
    header: Option<&'a [u8]>,
}

impl Message for Line<'_> {
    fn partition(&self) -> i32 {
        3
    }
    fn offset(&self) -> i64 {
        self.offset
    }
    fn timestamp_ms(&self) -> Option<i64> {
        self.timestamp_ms
    }
    fn key(&self) -> Option<&[u8]> {
        self.key
    }
    fn value(&self) -> Option<&[u8]> {
        self.value
    }
    fn header(&self, name: &str) -> Option<&[u8]> {
        self.header.filter(|_| name == "trace")
    }
}

fn source(fields: &[(&str, &str)], metadata: &[(&str, Metadata, &str)]) -> SourcePlan {
    let field = |name: &str, ty: &str| Field::new(name, ty.parse().unwrap());
    SourcePlan {
        brokers: "".into(),
        topic: "requests".into(),
        group: String::new(),
        group_protocol: GroupProtocol::Consumer,
        start: Start::Earliest,
        timeout: Duration::from_secs(1),
        fields: fields.iter().map(|(name, ty)| field(name, ty)).collect(),
        metadata: metadata.iter().map(|(name, what, ty)| (field(name, ty), what.clone())).collect(),
    }
}

fn decode(fields: &[(&str, &str)], lines: &[&str]) -> (Decoder, Batch) {
    let mut decoder = Decoder::new(&source(fields, &[]));
    for (offset, line) in lines.iter().enumerate() {
        decoder.push(&Line { offset: offset as i64, value: Some(line.as_bytes()), ..Line::default() });
    }
    let batch = decoder.take(vec![]).unwrap();
    (decoder, batch)
}

/// The reject of one message that is between two good ones, which must stay.
fn refused(ty: &str, good: &str, bad: &str) -> String {
    let good = format!("{{\"x\":{good}}}");
    let (_, batch) = decode(&[("before", "text?"), ("x", ty)], &[&good, bad, &good]);
    assert_eq!(batch.lineage, [0, 2], "the good rows of {bad}");
    assert_eq!(batch.rejects.len(), 1, "{bad}");
    assert_eq!(batch.origins.values.get(batch.rejects[0].origin as usize), bad.as_bytes());
    format!("{}: {}", batch.rejects[0].code, batch.rejects[0].reason)
}

#[test]
fn every_kind_comes_in() {
    let fields = [("b", "bool"), ("i", "int64"), ("f", "float64"), ("t", "text"), ("y", "binary"), ("d", "date")];
    let fields = [&fields[..], &[("s", "timestamp"), ("l", "list<int64>"), ("n", "list<text>?")]].concat();
    let line = r#"{"b":true,"i":-7,"f":2,"t":"a\"\u00e4","y":"AQI=","d":"2013-05-06","s":"1970-01-01T00:00:01Z","l":[1,2],"n":null,"other":{"x":[]}}"#;
    let (decoder, batch) = decode(&fields, &[line, line]);
    assert_eq!(batch.rejects, []);
    assert_eq!(decoder.unknown_fields(), 2);
    let columns = &batch.columns;
    assert!(columns.column(0).as_boolean().value(1));
    assert_eq!(columns.column(1).as_primitive::<Int64Type>().value(1), -7);
    assert_eq!(columns.column(2).as_primitive::<Float64Type>().value(1), 2.0);
    assert_eq!(columns.column(3).as_string::<i32>().value(1), "a\"ä");
    assert_eq!(columns.column(4).as_binary::<i32>().value(1), [1, 2]);
    assert_eq!(columns.column(5).as_primitive::<Date32Type>().value(1), 15831);
    assert_eq!(columns.column(7).as_list::<i32>().value(1).as_primitive::<Int64Type>().values(), &[1, 2]);
    assert!(columns.column(8).is_null(1));
}

#[test]
fn a_bad_message_is_a_reject_alone() {
    let cases = [
        (r#"{"x":"a"}"#, "wrong_type: field `x` must be int64, but is the text \"a\""),
        (r#"{"x":1.5}"#, "wrong_type: field `x` must be int64, but is 1.5"),
        (r#"{"x":18446744073709551615}"#, "wrong_type: field `x` must be int64, but is 18446744073709551615"),
        (r#"{"x":null}"#, "wrong_type: field `x` must be int64, but is null"),
        (r#"{"x":{"y":1}}"#, "wrong_type: field `x` must be int64, but is an object"),
        (r#"{"before":"long text","x":[1]}"#, "wrong_type: field `x` must be int64, but is an array"),
        (r#"{"x":1,"x":2}"#, "duplicate_field: field `x` is there twice"),
        (r#"{"before":"a"}"#, "missing_field: field `x` is absent; it must be there, of type int64"),
        (r#"[{"x":1}]"#, "not_an_object: the message is an array, not a JSON object"),
        (r#""x""#, "not_an_object: the message is a text, not a JSON object"),
        (r#"null"#, "not_an_object: the message is null, not a JSON object"),
        (r#"{"x":1"#, "not_json: not JSON: EOF while parsing an object at line 1 column 6"),
        (r#"{"x":1}}"#, "not_json: not JSON: trailing characters at line 1 column 8"),
        (r#"{"x":1e999}"#, "not_json: not JSON: number out of range at line 1 column 10"),
        (r#"{"x":NaN}"#, "not_json: not JSON: expected value at line 1 column 6"),
        ("", "not_json: not JSON: EOF while parsing a value at line 1 column 0"),
    ];
    for (bad, expected) in cases {
        assert_eq!(refused("int64", "7", bad), expected, "{bad}");
    }
}

#[test]
fn a_reason_says_what_a_type_looks_like() {
    let date = refused("date", "\"2013-01-01\"", r#"{"x":"2013-02-30"}"#);
    assert_eq!(
        date,
        "wrong_type: field `x` must be date (\"YYYY-MM-DD\", a day that exists), but is the text \"2013-02-30\""
    );
    let list = refused("list<text>", "[\"a\"]", r#"{"x":["b",null]}"#);
    assert_eq!(list, "wrong_type: field `x` must be list<text>, but is a list that holds null");
    let long = refused("bool", "true", &format!("{{\"x\":\"{}\"}}", "é".repeat(100)));
    assert!(long.ends_with("é\"…"), "{long}");
}

#[path = "../../../tests/it/bad_input.rs"]
mod bad_input;

#[test]
fn every_kind_of_bad_input_is_what_its_page_says() {
    let columns: Vec<_> = (0..bad_input::FIELDS.len()).collect();
    for bad_input::Case { name, value, outcome } in bad_input::cases() {
        let source = source(&bad_input::FIELDS, &[]);
        let encoder = Encoder::new(&source.schema(), &columns);
        let mut decoder = Decoder::new(&source);
        decoder.push(&Line { value: value.as_deref(), ..Line::default() });
        let batch = decoder.take(vec![]).unwrap();
        let mut written = Vec::new();
        let found = match &batch.rejects[..] {
            [] => {
                encoder.batch(&batch.columns).unwrap().row(0, &mut written);
                Ok(std::str::from_utf8(&written).unwrap())
            }
            rejects => Err(&*rejects[0].code),
        };
        assert_eq!(found, outcome, "{name}");
    }
}

/// A producer writes what it likes.
#[test]
fn a_timestamp_that_no_calendar_has_is_absent() {
    let mut decoder = Decoder::new(&source(&[], &[("At", Metadata::Timestamp, "timestamp?")]));
    for timestamp_ms in [i64::MIN, i64::MAX, 1] {
        decoder.push(&Line { timestamp_ms: Some(timestamp_ms), value: Some(b"{}"), ..Line::default() });
    }
    let batch = decoder.take(vec![]).unwrap();
    let found: Vec<_> = batch.columns.column(0).as_primitive::<TimestampMicrosecondType>().iter().collect();
    assert_eq!(found, [None, None, Some(1000)]);
}

#[test]
fn a_key_or_header_that_is_no_text_is_a_reject_where_it_is_taken() {
    let bytes = Line { key: Some(b"\xff"), value: Some(b"{}"), header: Some(b"\xff"), ..Line::default() };
    let taken = [("Key", Metadata::Key), ("Trace", Metadata::Header("trace".into()))];
    for ((name, what), code) in taken.into_iter().zip(["bad_key", "bad_header"]) {
        let mut decoder = Decoder::new(&source(&[], &[(name, what, "text?")]));
        decoder.push(&bytes);
        assert_eq!(decoder.take(vec![]).unwrap().rejects[0].code, code);
    }
    let mut decoder = Decoder::new(&source(&[], &[]));
    decoder.push(&bytes);
    assert_eq!(decoder.take(vec![]).unwrap().rejects, []);
}

#[test]
fn metadata_becomes_columns() {
    let metadata = [
        ("Key", Metadata::Key, "text?"),
        ("At", Metadata::Timestamp, "timestamp?"),
        ("Partition", Metadata::Partition, "int64"),
        ("Offset", Metadata::Offset, "int64"),
        ("Trace", Metadata::Header("trace".into()), "text?"),
    ];
    let mut decoder = Decoder::new(&source(&[], &metadata));
    decoder.push(&Line { offset: 9, timestamp_ms: Some(1), key: Some(b"k"), value: Some(b"{}"), header: Some(b"t") });
    decoder.push(&Line { offset: 10, value: Some(b"{}"), ..Line::default() });
    let batch = decoder.take(vec![]).unwrap();
    assert_eq!(batch.columns.column(0).as_string::<i32>().iter().collect::<Vec<_>>(), [Some("k"), None]);
    assert_eq!(batch.columns.column(3).as_primitive::<Int64Type>().values(), &[9, 10]);
    assert_eq!(batch.columns.column(4).as_string::<i32>().iter().collect::<Vec<_>>(), [Some("t"), None]);
    assert!(!batch.origins.has_key[1]);
    assert_eq!(batch.positions().collect::<Vec<_>>(), [(3, 9, 0), (3, 10, 0)]);
}
