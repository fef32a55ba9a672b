//! The stages one after the other: their files loaded, their columns checked against those that come to them.
//!
//! Invariant: a stage whose file cannot be loaded opens the flow, so that what it would have added is not missed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};

use super::diagnostics::{Diagnostic, Reported, Span, choices};
use super::file::{self, File, Lookup, Model, Plugin, Stage, StageKind};
use super::flow::{Flow, StageTypes, Who};
use super::reader::{At, Context, Read};
use super::train::Train;
use crate::hash::sha256;
use crate::path::{tidy, word};
use crate::plan::{self, StagePlan};
use crate::schema::{Field, Kind, Schema, Type};
use crate::stage::lookup::{self, Fill, KEY_KINDS, Missing};
use crate::stage::model::{self, Outputs, UnknownCategory};
use crate::stage::plugin::build;
use crate::stage::plugin::config::Fault;
use crate::stage::{LoadError, plugin};

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    Run,
    /// The model is not there yet: stages up to it are loaded, and it is not.
    Train,
}

#[derive(Default)]
pub struct Stages {
    pub plans: Vec<StagePlan>,
    /// What of each decides what a row becomes.
    pub settings: Vec<Value>,
    pub artifacts: Vec<PathBuf>,
    hashes: Vec<Artifact>,
    /// The model's folder and the columns before it, where it is to be trained.
    pub model: Option<(PathBuf, Schema)>,
}

/// What became of a stage.
struct Loaded {
    kind: plan::StageKind,
    settings: Value,
    files: Vec<Artifact>,
}

/// A file and its sha256.
struct Artifact {
    path: PathBuf,
    sha256: String,
    /// Of a plugin: compilers make other bytes of the same source.
    version: Option<String>,
}

pub fn check(cx: &Context, flow: &mut Flow, file: &File, purpose: Purpose) -> Read<Stages> {
    names_differ(cx, &file.stages);
    let train = file.train.as_ref().ok().and_then(Option::as_ref);
    let mut stages = Ok(Stages::default());
    let mut model_passed = false;
    for stage in &file.stages {
        if let (Ok(StageKind::Model(model)), false) = (&stage.kind, model_passed) {
            model_passed = true;
            train.iter().for_each(|train| trained_columns(cx, flow, train));
            if purpose == Purpose::Train {
                let folder = model.path.as_ref().map(|path| cx.path(&path.value)).map_err(|reported| *reported);
                flow.open();
                return stages.and_then(|stages| Ok(Stages { model: Some((folder?, flow.schema())), ..stages }));
            }
        }
        let earlier: &[Artifact] = stages.as_ref().map_or(&[], |stages: &Stages| &stages.hashes);
        let loaded = load(cx, flow, stage, earlier);
        stages =
            stages.and_then(|stages| stages.with(stage.name.as_ref().map_err(|reported| *reported)?, loaded?, flow));
    }
    if let (Some(train), false, true) = (train, model_passed, file.stages_whole) {
        let useless = Diagnostic::error("there is no model to train").at(&train.features.span);
        cx.error(useless.help("add a stage with `[stages.model]`, or take `[train]` away"));
    }
    if !file.stages_whole {
        flow.open();
    }
    stages
}

impl Stages {
    fn with(mut self, name: &At<String>, loaded: Loaded, flow: &Flow) -> Read<Stages> {
        let name: Arc<str> = Arc::from(name.value.as_str());
        let hashes: Vec<_> = loaded.files.iter().map(|file| &file.sha256).collect();
        self.settings.push(json!({ "name": *name, "settings": loaded.settings, "files": hashes }));
        self.artifacts.extend(loaded.files.iter().map(|file| file.path.clone()));
        self.hashes.extend(loaded.files);
        self.plans.push(StagePlan { name, kind: loaded.kind, schema: flow.schema() });
        Ok(self)
    }
}

fn names_differ(cx: &Context, stages: &[Stage]) {
    let names: Vec<_> = stages.iter().filter_map(|stage| stage.name.as_ref().ok()).collect();
    for (index, name) in names.iter().enumerate() {
        if let Some(first) = names[..index].iter().find(|first| first.value == name.value) {
            let twice = Diagnostic::error(format!("two stages are named `{}`", name.value)).at(&name.span);
            cx.error(twice.note(&first.span, "the first is here"));
        }
    }
}

/// Features and date of `[train]` are columns that come to the model.
fn trained_columns(cx: &Context, flow: &mut Flow, train: &Train) {
    for feature in &train.features.value {
        let who = At::new("`train.features`".to_owned(), feature.span.clone());
        let Ok(Some(index)) = flow.find(cx, &feature.value, &who) else { continue };
        let takes = |ty: Type| !ty.list && !matches!(ty.kind, Kind::Binary | Kind::Timestamp);
        if let Some(ty) = flow.type_at(index).filter(|ty| !takes(*ty)) {
            let wrong = Diagnostic::error(format!("a model cannot take `{}`, which is {ty}", feature.value));
            cx.error(wrong.at(&feature.span).label("expected a bool, int64, float64, date or text"));
        }
    }
    let date = Field::new(&train.date_column.value, Type::of(Kind::Date).nullable());
    flow.read(cx, &date, &At::new("`train.date_column`".to_owned(), train.date_column.span.clone()));
}

/// What it adds to the flow is there afterwards, or the flow is open.
fn load(cx: &Context, flow: &mut Flow, stage: &Stage, earlier: &[Artifact]) -> Read<Loaded> {
    let name = stage.name.as_ref().map_or("", |name| name.value.as_str());
    let loaded = stage.kind.as_ref().map_err(|reported| *reported).and_then(|kind| match kind {
        StageKind::Lookup(lookup) => load_lookup(cx, flow, name, lookup),
        StageKind::Plugin(plugin) => load_plugin(cx, flow, name, plugin),
        StageKind::Model(model) => load_model(cx, flow, name, model, earlier),
    });
    if loaded.is_err() {
        flow.open();
        unfilled(cx, flow, stage);
    }
    loaded
}

fn load_lookup(cx: &Context, flow: &mut Flow, name: &str, written: &Lookup) -> Read<Loaded> {
    let table = written.table.as_ref().map_err(|reported| *reported)?;
    let who = At::new(format!("lookup `{name}`"), table.span.clone());
    let keys = &written.on.as_ref().map_err(|reported| *reported)?.value;
    let (on, filled) = (lookup_keys(cx, flow, &who, keys), filled(cx, flow, &who, written));
    let (on, (fill, missing)) = (on?, filled?);
    let settings = json!({
        "on": keys.iter().map(|key| &key.value).collect::<Vec<_>>(),
        "fill": fill.iter().map(|fill| json!([fill.name, fill.default])).collect::<Vec<_>>(),
        "missing": if missing == Missing::Reject { "reject" } else { "default" },
    });
    let path = cx.path(&table.value);
    let settings_of = lookup::Settings { stage: Arc::from(name), on, fill, missing };
    let lookup = lookup::Lookup::load(&path, settings_of).map_err(|error| cannot_load(cx, &who, &error))?;
    let file = Artifact::read(&path).map_err(|error| cannot_load(cx, &who, &error))?;
    for field in lookup.filled() {
        match flow.find_maybe(&field.name) {
            Some(index) => flow.retype(index, Some(field.ty), &who),
            None => flow.add(cx, field, &who),
        }
    }
    Ok(Loaded { kind: plan::StageKind::Lookup(Arc::new(lookup)), settings, files: vec![file] })
}

/// The keys are columns of kinds that a table can be joined by.
fn lookup_keys(cx: &Context, flow: &mut Flow, who: &Who, on: &[At<String>]) -> Read<Vec<(String, Option<Kind>)>> {
    let keys = on.iter().map(|key| {
        let index = flow.find(cx, &key.value, &At::new(who.value.clone(), key.span.clone()))?;
        let ty = index.and_then(|index| flow.type_at(index));
        match ty.filter(|ty| ty.list || !KEY_KINDS.contains(&ty.kind)) {
            None => Ok((key.value.clone(), ty.map(|ty| ty.kind))),
            Some(ty) => {
                let wrong = Diagnostic::error(format!("a table cannot be joined by `{}`, which is {ty}", key.value));
                let expected = format!("expected a column of type {}", choices(KEY_KINDS.map(Kind::name)));
                Err(cx.error(wrong.at(&key.span).label(expected)))
            }
        }
    });
    keys.collect::<Vec<Read<_>>>().into_iter().collect()
}

/// The columns to fill, with their defaults.
fn filled(cx: &Context, flow: &mut Flow, who: &Who, written: &Lookup) -> Read<(Vec<Fill>, Missing)> {
    let names = &written.fill.as_ref().map_err(|reported| *reported)?.value;
    let keys = &written.on.as_ref().map_err(|reported| *reported)?.value;
    let (missing, defaults): (_, &[_]) = match written.missing.as_ref().map_err(|reported| *reported)? {
        file::Missing::Reject => (Missing::Reject, &[]),
        file::Missing::Default(defaults) => (Missing::Default, &defaults.value),
    };
    let known = || names.iter().map(|name| name.value.as_str());
    let mut result = Ok(());
    for (name, _) in defaults.iter().filter(|(name, _)| !known().any(|known| known == name.value)) {
        let useless = Diagnostic::error(format!("a default for `{}`, which is not filled", name.value)).at(&name.span);
        let useless = useless.label(format!("expected {}", choices(known()))).help_nearest(&name.value, known());
        result = Err(cx.error(useless));
    }
    let fill = names.iter().map(|name| {
        if let Some(key) = keys.iter().find(|key| key.value == name.value) {
            let both = Diagnostic::error(format!("{} fills `{}` by itself", who.value, name.value)).at(&name.span);
            return Err(cx.error(both.note(&key.span, "it is a key")));
        }
        let there = filled_kind(cx, flow, name)?;
        let default = defaults.iter().find(|(of, _)| of.value == name.value).map(|(_, value)| value);
        let default = default.map(|value| default_value(cx, name, there, value)).transpose()?;
        Ok(Fill { name: name.value.clone(), there, default })
    });
    let fill = fill.collect::<Vec<_>>().into_iter().collect::<Read<_>>()?;
    result.map(|()| (fill, missing))
}

/// The kind of the column if it is there already.
fn filled_kind(cx: &Context, flow: &mut Flow, name: &At<String>) -> Read<Option<Kind>> {
    let Some(ty) = flow.find_maybe(&name.value).and_then(|index| flow.type_at(index)) else { return Ok(None) };
    if ty.list {
        let wrong = Diagnostic::error(format!("a lookup cannot fill `{}`, which is {ty}", name.value)).at(&name.span);
        return Err(cx.error(wrong.label("expected a column that is no list")));
    }
    if !ty.nullable {
        let useless = Diagnostic::warning(format!("`{}` is never null: there is nothing to fill", name.value));
        cx.report.warn(useless.at(&name.span).help(format!("its type is {ty}; write `{ty}?` where it may be absent")));
    }
    Ok(Some(ty.kind))
}

fn default_value(cx: &Context, name: &At<String>, kind: Option<Kind>, value: &At<Value>) -> Read<Value> {
    let fault = match kind.or(lookup::kind_of(&value.value)) {
        Some(kind) => lookup::check_default(&name.value, kind, &value.value).err(),
        None => Some("expected a text, a number or a boolean".to_owned()),
    };
    match fault {
        None => Ok(value.value.clone()),
        Some(fault) => {
            let wrong = Diagnostic::error(format!("the default of `{}` does not fit", name.value)).at(&value.span);
            Err(cx.error(wrong.label(fault)))
        }
    }
}

/// What a lookup that cannot be loaded would have filled fits everywhere from here on.
fn unfilled(cx: &Context, flow: &mut Flow, stage: &Stage) {
    let Ok(StageKind::Lookup(Lookup { fill: Ok(fill), .. })) = &stage.kind else { return };
    for name in &fill.value {
        let who = At::new("a lookup".to_owned(), name.span.clone());
        // the flow is open: a name that is not there is no error
        if let Ok(Some(index)) = flow.find(cx, &name.value, &who) {
            flow.retype(index, None, &who);
        }
    }
}

fn load_plugin(cx: &Context, flow: &mut Flow, name: &str, plugin: &Plugin) -> Read<Loaded> {
    let written = plugin.component.as_ref().map_err(|reported| *reported)?;
    let who = At::new(format!("plugin `{name}`"), written.span.clone());
    let path = component(cx, written, &who)?;
    let config = plugin.config.as_ref().map_err(|reported| *reported)?;
    let settings = plugin::Settings {
        stage: Arc::from(name),
        memory_mib_max: plugin.memory_mib_max? as u32,
        fuel_per_row_max: plugin.fuel_per_row_max?,
        config: config.value.to_string(),
    };
    let program = plugin::Program::load(&path, settings).map_err(|error| match error {
        plugin::CannotLoad::Component(error) => cannot_load(cx, &who, &error),
        plugin::CannotLoad::Config { file, faults, .. } => wrong_config(cx, &who, plugin, (&file, &faults), config),
    })?;
    // of the bytes that run: the file may be another one by now
    let file = Artifact { path, sha256: program.sha256().to_owned(), version: Some(program.version().to_owned()) };
    if program.manifest().config_schema.is_empty() && config.value.as_object().is_some_and(|keys| !keys.is_empty()) {
        let unchecked = format!("{} gives no schema of its config: nobody checks what is written here", who.value);
        cx.report.warn(Diagnostic::warning(unchecked).at(&config.span).help("a key that it does not know is ignored"));
    }
    let types = program.types();
    flow.stage(cx, &types, &who);
    let settings = json!({
        "memory_mib_max": plugin.memory_mib_max?,
        "fuel_per_row_max": plugin.fuel_per_row_max?,
        "config": config.value,
    });
    Ok(Loaded { kind: plan::StageKind::Plugin(Arc::new(program)), settings, files: vec![file] })
}

/// Each fault at the value that has it, or at the nearest around it that the file holds.
fn wrong_config(
    cx: &Context,
    who: &Who,
    written: &Plugin,
    (file, faults): (&Path, &[Fault]),
    config: &At<Value>,
) -> Reported {
    let place = |path: &str| {
        let around = std::iter::successors(Some(path), |path| path.rsplit_once('/').map(|(around, _)| around));
        around.into_iter().find_map(|path| written.config_places.get(path)).unwrap_or(&config.span).clone()
    };
    let wrong = |place: &Span| Diagnostic::error(format!("{} does not accept its config", who.value)).at(place);
    let help = || format!("`millrace plugin inspect {}` shows what it may be", word(&tidy(file)));
    let faults = faults.iter().enumerate().map(|(index, fault)| {
        let wrong = wrong(&place(&fault.path)).label(match &fault.path {
            path if path.is_empty() || written.config_places.contains_key(path) => fault.message.clone(),
            path => format!("`{path}`: {}", fault.message),
        });
        // once
        cx.error(if index == 0 { wrong.help(help()) } else { wrong })
    });
    // a plugin that refuses and does not say why
    let silent = || cx.error(wrong(&config.span).help(help()));
    faults.reduce(|_, last| last).unwrap_or_else(silent)
}

/// A file, or a plugin's folder: then the component that `millrace plugin build` leaves in it.
fn component(cx: &Context, written: &At<String>, who: &Who) -> Read<PathBuf> {
    let path = cx.path(&written.value);
    let component = build::component_of(&path);
    if component.is_file() {
        return Ok(component);
    }
    let missing = match path.is_dir() {
        true => Diagnostic::error(format!("{} is not built", who.value))
            .at(&who.span)
            .label(format!("{} holds no component", word(&tidy(&path)))),
        false => Diagnostic::error(format!("the component of {} is not there", who.value))
            .at(&who.span)
            .label(format!("{} does not exist", shown(&path))),
    };
    Err(cx.error(match build::folder_of(&path) {
        Some(folder) => missing.help(how_to_build(&path, folder)),
        None if path.is_dir() => missing.help(build::BuildError::NotAPlugin(tidy(&path)).to_string()),
        None => missing,
    }))
}

/// The component that a plugin's folder should have, which may have been renamed.
fn how_to_build(written: &Path, folder: &Path) -> String {
    let build = format!("build it: `millrace plugin build {}`", word(&tidy(folder)));
    match build::component_of(folder).file_name() {
        Some(name) if !written.is_dir() && written.file_name() != Some(name) => {
            format!("{build}, which makes {}; `component` may be the folder as well", name.display())
        }
        _ => build,
    }
}

fn load_model(cx: &Context, flow: &mut Flow, name: &str, written: &Model, earlier: &[Artifact]) -> Read<Loaded> {
    let path = written.path.as_ref().map_err(|reported| *reported)?;
    let who = At::new(format!("model `{name}`"), path.span.clone());
    let folder = cx.path(&path.value);
    if !folder.is_dir() {
        let missing = Diagnostic::error(format!("{} is not there", who.value)).at(&who.span);
        let missing = missing.label(format!("{} is no folder", shown(&folder)));
        return Err(cx.error(missing.help("make it: `millrace train` with this pipeline")));
    }
    let text = |name: &Read<At<String>>| name.as_ref().map(|name| name.value.clone()).map_err(|reported| *reported);
    let probabilities = written.probabilities.as_ref().map_err(|reported| *reported)?;
    let outputs = Outputs {
        class: text(&written.class)?,
        probabilities: probabilities.as_ref().map(|name| name.value.clone()),
        model_date: Some(text(&written.model_date)?),
        season_known: Some(text(&written.season_known)?),
    };
    let unknown_category = written.unknown_category?;
    let settings = json!({
        "unknown_category": match unknown_category {
            UnknownCategory::Missing => "missing",
            UnknownCategory::Reject => "reject",
        },
        "outputs": [&outputs.class, &outputs.probabilities, &outputs.model_date, &outputs.season_known],
    });
    let model = model::Model::load(&folder, model::Settings { stage: Arc::from(name), unknown_category, outputs })
        .map_err(|error| cannot_load(cx, &who, &error))?;
    let files = model.files().iter().map(|file| Artifact::read(file)).collect::<Result<Vec<_>, _>>();
    let files = files.map_err(|error| cannot_load(cx, &who, &error))?;
    let types = StageTypes { reads: model.features().to_vec(), adds: model.adds(), drops: Vec::new() };
    flow.stage(cx, &types, &who);
    if !cx.report.has_errors() {
        warn_other_stages(cx, &model, earlier, &who);
    }
    Ok(Loaded { kind: plan::StageKind::Model(Arc::new(model)), settings, files })
}

/// A model that was trained behind other plugins or tables may be asked with features that it never saw.
fn warn_other_stages(cx: &Context, model: &model::Model, earlier: &[Artifact], who: &Who) {
    for trained in &model.manifest().trained.stages {
        let same = |file: &Artifact| match &trained.version {
            Some(version) => file.is_named(&trained.name) && file.version.as_ref() == Some(version),
            None => file.sha256 == trained.sha256,
        };
        if !earlier.iter().any(same) {
            let other = format!("{} was trained with another `{}` than the stages before it", who.value, trained.name);
            let other = Diagnostic::warning(other).at(&who.span);
            cx.report.warn(
                other
                    .label(match &trained.version {
                        Some(version) => format!("version {version}"),
                        None => format!("sha256 {:.16}…", trained.sha256),
                    })
                    .help("train it again, or take the file that it was trained with"),
            );
        }
    }
}

impl Artifact {
    fn is_named(&self, name: &str) -> bool {
        self.path.file_name().is_some_and(|file| file == name)
    }

    fn read(path: &Path) -> Result<Artifact, LoadError> {
        let bytes = std::fs::read(path).map_err(|error| LoadError::new(path, format!("cannot be read: {error}")))?;
        Ok(Artifact { path: path.to_owned(), sha256: sha256(&bytes), version: None })
    }
}

fn cannot_load(cx: &Context, who: &Who, error: &LoadError) -> Reported {
    let line = error.line.map_or(String::new(), |line| format!(":{line}"));
    let cannot = Diagnostic::error(format!("{} cannot be loaded", who.value)).at(&who.span);
    cx.error(cannot.label(format!("{}{line}: {}", shown(&error.file), error.message)))
}

fn shown(path: &Path) -> String {
    tidy(path).display().to_string()
}
