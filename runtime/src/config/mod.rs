//! The pipeline file: read, checked as a whole, made into a [`Plan`].
//!
//! Text → spanned TOML ([`toml::de::DeTable`]) → values with defaults (`file`, by the collecting `reader`) → the whole
//! (`check`, with the columns' `flow`) → plan. Every error at once, each where it is: a step goes on with its best
//! guess, and what follows from an error alone is not reported again.
//!
//! Invariant: connects to nothing; reads the file and the artifacts that it names.

mod check;
mod diagnostics;
mod expand;
mod file;
mod flow;
mod generation;
mod json;
mod names;
mod properties;
mod reader;
mod schema;
mod stages;
mod train;

use std::path::Path;

use toml::de::DeTable;

pub use self::diagnostics::{Diagnostic, Diagnostics, Located, Severity, Span};
use self::diagnostics::{Report, Reported};
pub use self::file::FUEL_PER_ROW_MAX;
use self::file::File;
pub use self::flow::StageTypes;
use self::reader::Context;
pub use self::schema::SCHEMA;
use crate::plan::{Plan, Training};

/// The pipeline of a file, ready to be run, or everything that is wrong with it.
pub fn check(path: &Path, env: &dyn Fn(&str) -> Option<String>) -> Result<Plan, Diagnostics> {
    let (plan, warnings) = with_file(path, None, env, |cx, file| check::plan(cx, path, file))?;
    Ok(Plan { warnings, ..plan })
}

/// The same of a file that was kept, with all that it names, below `root` as it was below the system's: when these sinks
/// were off, whatever the environment says of them now.
pub fn check_kept(
    root: &Path,
    path: &Path,
    env: &dyn Fn(&str) -> Option<String>,
    off: &[String],
) -> Result<Plan, Diagnostics> {
    let kept = with_file(path, Some(root), env, |cx, mut file| {
        file.switch_off(off);
        check::plan(cx, path, file)
    });
    kept.map(|(plan, warnings)| Plan { warnings, ..plan })
}

/// The sinks of such a file that keep a position of their own; what it names is not looked at.
pub fn kept_sinks(
    path: &Path,
    env: &dyn Fn(&str) -> Option<String>,
    off: &[String],
) -> Result<Vec<String>, Diagnostics> {
    let kept = with_file(path, None, env, |_, mut file| {
        file.switch_off(off);
        file.sinks_apart()
    });
    kept.map(|(sinks, _)| sinks)
}

/// The same of a text that would stand in that file.
#[cfg(any(test, feature = "fuzz"))]
pub(crate) fn check_text(path: &Path, text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Plan, Diagnostics> {
    let checked = with_text(path, None, text, env, Report::default(), |cx, file| check::plan(cx, path, file));
    checked.map(|(plan, warnings)| Plan { warnings, ..plan })
}

/// What comes before the pipeline's model, and how that is trained. The model need not be there yet.
pub fn check_training(path: &Path, env: &dyn Fn(&str) -> Option<String>) -> Result<Training, Diagnostics> {
    let (training, warnings) = with_file(path, None, env, check::training)?;
    Ok(Training { warnings, ..training })
}

fn with_file<T>(
    path: &Path,
    root: Option<&Path>,
    env: &dyn Fn(&str) -> Option<String>,
    check: impl FnOnce(&Context, File) -> Result<T, Reported>,
) -> Result<(T, Diagnostics), Diagnostics> {
    let report = Report::default();
    match read(path, &report) {
        Ok(text) => with_text(path, root, &text, env, report, check),
        Err((text, _)) => Err(report.finish(&path.display().to_string(), &text)),
    }
}

fn with_text<T>(
    path: &Path,
    root: Option<&Path>,
    text: &str,
    env: &dyn Fn(&str) -> Option<String>,
    report: Report,
    check: impl FnOnce(&Context, File) -> Result<T, Reported>,
) -> Result<(T, Diagnostics), Diagnostics> {
    let checked = {
        let folder = path.parent().unwrap_or(Path::new(""));
        let cx = Context { text, folder, root, env, report: &report };
        parse(&cx).and_then(|root| check(&cx, File::read(&cx, &root)))
    };
    let diagnostics = report.finish(&path.display().to_string(), text);
    match checked {
        Ok(checked) if !diagnostics.has_errors() => Ok((checked, diagnostics)),
        _ => Err(diagnostics),
    }
}

/// The file's text; else what of it can be shown.
fn read(path: &Path, report: &Report) -> Result<String, (String, Reported)> {
    let bytes = std::fs::read(path).map_err(|error| {
        let unread = Diagnostic::error(format!("the pipeline file cannot be read: {error}"));
        (String::new(), report.error(unread))
    })?;
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
        (text, report.error(Diagnostic::error("the pipeline file is not UTF-8").at(&(at..at + 1))))
    })
}

/// Where the text is no TOML, all of its faults, and nothing of what they may have hidden.
fn parse<'a>(cx: &Context<'a>) -> Result<DeTable<'a>, Reported> {
    let (root, errors) = DeTable::parse_recoverable(cx.text);
    let (mut broken, mut table_twice) = (None, None);
    for error in errors {
        let place = error.span().unwrap_or_default();
        if error.message() == "duplicate key" {
            // the rest of the tree is whole; the keys of a table that is there twice are no news
            let header = header(cx.text, place.start);
            if table_twice != header || header.is_none() {
                cx.error(written_twice(cx.text, &place));
            }
            table_twice = header.filter(|header| cx.text[*header..place.start].find('\n').is_none()).or(table_twice);
        } else {
            broken = Some(cx.error(Diagnostic::error("this is no TOML").at(&place).label(error.message())));
        }
    }
    broken.map_or_else(|| Ok(root.into_inner()), Err)
}

/// Where the line begins that opens the table of this place.
fn header(text: &str, at: usize) -> Option<usize> {
    let line_end = text[at..].find('\n').map_or(text.len(), |end| at + end);
    let opens = |line: &str| line.trim_start().starts_with('[');
    let mut start = line_end;
    text[..line_end].split_inclusive('\n').rev().find_map(|line| {
        start -= line.len();
        opens(line).then_some(start)
    })
}

fn written_twice(text: &str, place: &Span) -> Diagnostic {
    let key = text.get(place.clone()).unwrap_or_default();
    let line = text[..place.start].rfind('\n').map_or(0, |at| at + 1);
    let sink = text[line..place.start].trim_start().strip_prefix("[sinks.").and_then(|name| name.strip_suffix('.'));
    let twice = match sink {
        Some(name) => Diagnostic::error(format!("two sinks are named `{name}`")).help("give each a name of its own"),
        None => Diagnostic::error(format!("`{key}` is written twice")),
    };
    twice.at(place).label("it was written before")
}
