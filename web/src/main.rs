//! The `millrace-web` command: load, check, build, run until a signal, drain.

mod logs;

use std::process::ExitCode;

use clap::Parser;
use millrace_web::{Catalogue, Error, Result, Settings, serve};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

const EXAMPLES: &str = "Examples:\n  \
    millrace-web\n  \
    millrace-web --embedded .millrace/embedded\n  \
    millrace-web --brokers kafka:9092 --mongodb-uri mongodb://mongo:27017 --listen 0.0.0.0:5001";
const EXIT_CODES: &str = "Exit codes: 0 it was stopped; 1 it failed; 2 the command line is wrong.";

/// The prediction page: posts a flight to Kafka and shows the answer as it lands.
#[derive(Parser)]
#[command(name = "millrace-web", version, long_version = version(), max_term_width = 100)]
#[command(after_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
struct Cli {
    /// Ask the page that listens there whether it is ready, and end: a health check that needs no shell
    #[arg(long)]
    is_ready: bool,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    logs: logs::Options,
}

/// What is inside.
fn version() -> String {
    let (version, git) = (env!("CARGO_PKG_VERSION"), env!("MILLRACE_GIT"));
    format!("{version} (git {git})\nlibrdkafka {}", rdkafka::util::get_rdkafka_version().1)
}

fn main() -> ExitCode {
    let Cli { is_ready, settings, logs } = Cli::parse();
    logs.start();
    let ended = match is_ready {
        true => ask(&settings),
        false => Catalogue::load(&settings.model, &settings.names).and_then(|catalogue| run(&settings, &catalogue)),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            logs.fail(&error);
            ExitCode::FAILURE
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn ask(settings: &Settings) -> Result<()> {
    millrace_web::ready(settings.listen).await
}

#[tokio::main(worker_threads = 2)]
async fn run(settings: &Settings, catalogue: &Catalogue) -> Result<()> {
    let failed = |what: String| move |cause| Error::new(what).caused_by(cause);
    let mut terminate = signal(SignalKind::terminate()).map_err(failed("waiting for signals".into()))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed("waiting for signals".into()))?;
    let listen = settings.listen;
    let taken = format!("listening on {listen} (--listen or MILLRACE_WEB_LISTEN chooses another address)");
    let listener = TcpListener::bind(listen).await.map_err(failed(taken))?;
    serve(listener, settings, catalogue, async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("ending: streams are closed, requests finish");
    })
    .await
}
