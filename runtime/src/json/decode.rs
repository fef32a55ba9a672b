//! Messages to columns: each JSON object is read once, straight into the columns.
//!
//! Invariant: a message gives one row or one reject, alone; a bad message leaves no trace in the columns. Nothing is
//! allocated for a row beyond the growth of the columns.
//!
//! Codes of its rejects: `no_value` (a tombstone), `not_json`, `not_an_object`, `missing_field`, `wrong_type`,
//! `duplicate_field`, `bad_key` and `bad_header` (asked for as text, and not UTF-8).

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::SchemaRef;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::batch::{Batch, Origins, Reject, Span};
use crate::error::{Error, Result};
use crate::json::column::{Column, Value};
use crate::json::time;
use crate::observe::trace::Trace;
use crate::plan::{Metadata, SourcePlan};
use crate::schema::{Field, Kind, Schema, Type};

/// Header of a message that was sent again: `topic:partition:offset` of the message that it is a copy of.
pub const RESENT_FROM: &str = "millrace-resent-from";
/// The longest topic, partition and offset.
const RESENT_FROM_BYTES_MAX: usize = 300;

/// A message as the log has it, whichever log that is.
pub trait Message {
    fn partition(&self) -> i32;
    fn offset(&self) -> i64;
    /// Milliseconds since 1970, whatever the producer said; None where the log has none.
    fn timestamp_ms(&self) -> Option<i64>;
    fn key(&self) -> Option<&[u8]>;
    fn value(&self) -> Option<&[u8]>;
    /// The last header of that name.
    fn header(&self, name: &str) -> Option<&[u8]>;

    /// What it takes while it waits in a batch.
    fn bytes(&self) -> usize {
        [self.key(), self.value()].iter().flatten().map(|part| part.len()).sum()
    }
}

struct Failure {
    code: &'static str,
    reason: String,
}

pub struct Decoder {
    fields: Vec<Field>,
    metadata: Vec<Metadata>,
    schema: SchemaRef,
    /// Fields first, then metadata.
    columns: Vec<Column>,
    lineage: Vec<u32>,
    origins: Origins,
    rejects: Vec<Reject>,
    stage: Arc<str>,
    unknown_fields: u64,
}

impl Decoder {
    pub fn new(source: &SourcePlan) -> Decoder {
        let metadata = source.metadata.iter().map(|(_, metadata)| metadata.clone()).collect();
        Decoder::with(source.schema(), source.fields.clone(), metadata)
    }

    /// For objects that are no messages of a source.
    pub fn of(fields: Vec<Field>) -> Decoder {
        Decoder::with(Schema(fields.clone()), fields, Vec::new())
    }

    fn with(schema: Schema, fields: Vec<Field>, metadata: Vec<Metadata>) -> Decoder {
        Decoder {
            columns: schema.0.iter().map(|field| Column::new(field.ty, 0)).collect(),
            schema: schema.arrow(),
            fields,
            metadata,
            lineage: Vec::new(),
            origins: Origins::default(),
            rejects: Vec::new(),
            stage: Arc::from("source"),
            unknown_fields: 0,
        }
    }

    /// Fields seen that the pipeline does not take, since the decoder was made.
    pub fn unknown_fields(&self) -> u64 {
        self.unknown_fields
    }

    pub fn push(&mut self, message: &impl Message) {
        let origin = self.remember(message);
        let row = self.lineage.len();
        match self.decode(message, row) {
            Ok(()) => self.lineage.push(origin),
            Err(Failure { code, reason }) => {
                self.columns.iter_mut().for_each(|column| column.truncate(row));
                self.rejects.push(Reject { origin, stage: self.stage.clone(), code: Cow::Borrowed(code), reason });
            }
        }
    }

    /// The last message is followed from here on.
    pub fn follow(&mut self, trace: Trace) {
        let origin = (self.origins.len() - 1) as u32;
        trace.decoded(self.rejects.last().filter(|reject| reject.origin == origin));
        self.origins.traces.push(origin, trace);
    }

    /// Everything since the last call as a batch; `spans` are the offsets that it covers.
    pub fn take(&mut self, spans: Vec<Span>) -> Result<Batch> {
        let arrays = self.columns.iter_mut().map(Column::take).collect::<Result<Vec<_>, _>>();
        let options = RecordBatchOptions::new().with_row_count(Some(self.lineage.len()));
        let columns = arrays
            .and_then(|arrays| RecordBatch::try_new_with_options(self.schema.clone(), arrays, &options))
            .map_err(|error| Error::stop("decoded columns do not fit together").caused_by(error))?;
        let messages = self.origins.len();
        Ok(Batch {
            columns,
            lineage: std::mem::replace(&mut self.lineage, Vec::with_capacity(messages)),
            origins: Arc::new(std::mem::take(&mut self.origins)),
            spans,
            rejects: std::mem::take(&mut self.rejects),
        })
    }

    fn remember(&mut self, message: &impl Message) -> u32 {
        let origins = &mut self.origins;
        origins.partitions.push(message.partition());
        origins.offsets.push(message.offset());
        origins.timestamps_ms.push(message.timestamp_ms().unwrap_or(-1));
        origins.keys.push(message.key().unwrap_or_default());
        origins.has_key.push(message.key().is_some());
        origins.values.push(message.value().unwrap_or_default());
        let origin = (origins.len() - 1) as u32;
        let from = message.header(RESENT_FROM).filter(|from| from.len() <= RESENT_FROM_BYTES_MAX);
        if let Some(from) = from.and_then(|from| std::str::from_utf8(from).ok()) {
            origins.resent_from.insert(origin, from.to_owned());
        }
        origin
    }

    fn decode(&mut self, message: &impl Message, row: usize) -> Result<(), Failure> {
        let value = message
            .value()
            .ok_or_else(|| Failure { code: "no_value", reason: "the message has no value (a tombstone)".into() })?;
        let (fields, metadata) = self.columns.split_at_mut(self.fields.len());
        let mut failure = None;
        let object = Object {
            fields: &self.fields,
            columns: fields,
            row,
            unknown: &mut self.unknown_fields,
            failure: &mut failure,
        };
        let mut json = serde_json::Deserializer::from_slice(value);
        let read = object.deserialize(&mut json).and_then(|()| json.end());
        if let Err(error) = read {
            return Err(failure.unwrap_or_else(|| Failure { code: "not_json", reason: format!("not JSON: {error}") }));
        }
        complete(&self.fields, fields, row)?;
        for (column, wanted) in metadata.iter_mut().zip(&self.metadata) {
            push_metadata(column, wanted, message)?;
        }
        Ok(())
    }
}

/// Absent fields are null where they may be.
fn complete(fields: &[Field], columns: &mut [Column], row: usize) -> Result<(), Failure> {
    for (field, column) in fields.iter().zip(columns) {
        if column.rows() > row {
            continue;
        }
        if !field.ty.nullable {
            let reason = format!("field `{}` is absent; it must be there, of type {}", field.name, field.ty);
            return Err(Failure { code: "missing_field", reason });
        }
        column.push_null();
    }
    Ok(())
}

fn push_metadata(column: &mut Column, wanted: &Metadata, message: &impl Message) -> Result<(), Failure> {
    let text = |bytes: &[u8], code, what: fmt::Arguments<'_>| match std::str::from_utf8(bytes) {
        Ok(_) => Ok(()),
        Err(error) => Err(Failure { code, reason: format!("{what} is not UTF-8 text: {error}") }),
    };
    let value = match wanted {
        Metadata::Partition => Some(Value::Int64(message.partition().into())),
        Metadata::Offset => Some(Value::Int64(message.offset())),
        Metadata::Timestamp => message.timestamp_ms().and_then(time::micros).map(Value::Timestamp),
        Metadata::Key => message
            .key()
            .map(|key| text(key, "bad_key", format_args!("the key")).map(|()| Value::Bytes(key)))
            .transpose()?,
        Metadata::Header(name) => message
            .header(name)
            .map(|header| text(header, "bad_header", format_args!("header `{name}`")).map(|()| Value::Bytes(header)))
            .transpose()?,
    };
    match value {
        Some(value) => column.push(value),
        None => column.push_null(),
    }
    Ok(())
}

/// The message's object: known fields go into their columns, others are counted.
struct Object<'a> {
    fields: &'a [Field],
    columns: &'a mut [Column],
    row: usize,
    unknown: &'a mut u64,
    failure: &'a mut Option<Failure>,
}

impl<'de> DeserializeSeed<'de> for Object<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Object<'_> {
    fn refuse<E: serde::de::Error>(self, found: &str) -> Result<(), E> {
        let reason = format!("the message is {found}, not a JSON object");
        *self.failure = Some(Failure { code: "not_an_object", reason });
        Err(E::custom("not an object"))
    }
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut expected = 0;
        while let Some(index) = map.next_key_seed(Name { fields: self.fields, expected })? {
            let Some(index) = index else {
                *self.unknown += 1;
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            expected = index + 1;
            let (field, column) = (&self.fields[index], &mut self.columns[index]);
            if column.rows() > self.row {
                let reason = format!("field `{}` is there twice", field.name);
                *self.failure = Some(Failure { code: "duplicate_field", reason });
                return Err(serde::de::Error::custom("duplicate field"));
            }
            map.next_value_seed(Cell { field, column, failure: self.failure, item: false })?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        self.refuse("an array")
    }

    fn visit_str<E: serde::de::Error>(self, _: &str) -> Result<(), E> {
        self.refuse("a text")
    }

    fn visit_bool<E: serde::de::Error>(self, _: bool) -> Result<(), E> {
        self.refuse("a boolean")
    }

    fn visit_i64<E: serde::de::Error>(self, _: i64) -> Result<(), E> {
        self.refuse("a number")
    }

    fn visit_u64<E: serde::de::Error>(self, _: u64) -> Result<(), E> {
        self.refuse("a number")
    }

    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<(), E> {
        self.refuse("a number")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        self.refuse("null")
    }
}

/// A key: the index of its field, or None. Producers write their fields in one order, so the next one is tried first.
struct Name<'a> {
    fields: &'a [Field],
    expected: usize,
}

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = Option<usize>;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Option<usize>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field's name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Option<usize>, E> {
        if self.fields.get(self.expected).is_some_and(|field| field.name == name) {
            return Ok(Some(self.expected));
        }
        Ok(self.fields.iter().position(|field| field.name == name))
    }
}

/// One field's value, or one item of its list.
struct Cell<'a> {
    field: &'a Field,
    column: &'a mut Column,
    failure: &'a mut Option<Failure>,
    item: bool,
}

impl<'de> DeserializeSeed<'de> for Cell<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Cell<'_> {
    fn wrong<E: serde::de::Error>(self, found: impl fmt::Display) -> Result<(), E> {
        let inside = if self.item { "a list that holds " } else { "" };
        let reason =
            format!("field `{}` must be {}, but is {inside}{found}", self.field.name, described(self.field.ty));
        *self.failure = Some(Failure { code: "wrong_type", reason });
        Err(E::custom("wrong type"))
    }

    fn put<E: serde::de::Error>(self, value: Option<Value<'_>>, found: impl fmt::Display) -> Result<(), E> {
        match value {
            Some(value) if self.field.ty.list == self.item => {
                self.column.push(value);
                Ok(())
            }
            _ => self.wrong(found),
        }
    }
}

fn described(ty: Type) -> String {
    let form = match ty.kind {
        Kind::Date => " (\"YYYY-MM-DD\", a day that exists)",
        Kind::Timestamp => " (ISO 8601 with a zone, such as \"2013-05-06T07:08:09Z\")",
        Kind::Binary => " (base64)",
        _ => "",
    };
    format!("{ty}{form}")
}

fn quoted(text: &str) -> String {
    const CHARS_MAX: usize = 60;
    let short: String = text.chars().take(CHARS_MAX).collect();
    let dots = if short.len() < text.len() { "…" } else { "" };
    format!("{short:?}{dots}")
}

fn from_i64(kind: Kind, value: i64) -> Option<Value<'static>> {
    match kind {
        Kind::Int64 => Some(Value::Int64(value)),
        Kind::Float64 => Some(Value::Float64(value as f64)),
        _ => None,
    }
}

fn from_u64(kind: Kind, value: u64) -> Option<Value<'static>> {
    match kind {
        Kind::Int64 => i64::try_from(value).ok().map(Value::Int64),
        Kind::Float64 => Some(Value::Float64(value as f64)),
        _ => None,
    }
}

/// `scratch` holds decoded base64.
fn from_str<'a>(kind: Kind, text: &'a str, scratch: &'a mut Vec<u8>) -> Option<Value<'a>> {
    match kind {
        Kind::Text => Some(Value::Bytes(text.as_bytes())),
        Kind::Date => time::parse_date(text).map(Value::Date),
        Kind::Timestamp => time::parse_timestamp(text).map(Value::Timestamp),
        Kind::Binary => {
            use base64::Engine;
            *scratch = base64::engine::general_purpose::STANDARD.decode(text).ok()?;
            Some(Value::Bytes(scratch))
        }
        _ => None,
    }
}

impl<'de> Visitor<'de> for Cell<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.field.ty)
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<(), E> {
        let put = (self.field.ty.kind == Kind::Boolean).then_some(Value::Boolean(value));
        self.put(put, value)
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<(), E> {
        let put = from_i64(self.field.ty.kind, value);
        self.put(put, value)
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<(), E> {
        let put = from_u64(self.field.ty.kind, value);
        self.put(put, value)
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<(), E> {
        let put = (self.field.ty.kind == Kind::Float64).then_some(Value::Float64(value));
        self.put(put, value)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        let mut scratch = Vec::new();
        let put = from_str(self.field.ty.kind, text, &mut scratch);
        self.put(put, format_args!("the text {}", quoted(text)))
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        if self.item || !self.field.ty.nullable {
            return self.wrong("null");
        }
        self.column.push_null();
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        if self.item || !self.field.ty.list {
            return self.wrong("an array");
        }
        let Cell { field, column, failure, .. } = self;
        while items.next_element_seed(Cell { field, column, failure, item: true })?.is_some() {}
        column.end_list();
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        self.wrong("an object")
    }
}

#[cfg(test)]
mod tests;
