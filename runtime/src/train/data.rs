//! The data: lines through the source's decoder and the stages before the model, each with its label's class.
//!
//! Invariant: every line that is not blank gave rows, or is counted among what was left out.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Date32Type;
use arrow_array::{Array, BooleanArray, RecordBatch};
use arrow_select::filter::filter_record_batch;
use serde_json::{Map, Value};

use super::{Progress, Watch};
use crate::batch::Batch;
use crate::error::{Error, Result};
use crate::json::decode::Decoder;
use crate::json::lines::Lines;
use crate::plan::{TrainPlan, Training};
use crate::schema::{Kind, Type};
use crate::stage::model::Feature;
use crate::stage::{Stage, through};

/// All of them are held in memory.
const ROWS_MAX: usize = 20_000_000;
const BATCH_ROWS: usize = 4_096;

pub struct Data {
    /// The features' columns of the rows, in the order of the rows, batch after batch.
    pub columns: Vec<RecordBatch>,
    pub rows: Vec<Row>,
    pub left_out: LeftOut,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Of the data's file, counted from 1.
    pub line: usize,
    pub class: usize,
    pub day: i32,
}

/// Lines that gave nothing to train on, by stage and code.
#[derive(Debug, Default)]
pub struct LeftOut(BTreeMap<(Arc<str>, Cow<'static, str>), Reason>);

#[derive(Debug)]
pub struct Reason {
    pub count: u64,
    /// The first of them, and what was said of it.
    pub line: usize,
    pub said: String,
}

impl LeftOut {
    fn add(&mut self, stage: &Arc<str>, code: Cow<'static, str>, line: usize, said: impl FnOnce() -> String) {
        let reason = self.0.entry((stage.clone(), code));
        reason.or_insert_with(|| Reason { count: 0, line, said: said() }).count += 1;
    }

    pub fn total(&self) -> u64 {
        self.0.values().map(|reason| reason.count).sum()
    }

    /// Stage, code and reason.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str, &Reason)> {
        self.0.iter().map(|((stage, code), reason)| (&**stage, &**code, reason))
    }
}

impl Data {
    pub fn read(training: &Training, watch: Watch<'_>) -> Result<Data> {
        let file = &training.train.data;
        let unread = |error| unread(file, error);
        let mut lines = Lines::open(file).map_err(unread)?;
        let mut reader = Reader::new(training)?;
        while let Some(line) = lines.next_line().map_err(unread)? {
            match label(&training.train, line.value).map_err(|said| at_line(file, line.number, said))? {
                Label::Absent => reader.unlabeled(line.number),
                Label::Class(class) => {
                    reader.decoder.push(&line);
                    reader.classes.push(class);
                }
            }
            if reader.classes.len() == BATCH_ROWS {
                reader.take()?;
                watch(Progress::Read { lines: line.number });
            }
        }
        reader.take()?;
        Ok(reader.data)
    }

    /// Each with its categories: the texts that there are, in the order of their bytes.
    pub fn features(&self, training: &Training) -> Vec<Feature> {
        let feature = |(index, name): (usize, &String)| {
            let ty = training.schema.get(name).map_or(Type::of(Kind::Float64), |field| field.ty);
            let categories = if ty.kind == Kind::Text { self.texts(index) } else { Vec::new() };
            Feature { name: name.clone(), ty, categories }
        };
        training.train.features.iter().enumerate().map(feature).collect()
    }

    fn texts(&self, column: usize) -> Vec<String> {
        let texts = self.columns.iter().flat_map(|columns| columns.column(column).as_string::<i32>().iter().flatten());
        texts.collect::<BTreeSet<_>>().into_iter().map(str::to_owned).collect()
    }

    /// Is there enough to train on?
    pub fn suffices(&self, train: &TrainPlan) -> Result<()> {
        if self.rows.is_empty() {
            let first = self.left_out.0.values().min_by_key(|reason| reason.line);
            let first =
                first.map_or("it is empty".to_owned(), |reason| format!("line {}: {}", reason.line, reason.said));
            return Err(Error::stop(format!("{} has no row to train on; {first}", train.data.display())));
        }
        let empty = (0..train.labels.len()).find(|class| self.rows.iter().all(|row| row.class != *class));
        empty.map_or(Ok(()), |class| {
            let label = &train.labels[class];
            Err(Error::stop(format!("no row is of class {class} (`{label}`): a model cannot learn it")))
        })
    }
}

/// A file that is not there may have a script beside it that fetches it.
fn unread(file: &Path, error: std::io::Error) -> Error {
    let script = file.with_file_name("fetch.py");
    let help = if error.kind() == std::io::ErrorKind::NotFound && script.is_file() {
        format!(" (fetch it: {})", script.display())
    } else {
        String::new()
    };
    Error::stop(format!("the data {} cannot be read{help}", file.display())).caused_by(error)
}

fn at_line(file: &Path, line: usize, said: String) -> Error {
    Error::stop(said).at(format_args!("{}:{line}", file.display()))
}

enum Label {
    Absent,
    Class(usize),
}

/// A line that is no JSON object has the first class: the decoder refuses it, and says why.
fn label(train: &TrainPlan, line: &[u8]) -> Result<Label, String> {
    let Ok(mut object) = serde_json::from_slice::<Map<String, Value>>(line) else { return Ok(Label::Class(0)) };
    match object.remove(&train.label) {
        None | Some(Value::Null) => Ok(Label::Absent),
        Some(Value::Number(number)) => {
            let number = number.as_f64().unwrap_or(f64::NAN);
            Ok(Label::Class(train.class_bounds.partition_point(|bound| *bound <= number)))
        }
        Some(other) => Err(format!("the label `{}` is {other}, not a number", train.label)),
    }
}

struct Reader<'a> {
    training: &'a Training,
    decoder: Decoder,
    stages: Vec<Stage>,
    /// Of the lines that the decoder holds.
    classes: Vec<usize>,
    stage: Arc<str>,
    data: Data,
}

impl<'a> Reader<'a> {
    fn new(training: &'a Training) -> Result<Reader<'a>> {
        let stages = training.stages.iter().map(|plan| {
            let stage = Stage::new(plan);
            stage.map_err(|error| error.at(format_args!("stage `{}`", plan.name)))
        });
        Ok(Reader {
            training,
            decoder: Decoder::new(&training.source),
            stages: stages.collect::<Result<_>>()?,
            classes: Vec::with_capacity(BATCH_ROWS),
            stage: Arc::from("data"),
            data: Data { columns: Vec::new(), rows: Vec::new(), left_out: LeftOut::default() },
        })
    }

    fn unlabeled(&mut self, line: usize) {
        let said = || format!("`{}` is absent or null", self.training.train.label);
        self.data.left_out.add(&self.stage, Cow::Borrowed("unlabeled"), line, said);
    }

    /// What the decoder holds, through the stages, to the data.
    fn take(&mut self) -> Result<()> {
        let batch = self.decoder.take(Vec::new())?;
        let mut stages = std::mem::take(&mut self.stages);
        let plans = &self.training.stages;
        let process = |stage: &mut Stage, at: usize, batch: Batch| {
            stage.process(batch).map_err(|error| error.at(format_args!("stage `{}`", plans[at].name)))
        };
        through(&mut stages, batch, process, |batch, _is_last| {
            self.count(&batch);
            self.keep(&batch)?;
            self.classes.drain(..batch.origins.len());
            Ok(true)
        })?;
        self.stages = stages;
        Ok(())
    }

    /// Lines that were refused, or that gave no row and no word.
    fn count(&mut self, batch: &Batch) {
        let line = |origin: u32| batch.origins.offsets[origin as usize] as usize;
        for reject in &batch.rejects {
            let said = || reject.reason.clone();
            self.data.left_out.add(&reject.stage, reject.code.clone(), line(reject.origin), said);
        }
        let rejected = batch.rejects.iter().map(|reject| reject.origin);
        let seen: BTreeSet<_> = batch.lineage.iter().copied().chain(rejected).collect();
        for origin in (0..batch.origins.len() as u32).filter(|origin| !seen.contains(origin)) {
            let said = || "a stage made no row of it".to_owned();
            self.data.left_out.add(&self.stage, Cow::Borrowed("filtered"), line(origin), said);
        }
    }

    /// Rows without a date have no place in time, and no model to judge them by.
    fn keep(&mut self, batch: &Batch) -> Result<()> {
        let train = &self.training.train;
        let days = batch.columns.column_by_name(&train.date_column);
        let days = days.and_then(|column| column.as_primitive_opt::<Date32Type>());
        let days = days.ok_or_else(|| Error::stop(format!("`{}` is not among the columns", train.date_column)))?;
        for (row, &origin) in batch.lineage.iter().enumerate() {
            let line = batch.origins.offsets[origin as usize] as usize;
            if days.is_null(row) {
                let said = || format!("`{}` is null", train.date_column);
                self.data.left_out.add(&self.stage, Cow::Borrowed("no_date"), line, said);
            } else {
                let class = self.classes[origin as usize];
                self.data.rows.push(Row { line, class, day: days.value(row) });
            }
        }
        if self.data.rows.len() > ROWS_MAX {
            return Err(Error::stop(format!("{} has more than {ROWS_MAX} rows", train.data.display())));
        }
        self.data.columns.push(features(&batch.columns, train, days)?);
        Ok(())
    }
}

/// The features' columns of the rows that have a date.
fn features(columns: &RecordBatch, train: &TrainPlan, days: &dyn Array) -> Result<RecordBatch> {
    let broken = |error| Error::stop("the features are not among the columns").caused_by(error);
    let places = train.features.iter().map(|name| columns.schema().index_of(name));
    let places = places.collect::<Result<Vec<_>, _>>().map_err(broken)?;
    let features = columns.project(&places).map_err(broken)?;
    match days.nulls() {
        None => Ok(features),
        Some(nulls) => filter_record_batch(&features, &BooleanArray::new(nulls.inner().clone(), None)).map_err(broken),
    }
}
