//! The model's folder: made beside the former one, and put into its place when it is whole.
//!
//! Invariant: under the model's name is a whole model at all times but for the instant between two renames, in which
//! there is none; the former one is put back if the second rename fails.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::clock::now_seconds;
use crate::error::{Error, Result};
use crate::hash::sha256_of_file;
use crate::stage::model::{
    Artifact, BOOSTER_FILE, Day, MANIFEST_FILE, Manifest, Model, Outputs, Settings, UnknownCategory,
};

const SECONDS_PER_DAY: u64 = 86_400;

/// Gone when it is dropped, unless it was published.
pub struct Draft {
    model: PathBuf,
    folder: PathBuf,
}

impl Draft {
    pub fn new(model: &Path) -> Result<Draft> {
        let folder = beside(model, "new");
        let failed = |error| Error::stop(format!("the folder {} cannot be made", folder.display())).caused_by(error);
        // what a training left that was killed
        remove(&folder).and_then(|()| fs::create_dir_all(&folder)).map_err(failed)?;
        Ok(Draft { model: model.to_owned(), folder: folder.clone() })
    }

    /// For a booster that is judged and thrown away.
    pub fn scratch(&self) -> PathBuf {
        self.folder.join("scratch.ubj")
    }

    pub fn booster(&self) -> PathBuf {
        self.folder.join(BOOSTER_FILE)
    }

    pub fn booster_sha256(&self) -> Result<String> {
        sha256_of_file(&self.booster()).map_err(|error| Error::stop("the new booster cannot be read").caused_by(error))
    }

    /// The booster's size.
    pub fn publish(self, manifest: &Manifest) -> Result<u64> {
        let failed = |error| Error::stop(format!("{} cannot be written", self.model.display())).caused_by(error);
        let text = manifest.toml().map_err(|error| Error::stop("the model cannot be described").caused_by(error))?;
        let described = self.folder.join(MANIFEST_FILE);
        fs::write(&described, text).map_err(failed)?;
        drop(fs::remove_file(self.scratch()));
        Model::load(&self.folder, any_settings())
            .map_err(|error| Error::stop("the new model cannot be loaded").caused_by(error))?;
        for file in [&described, &self.booster(), &self.folder] {
            File::open(file).and_then(|file| file.sync_all()).map_err(failed)?;
        }
        let bytes = fs::metadata(self.booster()).map_err(failed)?.len();
        self.replace().map_err(failed)?;
        Ok(bytes)
    }

    fn replace(&self) -> io::Result<()> {
        let former = beside(&self.model, "old");
        remove(&former)?;
        if self.model.exists() {
            fs::rename(&self.model, &former)?;
        }
        let renamed = fs::rename(&self.folder, &self.model);
        if renamed.is_err() && former.exists() {
            fs::rename(&former, &self.model)?;
        }
        renamed.and_then(|()| remove(&former))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        drop(remove(&self.folder));
    }
}

fn beside(model: &Path, ending: &str) -> PathBuf {
    model.with_added_extension(ending)
}

fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// To load the model once; nobody is asked anything.
fn any_settings() -> Settings {
    let outputs = Outputs { class: "class".into(), probabilities: None, model_date: None, season_known: None };
    Settings { stage: "train".into(), unknown_category: UnknownCategory::Missing, outputs }
}

/// A file by its content; `version`: as it calls itself, if it does.
pub fn artifact(file: &Path, version: Option<String>) -> Result<Artifact> {
    let sha256 = sha256_of_file(file)
        .map_err(|error| Error::stop(format!("{} cannot be read", file.display())).caused_by(error))?;
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Artifact { name, version, sha256 })
}

/// In UTC.
pub fn today() -> Day {
    let seconds = now_seconds();
    Day((seconds / SECONDS_PER_DAY) as i32)
}
