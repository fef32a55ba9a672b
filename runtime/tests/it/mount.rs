//! Disks of a test's own, which it may fill and take away: mounted where nobody else sees them.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Set in the process that has a mount namespace of its own.
const NAMESPACE: &str = "MILLRACE_TEST_NAMESPACE";

/// Runs the test of this name again, alone, in a process that may mount and whose mounts end with it; there, acts.
pub fn where_mounting_is_allowed(test: &str, act: impl FnOnce()) {
    if std::env::var_os(NAMESPACE).is_some() {
        return act();
    }
    let done = Command::new("unshare")
        .args(["--map-root-user", "--mount", "--"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(NAMESPACE, test)
        .stderr(Stdio::inherit())
        .output()
        .expect("unshare, of util-linux");
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(
        done.status.success() && said.contains("1 passed"),
        "{said}\nThis test makes a small disk for itself by `unshare --map-root-user --mount` and `mount`: without root \
         that needs user namespaces (sysctl kernel.apparmor_restrict_unprivileged_userns=0)"
    );
}

/// A small disk of this process alone.
pub struct Disk(PathBuf);

impl Disk {
    pub fn new(folder: &Path, size: &str) -> Disk {
        fs::create_dir_all(folder).unwrap();
        let disk = Disk(folder.to_owned());
        disk.mount(&["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]);
        disk
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// As soon as nobody has a file open for writing.
    pub fn make_read_only(&self) {
        let deadline = Instant::now() + Duration::from_secs(120);
        while !Command::new("mount").args(["-o", "remount,ro"]).arg(&self.0).output().unwrap().status.success() {
            assert!(Instant::now() < deadline, "a file of {} stays open", self.0.display());
        }
    }

    /// `ro` or `rw`.
    pub fn remount(&self, how: &str) {
        self.mount(&["-o", &format!("remount,{how}")]);
    }

    /// What is in it, at another place where it may only be read.
    pub fn only_to_read(&self, folder: &Path) -> Disk {
        fs::create_dir_all(folder).unwrap();
        let same = Disk(folder.to_owned());
        same.mount(&["--bind", self.0.to_str().unwrap()]);
        same.mount(&["-o", "remount,bind,ro"]);
        same
    }

    fn mount(&self, options: &[&str]) {
        let mounted = Command::new("mount").args(options).arg(&self.0).output().unwrap();
        assert!(mounted.status.success(), "{}", String::from_utf8_lossy(&mounted.stderr));
    }

    /// To the last byte.
    pub fn fill(&self) {
        let mut filler = File::create(self.filler()).unwrap();
        for bytes in [vec![0; 1 << 16], vec![0; 1]] {
            let full = loop {
                if let Err(error) = filler.write_all(&bytes) {
                    break error;
                }
            };
            assert_eq!(full.kind(), ErrorKind::StorageFull, "{full}");
        }
    }

    pub fn make_room(&self) {
        fs::remove_file(self.filler()).unwrap();
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }
}
