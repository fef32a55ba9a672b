//! A pipeline that was checked: what the engine builds and runs. Only [`crate::config`] makes one.
//!
//! Invariant: a plan that exists is consistent; nothing behind it checks names, types or paths again. Every default
//! has its value.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::config::Diagnostics;
use crate::kafka::Brokers;
use crate::rejects;
use crate::schema::{Field, Kind, Schema, Type};
use crate::stage::{lookup, model, plugin};

#[derive(Debug)]
pub struct Plan {
    pub name: String,
    pub file: PathBuf,
    pub source: SourcePlan,
    pub batch: BatchLimits,
    pub commit: CommitLimits,
    pub stages: Vec<StagePlan>,
    /// Columns after the last stage; the last of them is `generation_column`.
    pub schema: Schema,
    pub generation_column: String,
    /// 16 hex digits of the content hash of fields, stages with their artifacts, and the sinks' columns.
    pub generation: Arc<str>,
    /// Those that run.
    pub sinks: Vec<SinkPlan>,
    /// Sinks of the file that are switched off.
    pub off: Vec<String>,
    /// A sink like any other, whose rows are rejects. On Kafka it is part of the head's transaction.
    pub rejects: SinkPlan,
    /// Topics that are made at a start where they are not there, and how; that of `status` is not among them.
    pub creates: BTreeMap<String, Create>,
    /// Where each process says how it is. None: nowhere.
    pub status: Option<StatusPlan>,
    /// Files that the generation is made of (component, booster, tables), to be kept until every sink has passed.
    pub artifacts: Vec<PathBuf>,
    /// What the file says about training; nothing but `millrace train` reads it.
    pub train: Option<TrainPlan>,
    /// What is odd about the file and no error.
    pub warnings: Diagnostics,
}

impl Plan {
    /// Topics of the Kafka sinks and of the rejects.
    pub fn topics_written(&self) -> BTreeSet<&str> {
        self.sinks.iter().chain([&self.rejects]).filter_map(SinkPlan::topic).collect()
    }

    /// The column that says which rows a sink takes; None: the pipeline has no such sink.
    pub fn when(&self, sink: &str) -> Option<Option<&str>> {
        self.sinks.iter().find(|known| *known.name == *sink).map(|known| known.when.as_deref())
    }

    /// By their stages' names.
    pub fn plugins(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<plugin::Program>)> {
        self.stages.iter().filter_map(|stage| match &stage.kind {
            StageKind::Plugin(program) => Some((&stage.name, program)),
            StageKind::Lookup(_) | StageKind::Model(_) => None,
        })
    }

    /// The sinks, and the rejects where they are one with a position of its own: what is told of each.
    pub fn sinks_seen(&self) -> impl Iterator<Item = &SinkPlan> {
        self.sinks.iter().chain(Some(&self.rejects).filter(|rejects| rejects.topic().is_none()))
    }

    /// The sinks that keep a position of their own, the rejects among them where they do.
    pub fn sinks_apart(&self) -> impl Iterator<Item = &SinkPlan> {
        self.sinks_seen().filter(|sink| sink.topic().is_none())
    }
}

#[derive(Debug, Clone)]
pub struct SourcePlan {
    pub brokers: Brokers,
    pub topic: String,
    pub group: String,
    pub group_protocol: GroupProtocol,
    pub start: Start,
    pub timeout: Duration,
    /// Taken from the message, in this order; then `metadata`.
    pub fields: Vec<Field>,
    pub metadata: Vec<(Field, Metadata)>,
}

impl SourcePlan {
    /// Columns as they leave the source.
    pub fn schema(&self) -> Schema {
        let metadata = self.metadata.iter().map(|(field, _)| field);
        Schema(self.fields.iter().chain(metadata).cloned().collect())
    }
}

/// What a topic is like that the pipeline makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Create {
    pub partitions: i32,
    pub replication: i32,
    /// None: as the brokers have it.
    pub retention_ms: Option<u64>,
    /// Of messages of one key the last is enough.
    pub compact: bool,
}

/// `[status]`: the topic of the processes' heartbeats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusPlan {
    pub topic: String,
    /// None: it is made by somebody else.
    pub create: Option<Create>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupProtocol {
    Consumer,
    Classic,
}

/// Where a source without a committed offset begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    Earliest,
    Latest,
}

/// What besides its value can be taken of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Metadata {
    /// text?
    Key,
    /// timestamp?
    Timestamp,
    /// int64
    Partition,
    /// int64
    Offset,
    /// text?: the last header of that name
    Header(String),
}

impl Metadata {
    pub fn ty(&self) -> Type {
        match self {
            Metadata::Key | Metadata::Header(_) => Type::of(Kind::Text).nullable(),
            Metadata::Timestamp => Type::of(Kind::Timestamp).nullable(),
            Metadata::Partition | Metadata::Offset => Type::of(Kind::Int64),
        }
    }
}

/// A batch is cut at whichever comes first.
#[derive(Debug, Clone, Copy)]
pub struct BatchLimits {
    pub rows_max: usize,
    pub bytes_max: usize,
    pub wait_max: Duration,
}

/// The head commits at whichever comes first.
#[derive(Debug, Clone, Copy)]
pub struct CommitLimits {
    pub rows_max: usize,
    /// Of messages and columns, as they wait in memory.
    pub bytes_max: usize,
    pub interval_max: Duration,
}

#[derive(Debug)]
pub struct StagePlan {
    pub name: Arc<str>,
    pub kind: StageKind,
    /// Columns after this stage.
    pub schema: Schema,
}

#[derive(Debug)]
pub enum StageKind {
    Lookup(Arc<lookup::Lookup>),
    Plugin(Arc<plugin::Program>),
    Model(Arc<model::Model>),
}

#[derive(Debug, Clone)]
pub struct SinkPlan {
    pub name: Arc<str>,
    /// Indices into the plan's schema, in the order in which they are written.
    pub columns: Vec<usize>,
    /// The bool column that says which rows it takes. None: all of them.
    pub when: Option<String>,
    pub start: SinkStart,
    pub timeout: Duration,
    /// The head waits for it.
    pub required: bool,
    pub on_gap: OnGap,
    pub kind: SinkKind,
}

impl SinkPlan {
    /// Of a sink that gathers rows in files: so long after its first row a file is published, at the latest.
    pub fn publishes_within(&self) -> Option<Duration> {
        match &self.kind {
            SinkKind::Hdfs(plan) => Some(plan.roll_max),
            SinkKind::Kafka { .. } | SinkKind::Mongodb(_) => None,
        }
    }

    pub fn is_rejects(&self) -> bool {
        *self.name == *rejects::SINK
    }

    /// Of a sink in the head's transaction.
    pub fn topic(&self) -> Option<&str> {
        match &self.kind {
            SinkKind::Kafka { topic, .. } => Some(topic),
            SinkKind::Mongodb(_) | SinkKind::Hdfs(_) => None,
        }
    }
}

impl SinkKind {
    /// Where the rejects of one sink are, among all that go to this place: files of one writer are a folder's.
    pub fn apart(&self, who: &str) -> SinkKind {
        match self {
            SinkKind::Hdfs(plan) => {
                SinkKind::Hdfs(HdfsPlan { directory: format!("{}/{who}", plan.directory), ..plan.clone() })
            }
            kind => kind.clone(),
        }
    }
}

/// Where a sink begins that has no position yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SinkStart {
    /// Where the head stands when the sink is first opened.
    Head,
    /// At the beginning of the log.
    Earliest,
}

/// What happens when the log has dropped rows that a sink never got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnGap {
    /// The sink stops, and says which.
    Stop,
    /// It says which, and goes on without them.
    Skip,
}

#[derive(Debug, Clone)]
pub enum SinkKind {
    /// On the source's cluster: part of the head's transaction.
    Kafka {
        topic: String,
        key: Option<usize>,
    },
    Mongodb(MongodbPlan),
    Hdfs(HdfsPlan),
}

#[derive(Debug, Clone)]
pub struct MongodbPlan {
    pub uri: String,
    pub database: String,
    pub collection: String,
    pub write: DocumentWrite,
}

impl MongodbPlan {
    /// The collection with its database, as people name it, and as a folder keeps it.
    pub fn namespace(&self) -> String {
        format!("{}.{}", self.database, self.collection)
    }
}

/// What a document is of. A key is the text of the column that is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DocumentWrite {
    /// A row, by its position.
    Insert,
    /// A key: the first row that has it, and others are refused.
    Key(String),
    /// A key: the last row that has it.
    Replace(String),
}

impl DocumentWrite {
    pub fn key(&self) -> Option<&str> {
        match self {
            DocumentWrite::Insert => None,
            DocumentWrite::Key(column) | DocumentWrite::Replace(column) => Some(column),
        }
    }
}

#[derive(Clone)]
pub struct HdfsPlan {
    pub uri: String,
    /// Hadoop's own settings. Values may be secrets.
    pub properties: BTreeMap<String, String>,
    /// None: HADOOP_USER_NAME where it is set and not empty, else the system's user.
    pub user: Option<String>,
    pub directory: String,
    pub roll_rows_max: u64,
    pub roll_bytes_max: u64,
    pub roll_max: Duration,
}

impl fmt::Debug for HdfsPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HdfsPlan").field("uri", &self.uri).field("directory", &self.directory).finish_non_exhaustive()
    }
}

/// `[train]`: how the pipeline's model is made.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainPlan {
    /// Rows as the source would carry them, JSON lines, with the label and the date beside the source's fields.
    pub data: PathBuf,
    /// The number in the data that the classes are cut from.
    pub label: String,
    /// The lower bounds of every class but the first, rising: n bounds make n + 1 classes.
    pub class_bounds: Vec<f64>,
    /// A word for each class.
    pub labels: Vec<String>,
    /// What splits training from test, and tells the model's seasons.
    pub date_column: String,
    /// Columns before the model, in the model's order.
    pub features: Vec<String>,
    pub rounds: u32,
    pub depth_max: u32,
    pub learning_rate: f64,
    pub seed: u64,
}

/// What training needs of a pipeline: all that comes before its model, checked like the rest.
#[derive(Debug)]
pub struct Training {
    pub name: String,
    pub source: SourcePlan,
    /// The stages before the model.
    pub stages: Vec<StagePlan>,
    /// Columns that the model will get.
    pub schema: Schema,
    /// The folder that the model stage names, which need not be there yet.
    pub model: PathBuf,
    /// The files that those stages are made of.
    pub artifacts: Vec<PathBuf>,
    pub train: TrainPlan,
    pub warnings: Diagnostics,
}
