//! `millrace run`.

use std::num::NonZeroU16;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use clap::Args;
use clap::builder::TypedValueParser;
use millrace::engine::{self, Stop};
use millrace::ground::Ground;
use millrace::observe::trace::Tracer;
use millrace::observe::{self, Metrics};
use millrace::plan::Plan;
use millrace_trace::Tracing;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

use super::ask;
use super::interrupt::{INTERRUPTED, Signals};
use super::state::State;
use super::watch::Watch;

#[derive(Args)]
#[command(
    after_help = "The first SIGTERM or Ctrl-C drains: what was read is committed and written. A second one ends it at once, \
    and\nnothing is lost then either: the next start goes on from each sink's position.\n\n\
    Examples:\n  \
    millrace run pipelines/flight-delay.toml --listen 127.0.0.1:9464\n  \
    millrace run pipelines/flight-delay.toml --embedded .millrace/embedded\n  \
    millrace run pipeline.toml --embedded .millrace/embedded --watch"
)]
pub struct Options {
    /// The pipeline's TOML file
    pub file: PathBuf,
    /// Workers in this process; each is a member of the consumer group
    #[arg(long, default_value = "1", value_name = "N", value_parser = workers())]
    workers: NonZeroU16,
    #[command(flatten)]
    state: State,
    /// Run on this folder and nothing else: topics, documents, directories and --state are in it
    #[arg(long, value_name = "DIR")]
    embedded: Option<PathBuf>,
    /// Answer /metrics, /status, /healthz and /readyz here
    #[arg(long, env = "MILLRACE_LISTEN", value_name = "HOST:PORT", value_parser = ask::address)]
    listen: Option<String>,
    /// Send traces to this OTLP collector, over HTTP
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", value_name = "URL", value_parser = millrace_trace::collector)]
    otlp: Option<String>,
    /// Go on with the pipeline's files as they are whenever they change, such as a plugin that was built again: what was
    /// read is drained, and the next row is of the next generation
    #[arg(long)]
    watch: bool,
}

pub fn run(options: &Options) -> Result<(), String> {
    let (mut plan, mut watch) = Watch::load(&options.file)?;
    let process = Process::start(options)?;
    let ended = loop {
        let stop = if options.watch { Stop::default() } else { process.stop.clone() };
        let (ended, next) = thread::scope(|scope| {
            let waiting = options.watch.then(|| scope.spawn(|| watch.wait(&process.stop, &stop)));
            let ended = process.once(plan, options, &stop);
            (ended, waiting.and_then(|waiting| waiting.join().unwrap_or_default()))
        });
        match (ended, next) {
            (Ok(()), Some(next)) => (plan, watch) = next,
            (ended, _) => break ended,
        }
    };
    process.tracing.iter().for_each(Tracing::finish);
    ended
}

/// What outlives a pipeline that another takes the place of.
struct Process {
    runtime: Runtime,
    /// Asked by signals.
    stop: Stop,
    tracing: Option<Tracing>,
    listener: Option<std::net::TcpListener>,
}

impl Process {
    fn start(options: &Options) -> Result<Process, String> {
        let failed = |error: std::io::Error| format!("error: starting: {error}");
        let runtime = runtime().map_err(failed)?;
        let stop = Stop::default();
        let entered = runtime.enter();
        let signals = Signals::watch().map_err(failed)?;
        drop(entered);
        runtime.spawn(watch_signals(signals, stop.clone()));
        let tracing = options.tracing(&runtime)?;
        let listener = options.listen.as_deref().map(|address| listen(&runtime, address)).transpose()?;
        Ok(Process { runtime, stop, tracing, listener })
    }

    /// Until `stop` is asked, or it ends by itself.
    fn once(&self, plan: Plan, options: &Options, stop: &Stop) -> Result<(), String> {
        // a watch that waits has nothing more to wait for
        let _asks = stop.ask_when_dropped();
        let plan = Arc::new(plan);
        let engine = options.engine();
        let tracer = self.tracing.as_ref().map(|tracing| Tracer::new(tracing, &plan, &engine.ground));
        let metrics = Arc::new(Metrics::new(&plan, tracer.unwrap_or_default()));
        let serving = self.listener.as_ref().map(|listener| self.serve(listener, &metrics)).transpose()?;
        let handle = self.runtime.handle().clone();
        // sinks are driven by `runtime`; the workers are threads of their own
        let ended = thread::scope(|scope| {
            let running = scope.spawn(|| engine::run(plan.clone(), &engine, handle, stop, &metrics));
            running.join()
        });
        serving.iter().for_each(JoinHandle::abort);
        if metrics.ran() || matches!(ended, Ok(Ok(()))) {
            tracing::info!("{}: {metrics}", plan.name);
        }
        match ended {
            Ok(ended) => ended.map_err(|error| format!("error: {error}")),
            Err(_) => Err("error: the engine broke; its words are above".into()),
        }
    }

    /// Answers for this pipeline.
    fn serve(
        &self,
        listener: &std::net::TcpListener,
        metrics: &Arc<Metrics>,
    ) -> Result<JoinHandle<std::io::Result<()>>, String> {
        let _entered = self.runtime.enter();
        listener.local_addr().iter().for_each(|&address| metrics.status.listens(address));
        let listener = listener.try_clone().and_then(TcpListener::from_std);
        let listener = listener.map_err(|error| format!("error: --listen: {error}"))?;
        Ok(self.runtime.spawn(observe::serve(listener, metrics.clone(), std::future::pending())))
    }
}

impl Options {
    /// Nothing is started where no collector is named.
    fn tracing(&self, runtime: &Runtime) -> Result<Option<Tracing>, String> {
        let url = self.otlp.as_deref().filter(|url| !url.is_empty());
        let start = |url| Tracing::start(url, "millrace", env!("CARGO_PKG_VERSION"), runtime.handle().clone());
        let tracing = url.map(start).transpose().map_err(|error| format!("error: --otlp: {error}"))?;
        url.iter().for_each(|url| tracing::info!(collector = url, "messages with a sampled traceparent are followed"));
        Ok(tracing)
    }

    /// An embedded folder has all that outlives the process.
    fn engine(&self) -> engine::Options {
        let ground = self.embedded.clone().map_or(Ground::Services, Ground::Embedded);
        engine::Options { state: self.state.folder(&ground), ground, workers: self.workers }
    }
}

/// A number that is none is refused with the range.
fn workers() -> impl TypedValueParser<Value = NonZeroU16> {
    clap::value_parser!(u16).range(1..).try_map(NonZeroU16::try_from)
}

/// A port of the process, whichever pipeline answers there.
fn listen(runtime: &Runtime, address: &str) -> Result<std::net::TcpListener, String> {
    let bound = runtime.block_on(TcpListener::bind(address)).and_then(TcpListener::into_std);
    let listener = bound.map_err(|error| {
        format!("error: --listen {address}: {error}; choose another port, or stop what listens there")
    })?;
    let address = listener.local_addr().map_or_else(|_| address.to_owned(), |address| address.to_string());
    tracing::info!("figures are at http://{address}/metrics, the status at http://{address}/status");
    Ok(listener)
}

fn runtime() -> std::io::Result<Runtime> {
    Builder::new_multi_thread().worker_threads(2).thread_name("millrace-sinks").enable_all().build()
}

/// The first wish drains, the second ends the process.
async fn watch_signals(mut signals: Signals, stop: Stop) {
    signals.wish().await;
    tracing::info!("draining; once more to stop at once");
    stop.ask();
    signals.another().await;
    tracing::warn!("stopped at once; the next start goes on from each sink's position");
    std::process::exit(INTERRUPTED);
}
