//! What the model knows and what people call it: codes to choose from by name, classes, months of the training data.
//!
//! Read once from the model's `model.toml` and a JSON file of names; other keys of both are the runtime's business.
//! Knows nothing of HTML.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;

use serde::Deserialize;

use crate::error::{Error, Result};

#[derive(Debug)]
pub struct Catalogue {
    /// By name.
    pub carriers: Vec<Choice>,
    pub origins: Vec<Choice>,
    pub dests: Vec<Choice>,
    /// In the order of their numbers.
    pub classes: Vec<Class>,
    /// When the model was trained: YYYY-MM-DD.
    pub created: String,
    /// Months of the year (1–12) that were in the training data.
    pub months: Vec<u32>,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Choice {
    pub code: String,
    /// None: nobody named it.
    pub name: Option<String>,
}

#[derive(Debug, PartialEq)]
pub struct Class {
    pub label: String,
    /// In words.
    pub meaning: String,
}

#[derive(Deserialize)]
struct Manifest {
    created: String,
    features: Vec<Feature>,
    classes: Vec<ManifestClass>,
    trained: Trained,
}

#[derive(Deserialize)]
struct Feature {
    name: String,
    #[serde(default)]
    categories: Vec<String>,
}

#[derive(Deserialize)]
struct ManifestClass {
    label: String,
    from: Option<f64>,
}

#[derive(Deserialize)]
struct Trained {
    months: Vec<u32>,
}

#[derive(Deserialize)]
struct Names {
    airports: HashMap<String, String>,
    carriers: HashMap<String, String>,
}

impl Catalogue {
    pub fn load(model: &Path, names: &Path) -> Result<Catalogue> {
        let manifest_file = model.join("model.toml");
        let manifest_file = Chosen { file: &manifest_file, by: "--model or MILLRACE_WEB_MODEL chooses another folder" };
        let names_file = Chosen { file: names, by: "--names or MILLRACE_WEB_NAMES chooses another file" };
        let manifest = toml::from_str(&manifest_file.read()?).map_err(|cause| manifest_file.wrong(cause))?;
        let names = serde_json::from_str(&names_file.read()?).map_err(|cause| names_file.wrong(cause))?;
        make(manifest, &names).map_err(|fault| Error::new(format!("{manifest_file}: {fault}")))
    }
}

/// A file, and how a person says which.
struct Chosen<'a> {
    file: &'a Path,
    by: &'static str,
}

impl fmt::Display for Chosen<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.file.display(), self.by)
    }
}

impl Chosen<'_> {
    fn read(&self) -> Result<String> {
        std::fs::read_to_string(self.file).map_err(|cause| self.wrong(cause))
    }

    fn wrong(&self, cause: impl std::error::Error + Send + Sync + 'static) -> Error {
        Error::new(self.to_string()).caused_by(cause)
    }
}

fn make(manifest: Manifest, names: &Names) -> std::result::Result<Catalogue, String> {
    let choices = |feature, names| choices(&manifest, feature, names);
    Ok(Catalogue {
        carriers: choices("Carrier", &names.carriers)?,
        origins: choices("Origin", &names.airports)?,
        dests: choices("Dest", &names.airports)?,
        classes: classes(&manifest.classes),
        created: manifest.created,
        months: manifest.trained.months,
    })
}

fn choices(
    manifest: &Manifest,
    feature: &str,
    names: &HashMap<String, String>,
) -> std::result::Result<Vec<Choice>, String> {
    let known = manifest.features.iter().find(|known| known.name == feature);
    let codes = known.map(|known| &known.categories).filter(|codes| !codes.is_empty());
    let codes = codes.ok_or_else(|| format!("the model has no feature `{feature}` with categories to choose from"))?;
    let choice = |code: &String| Choice { code: code.clone(), name: names.get(code).cloned() };
    let mut choices: Vec<Choice> = codes.iter().map(choice).collect();
    choices.sort_by_cached_key(|choice| (choice.name.is_none(), choice.name.clone(), choice.code.clone()));
    Ok(choices)
}

fn classes(classes: &[ManifestClass]) -> Vec<Class> {
    let upper = classes.iter().skip(1).map(|class| class.from).chain([None]);
    let each = classes.iter().zip(upper);
    each.map(|(class, to)| Class { label: class.label.clone(), meaning: meaning(class.from, to) }).collect()
}

/// Minutes of arrival delay from `from`, which belongs to the class, up to `to`, which does not.
fn meaning(from: Option<f64>, to: Option<f64>) -> String {
    match (from, to) {
        (None, Some(to)) if to <= 0.0 => format!("Arrives more than {} early", minutes(-to)),
        (None, Some(to)) => format!("Arrives early, or less than {} late", minutes(to)),
        (Some(from), Some(0.0)) => format!("Arrives up to {} early", minutes(-from)),
        (Some(from), Some(to)) if to < 0.0 => format!("Arrives more than {} and up to {} early", -to, minutes(-from)),
        (Some(0.0), Some(to)) => format!("Arrives on time, or less than {} late", minutes(to)),
        (Some(from), Some(to)) if from < 0.0 => {
            format!("Arrives at most {} early, and less than {} late", minutes(-from), minutes(to))
        }
        (Some(from), Some(to)) => format!("Arrives at least {}, but less than {} late", from, minutes(to)),
        (Some(from), None) if from > 0.0 => format!("Arrives {} late, or later", minutes(from)),
        (Some(0.0), None) => "Arrives on time, or later".into(),
        (Some(from), None) => format!("Arrives at most {} early, or later", minutes(-from)),
        (None, None) => "Arrives".into(),
    }
}

fn minutes(count: f64) -> String {
    format!("{count} minute{}", if count == 1.0 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixture(name: &str) -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
    }

    fn shown(choices: &[Choice]) -> String {
        let shown = choices.iter().map(|Choice { code, name }| match name {
            Some(name) => format!("{code}={name}"),
            None => code.clone(),
        });
        shown.collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn offers_what_the_model_knows_by_name() {
        let catalogue = Catalogue::load(&fixture("model"), &fixture("names.json")).expect("it is in order");
        assert_eq!(shown(&catalogue.carriers), "AA=American Airlines; UA=United Air Lines; ZZ");
        assert_eq!(
            shown(&catalogue.origins),
            "JFK=New York, John F. Kennedy; LGA=New York, LaGuardia; EWR=Newark, Liberty"
        );
        assert_eq!(shown(&catalogue.dests), "ATL=Atlanta, Hartsfield-Jackson; SFO=San Francisco International; XYZ");
        let meanings: Vec<_> = catalogue.classes.iter().map(|class| class.meaning.as_str()).collect();
        assert_eq!(
            meanings,
            [
                "Arrives more than 15 minutes early",
                "Arrives up to 15 minutes early",
                "Arrives on time, or less than 30 minutes late",
                "Arrives 30 minutes late, or later",
            ]
        );
        assert_eq!((catalogue.created.as_str(), catalogue.months.len()), ("2013-12-31", 10));
    }

    #[test]
    fn says_which_file_is_wrong_and_how() {
        let error = |model: &Path, names: &Path| Catalogue::load(model, names).expect_err("it is wrong").to_string();
        let gone = error(Path::new("/nowhere"), &fixture("names.json"));
        assert!(gone.starts_with("/nowhere/model.toml (--model or "), "{gone}");
        assert!(gone.contains("): No such file"), "{gone}");
        let no_json = error(&fixture("model"), &fixture("model/model.toml"));
        assert!(no_json.contains("model.toml (--names or ") && no_json.contains("): expected value at"), "{no_json}");
    }

    #[test]
    fn a_model_without_a_code_to_choose_is_no_model_for_the_page() {
        let text = std::fs::read_to_string(fixture("model/model.toml")).expect("the fixture");
        let manifest = toml::from_str(&text.replace("\"Origin\"", "\"From\"")).expect("it is TOML");
        let names = Names { airports: HashMap::new(), carriers: HashMap::new() };
        let fault = make(manifest, &names).expect_err("it is wrong");
        assert_eq!(fault, "the model has no feature `Origin` with categories to choose from");
    }

    #[test]
    fn other_bounds_have_their_words_too() {
        for (from, to, words) in [
            (None, Some(10.0), "Arrives early, or less than 10 minutes late"),
            (Some(-30.0), Some(-15.0), "Arrives more than 15 and up to 30 minutes early"),
            (Some(-5.0), Some(5.0), "Arrives at most 5 minutes early, and less than 5 minutes late"),
            (Some(1.0), Some(15.0), "Arrives at least 1, but less than 15 minutes late"),
            (Some(0.0), None, "Arrives on time, or later"),
        ] {
            assert_eq!(meaning(from, to), words);
        }
    }
}
