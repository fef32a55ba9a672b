//! Paths as they are written.

use std::path::{Component, Path, PathBuf};

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
