//! Words for people: those that come from elsewhere (a guest, a server), made fit for a log line and a reject, bounded and
//! without control characters; and numbers of things.

use std::fmt::Display;

/// At most `bytes_max` bytes, for people.
pub fn sentence(text: &str, bytes_max: usize) -> String {
    let end = text.floor_char_boundary(bytes_max);
    let clean = text[..end].chars().map(|char| if char.is_control() { ' ' } else { char });
    let ellipsis = if end < text.len() { "…" } else { "" };
    clean.chain(ellipsis.chars()).collect()
}

/// At most `bytes_max` bytes, for machines: ASCII letters, digits, `_`, `-` and `.`.
pub fn word(text: &str, bytes_max: usize) -> String {
    let allowed = |char: char| char.is_ascii_alphanumeric() || matches!(char, '_' | '-' | '.');
    text.chars().take(bytes_max).map(|char| if allowed(char) { char } else { '_' }).collect()
}

/// `1 message`, `2 messages`.
pub fn counted<N: Display + PartialEq + From<u8>>(number: N, what: &str) -> String {
    format!("{number} {what}{}", if number == N::from(1) { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_not_many() {
        assert_eq!([0, 1, 2].map(|number| counted(number, "row")), ["0 rows", "1 row", "2 rows"]);
    }

    #[test]
    fn bounded_and_printable() {
        assert_eq!(sentence("a\nb\u{1b}[31m", 100), "a b [31m");
        assert_eq!(sentence("éé", 3), "é…");
        assert_eq!(word("bad code\né", 100), "bad_code__");
        assert_eq!(word(&"x".repeat(100), 64).len(), 64);
    }
}
