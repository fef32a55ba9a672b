//! The prediction page: posts a flight to Kafka and shows the answer as it lands, by events and from MongoDB.
//!
//! [`Catalogue::load`] checks files, [`serve`] runs until it is told to stop. Invariant: knows topics and documents,
//! never the runtime's types.

mod answers;
mod catalogue;
mod cluster;
mod error;
mod flight;
mod follow;
mod kafka;
mod message;
mod page;
mod pipeline;
mod requests;
mod routes;
mod settings;
mod store;
mod trace;

use std::future::{Future, IntoFuture};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use millrace_embedded::Folder;
use millrace_trace::Tracing;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use crate::answers::{Answers, Limits};
pub use crate::catalogue::Catalogue;
use crate::cluster::Cluster;
pub use crate::error::{Error, Result};
use crate::follow::{Follower, Role, Told};
use crate::pipeline::Pipelines;
use crate::requests::Requests;
use crate::routes::App;
pub use crate::settings::Settings;
use crate::store::Store;
use crate::trace::Tracer;

/// What is still going on then is cut off.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// Serves until `stop`, then ends open streams and lets requests finish. Kafka and MongoDB may come later.
pub async fn serve(
    listener: TcpListener,
    settings: &Settings,
    catalogue: &Catalogue,
    stop: impl Future<Output = ()>,
) -> Result<()> {
    let tracing = tracing(settings)?;
    let (end, ending) = watch::channel(false);
    let (answers, ground) = (Arc::new(Answers::new(limits(settings))), ground(settings));
    let followers = followers(settings, &answers)?;
    let cluster = Arc::<Cluster>::default();
    let workers = Follower::new(Told::Workers(cluster.clone()), settings, &settings.status_topic)?;
    let app = App {
        pipelines: Pipelines::new(&settings.pipeline_status),
        page: page::render(catalogue, ground, settings.page_wait_seconds_max.get()),
        cluster_page: page::render_cluster(ground),
        requests: Requests::new(settings)?,
        store: Store::new(settings).await?,
        topics: followers.iter().map(|follower| (follower.topic().to_owned(), follower.reading())).collect(),
        cluster,
        workers: (settings.status_topic.clone(), workers.reading()),
        streams: Arc::new(Semaphore::new(settings.streams_max.get().min(Semaphore::MAX_PERMITS))),
        tracer: tracing.as_ref().map(|tracing| Tracer::new(tracing, settings)).unwrap_or_default(),
        answers,
        ending,
    };
    // all that can be wrong with what it was told has been looked at
    let address = listener.local_addr().map_err(failed)?;
    tracing::info!("the page is at http://{address}/");
    let store = app.store.clone();
    let index = tokio::spawn(async move { store.ensure_index().await });
    let threads = followers.into_iter().chain([workers]).map(start).collect::<Result<Vec<_>>>()?;
    let served = serve_until(listener, app, end, stop).await;
    index.abort();
    for (stopper, thread) in threads {
        drop(stopper);
        let ended = tokio::task::spawn_blocking(|| thread.join()).await;
        if !matches!(ended, Ok(Ok(()))) {
            return Err(Error::new("a reader of a topic broke; its words are above"));
        }
    }
    if let Some(tracing) = tracing {
        let finished = tokio::task::spawn_blocking(move || tracing.finish()).await;
        finished.map_err(|cause| Error::new("sending the last spans").caused_by(cause))?;
    }
    served
}

/// A folder that is not there is made, for the page may be the first that is started: whoever mistyped its name hears it.
fn ground(settings: &Settings) -> page::Ground {
    let Some(folder) = &settings.embedded else { return page::Ground::Services };
    if !Folder::is_one(folder) {
        tracing::warn!(
            "{} is not there yet, and is made; `millrace run FILE --embedded {}` answers its flights",
            folder.display(),
            folder.display()
        );
    }
    page::Ground::Folder
}

/// Fails, and says why, where the page at this address is not ready: it has not read what the topics held at its start.
pub async fn ready(address: SocketAddr) -> Result<()> {
    let said = |why| Error::new(format!("the page at {address} is not ready: {why}"));
    pipeline::get(&address.to_string(), routes::HEALTH).await.map(drop).map_err(said)
}

/// Nothing is started where no collector is named.
fn tracing(settings: &Settings) -> Result<Option<Tracing>> {
    let url = settings.otlp.as_deref().filter(|url| !url.is_empty());
    let start = |url| Tracing::start(url, "millrace-web", env!("CARGO_PKG_VERSION"), Handle::current());
    url.map(start).transpose().map_err(|said| Error::new(format!("--otlp: {said}")))
}

async fn serve_until(
    listener: TcpListener,
    app: App,
    end: watch::Sender<bool>,
    stop: impl Future<Output = ()>,
) -> Result<()> {
    let mut ending = end.subscribe();
    let ended = async move { drop(ending.wait_for(|ending| *ending).await) };
    let server = axum::serve(listener, routes::router(app)).with_graceful_shutdown(ended);
    let mut server = pin!(server.into_future());
    tokio::select! {
        served = &mut server => return served.map_err(failed),
        () = stop => drop(end.send_replace(true)),
    }
    match timeout(DRAIN_TIMEOUT, server).await {
        Ok(served) => served.map_err(failed),
        Err(_) => {
            tracing::warn!("some requests did not end within {DRAIN_TIMEOUT:?} and were cut off");
            Ok(())
        }
    }
}

fn failed(cause: std::io::Error) -> Error {
    Error::new("serving").caused_by(cause)
}

fn limits(settings: &Settings) -> Limits {
    Limits { flights_max: settings.flights_max.get(), bytes_max: settings.answer_bytes_max.get() }
}

fn followers(settings: &Settings, answers: &Arc<Answers>) -> Result<Vec<Follower>> {
    let topics = [
        (Role::Requests, &settings.request_topic),
        (Role::Responses, &settings.response_topic),
        (Role::Rejects, &settings.rejects_topic),
    ];
    let follower =
        |(role, topic): (Role, &String)| Follower::new(Told::Flights(role, answers.clone()), settings, topic);
    topics.into_iter().map(follower).collect()
}

/// The thread ends when the sender is dropped.
fn start(follower: Follower) -> Result<(mpsc::Sender<()>, JoinHandle<()>)> {
    let (stopper, stopped) = mpsc::channel();
    let name = "millrace-topic".to_owned();
    let thread = thread::Builder::new().name(name).spawn(move || follower.run(&stopped));
    let thread = thread.map_err(|cause| Error::new("starting a reader of a topic").caused_by(cause))?;
    Ok((stopper, thread))
}
