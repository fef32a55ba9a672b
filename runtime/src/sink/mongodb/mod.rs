//! Rows as documents of a MongoDB collection; `write = "insert"`: a stored document never changes.
//!
//! A document's `_id` is the text `<pipeline>/<topic id>/<partition>/<offset>`, with `/<index>` after it for the second
//! and further rows of one message (index from 1). The position is a document of the collection
//! `_millrace_positions` of the same database: `_id` `<pipeline>/<sink>/<topic>/<partition>`, the log's `cluster` and
//! `topic_id`, and `next`, the first offset that is not there; `resets`, where a person has moved it, says how often.
//!
//! Invariants: a writer moves the cursor only up, only as long as nobody has reset it since it was opened, and only after every row below it is acknowledged by a majority, journaled;
//! the first write of an `_id` wins. So rows may be written in any order, by any number of writers, and again: no
//! writer needs to be fenced. It is sound because a row's values are fixed by the generation that owns its offset.
//! Does not know who else writes, nor what became of a batch whose call failed: it is written again.

mod document;
mod error;
mod find;
mod ledger;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::try_join_all;
use futures::stream::TryStreamExt;
use mongodb::bson::{Bson, Document, RawDocumentBuf, doc};
use mongodb::error::{Error as DriverError, ErrorKind, IndexedWriteError, WriteFailure};
use mongodb::options::{Acknowledgment, ClientOptions, CollectionOptions, ReadConcern, WriteConcern};
use mongodb::{Client, Collection};

pub use self::find::find;
pub use self::ledger::Ledger;
use super::{Context, Outbound, Positions, Written, moves, within};
use crate::batch::Batch;
use crate::error::{Error, Result};
use crate::plan::MongodbPlan;

const POSITIONS: &str = "_millrace_positions";
/// An insert is sent when it has this many rows or bytes, whichever comes first. The driver takes 100,000 and 48 MB.
const INSERT_ROWS_MAX: usize = 1_000;
const INSERT_BYTES_MAX: usize = 4 << 20;
const DUPLICATE_KEY: i32 = 11_000;

pub struct Writer {
    context: Context,
    plan: MongodbPlan,
    encoder: document::Encoder,
    store: Option<Store>,
    /// Of every partition that is open. All that was taken is durable.
    positions: Positions,
    /// How often each was reset before it was opened.
    resets: BTreeMap<i32, Bson>,
    written: Written,
}

/// A partition's position, and how often it was reset: null where it never was.
struct Stand {
    next: i64,
    resets: Bson,
}

impl Writer {
    /// Connects to nothing.
    pub fn new(context: Context, plan: &MongodbPlan) -> Result<Writer> {
        let encoder = document::Encoder::new(&context.columns)?;
        Ok(Writer {
            context,
            plan: plan.clone(),
            encoder,
            store: None,
            positions: Positions::new(),
            resets: BTreeMap::new(),
            written: Written::default(),
        })
    }

    async fn take(&mut self, store: &Store, batch: &Batch) -> Result<()> {
        let moves = moves(&self.positions, &batch.spans)?;
        if moves.is_empty() {
            return Ok(());
        }
        let encoder = self.encoder.batch(&batch.columns)?;
        let (mut chunk, mut written) = (Chunk::default(), Written::default());
        for (row, (partition, offset, index)) in batch.positions().enumerate() {
            if self.positions.get(&partition).is_some_and(|&position| offset >= position) {
                let id = self.context.row_id(partition, offset, index);
                let document = encoder.row(&id, row);
                written.row(document.as_bytes().len());
                chunk.push(document, id);
            }
            if chunk.is_full() {
                store.insert(&mut chunk).await?;
            }
        }
        store.insert(&mut chunk).await?;
        let advances = moves.iter().map(|(&partition, &next)| {
            let resets = self.resets.get(&partition).cloned().unwrap_or(Bson::Null);
            store.advance(&self.context, partition, Stand { next, resets })
        });
        try_join_all(advances).await?;
        self.positions.extend(moves);
        self.written += written;
        Ok(())
    }
}

impl super::Writer for Writer {
    async fn open(&mut self, starts: &Positions) -> Result<Positions> {
        let store = Store::connect(&self.context, &self.plan).await?;
        let context = &self.context;
        let opened = starts.iter().map(|(&partition, &start)| {
            let store = &store;
            async move { Ok::<_, Error>((partition, store.position(context, partition, start).await?)) }
        });
        for (partition, Stand { next, resets }) in try_join_all(opened).await? {
            self.positions.insert(partition, next);
            self.resets.insert(partition, resets);
        }
        self.store = Some(store);
        Ok(self.positions.clone())
    }

    async fn write(&mut self, outbound: Arc<Outbound>) -> Result<()> {
        let store = self.store.take().ok_or_else(|| Error::retry("the sink is not open"))?;
        self.take(&store, &outbound.batch).await?;
        self.store = Some(store);
        Ok(())
    }

    fn deadline(&self) -> Option<Instant> {
        None
    }

    async fn roll(&mut self, _now: Instant) -> Result<()> {
        Ok(())
    }

    async fn finish(&mut self) -> Result<()> {
        Ok(())
    }

    fn durable(&self) -> &Positions {
        &self.positions
    }

    fn written(&self) -> Written {
        self.written
    }
}

fn cursor_id(context: &Context, partition: i32) -> String {
    format!("{}/{}/{}/{partition}", context.pipeline, context.sink, context.log.topic)
}

/// Documents of one insert.
#[derive(Default)]
struct Chunk {
    documents: Vec<RawDocumentBuf>,
    ids: Vec<String>,
    bytes: usize,
}

impl Chunk {
    fn push(&mut self, document: RawDocumentBuf, id: String) {
        self.bytes += document.as_bytes().len();
        self.documents.push(document);
        self.ids.push(id);
    }

    fn is_full(&self) -> bool {
        self.documents.len() >= INSERT_ROWS_MAX || self.bytes >= INSERT_BYTES_MAX
    }
}

/// A connected client, and the calls that the protocol makes.
struct Store {
    rows: Collection<RawDocumentBuf>,
    cursors: Collection<Document>,
    /// Hosts and ports, for messages: the URI may hold a password.
    address: String,
    timeout: Duration,
}

impl Store {
    async fn connect(context: &Context, plan: &MongodbPlan) -> Result<Store> {
        let what = || "resolving the MongoDB URI".to_owned();
        let options = within(context.timeout, what, ClientOptions::parse(&plan.uri)).await?;
        let mut options = options.map_err(|error| error::of("reading the MongoDB URI".to_owned(), error))?;
        // shorter than the timeout of a call, so that the driver can still say which servers it found and how they are
        let selection = context.timeout * 3 / 4;
        options.server_selection_timeout = Some(options.server_selection_timeout.unwrap_or(selection).min(selection));
        options.connect_timeout = Some(options.connect_timeout.unwrap_or(selection).min(selection));
        options.app_name.get_or_insert_with(|| format!("millrace {}/{}", context.pipeline, context.sink));
        options.read_concern = Some(ReadConcern::majority());
        options.write_concern = Some(WriteConcern::builder().w(Acknowledgment::Majority).journal(true).build());
        // a position that a secondary is behind with would only be a longer replay; a missing one would stop the sink
        options.selection_criteria = None;
        let address = options.hosts.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let client = Client::with_options(options);
        let client = client.map_err(|error| error::of(format!("setting up a client of {address}"), error))?;
        let database = client.database(&plan.database);
        // a row that this primary has and no majority yet is there: the cursor that follows it waits for both
        let newest = CollectionOptions::builder().read_concern(ReadConcern::local()).build();
        let rows = database.collection_with_options(&plan.collection, newest);
        let cursors = database.collection(POSITIONS);
        Ok(Store { rows, cursors, address, timeout: context.timeout })
    }

    /// The partition's position; `start` where the sink never held anything of it.
    async fn position(&self, context: &Context, partition: i32, start: i64) -> Result<Stand> {
        let id = cursor_id(context, partition);
        if let Some(cursor) = self.cursor(&id).await? {
            return self.checked(context, &cursor);
        }
        if let Some(error) = self.rows_without_cursor(context, partition, &id).await? {
            return Err(error);
        }
        self.set_up(context, &id, start).await?;
        // whoever was first has set it up, and `start` may have been another one there
        let cursor = self.cursor(&id).await?;
        let gone = || Error::retry(format!("the position {id:?} was deleted from {} just now", self.cursors_name()));
        self.checked(context, &cursor.ok_or_else(gone)?)
    }

    async fn cursor(&self, id: &str) -> Result<Option<Document>> {
        let what = || format!("reading the position {id:?} from {}", self.cursors_name());
        self.call(what, self.cursors.find_one(doc! { "_id": id })).await
    }

    async fn set_up(&self, context: &Context, id: &str, start: i64) -> Result<()> {
        let log = &context.log;
        let fields = doc! { "cluster": &log.cluster, "topic_id": &log.topic_id, "next": start };
        let update = self.cursors.update_one(doc! { "_id": id }, doc! { "$setOnInsert": fields }).upsert(true);
        let what = || format!("creating the position {id:?} in {}", self.cursors_name());
        match within(self.timeout, what, update).await? {
            Ok(_) => Ok(()),
            // another writer was quicker
            Err(error) if is_duplicate(&error) => Ok(()),
            Err(error) => Err(error::of(what(), error)),
        }
    }

    fn checked(&self, context: &Context, cursor: &Document) -> Result<Stand> {
        let (id, place) = (cursor.get_str("_id").unwrap_or_default(), self.cursors_name());
        for (field, ours) in [("cluster", &context.log.cluster), ("topic_id", &context.log.topic_id)] {
            let theirs = cursor.get_str(field).unwrap_or("missing");
            if theirs != ours {
                return Err(Error::stop(format!(
                    "the position {id:?} in {place} is of another log: its {field} is {theirs:?}, that of topic `{}` is \
                     {ours:?}. The topic was deleted and made again, or it is on another cluster. To begin with the new \
                     one: `millrace positions reset FILE --sink {} --to earliest`; what was written before stays",
                    context.log.topic, context.sink
                )));
            }
        }
        let next = cursor.get_i64("next").map_err(|_| {
            Error::stop(format!(
                "the position {id:?} in {place} has no int64 `next`. Give it the first offset that is not there: \
                 `millrace positions reset FILE --sink {} --to PARTITION:OFFSET`",
                context.sink
            ))
        })?;
        Ok(Stand { next, resets: cursor.get("resets").cloned().unwrap_or(Bson::Null) })
    }

    /// Why a partition without a cursor is not simply a new one.
    async fn rows_without_cursor(&self, context: &Context, partition: i32, id: &str) -> Result<Option<Error>> {
        let prefix = context.rows_prefix(partition);
        // '0' is the character after '/'
        let end = format!("{}0", &prefix[..prefix.len() - 1]);
        let rows = self.rows.clone_with_type::<Document>();
        let what = || format!("looking for rows of partition {partition} in {}", self.rows.namespace());
        let range = doc! { "_id": { "$gte": &prefix, "$lt": end } };
        let row = self.call(what, rows.find_one(range).projection(doc! { "_id": 1 })).await?;
        Ok(row.map(|row| {
            Error::stop(format!(
                "{} holds rows of this pipeline ({}), but {} has no position {id:?}. If it was deleted, give it the first \
                 offset that is not there again: `millrace positions reset FILE --sink {} --to {partition}:OFFSET`; to \
                 begin anew, delete the documents whose `_id` begins with {prefix:?}",
                self.rows.namespace(),
                row.get("_id").map(ToString::to_string).unwrap_or_default(),
                self.cursors_name(),
                context.sink,
            ))
        }))
    }

    /// Empties the chunk.
    async fn insert(&self, chunk: &mut Chunk) -> Result<()> {
        let Chunk { documents, ids, .. } = std::mem::take(chunk);
        if documents.is_empty() {
            return Ok(());
        }
        let what = || format!("inserting {} rows into {} at {}", ids.len(), self.rows.namespace(), self.address);
        let insert = self.rows.insert_many(&documents).ordered(false);
        let Err(error) = within(self.timeout, what, insert).await? else { return Ok(()) };
        match *error.kind {
            ErrorKind::InsertMany(ref failures) if failures.write_concern_error.is_none() => {
                self.judge(failures.write_errors.as_deref().unwrap_or_default(), &ids).await
            }
            _ => Err(self.refusal(&error, &ids).unwrap_or_else(|| error::of(what(), error))),
        }
    }

    /// A duplicate is a row that is there already, if it is there under its own `_id`: the collection may have other
    /// unique indexes.
    async fn judge(&self, failures: &[IndexedWriteError], ids: &[String]) -> Result<()> {
        if let Some(failure) = failures.iter().find(|failure| failure.code != DUPLICATE_KEY) {
            return Err(self.refused(&ids[failure.index], &failure.message));
        }
        let duplicates: Vec<&str> = failures.iter().map(|failure| ids[failure.index].as_str()).collect();
        let there = self.ids_among(&duplicates).await?;
        match failures.iter().find(|failure| !there.contains(&ids[failure.index])) {
            Some(failure) => Err(self.refused(&ids[failure.index], &failure.message)),
            None => Ok(()),
        }
    }

    async fn ids_among(&self, ids: &[&str]) -> Result<std::collections::HashSet<String>> {
        let what = || format!("looking for {} rows in {} at {}", ids.len(), self.rows.namespace(), self.address);
        let rows = self.rows.clone_with_type::<Document>();
        let find = rows.find(doc! { "_id": { "$in": ids } }).projection(doc! { "_id": 1 });
        let found: Vec<Document> = self.call(what, async { find.await?.try_collect().await }).await?;
        Ok(found.iter().filter_map(|row| row.get_str("_id").ok().map(str::to_owned)).collect())
    }

    /// A document that is too large is refused by the driver, for the whole insert; that it is one says its size.
    fn refusal(&self, error: &DriverError, ids: &[String]) -> Option<Error> {
        match &*error.kind {
            ErrorKind::InvalidArgument { message, .. } => Some(self.refused(
                &match ids {
                    [only] => only.clone(),
                    [first, ..] => format!("{first} or one of the {} after it", ids.len() - 1),
                    [] => return None,
                },
                message,
            )),
            _ => None,
        }
    }

    fn refused(&self, id: &str, why: &str) -> Error {
        Error::stop(format!("MongoDB at {} refused row {id} of {}: {why}", self.address, self.rows.namespace()))
    }

    /// A cursor that was reset since this writer opened it is not this writer's any more.
    async fn advance(&self, context: &Context, partition: i32, Stand { next, resets }: Stand) -> Result<()> {
        let id = cursor_id(context, partition);
        let what = || format!("moving the position {id:?} in {} to {next}", self.cursors_name());
        let log = &context.log;
        let ours = doc! { "_id": &id, "cluster": &log.cluster, "topic_id": &log.topic_id, "resets": resets };
        let moved = self.call(what, self.cursors.update_one(ours, doc! { "$max": { "next": next } })).await?;
        if moved.matched_count == 1 {
            return Ok(());
        }
        let place = self.cursors_name();
        Err(Error::stop(format!(
            "the position {id:?} in {place} was reset, deleted or given to another log while the sink ran"
        )))
    }

    async fn call<T>(
        &self,
        what: impl Fn() -> String,
        call: impl IntoFuture<Output = Result<T, DriverError>>,
    ) -> Result<T> {
        within(self.timeout, &what, call).await?.map_err(|error| error::of(what(), error))
    }

    fn cursors_name(&self) -> String {
        format!("{} at {}", self.cursors.namespace(), self.address)
    }
}

fn is_duplicate(error: &DriverError) -> bool {
    match &*error.kind {
        ErrorKind::Write(WriteFailure::WriteError(error)) => error.code == DUPLICATE_KEY,
        ErrorKind::Command(error) => error.code == DUPLICATE_KEY,
        _ => false,
    }
}
