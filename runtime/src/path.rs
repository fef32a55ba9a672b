//! Paths as they are written.

use std::path::{Component, Path, PathBuf};

/// As one word of a command that is to be copied.
pub fn word(path: &Path) -> String {
    let written = match path.to_string_lossy() {
        // where one is
        here if here.is_empty() => ".".into(),
        written => written,
    };
    // no option of a command
    let written = if written.starts_with('-') { format!("./{written}").into() } else { written };
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+:@%=,".contains(c);
    match written.chars().all(is_plain) {
        true => written.into_owned(),
        false => format!("'{}'", written.replace('\'', r"'\''")),
    }
}

/// Without `.` and `folder/..`; symbolic links are not followed.
pub fn tidy(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut tidy, part| {
        let named = matches!(tidy.components().next_back(), Some(Component::Normal(_)));
        match part {
            Component::CurDir => {}
            Component::ParentDir if named => {
                tidy.pop();
            }
            part => tidy.push(part),
        }
        tidy
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_of_a_command_is_one_word() {
        for (path, expected) in
            [("plugins/mine", "plugins/mine"), ("", "."), ("my p", "'my p'"), ("-p", "./-p"), ("it's", r"'it'\''s'")]
        {
            assert_eq!(word(Path::new(path)), expected);
        }
    }
}
