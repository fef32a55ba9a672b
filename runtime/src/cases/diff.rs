//! How rows differ from those that should be there, for people.

use std::fmt::Write as _;

use serde_json::Value;

/// Of differences of one file.
const SHOWN_MAX: usize = 20;
const VALUE_CHARS_MAX: usize = 200;

/// How far a number with a point may be off, in proportion to the larger of both. Whole numbers are exact.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerance(pub f64);

impl Tolerance {
    pub const EXACT: Tolerance = Tolerance(0.0);

    fn same(self, one: &Value, other: &Value) -> bool {
        match (one, other) {
            (Value::Number(one), Value::Number(other)) if one.is_f64() && other.is_f64() => {
                let (Some(one), Some(other)) = (one.as_f64(), other.as_f64()) else { return false };
                one == other || (one - other).abs() <= self.0 * one.abs().max(other.abs())
            }
            (Value::Array(ones), Value::Array(others)) => {
                ones.len() == others.len() && ones.iter().zip(others).all(|(one, other)| self.same(one, other))
            }
            (Value::Object(ones), Value::Object(others)) => {
                ones.len() == others.len()
                    && ones.iter().all(|(name, one)| others.get(name).is_some_and(|other| self.same(one, other)))
            }
            _ => one == other,
        }
    }
}

/// Lines of a file, as they should be and as they are: each a JSON object. Empty: they are the same.
pub fn rows(file: &str, expected: &[String], found: &[String], tolerance: Tolerance) -> String {
    let (expected, found) = (parse(expected), parse(found));
    let same = |(one, other): &(&(&str, Value), &(&str, Value))| tolerance.same(&one.1, &other.1);
    let before = expected.iter().zip(&found).take_while(same).count();
    let shortest = expected.len().min(found.len()) - before;
    let after = expected.iter().rev().zip(found.iter().rev()).take(shortest).take_while(same).count();
    let (gone, come) = (&expected[before..expected.len() - after], &found[before..found.len() - after]);
    let mut differences = Vec::new();
    if gone.len() == come.len() {
        let pairs = gone.iter().zip(come).enumerate().filter(|(_, pair)| !same(pair));
        differences.extend(pairs.map(|(index, (gone, come))| pair(before + index + 1, gone, come, tolerance)));
    } else {
        differences.extend(gone.iter().map(|(line, _)| format!("- {line}")));
        differences.extend(come.iter().map(|(line, _)| format!("+ {line}")));
    }
    if differences.is_empty() {
        return String::new();
    }
    shown(file, expected.len(), found.len(), &differences)
}

fn parse(lines: &[String]) -> Vec<(&str, Value)> {
    // what is no JSON is compared as it is
    let value = |line: &String| serde_json::from_str(line).unwrap_or_else(|_| Value::from(line.as_str()));
    lines.iter().map(|line| (line.as_str(), value(line))).collect()
}

/// A row in the place of another, column by column.
fn pair(number: usize, gone: &(&str, Value), come: &(&str, Value), tolerance: Tolerance) -> String {
    let (Value::Object(should), Value::Object(is)) = (&gone.1, &come.1) else {
        return format!("- {}\n+ {}", gone.0, come.0);
    };
    let mut said = format!("row {number}: {}", cut(come.0));
    let absent = Value::from("not there");
    let names = should.keys().chain(is.keys().filter(|name| !should.contains_key(*name)));
    for name in names {
        let [should, is] = [should, is].map(|row| row.get(name));
        let same = should.zip(is).is_some_and(|(should, is)| tolerance.same(should, is));
        if !same {
            let [should, is] = [should, is].map(|value| match value {
                Some(value) => cut(&value.to_string()),
                None => absent.as_str().unwrap_or_default().to_owned(),
            });
            // writing to a String does not fail
            let _ = write!(said, "\n  `{name}` is {is}, and should be {should}");
        }
    }
    said
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(VALUE_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn shown(file: &str, expected: usize, found: usize, differences: &[String]) -> String {
    let mut said = match expected == found {
        true => format!("{file} differs:\n"),
        false => format!("{file} differs: {found} lines, and should have {expected} (-: should be there, +: is)\n"),
    };
    for difference in differences.iter().take(SHOWN_MAX) {
        said += difference;
        said.push('\n');
    }
    if let Some(more) = differences.len().checked_sub(SHOWN_MAX).filter(|more| *more > 0) {
        let _ = writeln!(said, "… and {more} more");
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(expected: &[&str], found: &[&str], tolerance: f64) -> String {
        let [expected, found] =
            [expected, found].map(|rows| rows.iter().map(|row| row.to_string()).collect::<Vec<_>>());
        rows("out.jsonl", &expected, &found, Tolerance(tolerance))
    }

    #[test]
    fn the_same_says_nothing() {
        assert_eq!(said(&[], &[], 0.0), "");
        assert_eq!(said(&["{\"a\":1,\"b\":2.5}"], &["{\"b\":2.5, \"a\":1}"], 0.0), "", "whatever the order of columns");
        assert_eq!(said(&["{\"a\":0.0}"], &["{\"a\":-0.0}"], 0.0), "");
    }

    #[test]
    fn numbers_with_a_point_may_be_off_and_whole_ones_not() {
        assert_eq!(said(&["{\"a\":[100.0]}"], &["{\"a\":[100.01]}"], 1e-3), "");
        assert!(
            said(&["{\"a\":[100.0]}"], &["{\"a\":[100.01]}"], 1e-5).contains("`a` is [100.01], and should be [100.0]")
        );
        assert!(!said(&["{\"a\":1000000}"], &["{\"a\":1000001}"], 0.1).is_empty());
        assert!(!said(&["{\"a\":1.0}"], &["{\"a\":1}"], 0.1).is_empty(), "of another type");
    }

    #[test]
    fn a_changed_row_is_told_by_its_columns() {
        let expected = ["{\"a\":1}", "{\"a\":2,\"b\":null,\"c\":0}", "{\"a\":3}"];
        let found = ["{\"a\":1}", "{\"a\":2,\"b\":\"x\",\"d\":5}", "{\"a\":3}"];
        assert_eq!(
            said(&expected, &found, 0.0),
            "out.jsonl differs:\nrow 2: {\"a\":2,\"b\":\"x\",\"d\":5}\n  `b` is \"x\", and should be null\n  \
             `c` is not there, and should be 0\n  `d` is 5, and should be not there\n"
        );
    }

    #[test]
    fn rows_that_come_and_go() {
        assert_eq!(
            said(&["{\"a\":1}", "{\"a\":2}", "{\"a\":3}"], &["{\"a\":1}", "{\"a\":3}"], 0.0),
            "out.jsonl differs: 2 lines, and should have 3 (-: should be there, +: is)\n- {\"a\":2}\n"
        );
        assert!(said(&["{\"a\":1}"], &["{\"a\":1}", "{\"a\":1}"], 0.0).ends_with("+ {\"a\":1}\n"));
    }

    #[test]
    fn not_without_end() {
        let many: Vec<String> = (0..100).map(|n| format!("{{\"a\":{n}}}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let text = said(&many, &[], 0.0);
        assert!(text.ends_with("… and 80 more\n") && text.lines().count() == SHOWN_MAX + 2, "{text}");
    }
}
