//! What a name, an address or a type may look like, each checked where it is written.
//!
//! Invariant: what passes here is taken by the service that it is for, as far as the text alone can tell.

use millrace_embedded::{TOPIC_NAMES, is_topic_name};
use mongodb::error::ErrorKind;
use mongodb::options::ConnectionString;

use super::diagnostics::{Diagnostic, choices};
use super::reader::{At, Context, Read};
use crate::plan::Metadata;
use crate::rejects;
use crate::schema::{Kind, Type};

/// Names of the pipeline, of stages and of sinks are parts of ids, folders and transactions.
const IDENTIFIER_CHARS_MAX: usize = 64;
const DATABASE_CHARS_MAX: usize = 63;
const COLLECTION_BYTES_MAX: usize = 120;

fn check(cx: &Context, name: At<String>, right: bool, what: &str, expected: &str) -> Read<At<String>> {
    if right {
        return Ok(name);
    }
    let wrong = Diagnostic::error(format!("`{}` cannot be {what}", name.value)).at(&name.span);
    Err(cx.error(wrong.label(format!("expected {expected}"))))
}

/// a-z, 0-9 and hyphens within.
pub fn identifier(cx: &Context, name: At<String>, what: &str) -> Read<At<String>> {
    let text = &name.value;
    let right = text.chars().all(|letter| matches!(letter, 'a'..='z' | '0'..='9' | '-'))
        && !text.is_empty()
        && !text.starts_with('-')
        && !text.ends_with('-')
        && text.len() <= IDENTIFIER_CHARS_MAX;
    check(cx, name, right, what, &format!("a-z, 0-9 and hyphens within, at most {IDENTIFIER_CHARS_MAX}"))
}

/// Where the rejects go is a sink too, and its name is taken.
pub fn sink(cx: &Context, name: At<String>) -> Read<At<String>> {
    let right = name.value != rejects::SINK;
    check(cx, name, right, "a sink's name", "another name: the pipeline's rejects have it")
}

pub fn topic(cx: &Context, name: At<String>) -> Read<At<String>> {
    let right = is_topic_name(&name.value);
    check(cx, name, right, "a topic", TOPIC_NAMES)
}

/// `host:port`, several with commas between.
pub fn brokers(cx: &Context, brokers: At<String>) -> Read<At<String>> {
    let right = brokers.value.split(',').all(|broker| {
        let port = broker.rsplit_once(':').filter(|(host, _)| !host.is_empty());
        !broker.contains(char::is_whitespace)
            && port.is_some_and(|(_, port)| port.parse::<u16>().is_ok_and(|port| port > 0))
    });
    check(cx, brokers, right, "brokers", "`host:port`, several with commas between")
}

pub fn mongodb_uri(cx: &Context, uri: At<String>) -> Read<At<String>> {
    match ConnectionString::parse(&uri.value) {
        Ok(_) => Ok(uri),
        // the text may hold a password: it is not repeated
        Err(error) => {
            let wrong = Diagnostic::error("this is no MongoDB connection string").at(&uri.span);
            let why = match &*error.kind {
                ErrorKind::InvalidArgument { message, .. } => message.clone(),
                _ => error.to_string(),
            };
            Err(cx.error(wrong.label("expected `mongodb://host:port`").help(why)))
        }
    }
}

pub fn database(cx: &Context, name: At<String>) -> Read<At<String>> {
    let right = !name.value.contains(['/', '\\', '.', ' ', '"', '$', '\0', '*', '<', '>', ':', '|', '?'])
        && name.value.len() <= DATABASE_CHARS_MAX;
    check(
        cx,
        name,
        right,
        "a database",
        &format!("no spaces, dots, slashes or dollars, at most {DATABASE_CHARS_MAX} bytes"),
    )
}

pub fn collection(cx: &Context, name: At<String>) -> Read<At<String>> {
    let text = &name.value;
    let right = !text.contains(['$', '\0'])
        && !text.starts_with("system.")
        && !text.starts_with('.')
        && !text.ends_with('.')
        && text.len() <= COLLECTION_BYTES_MAX;
    check(
        cx,
        name,
        right,
        "a collection",
        &format!("no dollars, not beginning with `system.`, at most {COLLECTION_BYTES_MAX} bytes"),
    )
}

/// A server's address or a name service.
pub fn hdfs_uri(cx: &Context, uri: At<String>) -> Read<At<String>> {
    let right = uri.value.strip_prefix("hdfs://").is_some_and(|rest| {
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = rest.split_once(':').unwrap_or((rest, "1"));
        let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | '-');
        !host.is_empty() && host.chars().all(plain) && port.parse::<u16>().is_ok_and(|port| port > 0)
    });
    check(cx, uri, right, "the address of an HDFS", "`hdfs://host:port`, and the folder in `directory`")
}

/// An absolute path, without the slash at its end.
pub fn directory(cx: &Context, directory: At<String>) -> Read<At<String>> {
    let directory = directory.map(|path| match path.strip_suffix('/') {
        Some(inner) if !inner.is_empty() => inner.to_owned(),
        _ => path,
    });
    let part = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains([':', '\0']);
    let right = directory.value.strip_prefix('/').is_some_and(|rest| rest.split('/').all(part));
    check(cx, directory, right, "a directory of HDFS", "an absolute path without `.`, `..`, `:` and empty parts")
}

pub fn column_type(cx: &Context, written: &At<String>) -> Read<Type> {
    written.value.parse().map_err(|_| {
        let inner = written.value.trim_end_matches('?');
        let inner = inner.strip_prefix("list<").and_then(|inner| inner.strip_suffix('>')).unwrap_or(inner);
        let names = || Kind::ALL.iter().map(|kind| kind.name());
        let unknown = Diagnostic::error(format!("`{}` is not a type", written.value)).at(&written.span);
        let unknown = unknown
            .label(format!("expected {}, or `list<…>` of one, with `?` where a value may be absent", choices(names())));
        cx.error(match other_name(&inner.to_ascii_lowercase()) {
            Some(kind) => unknown.help(format!("it is called `{}` here", kind.name())),
            None => unknown.help_nearest(inner, names()),
        })
    })
}

/// What other systems call the types.
fn other_name(name: &str) -> Option<Kind> {
    Some(match name {
        "boolean" => Kind::Boolean,
        "int" | "integer" | "long" | "bigint" | "i64" => Kind::Int64,
        "float" | "double" | "number" | "real" | "f64" => Kind::Float64,
        "string" | "str" | "utf8" | "varchar" => Kind::Text,
        "bytes" | "blob" => Kind::Binary,
        "datetime" | "time" => Kind::Timestamp,
        _ => return None,
    })
}

pub fn metadata(cx: &Context, written: &At<String>) -> Read<Metadata> {
    const PLAIN: [(&str, Metadata); 4] = [
        ("key", Metadata::Key),
        ("timestamp", Metadata::Timestamp),
        ("partition", Metadata::Partition),
        ("offset", Metadata::Offset),
    ];
    let text = written.value.as_str();
    if let Some(header) = text.strip_prefix("header:").filter(|header| !header.is_empty()) {
        return Ok(Metadata::Header(header.to_owned()));
    }
    let plain = PLAIN.into_iter().find(|(name, _)| *name == text).map(|(_, metadata)| metadata);
    plain.ok_or_else(|| {
        let names = || PLAIN.iter().map(|(name, _)| *name).chain(["header:NAME"]);
        let unknown = Diagnostic::error(format!("a message has no `{text}`")).at(&written.span);
        cx.error(unknown.label(format!("expected {}", choices(names()))).help_nearest(text, names()))
    })
}
