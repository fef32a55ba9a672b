//! Names of published files and of markers. They are the position, so they are parsed strictly: a file that only
//! looks like one of ours is none.

/// Offsets [first, last] of a partition, as one published file holds them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    pub partition: i32,
    pub first: i64,
    pub last: i64,
}

impl Published {
    /// Offsets are padded so that names sort as they do.
    pub fn name(&self, topic: &str) -> String {
        format!("{}-{:019}-{:019}.jsonl", partition(topic, self.partition), self.first, self.last)
    }

    /// None: a file of something else, of another topic for one.
    pub fn parse(name: &str, topic: &str) -> Option<Published> {
        let mut parts = name.strip_prefix(topic)?.strip_prefix('-')?.strip_suffix(".jsonl")?.split('-');
        let (partition, first, last) = (parts.next()?, parts.next()?, parts.next()?);
        let published = Published { partition: number(partition)?, first: number(first)?, last: number(last)? };
        (parts.next().is_none() && published.name(topic) == name).then_some(published)
    }
}

/// The folder of a partition.
pub fn partition(topic: &str, partition: i32) -> String {
    format!("{topic}-{partition}")
}

/// The empty file in a token directory that says how far the partition is, also where no file does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marker {
    pub next: i64,
    /// As [`topic_id`] writes it.
    pub topic_id: String,
}

impl Marker {
    pub fn name(&self) -> String {
        format!("position-{}-{}", self.next, self.topic_id)
    }

    pub fn parse(name: &str) -> Option<Marker> {
        let (next, topic_id) = name.strip_prefix("position-")?.split_once('-')?;
        Some(Marker { next: number(next)?, topic_id: topic_id.to_owned() })
    }
}

/// A topic's id in the alphabet that file names allow: base64 for URLs.
pub fn topic_id(id: &str) -> String {
    id.replace('+', "-").replace('/', "_").trim_end_matches('=').to_owned()
}

/// Can it be a name, or a part of one?
pub fn is_fit(part: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !part.is_empty() && part.chars().all(fits) && !part.starts_with('.')
}

fn number<N: std::str::FromStr>(digits: &str) -> Option<N> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_and_sort_as_offsets() {
        let file = Published { partition: 3, first: 9, last: 12 };
        assert_eq!(file.name("t-1"), "t-1-3-0000000000000000009-0000000000000000012.jsonl");
        assert_eq!(Published::parse(&file.name("t-1"), "t-1"), Some(file));
        let later = Published { partition: 3, first: 13, last: i64::MAX };
        assert_eq!(Published::parse(&later.name("t"), "t"), Some(later));
        assert!(file.name("t") < later.name("t"));
    }

    #[test]
    fn what_is_not_ours_is_not_read() {
        let file = Published { partition: 0, first: 0, last: 1 };
        assert_eq!(Published::parse(&file.name("t-1"), "t"), None);
        assert_eq!(Published::parse(&file.name("t"), "t-0"), None);
        for name in ["t-0-0-1.jsonl", "t-0-000000000000000000+-0000000000000000001.jsonl", "t", "_millrace"] {
            assert_eq!(Published::parse(name, "t"), None, "{name}");
        }
        assert_eq!(Published::parse(&format!("{}.gz", file.name("t")), "t"), None);
    }

    #[test]
    fn markers_read_back() {
        let marker = Marker { next: 42, topic_id: topic_id("a-+/b==") };
        assert_eq!(marker.name(), "position-42-a--_b");
        assert_eq!(Marker::parse(&marker.name()), Some(marker));
        assert_eq!(Marker::parse("position-x-a"), None);
        assert_eq!(Marker::parse("rows-1"), None);
    }
}
