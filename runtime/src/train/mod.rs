//! Makes the model of a pipeline: rows through the pipeline's own source decoder, stages and encoder, so that features
//! are computed by the code that serves them; judged on rows that it was not trained on; then trained on all.
//!
//! Invariant: the same data and pipeline give the same booster, byte for byte. The model's folder is the former one
//! until the new one is whole. Every line that was not trained on is counted, with a reason.
//! Knows nothing of Kafka, and of JSON only that a line has a label.

mod data;
mod evaluate;
mod folder;
mod report;
mod split;

use std::path::Path;

use millrace_native::xgboost::{self, TrainingRows};

pub use self::data::{Data, LeftOut, Row};
use self::evaluate::evaluate;
use self::folder::{Draft, artifact, today};
pub use self::report::Report;
use self::split::Split;
use crate::calendar::civil;
use crate::error::{Error, Result};
use crate::plan::{StageKind, TrainPlan, Training};
use crate::stage::model::{Class, Day, Encoder, Feature, Figures, Manifest, Trained, version};

/// XGBoost's threads spin while they wait for each other: on a busy machine two took four times as long as one. The
/// trees are the same.
const THREADS: u32 = 1;

/// What training is at: for whoever waits.
#[derive(Clone, Copy, Debug)]
pub enum Progress {
    Read { lines: usize },
    Round { of: &'static str, round: u32, rounds: u32 },
}

pub type Watch<'a> = &'a mut dyn FnMut(Progress);

/// Trains, and puts the model where the pipeline expects it.
pub fn train(training: &Training, watch: Watch<'_>) -> Result<Report> {
    let data = Data::read(training, watch)?;
    data.suffices(&training.train)?;
    let features = data.features(training);
    let matrix = Matrix::new(&data, &training.train, &features)?;
    let draft = Draft::new(&training.model)?;
    let weeks = evaluate(&matrix, &Split::fifth_weeks(&data.rows)?, &draft, watch)?;
    let last_months = evaluate(&matrix, &Split::last_months(&data.rows)?, &draft, watch)?;
    matrix.fit(&(0..data.rows.len()).collect::<Vec<_>>(), "all", &draft.booster(), watch)?;
    let figures = Figures { weeks: Some(weeks), last_months: Some(last_months) };
    let manifest =
        Manifest { booster_sha256: Some(draft.booster_sha256()?), ..manifest(training, &data, features, figures)? };
    let booster_bytes = draft.publish(&manifest)?;
    Ok(Report { folder: training.model.clone(), booster_bytes, manifest, left_out: data.left_out })
}

/// All rows as a booster takes them.
pub struct Matrix<'a> {
    train: &'a TrainPlan,
    features: Vec<&'a str>,
    /// Row after row.
    values: Vec<f32>,
    classes: Vec<usize>,
}

impl<'a> Matrix<'a> {
    pub fn new(data: &Data, train: &'a TrainPlan, features: &'a [Feature]) -> Result<Matrix<'a>> {
        let encoder = Encoder::new(features);
        let (mut values, mut block) = (Vec::with_capacity(data.rows.len() * features.len()), Vec::new());
        for columns in &data.columns {
            encoder.encode(columns, &mut block)?;
            values.extend_from_slice(&block);
        }
        let features = features.iter().map(|feature| feature.name.as_str()).collect();
        Ok(Matrix { train, features, values, classes: data.rows.iter().map(|row| row.class).collect() })
    }

    pub fn row(&self, row: usize) -> &[f32] {
        let width = self.features.len();
        &self.values[row * width..(row + 1) * width]
    }

    fn gather(&self, rows: &[usize]) -> Vec<f32> {
        rows.iter().flat_map(|&row| self.row(row)).copied().collect()
    }

    /// A booster of these rows, in a file.
    fn fit(&self, rows: &[usize], of: &'static str, file: &Path, watch: Watch<'_>) -> Result<()> {
        let values = self.gather(rows);
        let labels: Vec<_> = rows.iter().map(|&row| self.classes[row] as f32).collect();
        let data = TrainingRows { rows: &values, columns: self.features.len(), labels: &labels };
        let rounds = self.train.rounds;
        let mut round = |round| watch(Progress::Round { of, round, rounds });
        xgboost::train(data, &parameters(self.train), rounds, &self.features, file, &mut round)
            .map_err(|error| Error::stop("XGBoost could not train").caused_by(error))
    }
}

fn parameters(train: &TrainPlan) -> Vec<(&'static str, String)> {
    vec![
        ("objective", "multi:softprob".to_owned()),
        ("num_class", train.labels.len().to_string()),
        ("tree_method", "hist".to_owned()),
        ("max_depth", train.depth_max.to_string()),
        ("learning_rate", train.learning_rate.to_string()),
        ("seed", train.seed.to_string()),
        ("nthread", THREADS.to_string()),
    ]
}

fn manifest(training: &Training, data: &Data, features: Vec<Feature>, figures: Figures) -> Result<Manifest> {
    let train = &training.train;
    let days = || data.rows.iter().map(|row| row.day);
    let (Some(from), Some(to)) = (days().min(), days().max()) else { return Err(Error::stop("there are no rows")) };
    let months = (1..=12).filter(|month| days().any(|day| civil(day).month == *month)).collect();
    let lower_bounds = std::iter::once(None).chain(train.class_bounds.iter().copied().map(Some));
    let classes = train.labels.iter().zip(lower_bounds);
    Ok(Manifest {
        name: training.name.clone(),
        created: today(),
        xgboost: version(),
        booster_sha256: None,
        features,
        classes: classes.map(|(label, from)| Class { label: label.clone(), from }).collect(),
        trained: Trained {
            pipeline: training.name.clone(),
            label: train.label.clone(),
            date_column: train.date_column.clone(),
            from: Day(from),
            to: Day(to),
            months,
            rows: data.rows.len() as u64,
            left_out: data.left_out.total(),
            rounds: train.rounds,
            depth_max: train.depth_max,
            learning_rate: train.learning_rate,
            seed: train.seed,
            data: vec![artifact(&train.data, None)?],
            stages: training
                .artifacts
                .iter()
                .map(|file| artifact(file, plugin_version(training, file)))
                .collect::<Result<_>>()?,
        },
        figures,
    })
}

/// Of a file that is a plugin.
fn plugin_version(training: &Training, file: &Path) -> Option<String> {
    training.stages.iter().find_map(|stage| match &stage.kind {
        StageKind::Plugin(program) if program.file() == file => Some(program.version().to_owned()),
        _ => None,
    })
}

#[cfg(test)]
mod tests;
