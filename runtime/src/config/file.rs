//! The pipeline file as it is written: its keys, their defaults and bounds, all in this place.
//!
//! Invariant: what is `Ok` here is right as far as it alone can show; what it has to do with the rest of the file is
//! [`super::check`]'s. Does no I/O.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use toml::de::DeTable;

use super::diagnostics::{Diagnostic, Span};
use super::json::{json, places};
use super::reader::{At, Context, Read, Table, Value, in_file_order};
use super::train;
use super::{names, properties};
use crate::kafka::Properties;
use crate::plan::{BatchLimits, CommitLimits, Create, GroupProtocol, Metadata, OnGap, SinkStart, Start};
use crate::rejects;
use crate::schema::Type;
use crate::stage::model::{Outputs, UnknownCategory};

pub(super) const KEYS: &[&str] =
    &["name", "generation_column", "source", "batch", "commit", "stages", "sinks", "rejects", "status", "train"];
const GENERATION_COLUMN: &str = "Generation";

pub(super) const SOURCE_KEYS: &[&str] = &["kafka", "fields", "metadata"];
pub(super) const SOURCE_KAFKA_KEYS: &[&str] =
    &["brokers", "topic", "create", "group", "group_protocol", "start", "timeout_ms", "properties"];
const TIMEOUT_MS: u64 = 10_000;
const TIMEOUT_MS_BOUNDS: RangeInclusive<u64> = 100..=600_000;

pub(super) const BATCH_KEYS: &[&str] = &["rows_max", "bytes_max", "wait_ms_max"];
const BATCH_ROWS_MAX: u64 = 1024;
const BATCH_ROWS_BOUNDS: RangeInclusive<u64> = 1..=1_000_000;
const BATCH_BYTES_MAX: u64 = 4 << 20;
/// Text columns count their bytes in 31 bits.
const BATCH_BYTES_BOUNDS: RangeInclusive<u64> = 1024..=1 << 30;
const BATCH_WAIT_MS_MAX: u64 = 5;
const BATCH_WAIT_MS_BOUNDS: RangeInclusive<u64> = 1..=60_000;

pub(super) const COMMIT_KEYS: &[&str] = &["rows_max", "bytes_max", "interval_ms_max"];
const COMMIT_ROWS_MAX: u64 = 5000;
const COMMIT_ROWS_BOUNDS: RangeInclusive<u64> = 1..=10_000_000;
/// What waits for a commit is held in memory until it is known.
const COMMIT_BYTES_MAX: u64 = 16 << 20;
const COMMIT_BYTES_BOUNDS: RangeInclusive<u64> = 1024..=1 << 30;
const COMMIT_INTERVAL_MS_MAX: u64 = 5;
/// Well below the 10 s after which the broker ends a transaction by itself.
const COMMIT_INTERVAL_MS_BOUNDS: RangeInclusive<u64> = 1..=5_000;

pub(super) const STAGE_KEYS: &[&str] = &["name", "lookup", "plugin", "model"];
pub(super) const LOOKUP_KEYS: &[&str] = &["table", "on", "fill", "missing", "default"];
pub(super) const PLUGIN_KEYS: &[&str] = &["component", "memory_mib_max", "fuel_per_row_max", "config"];
const MEMORY_MIB_MAX: u64 = 64;
/// A guest's addresses have 32 bits.
const MEMORY_MIB_BOUNDS: RangeInclusive<u64> = 1..=4096;
pub const FUEL_PER_ROW_MAX: u64 = 1_000_000;
const FUEL_PER_ROW_BOUNDS: RangeInclusive<u64> = 1..=1_000_000_000_000;
pub(super) const MODEL_KEYS: &[&str] =
    &["path", "unknown_category", "class", "probabilities", "model_date", "season_known"];

/// What every sink has, and what it is.
pub(super) const SINK_KEYS: &[&str] =
    &["enabled", "columns", "when", "start", "timeout_ms", "required", "on_gap", "kafka", "mongodb", "hdfs"];
pub(super) const KAFKA_KEYS: &[&str] = &["brokers", "topic", "create", "key"];
pub(super) const MONGODB_KEYS: &[&str] = &["uri", "database", "collection", "write", "key"];
pub(super) const HDFS_KEYS: &[&str] =
    &["uri", "user", "directory", "format", "roll_rows_max", "roll_bytes_max", "roll_seconds_max", "properties"];
const ROLL_ROWS_MAX: u64 = 100_000;
const ROLL_ROWS_BOUNDS: RangeInclusive<u64> = 1..=1_000_000_000;
const ROLL_BYTES_MAX: u64 = 64 << 20;
const ROLL_BYTES_BOUNDS: RangeInclusive<u64> = 1..=1 << 40;
const ROLL_SECONDS_MAX: u64 = 60;
const ROLL_SECONDS_BOUNDS: RangeInclusive<u64> = 1..=86_400;

/// A sink's keys, apart from those that say which rows it gets.
pub(super) const REJECTS_KEYS: &[&str] = &["timeout_ms", "required", "on_gap", "kafka", "mongodb", "hdfs"];
pub(super) const REJECTS_KAFKA_KEYS: &[&str] = &["brokers", "topic", "create"];
pub(super) const REJECTS_MONGODB_KEYS: &[&str] = &["uri", "database", "collection"];

pub(super) const STATUS_KEYS: &[&str] = &["topic", "create"];

pub(super) const CREATE_KEYS: &[&str] = &["partitions", "replication", "retention_ms"];
const PARTITIONS_BOUNDS: RangeInclusive<u64> = 1..=10_000;
const REPLICATION: u64 = 1;
const REPLICATION_BOUNDS: RangeInclusive<u64> = 1..=100;
/// At least as long as a broker's own look at what is to be dropped takes.
const RETENTION_MS_BOUNDS: RangeInclusive<u64> = 1_000..=i64::MAX as u64;

pub struct File {
    pub name: Read<At<String>>,
    pub generation_column: Read<At<String>>,
    pub source: Read<Kafka>,
    /// The source's fields, then its metadata.
    pub columns: Vec<Column>,
    /// False where a mistake may hide more of them.
    pub columns_whole: bool,
    pub batch: Read<BatchLimits>,
    pub commit: Read<CommitLimits>,
    pub stages: Vec<Stage>,
    pub stages_whole: bool,
    pub sinks: Read<Vec<Sink>>,
    pub rejects: Read<Sink>,
    pub status: Read<Option<Status>>,
    pub train: Read<Option<train::Train>>,
}

pub struct Kafka {
    pub brokers: Read<At<String>>,
    pub topic: Read<At<String>>,
    pub create: Read<Option<Create>>,
    pub group: Read<At<String>>,
    pub group_protocol: Read<GroupProtocol>,
    pub start: Read<Start>,
    pub timeout: Read<Duration>,
    pub properties: Read<Properties>,
}

pub struct Status {
    /// None: it is named after the pipeline.
    pub topic: Read<Option<At<String>>>,
    pub span: Span,
    pub create: Read<Option<Create>>,
}

pub struct Column {
    pub name: At<String>,
    pub ty: Read<Type>,
    pub from: Read<From>,
}

#[derive(Clone)]
pub enum From {
    Field,
    Metadata(Metadata),
}

pub struct Stage {
    pub name: Read<At<String>>,
    pub kind: Read<StageKind>,
}

pub enum StageKind {
    Lookup(Lookup),
    Plugin(Plugin),
    Model(Model),
}

pub struct Lookup {
    pub table: Read<At<String>>,
    pub on: Read<At<Vec<At<String>>>>,
    pub fill: Read<At<Vec<At<String>>>>,
    pub missing: Read<Missing>,
}

pub enum Missing {
    Reject,
    Default(At<Vec<(At<String>, At<serde_json::Value>)>>),
}

pub struct Plugin {
    pub component: Read<At<String>>,
    pub memory_mib_max: Read<u64>,
    pub fuel_per_row_max: Read<u64>,
    /// JSON; `{}` where there is none.
    pub config: Read<At<serde_json::Value>>,
    /// Where what is in the config stands, by JSON pointer.
    pub config_places: BTreeMap<String, Span>,
}

pub struct Model {
    pub path: Read<At<String>>,
    pub unknown_category: Read<UnknownCategory>,
    pub class: Read<At<String>>,
    pub probabilities: Read<Option<At<String>>>,
    pub model_date: Read<At<String>>,
    pub season_known: Read<At<String>>,
}

pub struct Sink {
    pub name: At<String>,
    /// Off: checked like the others, and not run.
    pub enabled: Read<bool>,
    pub columns: Read<Option<At<Vec<At<String>>>>>,
    pub when: Read<Option<At<String>>>,
    pub start: Read<SinkStart>,
    pub timeout: Read<Duration>,
    pub required: Read<bool>,
    pub on_gap: Read<OnGap>,
    pub kind: SinkKind,
}

pub enum SinkKind {
    Kafka {
        brokers: Read<Option<At<String>>>,
        topic: Read<At<String>>,
        create: Read<Option<Create>>,
        key: Read<Option<At<String>>>,
    },
    Mongodb {
        uri: Read<At<String>>,
        database: Read<At<String>>,
        collection: Read<At<String>>,
        write: Read<Write>,
    },
    Hdfs(Hdfs),
}

/// What a document is of; with the column of the key.
pub enum Write {
    Insert,
    Key(At<String>),
    Replace(At<String>),
}

pub struct Hdfs {
    pub uri: Read<At<String>>,
    pub user: Read<Option<At<String>>>,
    pub directory: Read<At<String>>,
    pub format: Read<()>,
    pub roll_rows_max: Read<u64>,
    pub roll_bytes_max: Read<u64>,
    pub roll_max: Read<Duration>,
    pub properties: Read<BTreeMap<String, String>>,
}

impl File {
    pub fn read<'a>(cx: &Context<'a>, root: &DeTable<'a>) -> File {
        let top = Table::new(cx, String::new(), 0..0, root, KEYS);
        let source = top.table("source", SOURCE_KEYS);
        let (columns, columns_whole) = source.as_ref().map_or((Vec::new(), false), |source| columns(source));
        let (stages, stages_whole) = stages(&top);
        File {
            name: top.name("name").and_then(|name| names::identifier(cx, name, "`name`")),
            generation_column: top.name_or("generation_column", GENERATION_COLUMN),
            source: source.and_then(|source| source.table("kafka", SOURCE_KAFKA_KEYS)).map(|table| kafka(&table)),
            columns,
            columns_whole,
            batch: batch(&top),
            commit: commit(&top),
            stages,
            stages_whole,
            sinks: sinks(&top),
            rejects: rejects(&top),
            status: top.table_maybe("status", STATUS_KEYS).map(|table| table.map(|table| status(&table))),
            train: top
                .table_maybe("train", train::KEYS)
                .and_then(|table| table.map(|table| train::read(&table)).transpose()),
        }
    }
}

impl File {
    /// These sinks are off and no others, whatever the file and the environment say now.
    pub fn switch_off(&mut self, names: &[String]) {
        self.sinks.iter_mut().flatten().for_each(|sink| sink.enabled = Ok(!names.contains(&sink.name.value)));
    }

    /// The names of those that are on and keep a position of their own, the rejects among them where they do.
    pub fn sinks_apart(self) -> Read<Vec<String>> {
        let on = self.sinks?.into_iter().filter(|sink| sink.enabled == Ok(true)).chain([self.rejects?]);
        Ok(on.filter(|sink| !matches!(sink.kind, SinkKind::Kafka { .. })).map(|sink| sink.name.value).collect())
    }
}

fn milliseconds(table: &Table, key: &'static str, default: u64, bounds: RangeInclusive<u64>) -> Read<Duration> {
    table.limit(key, default, bounds).map(Duration::from_millis)
}

fn timeout(table: &Table) -> Read<Duration> {
    milliseconds(table, "timeout_ms", TIMEOUT_MS, TIMEOUT_MS_BOUNDS)
}

fn kafka(table: &Table) -> Kafka {
    let cx = table.cx;
    Kafka {
        brokers: table.name("brokers").and_then(|brokers| names::brokers(cx, brokers)),
        topic: table.name("topic").and_then(|topic| names::topic(cx, topic)),
        create: create(table),
        group: table.name("group"),
        group_protocol: table.choice(
            "group_protocol",
            &[("consumer", GroupProtocol::Consumer), ("classic", GroupProtocol::Classic)],
            GroupProtocol::Consumer,
        ),
        start: table.choice("start", &[("earliest", Start::Earliest), ("latest", Start::Latest)], Start::Earliest),
        timeout: timeout(table),
        properties: properties::of_kafka(table),
    }
}

/// And whether that is all of them.
fn columns(source: &Table) -> (Vec<Column>, bool) {
    let cx = source.cx;
    let mut whole = !source.is_misspelt("metadata");
    let mut columns = Vec::new();
    match source
        .required("fields")
        .and_then(|value| cx.entries(value, "`source.fields`").map(|entries| (value, entries)))
    {
        Ok((value, entries)) => {
            if entries.is_empty() {
                whole = false;
                cx.error(
                    Diagnostic::error("`source.fields` is empty")
                        .at(&value.span())
                        .label("expected at least one field"),
                );
            }
            columns.extend(in_file_order(entries).into_iter().map(|(name, value)| field(cx, name, value)));
        }
        Err(_) => whole = false,
    }
    match source.optional("metadata", |value, place| cx.entries(value, place)) {
        Ok(entries) => {
            let entries = entries.map(in_file_order).unwrap_or_default();
            columns.extend(entries.into_iter().map(|(name, value)| metadata(cx, name, value)));
        }
        Err(_) => whole = false,
    }
    (columns, whole)
}

fn field(cx: &Context, name: At<&str>, value: &Value) -> Column {
    let name = name.map(str::to_owned);
    let ty = cx.name(value, &format!("the type of `{}`", name.value)).and_then(|text| names::column_type(cx, &text));
    Column { name, ty, from: Ok(From::Field) }
}

fn metadata(cx: &Context, name: At<&str>, value: &Value) -> Column {
    let name = name.map(str::to_owned);
    let from =
        cx.name(value, &format!("what `{}` is taken from", name.value)).and_then(|text| names::metadata(cx, &text));
    Column { name, ty: from.clone().map(|metadata| metadata.ty()), from: from.map(From::Metadata) }
}

fn batch(top: &Table) -> Read<BatchLimits> {
    let empty = DeTable::new();
    let table = top.table_maybe("batch", BATCH_KEYS)?;
    let table = table.unwrap_or_else(|| Table::new(top.cx, String::new(), 0..0, &empty, BATCH_KEYS));
    let rows = table.limit("rows_max", BATCH_ROWS_MAX, BATCH_ROWS_BOUNDS);
    let bytes = table.limit("bytes_max", BATCH_BYTES_MAX, BATCH_BYTES_BOUNDS);
    let wait = milliseconds(&table, "wait_ms_max", BATCH_WAIT_MS_MAX, BATCH_WAIT_MS_BOUNDS);
    Ok(BatchLimits { rows_max: rows? as usize, bytes_max: bytes? as usize, wait_max: wait? })
}

fn commit(top: &Table) -> Read<CommitLimits> {
    let empty = DeTable::new();
    let table = top.table_maybe("commit", COMMIT_KEYS)?;
    let table = table.unwrap_or_else(|| Table::new(top.cx, String::new(), 0..0, &empty, COMMIT_KEYS));
    let rows = table.limit("rows_max", COMMIT_ROWS_MAX, COMMIT_ROWS_BOUNDS);
    let bytes = table.limit("bytes_max", COMMIT_BYTES_MAX, COMMIT_BYTES_BOUNDS);
    let interval = milliseconds(&table, "interval_ms_max", COMMIT_INTERVAL_MS_MAX, COMMIT_INTERVAL_MS_BOUNDS);
    Ok(CommitLimits { rows_max: rows? as usize, bytes_max: bytes? as usize, interval_max: interval? })
}

/// And whether that is all of them.
fn stages(top: &Table) -> (Vec<Stage>, bool) {
    let values = top.optional("stages", |value, place| top.cx.array(value, place));
    let whole = values.is_ok() && !top.is_misspelt("stages");
    let values = values.ok().flatten().unwrap_or_default();
    (values.iter().map(|value| stage(top.cx, value)).collect(), whole)
}

fn stage<'a>(cx: &Context<'a>, value: &Value<'a>) -> Stage {
    let span = value.span();
    let entries = match cx.entries(value, "a stage") {
        Ok(entries) => entries,
        Err(reported) => return Stage { name: Err(reported), kind: Err(reported) },
    };
    let table = Table::new(cx, "stages".to_owned(), span, entries, STAGE_KEYS);
    let name = table.name("name").and_then(|name| names::identifier(cx, name, "a stage's name"));
    Stage { name, kind: stage_kind(&table) }
}

fn stage_kind(table: &Table) -> Read<StageKind> {
    #[derive(Clone, Copy)]
    enum Kind {
        Lookup,
        Plugin,
        Model,
    }
    Ok(match table.one_of(&[("lookup", Kind::Lookup), ("plugin", Kind::Plugin), ("model", Kind::Model)])? {
        Kind::Lookup => StageKind::Lookup(lookup(&table.table("lookup", LOOKUP_KEYS)?)),
        Kind::Plugin => StageKind::Plugin(plugin(&table.table("plugin", PLUGIN_KEYS)?)),
        Kind::Model => StageKind::Model(model(&table.table("model", MODEL_KEYS)?)),
    })
}

fn lookup(table: &Table) -> Lookup {
    Lookup { table: table.name("table"), on: table.names("on"), fill: table.names("fill"), missing: missing(table) }
}

fn missing(table: &Table) -> Read<Missing> {
    let cx = table.cx;
    let default = table.choice("missing", &[("reject", false), ("default", true)], false)?;
    let Some(value) = table.get("default") else {
        return if default { table.required("default").map(|_| Missing::Reject) } else { Ok(Missing::Reject) };
    };
    if !default {
        let unused = Diagnostic::error("`stages.lookup.default` is given, but rows without a match are rejected");
        let place = table.key_span("default").unwrap_or(value.span());
        return Err(cx.error(unused.at(&place).help("write `missing = \"default\"` to use it")));
    }
    let entries = in_file_order(cx.entries(value, "`stages.lookup.default`")?);
    let values = entries.into_iter().map(|(name, value)| {
        let json = json(cx, value, &format!("the default of `{}`", name.value))?;
        Ok((name.map(str::to_owned), At::new(json, value.span())))
    });
    let values = values.collect::<Vec<Read<_>>>().into_iter().collect::<Read<Vec<_>>>()?;
    Ok(Missing::Default(At::new(values, value.span())))
}

fn plugin(table: &Table) -> Plugin {
    let nothing = || At::new(serde_json::json!({}), table.span.clone());
    let config = table.optional("config", |value, place| {
        table.cx.entries(value, place)?;
        Ok(At::new(json(table.cx, value, place)?, value.span()))
    });
    Plugin {
        component: table.name("component"),
        memory_mib_max: table.limit("memory_mib_max", MEMORY_MIB_MAX, MEMORY_MIB_BOUNDS),
        fuel_per_row_max: table.limit("fuel_per_row_max", FUEL_PER_ROW_MAX, FUEL_PER_ROW_BOUNDS),
        config: config.map(|config| config.unwrap_or_else(nothing)),
        config_places: table.get("config").map(places).unwrap_or_default(),
    }
}

fn model(table: &Table) -> Model {
    let unknown = [("missing", UnknownCategory::Missing), ("reject", UnknownCategory::Reject)];
    Model {
        path: table.name("path"),
        unknown_category: table.choice("unknown_category", &unknown, UnknownCategory::Missing),
        class: table.name("class"),
        probabilities: table.name_maybe("probabilities"),
        model_date: table.name_or("model_date", Outputs::MODEL_DATE),
        season_known: table.name_or("season_known", Outputs::SEASON_KNOWN),
    }
}

fn sinks(top: &Table) -> Read<Vec<Sink>> {
    let value = top.required("sinks")?;
    let entries = in_file_order(top.cx.entries(value, "`sinks`")?);
    if entries.is_empty() {
        let empty = Diagnostic::error("`sinks` is empty").at(&value.span());
        return Err(top.cx.error(empty.label("expected at least one sink: `[sinks.NAME.kafka]`")));
    }
    let sinks: Vec<_> = entries.into_iter().map(|(name, value)| sink(top.cx, name, value)).collect();
    sinks.into_iter().collect()
}

fn sink<'a>(cx: &Context<'a>, name: At<&str>, value: &Value<'a>) -> Read<Sink> {
    let place = format!("sinks.{}", name.value);
    let entries = cx.entries(value, &format!("`{place}`"))?;
    let name = names::identifier(cx, name.map(str::to_owned), "a sink's name").and_then(|name| names::sink(cx, name));
    let sink = Table::new(cx, place, value.span(), entries, SINK_KEYS);
    let starts = [("head", SinkStart::Head), ("earliest", SinkStart::Earliest)];
    let start = sink.choice("start", &starts, SinkStart::Head);
    let (enabled, columns, when) = (sink.flag("enabled", true), sink.names_maybe("columns"), sink.name_maybe("when"));
    let common = whatever_its_rows(&sink, name, sink_kind(&sink, KAFKA_KEYS, MONGODB_KEYS))?;
    Ok(Sink { enabled, start, columns, when, ..common })
}

/// `kafka`, `mongodb`: the keys of one that is a topic, or a collection.
fn sink_kind(sink: &Table, kafka: &'static [&'static str], mongodb: &'static [&'static str]) -> Read<SinkKind> {
    #[derive(Clone, Copy)]
    enum Kind {
        Kafka,
        Mongodb,
        Hdfs,
    }
    Ok(match sink.one_of(&[("kafka", Kind::Kafka), ("mongodb", Kind::Mongodb), ("hdfs", Kind::Hdfs)])? {
        Kind::Kafka => kafka_sink(&sink.table("kafka", kafka)?),
        Kind::Mongodb => mongodb_sink(&sink.table("mongodb", mongodb)?),
        Kind::Hdfs => SinkKind::Hdfs(hdfs_sink(&sink.table("hdfs", HDFS_KEYS)?)),
    })
}

fn whatever_its_rows(sink: &Table, name: Read<At<String>>, kind: Read<SinkKind>) -> Read<Sink> {
    let (timeout, required) = (timeout(sink), sink.flag("required", false));
    let on_gap = sink.choice("on_gap", &[("stop", OnGap::Stop), ("skip", OnGap::Skip)], OnGap::Stop);
    let (enabled, columns, when, start) = (Ok(true), Ok(None), Ok(None), Ok(SinkStart::Head));
    Ok(Sink { name: name?, enabled, columns, when, start, timeout, required, on_gap, kind: kind? })
}

fn kafka_sink(table: &Table) -> SinkKind {
    SinkKind::Kafka {
        brokers: brokers_maybe(table),
        topic: table.name("topic").and_then(|topic| names::topic(table.cx, topic)),
        create: create(table),
        // rejects have their message's
        key: if table.knows("key") { table.name_maybe("key") } else { Ok(None) },
    }
}

fn mongodb_sink(table: &Table) -> SinkKind {
    SinkKind::Mongodb {
        uri: table.name("uri").and_then(|uri| names::mongodb_uri(table.cx, uri)),
        database: table.name("database").and_then(|name| names::database(table.cx, name)),
        collection: table.name("collection").and_then(|name| names::collection(table.cx, name)),
        write: document_write(table),
    }
}

/// Rejects are inserted.
fn document_write(table: &Table) -> Read<Write> {
    if !table.knows("write") {
        return Ok(Write::Insert);
    }
    type Keyed = fn(At<String>) -> Write;
    let words: [(_, Option<Keyed>); 3] =
        [("insert", None), ("key", Some(Write::Key)), ("replace", Some(Write::Replace))];
    match table.choice("write", &words, None)? {
        Some(keyed) => table.name("key").map(keyed),
        None => match table.name_maybe("key")? {
            None => Ok(Write::Insert),
            Some(key) => {
                let unused = Diagnostic::error("`key` is of `write = \"key\"` or `\"replace\"`").at(&key.span);
                Err(table.cx.error(unused.label("a document that is inserted is known by its row's position")))
            }
        },
    }
}

fn hdfs_sink(table: &Table) -> Hdfs {
    let seconds = table.limit("roll_seconds_max", ROLL_SECONDS_MAX, ROLL_SECONDS_BOUNDS);
    Hdfs {
        uri: table.name("uri").and_then(|uri| names::hdfs_uri(table.cx, uri)),
        user: table.name_maybe("user"),
        directory: table.name("directory").and_then(|directory| names::directory(table.cx, directory)),
        format: table.choice("format", &[("jsonl", ())], ()),
        roll_rows_max: table.limit("roll_rows_max", ROLL_ROWS_MAX, ROLL_ROWS_BOUNDS),
        roll_bytes_max: table.limit("roll_bytes_max", ROLL_BYTES_MAX, ROLL_BYTES_BOUNDS),
        roll_max: seconds.map(Duration::from_secs),
        properties: properties::of_hadoop(table),
    }
}

fn rejects(top: &Table) -> Read<Sink> {
    let table = top.table("rejects", REJECTS_KEYS)?;
    let place = top.key_span("rejects").unwrap_or(table.span.clone());
    let name = At::new(rejects::SINK.to_owned(), place);
    whatever_its_rows(&table, Ok(name), sink_kind(&table, REJECTS_KAFKA_KEYS, REJECTS_MONGODB_KEYS))
}

fn status(table: &Table) -> Status {
    let topic = table.name_maybe("topic");
    let topic = topic.and_then(|topic| topic.map(|topic| names::topic(table.cx, topic)).transpose());
    let create = create(table).map(|create| create.map(|create| Create { compact: true, ..create }));
    Status { topic, span: table.span.clone(), create }
}

/// How the topic is made where it is not there; absent: it is not.
fn create(table: &Table) -> Read<Option<Create>> {
    let Some(table) = table.table_maybe("create", CREATE_KEYS)? else { return Ok(None) };
    let partitions = table.required("partitions").and_then(|_| table.limit("partitions", 1, PARTITIONS_BOUNDS));
    let replication = table.limit("replication", REPLICATION, REPLICATION_BOUNDS);
    let retention = table.get("retention_ms").map(|_| table.limit("retention_ms", 0, RETENTION_MS_BOUNDS)).transpose();
    // within i32: their bounds are
    let (partitions, replication, retention_ms) = (partitions? as i32, replication? as i32, retention?);
    Ok(Some(Create { partitions, replication, retention_ms, compact: false }))
}

/// Absent: the source's.
fn brokers_maybe(table: &Table) -> Read<Option<At<String>>> {
    let brokers = table.name_maybe("brokers")?;
    brokers.map(|brokers| names::brokers(table.cx, brokers)).transpose()
}
