//! Of the machine, of a process, and of what was measured.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use crate::process::PATIENCE;

const LOOK: Duration = Duration::from_millis(5);

/// Most memory that the process had, and its processor time.
pub fn usage(pid: u32) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    let kib: f64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<f64> =
        stat.rsplit(')').next().unwrap().split_whitespace().map(|n| n.parse().unwrap_or(0.0)).collect();
    format!("   {:>4.0} MiB at most, {:.1} CPU s", kib / 1024.0, (fields[11] + fields[12]) / 100.0)
}

/// Rows a second between the first look that sees some and the one that sees all. `seen`: how many are there.
pub fn rate(rows: usize, mut seen: impl FnMut() -> u64) -> f64 {
    let (rows, deadline) = (rows as u64, Instant::now() + PATIENCE);
    let (mut first, mut now) = (None, 0);
    while now < rows {
        now = seen();
        if now > 0 && first.is_none() {
            first = Some((Instant::now(), now));
        }
        assert!(Instant::now() < deadline, "{now} of {rows} are there");
        thread::sleep(LOOK);
    }
    let (since, from) = first.unwrap();
    (rows - from) as f64 / since.elapsed().as_secs_f64()
}

/// Which of the values has this share of all below it.
pub fn percentile(sorted: &[f64], share: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * share) as usize]
}

pub fn machine() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let models = info.lines().filter_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let name = models.map(|(_, name)| name).next().unwrap_or("processors").to_owned();
    format!("{} cores of {name}", std::thread::available_parallelism().unwrap())
}
