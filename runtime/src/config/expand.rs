//! `${NAME}`, `${NAME:-default}` and `${file:/PATH}` in a text, and `$$` for one dollar.
//!
//! Invariant: every dollar is one of these four, or an error; so a typing error never reaches a service.

use std::fs::File;
use std::io::Read;

const SECRET_BYTES_MAX: u64 = 64 << 10;

/// A dollar that could not be expanded.
#[derive(Debug, PartialEq, Eq)]
pub struct Fault {
    /// What stands there, to be found again in the file.
    pub written: String,
    pub kind: FaultKind,
}

#[derive(Debug, PartialEq, Eq)]
pub enum FaultKind {
    Unset(String),
    /// A file, and why it is not read.
    Unread(String, String),
    BadName(String),
    Unclosed,
    Lone,
}

/// The text with its variables' values, or everything that is wrong with it.
/// A default is used where a variable is unset or empty, as in a shell.
pub fn expand(text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<String, Vec<Fault>> {
    let (mut expanded, mut faults) = (String::with_capacity(text.len()), Vec::new());
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        expanded.push_str(&rest[..dollar]);
        rest = &rest[dollar..];
        let taken = match variable(rest, env) {
            Ok((value, taken)) => {
                expanded.push_str(&value);
                taken
            }
            Err(fault) => {
                let taken = fault.written.len();
                faults.push(fault);
                taken
            }
        };
        rest = &rest[taken..];
    }
    expanded.push_str(rest);
    if faults.is_empty() { Ok(expanded) } else { Err(faults) }
}

/// What stands at the start of a text that begins with a dollar: its value, and how many bytes it takes.
fn variable(text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<(String, usize), Fault> {
    let fault = |len: usize, kind| Err(Fault { written: text[..len].to_owned(), kind });
    if text.starts_with("$$") {
        return Ok(("$".to_owned(), 2));
    }
    let Some(inner) = text.strip_prefix("${") else {
        return fault(1, FaultKind::Lone);
    };
    let Some(close) = inner.find('}') else {
        return fault(text.len(), FaultKind::Unclosed);
    };
    let len = "${}".len() + close;
    if let Some(path) = inner[..close].strip_prefix("file:") {
        return match secret(path) {
            Ok(value) => Ok((value, len)),
            Err(why) => fault(len, FaultKind::Unread(path.to_owned(), why)),
        };
    }
    let (name, default) = match inner[..close].split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (&inner[..close], None),
    };
    if !is_name(name) {
        return fault(len, FaultKind::BadName(name.to_owned()));
    }
    match (env(name), default) {
        (Some(value), None) => Ok((value, len)),
        (Some(value), Some(_)) if !value.is_empty() => Ok((value, len)),
        (_, Some(default)) => Ok((default.to_owned(), len)),
        (None, None) => fault(len, FaultKind::Unset(name.to_owned())),
    }
}

/// What a file holds that keeps one word, as secrets of a container do; without the end of its line.
fn secret(path: &str) -> Result<String, String> {
    if !path.starts_with('/') {
        return Err("the path is not absolute, and the pipeline's file is read from a copy too".into());
    }
    let file = File::open(path).map_err(|error| error.to_string())?;
    let mut text = String::new();
    file.take(SECRET_BYTES_MAX + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
    if text.len() as u64 > SECRET_BYTES_MAX {
        return Err(format!("it has more than {SECRET_BYTES_MAX} bytes"));
    }
    let line = text.strip_suffix('\n').unwrap_or(&text);
    Ok(line.strip_suffix('\r').unwrap_or(line).to_owned())
}

fn is_name(text: &str) -> bool {
    let mut letters = text.chars();
    letters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(name: &str) -> Option<String> {
        [("HOST", "kafka"), ("EMPTY", "")].iter().find(|(known, _)| *known == name).map(|(_, value)| value.to_string())
    }

    #[test]
    fn every_form() {
        let cases = [
            ("plain", "plain"),
            ("${HOST}:9092", "kafka:9092"),
            ("${HOST:-other}", "kafka"),
            ("${NOBODY:-other}:1", "other:1"),
            ("${NOBODY:-}", ""),
            ("${EMPTY}", ""),
            ("${EMPTY:-other}", "other"),
            ("${NOBODY:-mongodb://a:1}/${HOST}", "mongodb://a:1/kafka"),
            ("5 $$, $${HOST}", "5 $, ${HOST}"),
            ("é${HOST}é", "ékafkaé"),
        ];
        for (text, expected) in cases {
            assert_eq!(expand(text, &env).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn a_file_is_its_line() {
        let file = std::env::temp_dir().join(format!("millrace-secret-{}", std::process::id()));
        let of = |text: &[u8]| {
            std::fs::write(&file, text).expect("written");
            expand(&format!("a ${{file:{}}} b", file.display()), &env)
        };
        assert_eq!(of(b"hunter2\n").as_deref(), Ok("a hunter2 b"));
        assert_eq!(of("two\nlines, $x\r\n".as_bytes()).as_deref(), Ok("a two\nlines, $x b"));
        assert_eq!(of(b"").as_deref(), Ok("a  b"));
        for wrong in [b"\xff".to_vec(), vec![b'x'; 70_000]] {
            assert!(matches!(&of(&wrong).unwrap_err()[0].kind, FaultKind::Unread(..)));
        }
        std::fs::remove_file(&file).expect("removed");
    }

    #[test]
    fn every_fault_at_once() {
        let faults = expand("${file:secret} ${A} $b ${C D} ${HOST} ${", &env).unwrap_err();
        let kinds: Vec<_> = faults.into_iter().map(|fault| (fault.written, fault.kind)).collect();
        let relative = "the path is not absolute, and the pipeline's file is read from a copy too";
        let expected = [
            ("${file:secret}", FaultKind::Unread("secret".to_owned(), relative.to_owned())),
            ("${A}", FaultKind::Unset("A".to_owned())),
            ("$", FaultKind::Lone),
            ("${C D}", FaultKind::BadName("C D".to_owned())),
            ("${", FaultKind::Unclosed),
        ];
        assert_eq!(kinds, expected.map(|(written, kind)| (written.to_owned(), kind)));
    }
}
