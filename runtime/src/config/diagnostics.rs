//! What is wrong with a pipeline file, where, and what would be right instead.
//!
//! Invariant: a [`Reported`] exists only where an error was pushed, so code that holds one may give up in silence.
//! Knows nothing of what the file means.

use std::cell::RefCell;
use std::fmt;
use std::ops::Range;

use serde::Serialize;

use crate::words::counted;

/// Bytes of the file's text.
pub type Span = Range<usize>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Error,
    Warning,
}

#[derive(Clone, Debug)]
pub struct Diagnostic {
    severity: Severity,
    message: String,
    place: Option<Span>,
    /// Written after the carets.
    label: String,
    notes: Vec<(Span, String)>,
    help: Option<String>,
    /// Values on the line may be secrets.
    hides_values: bool,
}

impl Diagnostic {
    pub fn error(message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(Severity::Error, message.into())
    }

    pub fn warning(message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(Severity::Warning, message.into())
    }

    fn new(severity: Severity, message: String) -> Diagnostic {
        Diagnostic {
            severity,
            message,
            place: None,
            label: String::new(),
            notes: Vec::new(),
            help: None,
            hides_values: false,
        }
    }

    pub fn at(mut self, place: &Span) -> Diagnostic {
        self.place = Some(place.clone());
        self
    }

    /// The line is shown without what it sets.
    pub fn hiding_values(mut self) -> Diagnostic {
        self.hides_values = true;
        self
    }

    pub fn label(mut self, label: impl Into<String>) -> Diagnostic {
        self.label = label.into();
        self
    }

    /// Another place that has to do with it.
    pub fn note(mut self, place: &Span, text: impl Into<String>) -> Diagnostic {
        self.notes.push((place.clone(), text.into()));
        self
    }

    pub fn help(mut self, help: impl Into<String>) -> Diagnostic {
        self.help = Some(help.into());
        self
    }

    /// `did you mean …`, where one of the known names is near enough.
    pub fn help_nearest<'n>(mut self, name: &str, known: impl IntoIterator<Item = &'n str>) -> Diagnostic {
        if let Some(near) = nearest(name, known) {
            self.help = Some(format!("did you mean `{near}`?"));
        }
        self
    }

    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    pub fn message(&self) -> &str {
        &self.message
    }

    pub fn place(&self) -> Option<Span> {
        self.place.clone()
    }
}

/// Proof that an error was reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reported(());

/// Collects diagnostics while a file is checked.
#[derive(Debug, Default)]
pub struct Report(RefCell<Vec<Diagnostic>>);

impl Report {
    pub fn error(&self, diagnostic: Diagnostic) -> Reported {
        debug_assert!(diagnostic.is_error());
        self.0.borrow_mut().push(diagnostic);
        Reported(())
    }

    pub fn warn(&self, diagnostic: Diagnostic) {
        self.0.borrow_mut().push(diagnostic);
    }

    pub fn has_errors(&self) -> bool {
        self.0.borrow().iter().any(Diagnostic::is_error)
    }

    /// In the order of the file.
    pub fn finish(self, file: &str, text: &str) -> Diagnostics {
        let mut list = self.0.into_inner();
        list.sort_by_key(|diagnostic| diagnostic.place.as_ref().map_or(0, |place| place.start));
        Diagnostics { file: file.to_owned(), text: text.to_owned(), list }
    }
}

/// Everything that was found in one file; its `Display` is what a person reads.
#[derive(Debug, Default)]
pub struct Diagnostics {
    file: String,
    text: String,
    list: Vec<Diagnostic>,
}

impl Diagnostics {
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub fn has_errors(&self) -> bool {
        self.list.iter().any(Diagnostic::is_error)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.list.iter()
    }

    /// The file's text, which the diagnostics' places are in.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// For programs: each with its place as editors count.
    pub fn located(&self) -> Vec<Located<'_>> {
        self.list.iter().map(|diagnostic| self.locate(diagnostic)).collect()
    }

    fn locate<'a>(&'a self, diagnostic: &'a Diagnostic) -> Located<'a> {
        let place = |span: &Span| {
            let Location { line, column, .. } = Location::of(&self.text, span);
            (line, column)
        };
        let (line, column) = diagnostic.place.as_ref().map(place).unzip();
        let notes = diagnostic.notes.iter().map(|(span, message)| {
            let (line, column) = place(span);
            LocatedNote { message, line, column }
        });
        Located {
            severity: diagnostic.severity,
            message: &diagnostic.message,
            line,
            column,
            label: &diagnostic.label,
            notes: notes.collect(),
            help: diagnostic.help.as_deref(),
        }
    }

    fn excerpt(&self, f: &mut fmt::Formatter<'_>, place: &Span, label: &str, hides_values: bool) -> fmt::Result {
        let Location { line, column, excerpt, carets } = Location::of(&self.text, place);
        let excerpt = if hides_values { without_values(&excerpt) } else { excerpt };
        let gutter = line.to_string().len();
        writeln!(f, "{:gutter$}--> {}:{line}:{column}", "", self.file)?;
        writeln!(f, "{:gutter$} |", "")?;
        writeln!(f, "{line} | {excerpt}")?;
        let underline = format!("{:indent$}{} {label}", "", "^".repeat(carets), indent = column - 1);
        writeln!(f, "{:gutter$} | {}", "", underline.trim_end())
    }

    fn one(&self, f: &mut fmt::Formatter<'_>, diagnostic: &Diagnostic) -> fmt::Result {
        let severity = match diagnostic.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        writeln!(f, "{severity}: {}", diagnostic.message)?;
        match &diagnostic.place {
            Some(place) => self.excerpt(f, place, &diagnostic.label, diagnostic.hides_values)?,
            None => writeln!(f, " --> {}", self.file)?,
        }
        for (place, text) in &diagnostic.notes {
            writeln!(f, "note: {text}")?;
            self.excerpt(f, place, "", diagnostic.hides_values)?;
        }
        match &diagnostic.help {
            Some(help) => writeln!(f, "help: {help}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for diagnostic in &self.list {
            self.one(f, diagnostic)?;
            writeln!(f)?;
        }
        let errors = self.list.iter().filter(|diagnostic| diagnostic.is_error()).count();
        let counts = [(errors, "error"), (self.list.len() - errors, "warning")];
        let counts = counts.iter().filter(|(count, _)| *count > 0);
        let counts: Vec<_> = counts.map(|(count, what)| counted(*count, what)).collect();
        if counts.is_empty() { Ok(()) } else { write!(f, "{}: {}", self.file, counts.join(", ")) }
    }
}

/// A diagnostic where it is; lines and columns count from 1, columns in characters.
#[derive(Debug, Serialize)]
pub struct Located<'a> {
    severity: Severity,
    message: &'a str,
    line: Option<usize>,
    column: Option<usize>,
    /// What stands beside the place; may be empty.
    label: &'a str,
    notes: Vec<LocatedNote<'a>>,
    help: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct LocatedNote<'a> {
    message: &'a str,
    line: usize,
    column: usize,
}

struct Location {
    line: usize,
    /// In characters, as editors count.
    column: usize,
    excerpt: String,
    carets: usize,
}

impl Location {
    fn of(text: &str, place: &Span) -> Location {
        let start = floor_char(text, place.start);
        let end = floor_char(text, place.end).max(start);
        let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let rest = &text[line_start..];
        let line = rest.find('\n').map_or(rest, |at| &rest[..at]).trim_end_matches('\r');
        let line_end = line_start + line.len();
        let within = &text[start..end.min(line_end).max(start)];
        Location {
            line: text[..start].matches('\n').count() + 1,
            column: text[line_start..start].chars().count() + 1,
            excerpt: line.replace('\t', " "),
            carets: within.trim_end_matches('\r').chars().count().max(1),
        }
    }
}

/// A text that a line sets is one dot for each of its letters, so that what is under the line stays where it is. What is
/// taken from elsewhere is no secret.
fn without_values(line: &str) -> String {
    let mut shown = String::with_capacity(line.len());
    let mut quote = None;
    let mut is_value = false;
    for (at, letter) in line.char_indices() {
        match quote {
            Some(open) if letter == open => quote = None,
            Some(_) => {
                shown.push('·');
                continue;
            }
            None if is_value && matches!(letter, '"' | '\'') && !line[at + 1..].starts_with("${") => {
                quote = Some(letter)
            }
            None => {}
        }
        is_value = letter == '=' || (is_value && letter == ' ');
        shown.push(letter);
    }
    shown
}

fn floor_char(text: &str, at: usize) -> usize {
    let at = at.min(text.len());
    (0..=at).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}

/// The known name that a person most likely meant: a third of its letters may be wrong, or all of their cases.
pub fn nearest<'n>(name: &str, known: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let wrong_max = (name.chars().count() / 3).max(1);
    let distance = |known: &str| match name.eq_ignore_ascii_case(known) {
        true => 0,
        false => strsim::damerau_levenshtein(name, known),
    };
    let candidates = known.into_iter().map(|known| (distance(known), known));
    let near = candidates.filter(|(distance, known)| *distance <= wrong_max && *distance < known.len());
    near.min().map(|(_, known)| known)
}

/// `a`, `b` or `c`.
pub fn choices<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    let names: Vec<_> = names.into_iter().map(|name| format!("`{name}`")).collect();
    match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        Some((last, _)) => last.clone(),
        None => "nothing".to_owned(),
    }
}
