//! `millrace replay` of files of text: a bad line is named, what is before it is in the topic, and the command that goes
//! on is said.

use std::fs;
use std::path::Path;

use crate::replay::{folder, millrace, replay};

/// Of the topic; none where nothing made it.
fn rows(file: &Path) -> Vec<String> {
    let done = millrace(&["consume", "rows"], &file.with_extension("data"));
    String::from_utf8(done.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// What is said of the file, with so many rows in the topic before that.
fn assert_refused(name: &str, text: impl AsRef<[u8]>, through: usize, words: &[&str]) {
    for options in [&[][..], &["--uuid", "id"]] {
        let file = folder(name).join(name);
        fs::write(&file, &text).unwrap();
        let done = replay(&file, options);
        let said = String::from_utf8(done.stderr).unwrap();
        assert_eq!(done.status.code(), Some(1), "{said}");
        assert!(said.starts_with(&format!("error: {}: ", file.display())), "{said}");
        words.iter().for_each(|word| assert!(said.contains(word), "{word:?} is not in: {said}"));
        assert_eq!(rows(&file).len(), through, "{said}");
        let rows = if through == 1 { "row".to_owned() } else { format!("{through} rows") };
        let is = if through == 1 { "is" } else { "are" };
        let file = file.display();
        let stands = format!("the first {rows} of {file} {is} in rows, and no more; to go on, add --skip {through}");
        assert_eq!(said.contains(&stands), through > 0, "{said}");
    }
}

#[test]
fn a_line_that_is_no_json_object() {
    let good = "{\"n\": 1}\n\n{\"n\": 2}\n";
    for (bad, why) in [
        ("{\"n\": 3", "EOF while parsing an object at column 7"),
        ("{\"n\": 3} x", "trailing characters at column 10"),
        ("[3]", "invalid type: sequence, expected a map"),
        ("3", "invalid type: integer `3`, expected a map"),
        ("flight", "expected ident"),
    ] {
        let words = ["line 4: it is no JSON object: ", why, "`millrace produce` sends lines as they are"];
        assert_refused("bad.jsonl", format!("{good}{bad}\n{{\"n\": 4}}\n"), 2, &words);
    }
    let words = ["line 4: it is no JSON object: ", "invalid utf-8"];
    assert_refused("bytes.jsonl", [good.as_bytes(), b"{\"n\": \"\xff\"}\n"].concat(), 2, &words);
}

#[test]
fn the_command_goes_on_where_it_says() {
    let file = folder("texts-on").join("on.jsonl");
    fs::write(&file, "{\"n\": 1}\n{\"n\": 2}\n{\"n\": 3\n{\"n\": 4}\n").unwrap();
    assert_eq!(replay(&file, &[]).status.code(), Some(1));
    fs::write(&file, "{\"n\": 1}\n{\"n\": 2}\n{\"n\": 3}\n{\"n\": 4}\n").unwrap();
    let done = replay(&file, &["--skip", "2"]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert_eq!(rows(&file), ["{\"n\": 1}", "{\"n\": 2}", "{\"n\": 3}", "{\"n\": 4}"]);
    let done = replay(&file, &["--skip", "5"]);
    assert_eq!(done.status.code(), Some(1));
    assert!(String::from_utf8(done.stderr).unwrap().contains("it has 4 rows, fewer than --skip says"));
}

#[test]
fn a_table_that_is_not_whole() {
    assert_refused("empty.csv", "", 0, &["it is empty: the first line of a CSV file names its columns"]);
    assert_refused("twice.csv", "a,b,a\n1,2,3\n", 0, &["column `a` is there twice"]);
    let open = "line 3: the quote that opens a cell there is not closed";
    // in the last column the record is as long as the others
    assert_refused("quote.csv", "a,b\n1,2\n3,\"4\n5,6\n", 1, &[open]);
    assert_refused("quote-first.csv", "a,b\n1,2\n\"3,4\n5,6\n", 1, &[open]);
    assert_refused("quote-header.csv", "a,\"b\n1,2\n", 0, &["line 1: the quote that opens a cell there is not closed"]);
    assert_refused("short.csv", "a,b\n1,2\n3\n", 1, &["line 3: 1 cell where the first line names 2 columns"]);
    let long = format!("a,b\n1,2\n3,\"{}\n", "x".repeat(17 << 20));
    assert_refused("long.csv", long, 1, &["line 3: the quote that opens a cell there is not closed within"]);
}

#[test]
fn quotes_where_they_may_be() {
    let file = folder("texts-quotes").join("quotes.csv");
    fs::write(&file, "a,b\r\n\"1,\n2\",\"say \"\"yes\"\"\"\r\n5\" disk,\"\"\r\n3,\"end\"").unwrap();
    assert!(replay(&file, &[]).status.success());
    let expected = [r#"{"a":"1,\n2","b":"say \"yes\""}"#, r#"{"a":"5\" disk","b":null}"#, r#"{"a":3,"b":"end"}"#];
    assert_eq!(rows(&file), expected);
}
