//! `millrace top`: how a running pipeline is, drawn again every second; `millrace status`: the same once, as JSON;
//! `millrace ready`: whether it reads.

mod states;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, IsTerminal};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use millrace::words::counted;
use serde_json::Value;

use super::out::Reader;
use super::{ask, out};

const EVERY: Duration = Duration::from_secs(1);
/// To the top left, and everything after it gone.
const CLEAR: &str = "\x1b[H\x1b[J";

#[derive(Args)]
pub struct Options {
    /// Where the pipeline answers: its `--listen`
    #[arg(long, env = "MILLRACE_LISTEN", default_value = "127.0.0.1:9464", value_name = "HOST:PORT", value_parser = ask::address)]
    at: String,
}

pub fn status(options: &Options) -> Result<(), String> {
    let (text, _) = ask::status(&options.at)?;
    out::print(text).map(drop)
}

/// Fails, and says why, where the pipeline is not ready: for whoever starts it and waits.
pub fn ready(options: &Options) -> Result<(), String> {
    out::print(ask::get(&options.at, "/readyz")?).map(drop)
}

/// Until it is interrupted; once where nobody looks at a terminal.
pub fn run(options: &Options) -> Result<(), String> {
    let mut before: Option<Sample> = None;
    loop {
        let now = Sample::take(&options.at)?;
        let drawn = draw(&now, before.as_ref());
        let terminal = io::stdout().is_terminal();
        let drawn = if terminal { format!("{CLEAR}{drawn}") } else { drawn };
        if out::print(drawn)? == Reader::HasGone || !terminal {
            return Ok(());
        }
        before = Some(now);
        thread::sleep(EVERY);
    }
}

/// The figures at one time.
struct Sample {
    at: Instant,
    status: Value,
    figures: BTreeMap<String, f64>,
}

impl Sample {
    fn take(address: &str) -> Result<Sample, String> {
        let (_, status) = ask::status(address)?;
        let figures = ask::get(address, "/metrics")?;
        let figures = figures.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
            let (name, value) = line.rsplit_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        });
        Ok(Sample { at: Instant::now(), status, figures: figures.collect() })
    }

    fn figure(&self, name: &str) -> f64 {
        self.figures.get(name).copied().unwrap_or(0.0)
    }
}

/// What changed since the sample before, or since the start.
struct Change<'a> {
    now: &'a Sample,
    before: Option<&'a Sample>,
}

impl Change<'_> {
    fn of(&self, name: &str) -> f64 {
        self.now.figure(name) - self.before.map_or(0.0, |before| before.figure(name))
    }

    /// A second; unknown with one sample alone.
    fn rate(&self, name: &str) -> String {
        let Some(before) = self.before else { return "–".into() };
        let seconds = self.now.at.duration_since(before.at).as_secs_f64();
        format!("{:.0}", self.of(name) / seconds.max(0.001))
    }

    /// The bound below which this share of a histogram's new values lies.
    fn quantile(&self, name: &str, labels: &str, share: f64) -> String {
        let count = self.of(&format!("{name}_count{}", braces(labels)));
        if count <= 0.0 {
            return "–".into();
        }
        let prefix = format!("{name}_bucket{{");
        let mut bounds: Vec<(f64, f64)> = Vec::new();
        for series in self.now.figures.range(prefix.clone()..).map(|(series, _)| series) {
            let Some(inside) = series.strip_prefix(&prefix) else { break };
            let bound = inside.split("le=\"").nth(1).and_then(|rest| rest.split('"').next());
            let bound = bound.and_then(|bound| bound.trim_start_matches('+').parse().ok());
            if let Some(bound) = bound.filter(|_| inside.contains(labels)) {
                bounds.push((bound, self.of(series)));
            }
        }
        bounds.sort_by(|a, b| a.0.total_cmp(&b.0));
        let found = bounds.iter().find(|(_, below)| *below >= count * share).map(|(bound, _)| *bound);
        found.map_or("–".into(), milliseconds)
    }
}

fn braces(labels: &str) -> String {
    if labels.is_empty() { String::new() } else { format!("{{{labels}}}") }
}

fn milliseconds(seconds: f64) -> String {
    match seconds {
        bound if bound.is_infinite() => "over 52 s".into(),
        bound if bound < 0.01 => format!("≤ {:.1} ms", bound * 1000.0),
        bound => format!("≤ {:.0} ms", bound * 1000.0),
    }
}

fn draw(now: &Sample, before: Option<&Sample>) -> String {
    let change = Change { now, before };
    let status = &now.status;
    let text = |name: &str| status[name].as_str().unwrap_or("?");
    let mut out = format!("{}  generation {}  on {}\n", text("pipeline"), text("generation"), text("host"));
    let mut line = |columns: [&str; 5]| {
        // writing to a String does not fail
        let [a, b, c, d, e] = columns;
        let _ = writeln!(out, "{a:<28} {b:>14} {c:>12} {d:>12} {e:>12}");
    };
    let of_what = if before.is_some() { "of the last second" } else { "since the start" };
    line([of_what, "rows/s", "p50", "p99", "lag"]);
    let lag = lag(status);
    let (age, p) = ("millrace_age_seconds", |name: &str, labels: &str, share| change.quantile(name, labels, share));
    line([
        "messages, to the commit",
        &change.rate("millrace_messages_total"),
        &p(age, "", 0.5),
        &p(age, "", 0.99),
        &states::known(&Value::from(lag)),
    ]);
    for (kind, name) in [("stage", "millrace_stage"), ("sink", "millrace_sink")] {
        let known = match kind {
            "stage" => states::stages(status),
            _ => labelled(now, &format!("{name}_rows_total"), kind),
        };
        for known in known {
            let labels = format!("{kind}=\"{known}\"");
            let seconds = format!("{name}_seconds");
            let behind = if kind == "sink" { states::behind(&status["sinks"][&known]) } else { String::new() };
            line([
                &format!("{kind} {known}"),
                &change.rate(&format!("{name}_rows_total{{{labels}}}")),
                &p(&seconds, &labels, 0.5),
                &p(&seconds, &labels, 0.99),
                &behind,
            ]);
        }
    }
    plugins(&change, &mut out);
    states::workers(status, &mut out);
    states::sinks(status, &mut out);
    rejects(status, &mut out);
    out
}

/// Of all partitions; None: of one it is not known, or nobody reads.
fn lag(status: &Value) -> Option<i64> {
    let workers = status["workers"].as_object().into_iter().flat_map(serde_json::Map::values);
    let partitions = workers.filter_map(|worker| worker["partitions"].as_object()).flat_map(serde_json::Map::values);
    let lags: Option<Vec<i64>> = partitions.map(|partition| partition["lag"].as_i64()).collect();
    lags.filter(|lags| !lags.is_empty()).map(|lags| lags.iter().sum())
}

fn labelled(now: &Sample, name: &str, label: &str) -> Vec<String> {
    let prefix = format!("{name}{{{label}=\"");
    let values = now.figures.keys().filter_map(|series| series.strip_prefix(&prefix)?.split('"').next());
    values.map(str::to_owned).collect()
}

/// What each plugin costs by row, and holds.
fn plugins(change: &Change<'_>, out: &mut String) {
    for stage in labelled(change.now, "millrace_plugin_fuel_total", "stage") {
        let labels = braces(&format!("stage=\"{stage}\""));
        let figure = |name: &str| change.now.figure(&format!("millrace_plugin_{name}{labels}"));
        let rows = change.of(&format!("millrace_stage_rows_total{labels}"));
        let fuel = change.of(&format!("millrace_plugin_fuel_total{labels}"));
        let fuel = if rows > 0.0 { format!("{:.0}", fuel / rows) } else { "–".into() };
        let mebibytes = |name: &str| figure(name) / f64::from(1 << 20);
        let (now, peak) = (mebibytes("memory_bytes"), mebibytes("memory_peak_bytes"));
        let renewals = figure("renewals_total");
        let _ = writeln!(
            out,
            "plugin {stage}: {fuel} fuel a row, {now:.1} MiB (one had {peak:.1}), made new {}{}",
            counted(renewals, "time"),
            if figure("failing") > 0.0 { "; FAILING, /status says why" } else { "" }
        );
    }
}

fn rejects(status: &Value, out: &mut String) {
    for (code, count) in status["rejects"].as_object().into_iter().flatten() {
        let _ = writeln!(out, "rejected {code}: {count}");
    }
}
