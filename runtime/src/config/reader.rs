//! Reads TOML tables into values and collects every error on the way instead of stopping at the first.
//!
//! Invariant: a getter that answers `Err` has reported why, once. A key that is missing because it is misspelt is
//! one error, not two. Names are never empty. Knows nothing of pipelines.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostics::{Diagnostic, Report, Reported, Span, choices, nearest};
use super::expand::{Fault, FaultKind, expand};

pub type Read<T> = Result<T, Reported>;
pub type Value<'a> = Spanned<DeValue<'a>>;

/// A value and where it stands; a default stands at its table.
#[derive(Clone, Debug)]
pub struct At<T> {
    pub value: T,
    pub span: Span,
}

impl<T> At<T> {
    pub fn new(value: T, span: Span) -> At<T> {
        At { value, span }
    }

    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> At<U> {
        At { value: change(self.value), span: self.span }
    }
}

impl AsRef<str> for At<String> {
    fn as_ref(&self) -> &str {
        &self.value
    }
}

/// What all readers of one file share.
pub struct Context<'a> {
    pub text: &'a str,
    /// Where relative paths begin.
    pub folder: &'a Path,
    /// Where absolute paths begin, if not at the system's root: of a file that is a copy.
    pub root: Option<&'a Path>,
    pub env: &'a dyn Fn(&str) -> Option<String>,
    pub report: &'a Report,
}

impl<'a> Context<'a> {
    /// What a path of the file means.
    pub fn path(&self, written: impl AsRef<Path>) -> PathBuf {
        let written = written.as_ref();
        match (self.root, written.strip_prefix("/")) {
            (Some(root), Ok(below)) => root.join(below),
            _ => self.folder.join(written),
        }
    }

    pub fn error(&self, diagnostic: Diagnostic) -> Reported {
        self.report.error(diagnostic)
    }

    pub fn wrong_type(&self, value: &Value, what: &str, expected: &str) -> Reported {
        let found = type_name(value.get_ref());
        self.error(
            Diagnostic::error(format!("{what} is not {expected}"))
                .at(&value.span())
                .label(format!("{found}, expected {expected}")),
        )
    }

    /// A text with its variables expanded; may be empty.
    pub fn text(&self, value: &Value, what: &str) -> Read<At<String>> {
        let DeValue::String(written) = value.get_ref() else {
            return Err(self.wrong_type(value, what, "a text"));
        };
        let expanded = expand(written, self.env).map_err(|faults| {
            let report = |fault: Fault| self.error(self.fault(value.span(), &fault.written, fault.kind));
            // there is at least one fault, and all of them are reported
            let reported = faults.into_iter().fold(None, |_, fault| Some(report(fault)));
            reported.unwrap_or_else(|| self.wrong_type(value, what, "a text"))
        })?;
        Ok(At::new(expanded, value.span()))
    }

    fn fault(&self, span: Span, written: &str, kind: FaultKind) -> Diagnostic {
        let found = self.text.get(span.clone()).and_then(|text| text.find(written));
        let place = found.map_or(span.clone(), |at| span.start + at..span.start + at + written.len());
        let diagnostic = match kind {
            FaultKind::Unset(name) => Diagnostic::error(format!("the environment variable `{name}` is not set"))
                .help(format!("set it, or give a default: `${{{name}:-default}}`")),
            FaultKind::Unread(path, why) => Diagnostic::error(format!("`{path}` cannot be read: {why}"))
                .help("`${file:/PATH}` is what that file holds"),
            FaultKind::BadName(name) => Diagnostic::error(format!("`{name}` is no name of an environment variable"))
                .help("write `${NAME}` or `${NAME:-default}`, and `$$` for one dollar"),
            FaultKind::Unclosed => Diagnostic::error("`${` has no `}`").help("write `$$` for one dollar"),
            FaultKind::Lone => {
                Diagnostic::error("a lone dollar").help("write `$$` for one dollar, `${NAME}` for a variable")
            }
        };
        diagnostic.at(&place)
    }

    /// A text that is not empty.
    pub fn name(&self, value: &Value, what: &str) -> Read<At<String>> {
        let text = self.text(value, what)?;
        match text.value.is_empty() {
            true => Err(self.error(Diagnostic::error(format!("{what} is empty")).at(&text.span))),
            false => Ok(text),
        }
    }

    pub fn integer(&self, value: &Value, what: &str) -> Read<i64> {
        let DeValue::Integer(written) = value.get_ref() else {
            return Err(self.wrong_type(value, what, "a whole number"));
        };
        i64::from_str_radix(written.as_str(), written.radix())
            .map_err(|_| self.error(Diagnostic::error(format!("{what} is too large a number")).at(&value.span())))
    }

    /// Whole numbers are taken too.
    pub fn number(&self, value: &Value, what: &str) -> Read<f64> {
        let written = match value.get_ref() {
            DeValue::Float(written) => written.as_str(),
            DeValue::Integer(_) => return self.integer(value, what).map(|number| number as f64),
            _ => return Err(self.wrong_type(value, what, "a number")),
        };
        match written.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(number),
            _ => Err(self.error(Diagnostic::error(format!("{what} is not a finite number")).at(&value.span()))),
        }
    }

    pub fn array<'v>(&self, value: &'v Value<'a>, what: &str) -> Read<&'v [Value<'a>]> {
        match value.get_ref() {
            DeValue::Array(values) => Ok(values),
            _ => Err(self.wrong_type(value, what, "a list")),
        }
    }

    /// What stands in a table, whatever its keys are.
    pub fn entries<'v>(&self, value: &'v Value<'a>, what: &str) -> Read<&'v DeTable<'a>> {
        match value.get_ref() {
            DeValue::Table(entries) => Ok(entries),
            _ => Err(self.wrong_type(value, what, "a table")),
        }
    }

    /// Names, each once, at least one.
    pub fn names(&self, value: &Value<'a>, what: &str) -> Read<At<Vec<At<String>>>> {
        let values = self.array(value, what)?;
        if values.is_empty() {
            return Err(self.error(
                Diagnostic::error(format!("{what} is empty")).at(&value.span()).label("expected at least one name"),
            ));
        }
        let names: Vec<_> = values.iter().map(|value| self.name(value, &format!("a name in {what}"))).collect();
        let names = names.into_iter().collect::<Read<Vec<_>>>()?;
        // a name that is there twice is no reason to say nothing of the others
        let _reported = self.each_once(&names, what);
        Ok(At::new(names, value.span()))
    }

    pub fn each_once(&self, names: &[At<String>], what: &str) -> Read<()> {
        let mut result = Ok(());
        for (index, name) in names.iter().enumerate() {
            if let Some(first) = names[..index].iter().find(|first| first.value == name.value) {
                let twice = Diagnostic::error(format!("`{}` is twice in {what}", name.value)).at(&name.span);
                result = Err(self.error(twice.note(&first.span, "it is here first")));
            }
        }
        result
    }
}

fn type_name(value: &DeValue) -> &'static str {
    match value {
        DeValue::String(_) => "this is a text",
        DeValue::Integer(_) => "this is a whole number",
        DeValue::Float(_) => "this is a number",
        DeValue::Boolean(_) => "this is a boolean",
        DeValue::Datetime(_) => "this is a date or time",
        DeValue::Array(_) => "this is a list",
        DeValue::Table(_) => "this is a table",
    }
}

/// A table whose keys are known.
pub struct Table<'c, 'a> {
    pub cx: &'c Context<'a>,
    /// `source.kafka`; empty for the whole file.
    pub path: String,
    /// Where a missing key is reported.
    pub span: Span,
    entries: &'c DeTable<'a>,
    keys: &'static [&'static str],
    /// Known keys that are missing because another stands in for them.
    misspelt: Vec<(&'static str, Reported)>,
}

impl<'c, 'a> Table<'c, 'a> {
    /// Reports unknown keys at once.
    pub fn new(
        cx: &'c Context<'a>,
        path: String,
        span: Span,
        entries: &'c DeTable<'a>,
        keys: &'static [&'static str],
    ) -> Table<'c, 'a> {
        let mut table = Table { cx, path, span, entries, keys, misspelt: Vec::new() };
        for (key, _) in in_file_order(entries) {
            if !keys.contains(&key.value) {
                table.unknown_key(&key);
            }
        }
        table
    }

    fn unknown_key(&mut self, key: &At<&str>) {
        let place = if self.path.is_empty() { String::new() } else { format!(" in `{}`", self.path) };
        let unknown = Diagnostic::error(format!("unknown key `{}`{place}", key.value)).at(&key.span);
        let unknown = unknown.label(format!("expected {}", choices(self.keys.iter().copied())));
        let reported = self.cx.error(unknown.help_nearest(key.value, self.keys.iter().copied()));
        let free = self.keys.iter().copied().filter(|known| !self.entries.contains_key(*known));
        self.misspelt.extend(nearest(key.value, free).map(|known| (known, reported)));
    }

    /// Was the key misspelt, so that its absence says nothing?
    pub fn is_misspelt(&self, key: &str) -> bool {
        self.misspelt.iter().any(|(known, _)| *known == key)
    }

    pub fn place(&self, key: &str) -> String {
        if self.path.is_empty() { format!("`{key}`") } else { format!("`{}.{key}`", self.path) }
    }

    /// Is it a key that the table may have?
    pub fn knows(&self, key: &str) -> bool {
        self.keys.contains(&key)
    }

    pub fn get(&self, key: &str) -> Option<&'c Value<'a>> {
        debug_assert!(self.keys.contains(&key), "{key} is not among the table's keys");
        self.entries.get(key)
    }

    pub fn key_span(&self, key: &str) -> Option<Span> {
        self.entries.get_key_value(key).map(|(key, _)| key.span())
    }

    pub fn required(&self, key: &'static str) -> Read<&'c Value<'a>> {
        self.get(key).ok_or_else(|| self.missing(format!("{} is missing", self.place(key)), &[key]))
    }

    /// None of the keys is there. Silent where one of them was misspelt.
    fn missing(&self, what: String, keys: &[&str]) -> Reported {
        if let Some((_, reported)) = self.misspelt.iter().find(|(known, _)| keys.contains(known)) {
            return *reported;
        }
        let missing = Diagnostic::error(what).at(&self.span);
        self.cx.error(missing.label(format!("expected {} in here", choices(keys.iter().copied()))))
    }

    /// A name, which must be there.
    pub fn name(&self, key: &'static str) -> Read<At<String>> {
        self.cx.name(self.required(key)?, &self.place(key))
    }

    pub fn name_or(&self, key: &'static str, default: &str) -> Read<At<String>> {
        let absent = || At::new(default.to_owned(), self.span.clone());
        self.optional(key, |value, place| self.cx.name(value, place)).map(|name| name.unwrap_or_else(absent))
    }

    pub fn optional<T>(&self, key: &str, read: impl FnOnce(&'c Value<'a>, &str) -> Read<T>) -> Read<Option<T>> {
        self.get(key).map(|value| read(value, &self.place(key))).transpose()
    }

    pub fn name_maybe(&self, key: &'static str) -> Read<Option<At<String>>> {
        self.optional(key, |value, place| self.cx.name(value, place))
    }

    pub fn names(&self, key: &'static str) -> Read<At<Vec<At<String>>>> {
        self.cx.names(self.required(key)?, &self.place(key))
    }

    pub fn names_maybe(&self, key: &'static str) -> Read<Option<At<Vec<At<String>>>>> {
        self.optional(key, |value, place| self.cx.names(value, place))
    }

    /// A whole number within bounds.
    pub fn limit(&self, key: &'static str, default: u64, bounds: RangeInclusive<u64>) -> Read<u64> {
        let Some(value) = self.get(key) else { return Ok(default) };
        let number = self.cx.integer(value, &self.place(key))?;
        let fitting = u64::try_from(number).ok().filter(|number| bounds.contains(number));
        fitting.ok_or_else(|| {
            let expected = format!("expected {} to {}", bounds.start(), bounds.end());
            self.cx.error(
                Diagnostic::error(format!("{} is out of bounds", self.place(key))).at(&value.span()).label(expected),
            )
        })
    }

    /// A number above 0, at most `max`.
    pub fn positive_number(&self, key: &'static str, default: f64, max: f64) -> Read<f64> {
        let Some(value) = self.get(key) else { return Ok(default) };
        let number = self.cx.number(value, &self.place(key))?;
        if number > 0.0 && number <= max {
            return Ok(number);
        }
        let wrong = Diagnostic::error(format!("{} is out of bounds", self.place(key))).at(&value.span());
        Err(self.cx.error(wrong.label(format!("expected above 0, at most {max}"))))
    }

    pub fn flag(&self, key: &'static str, default: bool) -> Read<bool> {
        let Some(value) = self.get(key) else { return Ok(default) };
        match value.get_ref() {
            DeValue::Boolean(flag) => Ok(*flag),
            // what the environment says is a text
            DeValue::String(_) => {
                let text = self.cx.text(value, &self.place(key))?;
                text.value.parse().map_err(|_| {
                    let wrong = Diagnostic::error(format!("{} is not true or false", self.place(key))).at(&text.span);
                    self.cx.error(wrong.label(format!("this is `{}`, expected true or false", text.value)))
                })
            }
            _ => Err(self.cx.wrong_type(value, &self.place(key), "true or false")),
        }
    }

    /// One of a closed list of words.
    pub fn choice<T: Copy>(&self, key: &'static str, known: &[(&'static str, T)], default: T) -> Read<T> {
        let Some(value) = self.get(key) else { return Ok(default) };
        let word = self.cx.text(value, &self.place(key))?;
        let words = || known.iter().map(|(word, _)| *word);
        let chosen = known.iter().find(|(known, _)| *known == word.value);
        chosen.map(|(_, value)| *value).ok_or_else(|| {
            let unknown = Diagnostic::error(format!("{} cannot be `{}`", self.place(key), word.value)).at(&word.span);
            let unknown = unknown.label(format!("expected {}", choices(words())));
            self.cx.error(unknown.help_nearest(&word.value, words()))
        })
    }

    pub fn table(&self, key: &'static str, keys: &'static [&'static str]) -> Read<Table<'c, 'a>> {
        self.inner(key, self.required(key)?, keys)
    }

    pub fn table_maybe(&self, key: &'static str, keys: &'static [&'static str]) -> Read<Option<Table<'c, 'a>>> {
        self.get(key).map(|value| self.inner(key, value, keys)).transpose()
    }

    fn inner(&self, key: &str, value: &'c Value<'a>, keys: &'static [&'static str]) -> Read<Table<'c, 'a>> {
        let path = if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) };
        let entries = self.cx.entries(value, &self.place(key))?;
        let span = value.span();
        Ok(Table::new(self.cx, path, span, entries, keys))
    }

    /// Which one of these keys is there; exactly one must be.
    pub fn one_of<K: Copy>(&self, known: &[(&'static str, K)]) -> Read<K> {
        let mut there = known.iter().filter_map(|(key, value)| Some((*key, *value, self.key_span(key)?)));
        let Some((key, value, span)) = there.next() else {
            let keys: Vec<_> = known.iter().map(|(key, _)| *key).collect();
            return Err(self.missing(format!("`{}` does not say what it is", self.path), &keys));
        };
        let Some((other, _, other_span)) = there.next() else { return Ok(value) };
        let both = Diagnostic::error(format!("`{}` is both `{key}` and `{other}`", self.path)).at(&other_span);
        Err(self.cx.error(both.label("expected one of the two").note(&span, "the other is here")))
    }
}

/// Keys and values as the file has them; the parser sorts them by name.
pub fn in_file_order<'c, 'a>(entries: &'c DeTable<'a>) -> Vec<(At<&'c str>, &'c Value<'a>)> {
    let mut entries: Vec<_> =
        entries.iter().map(|(key, value)| (At::new(key.get_ref().as_ref(), key.span()), value)).collect();
    entries.sort_by_key(|(key, _)| key.span.start);
    entries
}
