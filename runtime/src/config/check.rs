//! The file as a whole: columns from the source to the sinks, names that must differ, topics that must not loop.
//!
//! Invariant: a [`Plan`] comes out only where nothing was reported as wrong. Reads artifacts, connects to nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use super::diagnostics::{Diagnostic, Diagnostics};
use super::file::{File, From, Sink, SinkKind, Status, Write};
use super::flow::{Flow, Who};
use super::generation::Generation;
use super::reader::{At, Context, Read};
use super::stages::{self, Purpose, Stages};
use crate::kafka::Brokers;
use crate::plan::{
    self, Create, DocumentWrite, HdfsPlan, MongodbPlan, Plan, SinkPlan, SourcePlan, StatusPlan, Training,
};
use crate::rejects;
use crate::schema::{Field, Kind, Schema, Type};
use crate::sink::mark;

pub fn plan(cx: &Context, path: &Path, file: File) -> Read<Plan> {
    let Checked { schema, stages, sinks, off, rejects } = whole(cx, &file, Purpose::Run)?;
    let source = source_plan(&file)?;
    let parts =
        Generation { source: &source, stages: &stages.settings, schema: &schema, sinks: &sinks, rejects: &rejects };
    let generation = parts.digest();
    let creates = creates(&file)?;
    let status = status(&file)?;
    Ok(Plan {
        name: file.name?.value,
        file: path.to_owned(),
        source,
        batch: file.batch?,
        commit: file.commit?,
        stages: stages.plans,
        schema,
        generation_column: file.generation_column?.value,
        generation,
        sinks,
        off,
        rejects,
        creates,
        status,
        artifacts: stages.artifacts,
        train: file.train?.map(|train| train.plan(cx)),
        warnings: Diagnostics::default(),
    })
}

pub fn training(cx: &Context, file: File) -> Read<Training> {
    let stages = whole(cx, &file, Purpose::Train)?.stages;
    let source = source_plan(&file)?;
    let none = || {
        cx.error(
            Diagnostic::error("the pipeline does not say how its model is trained").help("describe it in `[train]`"),
        )
    };
    let train = file.train?.ok_or_else(none)?;
    let none = || cx.error(Diagnostic::error("there is no model to train").help("add a stage with `[stages.model]`"));
    let (model, schema) = stages.model.ok_or_else(none)?;
    Ok(Training {
        name: file.name?.value,
        source,
        stages: stages.plans,
        schema,
        model,
        artifacts: stages.artifacts,
        train: train.plan(cx),
        warnings: Diagnostics::default(),
    })
}

struct Checked {
    schema: Schema,
    stages: Stages,
    /// Those that run.
    sinks: Vec<SinkPlan>,
    off: Vec<String>,
    rejects: SinkPlan,
}

/// Goes through all of the file, whatever it meets.
fn whole(cx: &Context, file: &File, purpose: Purpose) -> Read<Checked> {
    let mut flow = source_columns(cx, file);
    let stages = stages::check(cx, &mut flow, file, purpose);
    add_generation(cx, &mut flow, file);
    let sinks = file.sinks.as_ref().map_err(|reported| *reported);
    let known: &[Sink] = sinks.map_or(&[], Vec::as_slice);
    let plans: Vec<_> = known.iter().map(|sink| sink_plan(cx, &mut flow, sink)).collect();
    let rejects = file.rejects.as_ref().map_err(|reported| *reported);
    let rejects_plan = rejects.and_then(|rejects| sink_plan_of(cx, &mut flow, rejects, Vec::new()));
    let everywhere: Vec<&Sink> = known.iter().chain(rejects.ok()).collect();
    one_cluster(cx, file, &everywhere);
    own_places(cx, file, &everywhere);
    if !cx.report.has_errors() {
        warn_unused(cx, &flow);
    }
    sinks?;
    let sinks = plans.into_iter().collect::<Read<Vec<_>>>()?;
    let off = off(cx, known)?;
    let sinks = sinks.into_iter().filter(|sink| !off.iter().any(|name| **name == *sink.name)).collect();
    Ok(Checked { schema: flow.schema(), stages: stages?, sinks, off, rejects: rejects_plan? })
}

/// The names of sinks that are switched off: not all of them.
fn off(cx: &Context, sinks: &[Sink]) -> Read<Vec<String>> {
    let is_off = |sink: &Sink| Ok((!sink.enabled?).then(|| sink.name.value.clone()));
    let off = sinks.iter().map(is_off).filter_map(Read::transpose).collect::<Read<Vec<_>>>()?;
    match sinks.first().filter(|_| off.len() == sinks.len()) {
        None => Ok(off),
        Some(first) => {
            let all = Diagnostic::error("every sink is switched off").at(&first.name.span);
            Err(cx.error(all.label("expected at least one without `enabled = false`")))
        }
    }
}

fn source_columns(cx: &Context, file: &File) -> Flow {
    let mut flow = Flow::new();
    for column in &file.columns {
        flow.source(cx, &column.name, column.ty.ok());
    }
    if !file.columns_whole {
        flow.open();
    }
    flow
}

fn add_generation(cx: &Context, flow: &mut Flow, file: &File) {
    let Ok(name) = &file.generation_column else { return flow.open() };
    let who = At::new("`generation_column`".to_owned(), name.span.clone());
    flow.add(cx, &Field::new(&name.value, Type::of(Kind::Text)), &who);
}

fn source_plan(file: &File) -> Read<SourcePlan> {
    let (mut fields, mut metadata) = (Vec::new(), Vec::new());
    for column in &file.columns {
        let field = Field::new(&column.name.value, column.ty?);
        match column.from.clone()? {
            From::Field => fields.push(field),
            From::Metadata(what) => metadata.push((field, what)),
        }
    }
    let kafka = file.source.as_ref().map_err(|reported| *reported)?;
    let text = |text: &Read<At<String>>| text.as_ref().map(|text| text.value.clone()).map_err(|reported| *reported);
    Ok(SourcePlan {
        brokers: Brokers::new(text(&kafka.brokers)?, properties(&kafka.properties)?),
        topic: text(&kafka.topic)?,
        group: text(&kafka.group)?,
        group_protocol: kafka.group_protocol?,
        start: kafka.start?,
        timeout: kafka.timeout?,
        fields,
        metadata,
    })
}

fn properties<T: Clone>(read: &Read<T>) -> Read<T> {
    read.as_ref().cloned().map_err(|reported| *reported)
}

/// By topic: no two of a pipeline's topics are the same.
fn creates(file: &File) -> Read<BTreeMap<String, Create>> {
    let (source, rejects) = (file.source.as_ref(), file.rejects.as_ref());
    let (source, rejects) = (source.map_err(|reported| *reported)?, rejects.map_err(|reported| *reported)?);
    let sinks = file.sinks.iter().flatten().filter(|sink| sink.enabled == Ok(true)).chain([rejects]);
    let sinks = sinks.filter_map(|sink| match &sink.kind {
        SinkKind::Kafka { topic, create, .. } => Some((topic, create)),
        _ => None,
    });
    let topics = [(&source.topic, &source.create)].into_iter().chain(sinks);
    let create = |(topic, create): (&Read<At<String>>, &Read<Option<Create>>)| {
        let topic = topic.as_ref().map_err(|reported| *reported)?;
        Ok((*create)?.map(|create| (topic.value.clone(), create)))
    };
    topics.map(create).filter_map(Read::transpose).collect()
}

fn status(file: &File) -> Read<Option<StatusPlan>> {
    let Some(status) = file.status.as_ref().map_err(|reported| *reported)? else { return Ok(None) };
    Ok(Some(StatusPlan { topic: status_topic(file, status)?.value, create: status.create? }))
}

/// By convention it has the pipeline's name.
fn status_topic(file: &File, status: &Status) -> Read<At<String>> {
    let topic = status.topic.as_ref().map_err(|reported| *reported)?;
    let name = file.name.as_ref().map_err(|reported| *reported)?;
    let conventional = || At::new(format!("{}-status", name.value), status.span.clone());
    Ok(topic.clone().unwrap_or_else(conventional))
}

fn sink_plan(cx: &Context, flow: &mut Flow, sink: &Sink) -> Read<SinkPlan> {
    let columns = sink_columns(cx, flow, sink);
    if let (SinkKind::Mongodb { .. }, Ok(columns)) = (&sink.kind, &columns) {
        mongodb_names(cx, sink, &flow.schema(), columns)?;
    }
    let when = sink_when(cx, flow, sink);
    let plan = sink_plan_of(cx, flow, sink, Vec::new())?;
    Ok(SinkPlan { columns: columns?, when: when?, ..plan })
}

fn sink_plan_of(cx: &Context, flow: &mut Flow, sink: &Sink, columns: Vec<usize>) -> Read<SinkPlan> {
    let kind = sink_kind(cx, flow, sink);
    Ok(SinkPlan {
        name: Arc::from(sink.name.value.as_str()),
        columns,
        when: None,
        start: sink.start?,
        timeout: sink.timeout?,
        required: sink.required?,
        on_gap: sink.on_gap?,
        kind: kind?,
    })
}

/// A sink, for people.
fn said(sink: &Sink) -> String {
    match sink.name.value.as_str() {
        rejects::SINK => "`rejects`".to_owned(),
        name => format!("sink `{name}`"),
    }
}

fn who(sink: &Sink, at: &At<String>) -> Who {
    At::new(said(sink), at.span.clone())
}

/// Columns that an earlier mistake may hide are left out; the plan is lost anyway.
fn sink_columns(cx: &Context, flow: &mut Flow, sink: &Sink) -> Read<Vec<usize>> {
    let Some(names) = sink.columns.as_ref().map_err(|reported| *reported)? else {
        flow.use_all();
        return Ok((0..flow.schema().0.len()).collect());
    };
    let found: Vec<_> = names.value.iter().map(|name| flow.find(cx, &name.value, &who(sink, name))).collect();
    found.into_iter().filter_map(Read::transpose).collect()
}

/// The column that says which rows it takes.
fn sink_when(cx: &Context, flow: &mut Flow, sink: &Sink) -> Read<Option<String>> {
    let Some(when) = sink.when.as_ref().map_err(|reported| *reported)? else { return Ok(None) };
    let index = flow.find(cx, &when.value, &who(sink, when))?;
    match index.and_then(|index| flow.type_at(index)).filter(|ty| ty.kind != Kind::Boolean || ty.list) {
        None => Ok(Some(when.value.clone())),
        Some(ty) => {
            let wrong =
                Diagnostic::error(format!("`when` is a column of true and false, and `{}` is {ty}", when.value));
            Err(cx.error(wrong.at(&when.span).label("expected a column of type bool")))
        }
    }
}

fn sink_kind(cx: &Context, flow: &mut Flow, sink: &Sink) -> Read<plan::SinkKind> {
    let text = |text: &Read<At<String>>| text.as_ref().map(|text| text.value.clone()).map_err(|reported| *reported);
    Ok(match &sink.kind {
        SinkKind::Kafka { topic, key, .. } => {
            let key = key.as_ref().map_err(|reported| *reported)?;
            let key = key.as_ref().map(|key| text_key(cx, flow, sink, key)).transpose()?;
            plan::SinkKind::Kafka { topic: text(topic)?, key: key.flatten() }
        }
        SinkKind::Mongodb { uri, database, collection, write } => plan::SinkKind::Mongodb(MongodbPlan {
            uri: text(uri)?,
            database: text(database)?,
            collection: text(collection)?,
            write: document_write(cx, flow, sink, write.as_ref().map_err(|reported| *reported)?)?,
        }),
        SinkKind::Hdfs(hdfs) => {
            hdfs.format?;
            let user = hdfs.user.as_ref().map_err(|reported| *reported)?;
            plan::SinkKind::Hdfs(HdfsPlan {
                uri: text(&hdfs.uri)?,
                user: user.as_ref().map(|user| user.value.clone()),
                directory: text(&hdfs.directory)?,
                roll_rows_max: hdfs.roll_rows_max?,
                roll_bytes_max: hdfs.roll_bytes_max?,
                roll_max: hdfs.roll_max?,
                properties: properties(&hdfs.properties)?,
            })
        }
    })
}

fn document_write(cx: &Context, flow: &mut Flow, sink: &Sink, write: &Write) -> Read<DocumentWrite> {
    let mut column = |key: &At<String>| text_key(cx, flow, sink, key).map(|_| key.value.clone());
    Ok(match write {
        Write::Insert => DocumentWrite::Insert,
        Write::Key(key) => DocumentWrite::Key(column(key)?),
        Write::Replace(key) => DocumentWrite::Replace(column(key)?),
    })
}

/// Of a message or a document. None: an earlier mistake may hide it.
fn text_key(cx: &Context, flow: &mut Flow, sink: &Sink, key: &At<String>) -> Read<Option<usize>> {
    let index = flow.find(cx, &key.value, &who(sink, key))?;
    let ty = index.and_then(|index| flow.type_at(index));
    match ty.filter(|ty| ty.kind != Kind::Text || ty.list) {
        None => Ok(index),
        Some(ty) => {
            let wrong = Diagnostic::error(format!("a key is a text, and `{}` is {ty}", key.value));
            Err(cx.error(wrong.at(&key.span).label("expected a column of type text")))
        }
    }
}

/// MongoDB keeps `_id` for the row's position, and gives dollars and dots a meaning of their own.
fn mongodb_names(cx: &Context, sink: &Sink, schema: &Schema, columns: &[usize]) -> Read<()> {
    let mut result = Ok(());
    for field in columns.iter().filter_map(|&index| schema.0.get(index)) {
        let name = &field.name;
        if name == "_id" || name == mark::FIELD || name.starts_with('$') || name.contains(['.', '\0']) {
            let wrong = Diagnostic::error(format!("MongoDB cannot store a column named `{name}`")).at(&sink.name.span);
            let expected = "expected names other than `_id` and `_millrace`, without dots, not beginning with a dollar";
            result = Err(cx.error(wrong.label(expected).help("leave the column out by `columns = […]`, or rename it")));
        }
    }
    result
}

/// Kafka sinks and the rejects share the head's transaction, which spans one cluster.
fn one_cluster(cx: &Context, file: &File, sinks: &[&Sink]) {
    let Ok(Ok(source)) = file.source.as_ref().map(|kafka| kafka.brokers.as_ref()) else { return };
    let sinks = sinks.iter().filter_map(|sink| match &sink.kind {
        SinkKind::Kafka { brokers, .. } => Some((said(sink), brokers.as_ref())),
        _ => None,
    });
    for (what, brokers) in sinks {
        let Ok(Some(brokers)) = brokers else { continue };
        if cluster(&brokers.value) != cluster(&source.value) {
            let other = Diagnostic::error(format!("{what} is on another cluster than the source")).at(&brokers.span);
            let other = other.label(format!("expected `{}`", source.value)).note(&source.span, "the source is here");
            cx.error(other.help(
                "for now, what is written to Kafka shares the source's transaction, so it must be the source's cluster",
            ));
        }
    }
}

fn cluster(brokers: &str) -> BTreeSet<&str> {
    brokers.split(',').collect()
}

/// No two writers write to one place, and none to where the source reads; heartbeats are a writer too.
fn own_places(cx: &Context, file: &File, sinks: &[&Sink]) {
    let mut places: Vec<(String, String, &At<String>)> = Vec::new();
    let topic = |topic: &At<String>| format!("topic `{}`", topic.value);
    if let Ok(Ok(source)) = file.source.as_ref().map(|kafka| kafka.topic.as_ref()) {
        places.push((topic(source), "the source reads".to_owned(), source));
    }
    let sinks = sinks.iter().filter_map(|sink| {
        let (place, at) = match &sink.kind {
            SinkKind::Kafka { topic: Ok(name), .. } => (topic(name), name),
            SinkKind::Mongodb { uri: Ok(uri), database: Ok(database), collection: Ok(collection), .. } => {
                let place = format!("collection `{}.{}`", database.value, collection.value);
                // the same database of another server is another place
                (format!("{place}\0{}", uri.value), collection)
            }
            SinkKind::Hdfs(hdfs) => {
                let (Ok(uri), Ok(directory)) = (&hdfs.uri, &hdfs.directory) else { return None };
                (format!("directory `{}`\0{}", directory.value, uri.value), directory)
            }
            _ => return None,
        };
        let does = match sink.name.value.as_str() {
            rejects::SINK => "the rejects go to".to_owned(),
            name => format!("sink `{name}` writes to"),
        };
        Some((place, does, at))
    });
    let heartbeats = file.status.as_ref().ok().and_then(Option::as_ref);
    let heartbeats = heartbeats.and_then(|status| status_topic(file, status).ok());
    let heartbeats = heartbeats.iter().map(|name| (topic(name), "`status` writes to".to_owned(), name));
    for (place, does, at) in sinks.chain(heartbeats) {
        match places.iter().find(|(there, ..)| *there == place) {
            Some((_, first_does, first)) => {
                let name = place.split('\0').next().unwrap_or_default();
                let same = Diagnostic::error(format!("{does} the {name}, which {first_does} too")).at(&at.span);
                cx.error(same.note(&first.span, "the other is here"));
            }
            None => places.push((place, does, at)),
        }
    }
}

fn warn_unused(cx: &Context, flow: &Flow) {
    for field in flow.unused() {
        let unused = Diagnostic::warning(format!("nobody uses `{}`", field.value)).at(&field.span);
        cx.report.warn(unused.help("no stage reads it and no sink writes it: take it away, and it is not decoded"));
    }
}
