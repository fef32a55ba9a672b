//! `[train]`: read with the rest of the file, so that a mistake in it shows before a long run.

use std::ops::RangeInclusive;
use std::path::PathBuf;

use super::diagnostics::Diagnostic;
use super::reader::{At, Context, Read, Table, Value};
use crate::plan::TrainPlan;

pub const KEYS: &[&str] = &[
    "data",
    "label",
    "class_bounds",
    "labels",
    "date_column",
    "features",
    "rounds",
    "depth_max",
    "learning_rate",
    "seed",
];
const ROUNDS: u64 = 100;
const ROUNDS_BOUNDS: RangeInclusive<u64> = 1..=10_000;
const DEPTH_MAX: u64 = 6;
/// A tree of depth 16 has 65,536 leaves.
const DEPTH_BOUNDS: RangeInclusive<u64> = 1..=16;
const LEARNING_RATE: f64 = 0.3;
const SEED: u64 = 0;
const SEED_BOUNDS: RangeInclusive<u64> = 0..=i32::MAX as u64;

/// What was read, and where the names stand that have to do with the rest of the file.
pub struct Train {
    plan: TrainPlan,
    pub features: At<Vec<At<String>>>,
    pub date_column: At<String>,
}

impl Train {
    /// The data's path is relative to the pipeline's folder.
    pub fn plan(self, cx: &Context) -> TrainPlan {
        TrainPlan { data: cx.path(&self.plan.data), ..self.plan }
    }
}

pub fn read(table: &Table) -> Read<Train> {
    let (data, label, date_column) = (table.name("data"), table.name("label"), table.name("date_column"));
    let (features, labels) = (table.names("features"), table.names("labels"));
    let bounds = table.required("class_bounds").and_then(|value| class_bounds(table.cx, value));
    if let (Ok(bounds), Ok(labels)) = (&bounds, &labels) {
        one_label_a_class(table.cx, bounds, labels)?;
    }
    if let (Ok(label), Ok(features)) = (&label, &features) {
        label_is_no_feature(table.cx, label, features)?;
    }
    let rounds = table.limit("rounds", ROUNDS, ROUNDS_BOUNDS);
    let depth_max = table.limit("depth_max", DEPTH_MAX, DEPTH_BOUNDS);
    let learning_rate = table.positive_number("learning_rate", LEARNING_RATE, 1.0);
    let seed = table.limit("seed", SEED, SEED_BOUNDS);
    let (date_column, features) = (date_column?, features?);
    let plan = TrainPlan {
        data: PathBuf::from(data?.value),
        label: label?.value,
        class_bounds: bounds?.value,
        labels: texts(&labels?),
        date_column: date_column.value.clone(),
        features: texts(&features),
        rounds: rounds? as u32,
        depth_max: depth_max? as u32,
        learning_rate: learning_rate?,
        seed: seed?,
    };
    Ok(Train { plan, features, date_column })
}

fn texts(names: &At<Vec<At<String>>>) -> Vec<String> {
    names.value.iter().map(|name| name.value.clone()).collect()
}

fn label_is_no_feature(cx: &Context, label: &At<String>, features: &At<Vec<At<String>>>) -> Read<()> {
    match features.value.iter().find(|feature| feature.value == label.value) {
        None => Ok(()),
        Some(feature) => {
            let told = Diagnostic::error(format!("the feature `{}` is what the model shall find out", feature.value));
            Err(cx.error(told.at(&feature.span).note(&label.span, "it is the label")))
        }
    }
}

fn class_bounds(cx: &Context, value: &Value) -> Read<At<Vec<f64>>> {
    let values = cx.array(value, "`train.class_bounds`")?;
    let bounds: Vec<_> = values.iter().map(|value| cx.number(value, "a class bound")).collect();
    let bounds = bounds.into_iter().collect::<Read<Vec<_>>>()?;
    if bounds.is_empty() || !bounds.is_sorted_by(|a, b| a < b) {
        let wrong = Diagnostic::error("`train.class_bounds` does not make classes").at(&value.span());
        return Err(cx.error(wrong.label("expected at least one number, and each above the one before")));
    }
    Ok(At::new(bounds, value.span()))
}

fn one_label_a_class(cx: &Context, bounds: &At<Vec<f64>>, labels: &At<Vec<At<String>>>) -> Read<()> {
    let (classes, labels_given) = (bounds.value.len() + 1, labels.value.len());
    if classes == labels_given {
        return Ok(());
    }
    let wrong = Diagnostic::error(format!("{labels_given} labels for {classes} classes")).at(&labels.span);
    let wrong = wrong.label(format!("expected {classes} labels"));
    Err(cx.error(wrong.note(&bounds.span, format!("{} bounds make {classes} classes", bounds.value.len()))))
}
