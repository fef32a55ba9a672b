//! What a training says at its end: tables for people.

use std::fmt;
use std::path::PathBuf;

use super::data::LeftOut;
use crate::stage::model::{Evaluation, Manifest};

pub struct Report {
    pub folder: PathBuf,
    pub booster_bytes: u64,
    pub manifest: Manifest,
    pub left_out: LeftOut,
}

/// Name, and how it is said.
type Line = (&'static str, fn(&Evaluation) -> String);

const LINES: [Line; 7] = [
    ("rows trained on", |judged| grouped(judged.trained_rows)),
    ("rows asked", |judged| grouped(judged.rows)),
    ("accuracy", |judged| format!("{:.4}", judged.accuracy)),
    ("  always the largest class", |judged| format!("{:.4}", judged.majority_accuracy)),
    ("log loss", |judged| format!("{:.4}", judged.log_loss)),
    ("  always the classes' shares", |judged| format!("{:.4}", judged.majority_log_loss)),
    ("largest class", |judged| judged.majority_class.to_string()),
];

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (trained, figures) = (&self.manifest.trained, &self.manifest.figures);
        let (rows, from, to) = (grouped(trained.rows), trained.from, trained.to);
        writeln!(f, "{}: {rows} rows from {from} to {to}", self.manifest.name)?;
        self.left_out(f)?;
        let judged: Vec<_> = [("every fifth week", &figures.weeks), ("last months", &figures.last_months)]
            .into_iter()
            .filter_map(|(name, judged)| Some((name, judged.as_ref()?)))
            .collect();
        write!(f, "\n{:<30}", "held out")?;
        judged.iter().try_for_each(|(name, _)| write!(f, "{name:>18}"))?;
        for (name, value) in LINES {
            write!(f, "\n{name:<30}")?;
            judged.iter().try_for_each(|(_, judged)| write!(f, "{:>18}", value(judged)))?;
        }
        writeln!(f)?;
        for (name, judged) in &judged {
            self.classes(f, name, judged)?;
        }
        let megabytes = self.booster_bytes as f64 / 1e6;
        writeln!(f, "\n{}: trained on all rows, {megabytes:.1} MB", self.folder.display())
    }
}

impl Report {
    fn left_out(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (stage, code, reason) in self.left_out.iter() {
            let (count, line) = (grouped(reason.count), reason.line);
            writeln!(f, "left out: {count} {code} ({stage}), first in line {line}: {}", reason.said)?;
        }
        Ok(())
    }

    fn classes(&self, f: &mut fmt::Formatter<'_>, name: &str, judged: &Evaluation) -> fmt::Result {
        let classes = &self.manifest.classes;
        let width = classes.iter().map(|class| class.label.chars().count()).max().unwrap_or(0).max(name.len());
        write!(f, "\n  {name:<width$}{:>10}{:>11}{:>8}   answered", "rows", "precision", "recall")?;
        (0..classes.len()).try_for_each(|class| write!(f, "{class:>9}"))?;
        for (index, class) in classes.iter().enumerate() {
            let (answered, label) = (&judged.confusion[index], &class.label);
            write!(f, "\n{index} {label:<width$}{:>10}", grouped(answered.iter().sum()))?;
            write!(f, "{:>11.3}{:>8.3}           ", judged.precision[index], judged.recall[index])?;
            answered.iter().try_for_each(|count| write!(f, "{:>9}", grouped(*count)))?;
        }
        writeln!(f)
    }
}

/// 336776 as 336,776.
fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let parts: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    parts.join(",")
}
