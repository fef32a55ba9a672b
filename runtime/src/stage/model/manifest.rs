//! `model.toml`: what a booster's numbers mean, where they come from, and how well they do.
//!
//! Invariant: a [`Manifest`] that was read is consistent in itself (types, categories, classes, months); whether it
//! fits its booster is [`super::Model::load`]'s to say.

use std::collections::HashSet;
use std::fmt;
use std::path::Path;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::calendar::{format_date, parse_date};
use crate::schema::{Field, Kind, Type};
use crate::stage::LoadError;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    pub name: String,
    /// When the model was trained: what `ModelDate` says.
    pub created: Day,
    /// The version of XGBoost that trained it.
    pub xgboost: String,
    /// Of the booster's file: XGBoost does not notice all damage. None: not compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub booster_sha256: Option<String>,
    /// In the booster's order.
    pub features: Vec<Feature>,
    /// In the order of the booster's classes.
    pub classes: Vec<Class>,
    pub trained: Trained,
    #[serde(default)]
    pub figures: Figures,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Feature {
    pub name: String,
    #[serde(rename = "type")]
    pub ty: Type,
    /// Of a text: the code of a category is its place here. A number has none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub categories: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Class {
    pub label: String,
    /// The lowest value that belongs to the class; the first class has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<f64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trained {
    pub pipeline: String,
    /// The column that the classes are cut from.
    pub label: String,
    pub date_column: String,
    pub from: Day,
    pub to: Day,
    /// Months of the year (1–12) with rows in the training data: the seasons that the model knows.
    pub months: Vec<u32>,
    pub rows: u64,
    /// Rows without a label, refused by a stage, or undecodable.
    pub left_out: u64,
    pub rounds: u32,
    pub depth_max: u32,
    pub learning_rate: f64,
    pub seed: u64,
    #[serde(default)]
    pub data: Vec<Artifact>,
    /// Plugins and tables that the rows went through.
    #[serde(default)]
    pub stages: Vec<Artifact>,
}

/// A file by its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Artifact {
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    pub sha256: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Figures {
    /// Every fifth week held out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weeks: Option<Evaluation>,
    /// The last two months held out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_months: Option<Evaluation>,
}

/// How a model that was trained without some rows does on them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evaluation {
    pub trained_rows: u64,
    pub rows: u64,
    pub accuracy: f64,
    pub log_loss: f64,
    /// The largest class of the training rows, and what always answering it gives.
    pub majority_class: usize,
    pub majority_accuracy: f64,
    /// Of always answering the training rows' shares of the classes.
    pub majority_log_loss: f64,
    /// By class; 0 where the model never answers it.
    pub precision: Vec<f64>,
    /// By class; 0 where no row has it.
    pub recall: Vec<f64>,
    /// A row for each true class, a column for each answer.
    pub confusion: Vec<Vec<u64>>,
}

/// A date, written `"2013-05-06"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day(pub i32);

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format_date(self.0))
    }
}

impl Serialize for Day {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Day {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Day, D::Error> {
        let text = String::deserialize(deserializer)?;
        let days = parse_date(&text);
        days.map(Day).ok_or_else(|| serde::de::Error::custom(format!("`{text}` is not a date: YYYY-MM-DD")))
    }
}

impl Feature {
    pub fn field(&self) -> Field {
        Field::new(&self.name, self.ty)
    }

    /// Why the feature cannot be one, if so.
    fn fault(&self) -> Option<String> {
        let (name, ty) = (&self.name, self.ty);
        let mut seen = HashSet::new();
        let twice = self.categories.iter().find(|&category| !seen.insert(category));
        match ty.kind {
            _ if ty.list => Some(format!("feature `{name}`: a model takes no lists, and its type is {ty}")),
            Kind::Binary | Kind::Timestamp => {
                Some(format!("feature `{name}`: a model takes no {ty} (bool, int64, float64, date, text)"))
            }
            Kind::Text if self.categories.is_empty() => Some(format!("feature `{name}` is text: it needs categories")),
            Kind::Text => twice.map(|category| format!("feature `{name}`: the category `{category}` is there twice")),
            _ if !self.categories.is_empty() => Some(format!("feature `{name}` is {ty}: only text has categories")),
            _ => None,
        }
    }
}

impl Manifest {
    pub fn read(file: &Path) -> Result<Manifest, LoadError> {
        let text = std::fs::read_to_string(file)
            .map_err(|error| LoadError::new(file, format!("the model's description cannot be read: {error}")))?;
        let manifest: Manifest = toml::from_str(&text).map_err(|error| {
            let line = error.span().map(|span| text[..span.start].matches('\n').count() + 1);
            LoadError { file: file.to_owned(), line, message: error.message().to_owned() }
        })?;
        match manifest.fault() {
            Some(fault) => Err(LoadError::new(file, fault)),
            None => Ok(manifest),
        }
    }

    /// The file's text.
    pub fn toml(&self) -> Result<String, toml::ser::Error> {
        Ok(format!(
            "# Written by `millrace train`: what model.ubj takes and gives, and how well it does.\n{}",
            toml::to_string(self)?
        ))
    }

    fn fault(&self) -> Option<String> {
        let mut names = HashSet::new();
        if let Some(twice) = self.features.iter().find(|feature| !names.insert(&feature.name)) {
            return Some(format!("feature `{}` is there twice", twice.name));
        }
        if self.features.is_empty() {
            return Some("a model needs features".to_owned());
        }
        if self.classes.len() < 2 {
            return Some(format!("a classifier has two classes or more, not {}", self.classes.len()));
        }
        if let Some(month) = self.trained.months.iter().find(|&&month| !(1..=12).contains(&month)) {
            return Some(format!("trained.months: {month} is no month of the year"));
        }
        self.features.iter().find_map(Feature::fault)
    }
}
