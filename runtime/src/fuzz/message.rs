//! A message between two good ones: it gives a row or a reject, alone, and a row can be written and read again.

use arrow_array::RecordBatch;

use crate::batch::Batch;
use crate::json::decode::{Decoder, Message};
use crate::json::encode::Encoder;
use crate::plan::{GroupProtocol, Metadata, SourcePlan, Start};
use crate::schema::{Field, Schema};

/// Each kind, absent or not, alone and as a list.
const FIELDS: [(&str, &str); 14] = [
    ("b", "bool?"),
    ("i", "int64?"),
    ("f", "float64?"),
    ("t", "text?"),
    ("y", "binary?"),
    ("d", "date?"),
    ("s", "timestamp?"),
    ("bs", "list<bool>?"),
    ("is", "list<int64>?"),
    ("fs", "list<float64>?"),
    ("ts", "list<text>?"),
    ("ys", "list<binary>?"),
    ("ss", "list<timestamp>?"),
    ("must", "text"),
];
const CODES: [&str; 7] =
    ["not_json", "not_an_object", "missing_field", "wrong_type", "duplicate_field", "bad_key", "bad_header"];
/// A reason names a field, a type, and 60 characters of what was found.
const REASON_BYTES_MAX: usize = 512;
const GOOD: &[u8] = br#"{"must":"here","t":"before","is":[1,2],"f":0.5,"b":true}"#;

struct Line<'a> {
    value: &'a [u8],
    /// As key and as header too.
    around: Option<&'a [u8]>,
}

impl Message for Line<'_> {
    fn partition(&self) -> i32 {
        0
    }
    fn offset(&self) -> i64 {
        0
    }
    fn timestamp_ms(&self) -> Option<i64> {
        let first = self.value.first_chunk()?;
        Some(i64::from_le_bytes(*first))
    }
    fn key(&self) -> Option<&[u8]> {
        self.around
    }
    fn value(&self) -> Option<&[u8]> {
        Some(self.value)
    }
    fn header(&self, _: &str) -> Option<&[u8]> {
        self.around
    }
}

fn fields() -> Vec<Field> {
    FIELDS.iter().map(|(name, ty)| Field::new(*name, ty.parse().expect("a type"))).collect()
}

fn source() -> SourcePlan {
    let metadata = [Metadata::Key, Metadata::Header("h".into()), Metadata::Timestamp, Metadata::Offset];
    let metadata = metadata.into_iter().enumerate().map(|(n, what)| (Field::new(format!("_{n}"), what.ty()), what));
    SourcePlan {
        brokers: "".into(),
        topic: String::new(),
        group: String::new(),
        group_protocol: GroupProtocol::Consumer,
        start: Start::Earliest,
        timeout: std::time::Duration::ZERO,
        fields: fields(),
        metadata: metadata.collect(),
    }
}

fn decode(lines: &[Line<'_>]) -> Batch {
    let mut decoder = Decoder::new(&source());
    lines.iter().for_each(|line| decoder.push(line));
    decoder.take(Vec::new()).expect("columns that fit together")
}

pub fn message(value: &[u8]) {
    let good = || Line { value: GOOD, around: None };
    let alone = decode(&[good()]).columns;
    // a last byte that is odd: the message has key and header
    let around = value.last().filter(|last| *last % 2 == 1).map(|_| value);
    let batch = decode(&[good(), Line { value, around }, good()]);
    assert_eq!(batch.origins.values.get(1), value, "the original");
    assert_eq!(batch.columns.slice(0, 1), alone, "the message before");
    assert_eq!(batch.columns.slice(batch.rows() - 1, 1), alone, "the message after");
    match &batch.rejects[..] {
        [] => {
            assert_eq!(batch.lineage, [0, 1, 2]);
            written_and_read_again(&batch.columns.slice(1, 1));
        }
        [reject] => {
            assert_eq!((batch.lineage.as_slice(), reject.origin), ([0, 2].as_slice(), 1));
            assert!(CODES.contains(&&*reject.code), "{}", reject.code);
            assert!((1..=REASON_BYTES_MAX).contains(&reject.reason.len()), "{}", reject.reason);
        }
        more => panic!("{} rejects of one message", more.len()),
    }
}

/// What a sink writes another pipeline reads as what it was.
fn written_and_read_again(row: &RecordBatch) {
    let written = write(row);
    let text = String::from_utf8_lossy(&written);
    let read = decode(&[Line { value: &written, around: None }]);
    assert_eq!(read.rejects, [], "{text}");
    for (index, (name, _)) in FIELDS.iter().enumerate() {
        let (was, is) = (row.column(index), read.columns.column(index));
        assert_eq!(was, is, "{name} of {text}");
    }
}

fn write(row: &RecordBatch) -> Vec<u8> {
    let schema = Schema(fields());
    let columns: Vec<_> = (0..schema.0.len()).collect();
    let mut out = Vec::new();
    Encoder::new(&schema, &columns).batch(row).expect("columns of the schema").row(0, &mut out);
    out
}
