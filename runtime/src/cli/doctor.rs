//! `millrace doctor`: a table for people, JSON for scripts.

use std::fmt::Write as _;

use clap::Args;
use millrace::doctor::{self, Finding, Health};
use millrace::plan::Plan;
use serde_json::json;

use super::ground::Pipeline;
use super::state::State;
use super::{out, runtime, version};

#[derive(Args)]
#[command(
    after_help = "It changes nothing without --create. It ends with exit code 1 where a line is wrong; with --json it prints one object:\n\
    `wrong`, how many lines are, `versions`, and `findings`, each with `what`, `health` (good, odd, wrong, unknown), `found` and\n\
    `fix`.\n\n\
    Examples:\n  millrace doctor pipelines/flight-delay.toml\n  \
    millrace doctor pipelines/flight-delay.toml --create\n  \
    millrace doctor pipelines/flight-delay.toml --json | jq -r '.findings[] | select(.health == \"wrong\").fix'"
)]
pub struct Options {
    #[command(flatten)]
    pub pipeline: Pipeline,
    #[command(flatten)]
    state: State,
    /// Make those of the pipeline's topics that are not there, as `millrace topics create` does
    #[arg(long)]
    create: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub fn run(plan: &Plan, options: &Options) -> Result<(), String> {
    let (runtime, ground) = (runtime()?, options.pipeline.ground());
    let state = options.state.folder(&ground);
    let looking = doctor::Options { ground: &ground, state: &state, create: options.create };
    let findings = doctor::look(plan, &looking, runtime.handle());
    let wrong = findings.iter().filter(|finding| finding.health == Health::Wrong).count();
    out::print(match options.json {
        true => {
            let versions: Vec<_> = version::long().lines().map(str::to_owned).collect();
            let said = json!({
                "pipeline": plan.name, "generation": &*plan.generation, "wrong": wrong, "versions": versions,
                "findings": findings,
            });
            format!("{said:#}\n")
        }
        false => table(plan, &findings, wrong),
    })?;
    // the table says it
    if wrong == 0 { Ok(()) } else { Err(String::new()) }
}

fn table(plan: &Plan, findings: &[Finding], wrong: usize) -> String {
    let mut out = format!("{}, generation {}\n", plan.name, plan.generation);
    let inside = version::long().lines().collect::<Vec<_>>().join(", ");
    let _ = writeln!(out, "millrace {inside}\n");
    let width = findings.iter().map(|finding| finding.what.chars().count()).max().unwrap_or(0);
    for Finding { what, health, found, fix } in findings {
        let _ = writeln!(out, "{:7}  {what:width$}  {found}", word(*health));
        fix.iter().for_each(|fix| out += &format!("{:7}  {:width$}  -> {fix}\n", "", ""));
    }
    let unknown = findings.iter().filter(|finding| finding.health == Health::Unknown).count();
    let _ = writeln!(out, "\n{}", verdict(wrong, unknown));
    out
}

fn word(health: Health) -> &'static str {
    match health {
        Health::Good => "ok",
        Health::Odd => "odd",
        Health::Wrong => "WRONG",
        Health::Unknown => "unknown",
    }
}

fn verdict(wrong: usize, unknown: usize) -> String {
    match (wrong, unknown) {
        (0, 0) => "nothing is wrong".into(),
        (0, unknown) => format!("nothing is known to be wrong; {unknown} could not be asked"),
        (wrong, 0) => format!("{wrong} wrong"),
        (wrong, unknown) => format!("{wrong} wrong; {unknown} could not be asked"),
    }
}
