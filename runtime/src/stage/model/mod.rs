//! An XGBoost model over columns: reads its features, adds its answer.
//!
//! A model is a folder: `model.ubj`, the booster as XGBoost saves it, and `model.toml`, which says what its numbers
//! mean. The stage adds the class, the classes' probabilities, the model's date, and whether the row's season was in
//! the training data.
//!
//! Invariant: a [`Model`] that was loaded fits its booster (number and names of features, number of classes); an answer
//! depends on the row and the folder alone, not on the batch that the row came in.
//! Knows nothing of how features come about: plugins and lookups make them.

mod encode;
mod manifest;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::builder::BooleanBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::Date32Type;
use arrow_array::{ArrayRef, Date32Array, Float64Array, Int64Array, ListArray, RecordBatch};
use arrow_buffer::{OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, Field as ArrowField, Schema as ArrowSchema};
use millrace_native::xgboost::{self, Booster};

pub use self::encode::Encoder;
pub use self::manifest::{Artifact, Class, Day, Evaluation, Feature, Figures, Manifest, Trained};
use crate::batch::{Batch, Refused};
use crate::calendar::civil;
use crate::error::{Error, Result};
use crate::hash::sha256;
use crate::schema::{Field, Kind, Type};
use crate::stage::LoadError;
use crate::stage::refuse::refuse;

pub const BOOSTER_FILE: &str = "model.ubj";
pub const MANIFEST_FILE: &str = "model.toml";

/// Rows that one call of XGBoost takes: bounds the two buffers, and is far beyond where a call's own cost shows.
const BLOCK_ROWS_MAX: usize = 4_096;

/// What becomes of a row with a text that the model was not trained on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownCategory {
    /// The model is asked without it, as with an absent value.
    Missing,
    /// The row is refused.
    Reject,
}

/// Names of the columns that the stage adds; None: not added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outputs {
    /// int64: the likeliest class.
    pub class: String,
    /// list<float64>: a probability for each class.
    pub probabilities: Option<String>,
    /// date: when the model was trained.
    pub model_date: Option<String>,
    /// bool?: false when the row's month of the year was not in the training data; null when the row has no date in
    /// the column that the model was trained by.
    pub season_known: Option<String>,
}

impl Outputs {
    pub const MODEL_DATE: &str = "ModelDate";
    pub const SEASON_KNOWN: &str = "SeasonKnown";
}

#[derive(Clone, Debug)]
pub struct Settings {
    pub stage: Arc<str>,
    pub unknown_category: UnknownCategory,
    pub outputs: Outputs,
}

#[derive(Debug)]
pub struct Model {
    folder: PathBuf,
    manifest: Manifest,
    features: Vec<Field>,
    encoder: Encoder,
    booster: Booster,
    settings: Settings,
}

impl Model {
    pub fn load(folder: &Path, settings: Settings) -> Result<Model, LoadError> {
        let manifest = Manifest::read(&folder.join(MANIFEST_FILE))?;
        let file = folder.join(BOOSTER_FILE);
        let bytes = std::fs::read(&file)
            .map_err(|error| LoadError::new(&file, format!("the booster cannot be read: {error}")))?;
        if manifest.booster_sha256.as_ref().is_some_and(|told| *told != sha256(&bytes)) {
            let other = format!("it is not the booster that {MANIFEST_FILE} is about: its sha256 is another");
            return Err(LoadError::new(&file, format!("{other}. Put the right one back, or train it again")));
        }
        let booster = Booster::load(&file)
            .map_err(|error| LoadError::new(&file, format!("XGBoost {} does not read it: {error}", version())))?;
        fit(&manifest, &booster, &file)?;
        let features = manifest.features.iter().map(Feature::field).collect();
        let encoder = Encoder::new(&manifest.features);
        Ok(Model { folder: folder.to_owned(), manifest, features, encoder, booster, settings })
    }

    /// The columns that the model reads, in its order.
    pub fn features(&self) -> &[Field] {
        &self.features
    }

    /// The columns that the stage adds, in order.
    pub fn adds(&self) -> Vec<Field> {
        let Outputs { class, probabilities, model_date, season_known } = &self.settings.outputs;
        let optional = |name: &Option<String>, ty| name.as_ref().map(|name| Field::new(name, ty));
        std::iter::once(Field::new(class, Type::of(Kind::Int64)))
            .chain(optional(probabilities, Type::of(Kind::Float64).list()))
            .chain(optional(model_date, Type::of(Kind::Date)))
            .chain(optional(season_known, Type::of(Kind::Boolean).nullable()))
            .collect()
    }

    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The files that the model is made of.
    pub fn files(&self) -> [PathBuf; 2] {
        [MANIFEST_FILE, BOOSTER_FILE].map(|name| self.folder.join(name))
    }

    pub fn scorer(self: &Arc<Self>) -> Scorer {
        Scorer { model: self.clone(), rows: Vec::new(), answers: Vec::new() }
    }
}

/// `major.minor.patch` of the XGBoost in use.
pub fn version() -> String {
    let (major, minor, patch) = xgboost::version();
    format!("{major}.{minor}.{patch}")
}

/// Is this the booster that the manifest is about?
fn fit(manifest: &Manifest, booster: &Booster, file: &Path) -> Result<(), LoadError> {
    let error = |message: String| LoadError::new(file, message);
    if booster.features() != manifest.features.len() {
        let (has, said) = (booster.features(), manifest.features.len());
        return Err(error(format!("the booster takes {has} features, {MANIFEST_FILE} describes {said}")));
    }
    if booster.classes() != manifest.classes.len() {
        let (gives, said) = (booster.classes(), manifest.classes.len());
        return Err(error(format!(
            "the booster gives {gives} values a row, {MANIFEST_FILE} describes {said} classes: train it with the \
             objective multi:softprob"
        )));
    }
    let names = booster.feature_names().map_err(|cause| error(cause.to_string()))?;
    let differing = names.iter().zip(&manifest.features).find(|(name, feature)| **name != feature.name);
    if let Some((name, feature)) = differing {
        return Err(error(format!("the booster has feature `{name}` where {MANIFEST_FILE} has `{}`", feature.name)));
    }
    let mut answer = Vec::new();
    booster
        .predict(&vec![f32::NAN; manifest.features.len()], manifest.features.len(), &mut answer)
        .map_err(|cause| error(cause.to_string()))?;
    let sum: f32 = answer.iter().sum();
    if (sum - 1.0).abs() > 1e-3 || answer.iter().any(|&value| value < 0.0) {
        return Err(error(format!(
            "the booster's answers are no probabilities ({answer:?}): train it with the objective multi:softprob"
        )));
    }
    Ok(())
}

/// A model as one worker asks it: the buffers are its own.
pub struct Scorer {
    model: Arc<Model>,
    rows: Vec<f32>,
    /// A probability for each class of each row of the batch.
    answers: Vec<f64>,
}

impl Scorer {
    pub fn process(&mut self, batch: Batch) -> Result<Batch> {
        let model = self.model.clone();
        let mut batch = match model.settings.unknown_category {
            UnknownCategory::Missing => batch,
            UnknownCategory::Reject => refuse_unknown(&model, batch)?,
        };
        self.ask(&batch.columns)?;
        batch.columns = self.add(&batch.columns)?;
        Ok(batch)
    }

    fn ask(&mut self, columns: &RecordBatch) -> Result<()> {
        let (model, mut block) = (&self.model, Vec::new());
        self.answers.clear();
        for from in (0..columns.num_rows()).step_by(BLOCK_ROWS_MAX) {
            let rows = BLOCK_ROWS_MAX.min(columns.num_rows() - from);
            model.encoder.encode(&columns.slice(from, rows), &mut self.rows)?;
            let asked = model.booster.predict(&self.rows, model.features.len(), &mut block);
            asked.map_err(|error| Error::stop(format!("XGBoost did not answer {rows} rows")).caused_by(error))?;
            // exact: every f32 is a float64
            self.answers.extend(block.iter().copied().map(f64::from));
        }
        Ok(())
    }

    /// The batch's columns and those of the answers.
    fn add(&mut self, columns: &RecordBatch) -> Result<RecordBatch> {
        let model = self.model.clone();
        let Outputs { probabilities, model_date, season_known, .. } = &model.settings.outputs;
        let (rows, classes) = (columns.num_rows(), model.manifest.classes.len());
        let mut added: Vec<ArrayRef> = vec![Arc::new(self.likeliest(classes))];
        if probabilities.is_some() {
            added.push(Arc::new(lists(std::mem::take(&mut self.answers), classes, rows)));
        }
        if model_date.is_some() {
            added.push(Arc::new(Date32Array::from_value(model.manifest.created.0, rows)));
        }
        if season_known.is_some() {
            added.push(season(&model.manifest.trained, columns));
        }
        let schema = columns.schema();
        let new = model
            .adds()
            .into_iter()
            .map(|field| Arc::new(ArrowField::new(field.name, field.ty.arrow(), field.ty.nullable)));
        let fields: Vec<_> = schema.fields().iter().cloned().chain(new).collect();
        let columns = columns.columns().iter().cloned().chain(added).collect();
        RecordBatch::try_new(Arc::new(ArrowSchema::new(fields)), columns)
            .map_err(|error| Error::stop("the model's answers do not make columns").caused_by(error))
    }

    /// Of equally likely classes the first.
    fn likeliest(&self, classes: usize) -> Int64Array {
        let best =
            |row: &[f64]| (1..row.len()).fold(0, |best, class| if row[class] > row[best] { class } else { best });
        self.answers.chunks_exact(classes).map(|row| best(row) as i64).collect()
    }
}

fn refuse_unknown(model: &Model, batch: Batch) -> Result<Batch> {
    let refused = model.encoder.unknown(&batch.columns)?.into_iter().map(|unknown| Refused {
        row: unknown.row,
        code: "unknown_category",
        reason: format!("the model was trained without the {} `{}`", unknown.feature, unknown.value),
    });
    let refused = refused.collect();
    refuse(batch, &model.settings.stage, refused)
}

/// A list of `classes` values for each row.
fn lists(values: Vec<f64>, classes: usize, rows: usize) -> ListArray {
    let item = ArrowField::new("item", DataType::Float64, false);
    let offsets = OffsetBuffer::from_lengths(std::iter::repeat_n(classes, rows));
    ListArray::new(Arc::new(item), offsets, Arc::new(Float64Array::new(ScalarBuffer::from(values), None)), None)
}

fn season(trained: &Trained, columns: &RecordBatch) -> ArrayRef {
    let mut known = BooleanBuilder::with_capacity(columns.num_rows());
    let dates = columns.column_by_name(&trained.date_column).and_then(|column| column.as_primitive_opt::<Date32Type>());
    match dates {
        None => known.append_nulls(columns.num_rows()),
        Some(dates) => {
            dates.iter().for_each(|day| known.append_option(day.map(|day| trained.months.contains(&civil(day).month))))
        }
    }
    Arc::new(known.finish())
}

#[cfg(test)]
mod tests;
