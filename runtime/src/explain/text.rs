//! What is known of a message, for people: `+` a column that the stage added, `~` one that it changed.

use std::fmt;

use serde_json::Value;

use super::{Explained, InSink, Message, Owner, OwnerState, Row, State, Step};

/// Of one message at one stage, and in one sink.
const ROWS_SHOWN_MAX: usize = 10;

impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}, generation {}\n", self.pipeline, self.generation)?;
        message(f, &self.message)?;
        owner(f, &self.owner, &self.generation)?;
        let mut before: &[Value] = &[];
        for step in &self.stages {
            stage(f, step, before)?;
            before = &step.rows;
        }
        for sink in &self.sinks {
            writeln!(f, "\nsink  `{}` to {} `{}`", sink.sink, sink.kind, sink.place)?;
            in_sink(f, sink)?;
        }
        writeln!(f, "\nrejects  {} `{}`", self.rejects.kind, self.rejects.place)?;
        in_sink(f, &self.rejects)
    }
}

fn message(f: &mut fmt::Formatter<'_>, message: &Message) -> fmt::Result {
    writeln!(f, "message  {}:{}:{}", message.topic, message.partition, message.offset)?;
    writeln!(f, "  time   {}", message.timestamp.as_deref().unwrap_or("none"))?;
    writeln!(f, "  key    {}", message.key.as_deref().unwrap_or("none"))?;
    writeln!(f, "  value  {}  ({} bytes)", message.value.as_deref().unwrap_or("none"), message.value_bytes)?;
    if !message.same_key_at.is_empty() {
        writeln!(f, "  the same key is at {} too", message.same_key_at.join(", "))?;
    }
    Ok(())
}

fn owner(f: &mut fmt::Formatter<'_>, owner: &Owner, ours: &str) -> fmt::Result {
    let group = &owner.group;
    let stands = owner.group_stands_at.map_or("has committed nothing".into(), |at| format!("stands at offset {at}"));
    match (owner.state, owner.generation.as_deref()) {
        (OwnerState::NotYet, _) => writeln!(f, "  not yet computed: group `{group}` {stands} in this partition"),
        (OwnerState::AnotherTopic, _) => writeln!(
            f,
            "  group `{group}` {stands}, and that is about another topic of this name, which was deleted: the pipeline \
             does not start on this one before its positions are reset"
        ),
        (_, Some(generation)) if generation == ours => {
            writeln!(f, "  computed by generation {generation}, this file's")
        }
        (_, Some(generation)) => writeln!(
            f,
            "  computed by generation {generation}, another one: the values at the stages below are what this file, \
             generation {ours}, makes of it"
        ),
        (_, None) => match owner.generations_begin_at {
            Some(begins) => writeln!(
                f,
                "  computed by a generation that is not known any more: group `{group}` {stands}, and its list of \
                 generations begins with offset {begins}. The values at the stages below are this file's"
            ),
            None => writeln!(
                f,
                "  group `{group}` {stands}, and no list of generations stands beside that: another program moved it. \
                 The values at the stages below are this file's"
            ),
        },
    }
}

fn stage(f: &mut fmt::Formatter<'_>, step: &Step, before: &[Value]) -> fmt::Result {
    match step.kind == step.stage {
        true => writeln!(f, "\n{}", step.stage)?,
        false => writeln!(f, "\n{}  `{}`", step.kind, step.stage)?,
    }
    for (index, row) in step.rows.iter().enumerate().take(ROWS_SHOWN_MAX) {
        if step.rows.len() > 1 {
            writeln!(f, "  row {index}")?;
        }
        // rows of a stage that multiplies them have one row before them
        let was = before.get(index).or(before.first());
        columns(f, step, row, was)?;
    }
    more(f, step.rows.len())?;
    for rejected in &step.rejected {
        writeln!(f, "  refused: {}: {}", rejected.code, rejected.reason)?;
    }
    if step.rows.is_empty() && step.rejected.is_empty() {
        writeln!(f, "  filtered: no row goes on")?;
    }
    Ok(())
}

fn columns(f: &mut fmt::Formatter<'_>, step: &Step, row: &Value, was: Option<&Value>) -> fmt::Result {
    let value = |row: &Value, column: &str| row.get(column).cloned();
    let width = step.columns.iter().map(|column| column.chars().count()).max().unwrap_or(0);
    let mut same = true;
    for column in &step.columns {
        let now = value(row, column).unwrap_or(Value::Null);
        let mark = match was.and_then(|was| value(was, column)) {
            None => '+',
            Some(was) if was != now => '~',
            Some(_) => continue,
        };
        same = false;
        writeln!(f, "  {mark} {column:width$}  {now}")?;
    }
    if same { writeln!(f, "  the row as it came") } else { Ok(()) }
}

fn in_sink(f: &mut fmt::Formatter<'_>, sink: &InSink) -> fmt::Result {
    let stands = match sink.stands_at {
        Some(at) => format!("the sink stands at offset {at}"),
        None => "the sink has no position of this partition yet".into(),
    };
    let detail = sink.detail.as_ref().map(|detail| format!("; {detail}")).unwrap_or_default();
    match sink.state {
        State::There => {
            for row in sink.rows.iter().take(ROWS_SHOWN_MAX) {
                there(f, row)?;
            }
            more(f, sink.rows.len())
        }
        State::NotYet => writeln!(f, "  not yet: {stands}{detail}"),
        State::Nothing => writeln!(f, "  nothing of it, and nothing should be"),
        State::Missing => writeln!(
            f,
            "  missing: {stands}, and it is not there{detail}. The sink was begun behind it (`start`), or it was removed"
        ),
        State::NotFound => writeln!(f, "  not found{detail}"),
        State::NoAnswer => writeln!(f, "  no answer: {}", sink.detail.as_deref().unwrap_or("unknown why")),
    }
}

fn there(f: &mut fmt::Formatter<'_>, row: &Row) -> fmt::Result {
    let generation = row.generation.as_ref().map(|it| format!(", generation {it}")).unwrap_or_default();
    writeln!(f, "  there: {}{generation}", row.place)?;
    match row.as_computed {
        Some(false) => writeln!(f, "    unlike what this file makes of it: {}", row.row),
        _ if row.row.get("reason").is_some() && row.row.get("stage").is_some() => {
            let text = |name: &str| row.row[name].as_str().unwrap_or_default().to_owned();
            writeln!(f, "    refused at `{}`: {}: {}", text("stage"), text("code"), text("reason"))
        }
        _ => Ok(()),
    }
}

fn more(f: &mut fmt::Formatter<'_>, rows: usize) -> fmt::Result {
    if rows > ROWS_SHOWN_MAX { writeln!(f, "  and {} more rows", rows - ROWS_SHOWN_MAX) } else { Ok(()) }
}
