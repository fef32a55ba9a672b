//! Of the machine and of a process.

use std::fs;

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

pub fn machine() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let models = info.lines().filter_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let name = models.map(|(_, name)| name).next().unwrap_or("processors").to_owned();
    format!("{} cores of {name}", std::thread::available_parallelism().unwrap())
}
