//! Commands and what they print. Exit codes are in [`EXIT_CODES`], and `main` holds them.

mod agree;
mod ask;
mod cases;
mod check;
mod consume;
mod doctor;
mod explain;
mod ground;
mod interrupt;
mod logs;
mod manual;
mod new;
mod out;
mod plugin;
mod positions;
mod produce;
mod progress;
mod receipts;
mod rejects;
mod replay;
mod rows;
mod run;
mod state;
mod tap;
mod top;
mod topic;
mod topics;
mod train;
mod version;
mod watch;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use millrace::plan::Plan;
use millrace::{config, graph};
use tokio::runtime::{Builder, Runtime};

const EXIT_CODES: &str = "Exit codes: 0 done, also where the reader of the results has gone (`| head`); 1 it failed, or the\n\
    pipeline is wrong; 2 the command line is wrong; 130 ended at once by Ctrl-C (`run` drains at the first).\n\
    Results go to standard output, everything else to standard error.";
const EXAMPLES: &str = "Examples:\n  \
    millrace check pipelines/flight-delay.toml\n  \
    millrace run pipelines/flight-delay.toml --embedded .millrace/embedded\n  \
    millrace consume flight-delay-ml-response --embedded .millrace/embedded --follow";

/// A streaming pipeline in one binary and one TOML file.
#[derive(Parser)]
#[command(name = "millrace", version, long_version = version::long(), max_term_width = 100)]
#[command(after_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    logs: logs::Options,
}

#[derive(Subcommand)]
enum Command {
    /// Run a pipeline until SIGTERM or Ctrl-C, then drain it
    Run(run::Options),
    /// Check a pipeline without connecting to anything
    Check(check::Options),
    /// Run a pipeline's cases: messages through its decoder, plugins and model, without services
    Test(cases::Options),
    /// Look whether everything that a pipeline needs is there: services, topics, rights, room, clocks
    Doctor(doctor::Options),
    /// Print what flows where, with types
    Graph(Graph),
    /// Print the JSON Schema of a pipeline file, for editors
    #[command(after_help = "Example, with a first line `#:schema pipeline.schema.json` in the pipeline's file:\n  \
        millrace schema > pipeline.schema.json")]
    Schema,
    /// Work on a pipeline's topics
    #[command(subcommand)]
    Topics(topics::Topics),
    /// Show where a pipeline stands, or move it
    #[command(subcommand)]
    Positions(positions::Positions),
    /// Show the messages that a pipeline refused, or send them again
    #[command(subcommand)]
    Rejects(rejects::Rejects),
    /// Watch a running pipeline: rates, latencies, lag, sinks, rejects
    #[command(after_help = "It draws again every second, until Ctrl-C; where its output is no terminal, once.\n\n\
        Example:\n  millrace top --at 127.0.0.1:9464")]
    Top(top::Options),
    /// Print how a running pipeline is, as JSON
    #[command(after_help = "Example:\n  millrace status --at 127.0.0.1:9464 | jq .sinks")]
    Status(top::Options),
    /// Ask a running pipeline whether every worker reads, or waits for the group to give it something to read
    #[command(
        after_help = "Exit code 0 says yes: a health check that needs no shell.\n\nExample:\n  millrace ready --at 127.0.0.1:9464"
    )]
    Ready(top::Options),
    /// Write lines of standard input to a topic
    Produce(produce::Options),
    /// Write the rows of a file to a topic, as fast as they go or at a rate
    Replay(replay::Options),
    /// Read a topic as lines, each partition's oldest first
    Consume(consume::Options),
    /// Watch rows as they leave a stage, live and sampled
    Tap(tap::Options),
    /// Say where one message is: its row at every stage, and in each sink
    Explain(explain::Options),
    /// Train the pipeline's model on the data that its [train] section names
    #[command(
        after_help = "The model's folder is replaced once the new one is whole. It prints how well the model does on \
        data that it\nhas not seen.\n\nExample:\n  millrace train pipelines/flight-delay.toml"
    )]
    Train(File),
    /// Make something to begin with
    #[command(subcommand)]
    New(new::New),
    /// Work on WASM plugins
    #[command(subcommand)]
    Plugin(plugin::Plugin),
    /// Print completions for a shell
    Completions(manual::Completions),
    /// Write manual pages
    Man(manual::Man),
}

#[derive(Args)]
#[command(after_help = "Examples:\n  millrace graph pipelines/flight-delay.toml\n  \
    millrace graph pipelines/flight-delay.toml --format dot | dot -Tsvg > flow.svg\n  \
    millrace graph pipelines/flight-delay.toml --format json | jq -r '.stages[].name'")]
struct Graph {
    #[command(flatten)]
    file: File,
    /// What it is drawn for
    #[arg(long, default_value = "text")]
    format: Format,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// Every column with its type
    Text,
    /// For Markdown that draws Mermaid
    Mermaid,
    /// For Graphviz
    Dot,
    /// For programs: every node with its columns and their types
    Json,
}

#[derive(Args)]
struct File {
    /// The pipeline's TOML file
    file: PathBuf,
}

impl Format {
    fn draw(self, plan: &Plan) -> String {
        match self {
            Format::Text => graph::render(plan),
            Format::Mermaid => graph::mermaid(plan),
            Format::Dot => graph::dot(plan),
            Format::Json => graph::json(plan),
        }
    }
}

/// The command line as it is, from here on and in what is made of it.
fn command() -> clap::Command {
    with_negative_numbers(Cli::command())
}

/// `--rate -1` is then a rate that is wrong, and not an option `-1` that is not known.
fn with_negative_numbers(command: clap::Command) -> clap::Command {
    let allow = |arg: clap::Arg| match arg.get_action().takes_values() {
        true => arg.allow_negative_numbers(true),
        false => arg,
    };
    command.mut_args(allow).mut_subcommands(with_negative_numbers)
}

pub fn main() -> ExitCode {
    let matches = command().try_get_matches();
    let cli = matches.and_then(|matches| Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command())));
    match cli {
        Ok(cli) => cli.run(),
        Err(error) => answer(&error),
    }
}

/// What clap has to say: help and versions are results, all else is a command line that is wrong.
fn answer(error: &clap::Error) -> ExitCode {
    let written = error.print();
    match out::reader(written) {
        Err(said) if !error.use_stderr() => {
            out::tell(said);
            ExitCode::FAILURE
        }
        _ => ExitCode::from(error.exit_code() as u8),
    }
}

impl Cli {
    fn run(self) -> ExitCode {
        self.logs.start();
        let done = match self.command {
            Command::Run(options) => run::run(&options),
            Command::Check(options) => check::run(&options),
            Command::Test(options) => cases::run(&options),
            Command::Doctor(options) => load(&options.pipeline.file).and_then(|plan| doctor::run(&plan, &options)),
            Command::Graph(options) => {
                load(&options.file.file).and_then(|plan| out::print(options.format.draw(&plan)).map(drop))
            }
            Command::Schema => out::print(config::SCHEMA).map(drop),
            Command::Topics(topics::Topics::Create(options)) => {
                load(&options.pipeline.file).and_then(|plan| topics::create(&plan, &options))
            }
            Command::Positions(positions) => load(positions.file()).and_then(|plan| positions.run(&plan)),
            Command::Rejects(rejects) => load(rejects.file()).and_then(|plan| rejects.run(&plan)),
            Command::Completions(options) => manual::completions(&options),
            Command::Man(options) => manual::man(&options),
            Command::Top(options) => top::run(&options),
            Command::Status(options) => top::status(&options),
            Command::Ready(options) => top::ready(&options),
            Command::Produce(options) => produce::run(&options),
            Command::Replay(options) => replay::run(&options),
            Command::Consume(options) => consume::run(&options),
            Command::Tap(options) => load(&options.file).and_then(|plan| tap::run(&plan, &options)),
            Command::Explain(options) => load(&options.file).and_then(|plan| explain::run(&plan, &options)),
            Command::Train(file) => train::run(&file.file),
            Command::New(new) => new.run(),
            Command::Plugin(plugin) => plugin.run(),
        };
        match done {
            Ok(()) => ExitCode::SUCCESS,
            Err(said) => {
                // nothing to say: the result on standard output says it
                if !said.is_empty() {
                    self.logs.fail(said.trim_end());
                }
                ExitCode::FAILURE
            }
        }
    }
}

/// Warnings go to stderr at once; the error is what to say last.
fn load(file: &std::path::Path) -> Result<Plan, String> {
    let plan = config::check(file, &|name| std::env::var(name).ok()).map_err(|diagnostics| diagnostics.to_string())?;
    warn(&plan);
    Ok(plan)
}

fn warn(plan: &Plan) {
    if !plan.warnings.is_empty() {
        out::tell(plan.warnings.to_string().trim_end());
    }
}

fn failed(error: millrace::error::Error) -> String {
    format!("error: {error}")
}

/// For commands that ask services; a local directory's calls need more than one thread.
fn runtime() -> Result<Runtime, String> {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.map_err(|error| format!("error: starting: {error}"))
}
