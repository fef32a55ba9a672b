//! Rejects as rows: what a sink writes of a refused row, whichever kind of sink it is.
//!
//! Columns: `pipeline`, `generation`, `stage`, `code`, `reason`; where the message is: `topic`, `partition`, `offset`,
//! `resent_from` (where it was before it was sent again), `timestamp` (the message's own); `time`, when it was refused;
//! and the message itself: `key` and `original`, as text where they are UTF-8, else `key_base64` and `original_base64`.
//! What a reject does not have is left out of its record. Where the whole does not fit into a record, `original_bytes`
//! stands for the message: its value's size.
//!
//! Invariant: rejects come in the order of their messages, so that the position of one is the position of its message.
//! `time` apart, a reject is the same however often it is computed.

use std::sync::Arc;
use std::time::SystemTime;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::batch::{Batch, Origins, Reject, Span};
use crate::error::{Error, Result};
use crate::json::encode::Encoder;
use crate::json::time::micros;
use crate::plan::Plan;
use crate::sink::Outbound;

/// The sink that they go to, among the sinks; no other may have the name.
pub const SINK: &str = "rejects";

const WHAT: [&str; 11] = [
    "pipeline",
    "generation",
    "stage",
    "code",
    "reason",
    "topic",
    "partition",
    "offset",
    "resent_from",
    "timestamp",
    "time",
];
const MESSAGE: [&str; 4] = ["key", "key_base64", "original", "original_base64"];
/// In the place of these, where they are too much for a record.
const MESSAGE_LEFT_THERE: [&str; 1] = ["original_bytes"];

/// Columns of a reject with its message, in the order in which they are written.
pub fn columns() -> Vec<String> {
    WHAT.iter().chain(&MESSAGE).map(|&name| name.to_owned()).collect()
}

/// And of one whose message is too large, and stays where it is.
pub fn columns_without_message() -> Vec<String> {
    WHAT.iter().chain(&MESSAGE_LEFT_THERE).map(|&name| name.to_owned()).collect()
}

/// A reject as JSON, with its message or without.
pub struct Encoders {
    pub whole: Encoder,
    pub without_message: Encoder,
}

impl Encoders {
    pub fn new() -> Encoders {
        let of = |names: Vec<String>| Encoder::of_names(names.iter().map(String::as_str)).without_nulls();
        Encoders { whole: of(columns()), without_message: of(columns_without_message()) }
    }
}

impl Default for Encoders {
    fn default() -> Encoders {
        Encoders::new()
    }
}

/// What all rejects of a pipeline share.
#[derive(Clone, Debug)]
pub struct Place {
    pub pipeline: Arc<str>,
    pub topic: Arc<str>,
}

impl Place {
    pub fn of(plan: &Plan) -> Place {
        Place { pipeline: plan.name.as_str().into(), topic: plan.source.topic.as_str().into() }
    }

    /// The rejects of a batch's stages, in the place of its rows.
    pub fn of_stages(&self, outbound: &Outbound) -> Result<Outbound> {
        self.of_some(outbound, &outbound.batch.rejects, outbound.batch.spans.clone())
    }

    /// `rejects`, of messages of the batch, as its rows.
    pub fn of_some(&self, outbound: &Outbound, rejects: &[Reject], spans: Vec<Span>) -> Result<Outbound> {
        let (origins, generation) = (&outbound.batch.origins, &outbound.generation);
        let mut rejects: Vec<&Reject> = rejects.iter().collect();
        rejects.sort_by_key(|reject| reject.origin);
        let columns = self.record_batch(generation, origins, &rejects);
        let columns = columns.map_err(|cause| Error::stop("rejects as columns").caused_by(cause))?;
        let lineage = rejects.iter().map(|reject| reject.origin).collect();
        let batch = Batch { columns, lineage, origins: origins.clone(), spans, rejects: Vec::new() };
        Ok(Outbound { batch, generation: generation.clone() })
    }

    fn record_batch(
        &self,
        generation: &str,
        origins: &Origins,
        rejects: &[&Reject],
    ) -> Result<RecordBatch, arrow_schema::ArrowError> {
        let same = |text: &str| Arc::new(StringArray::new_repeated(text, rejects.len())) as ArrayRef;
        let texts = |of: &dyn Fn(&Reject) -> String| {
            Arc::new(rejects.iter().map(|reject| Some(of(reject))).collect::<StringArray>()) as ArrayRef
        };
        let maybe = |of: &dyn Fn(usize) -> Option<String>| {
            Arc::new(rejects.iter().map(|reject| of(reject.origin as usize)).collect::<StringArray>()) as ArrayRef
        };
        let numbers = |of: &dyn Fn(usize) -> i64| {
            Arc::new(rejects.iter().map(|reject| of(reject.origin as usize)).collect::<Int64Array>()) as ArrayRef
        };
        let moments = |of: &dyn Fn(usize) -> Option<i64>| {
            let moments = rejects.iter().map(|reject| of(reject.origin as usize));
            Arc::new(moments.collect::<TimestampMicrosecondArray>().with_timezone("UTC")) as ArrayRef
        };
        let key = |message: usize| origins.key(message as u32);
        let original = |message: usize| Some(origins.values.get(message));
        let now = now_micros();
        let arrays = [
            same(&self.pipeline),
            same(generation),
            texts(&|reject| reject.stage.to_string()),
            texts(&|reject| reject.code.to_string()),
            texts(&|reject| reject.reason.clone()),
            same(&self.topic),
            numbers(&|message| origins.partitions[message].into()),
            numbers(&|message| origins.offsets[message]),
            maybe(&|message| origins.resent_from.get(&(message as u32)).cloned()),
            moments(&|message| micros_of(origins.timestamps_ms[message])),
            moments(&|_| Some(now)),
            maybe(&|message| key(message).and_then(text)),
            maybe(&|message| key(message).and_then(base64)),
            maybe(&|message| original(message).and_then(text)),
            maybe(&|message| original(message).and_then(base64)),
            numbers(&|message| origins.values.get(message).len() as i64),
        ];
        let names = WHAT.iter().chain(&MESSAGE).chain(&MESSAGE_LEFT_THERE);
        RecordBatch::try_from_iter_with_nullable(names.zip(arrays).map(|(name, array)| (name, array, true)))
    }
}

fn text(bytes: &[u8]) -> Option<String> {
    std::str::from_utf8(bytes).ok().map(str::to_owned)
}

/// Of what is no text.
fn base64(bytes: &[u8]) -> Option<String> {
    std::str::from_utf8(bytes).err().map(|_| STANDARD.encode(bytes))
}

/// None: the message has no timestamp, or one that no text says.
fn micros_of(timestamp_ms: i64) -> Option<i64> {
    (timestamp_ms >= 0).then(|| micros(timestamp_ms)).flatten()
}

fn now_micros() -> i64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_micros() as i64)
}
