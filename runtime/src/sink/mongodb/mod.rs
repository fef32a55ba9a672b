//! Rows as documents of a MongoDB collection. `write = "insert"`: a document a row, which never changes; `"key"` and
//! `"replace"`: a document a key ([`keyed`]).
//!
//! An inserted document's `_id` is the text `<pipeline>/<topic id>/<partition>/<offset>`, with `/<index>` after it for the second
//! and further rows of one message (index from 1). The position is a document of the collection
//! `_millrace_positions` of the same database: `_id` `<pipeline>/<sink>/<topic>/<partition>`, the log's `cluster` and
//! `topic_id`, and `next`, the first offset that is not there; `resets`, where a person has moved it, says how often.
//!
//! Invariants: a writer moves the cursor only up, only as long as nobody has reset it since it was opened, and only after
//! every row below it is acknowledged by a majority, journaled; the first insert of an `_id` wins. So rows may be inserted
//! in any order, by any number of writers, and again: no writer needs to be fenced. It is sound because a row's values
//! are fixed by the generation that owns its offset. A row that MongoDB refuses is a reject, durable before the cursor
//! passes it.
//! Does not know who else writes, nor what became of a batch whose call failed: it is written again.

mod document;
mod error;
mod find;
mod judge;
mod keyed;
mod ledger;
mod scan;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::try_join_all;
use mongodb::bson::raw::cstr;
use mongodb::bson::{Bson, Document, RawDocumentBuf, doc};
use mongodb::error::{Error as DriverError, ErrorKind, WriteFailure};
use mongodb::options::{Acknowledgment, ClientOptions, CollectionOptions, ReadConcern, WriteConcern};
use mongodb::{Client, Collection};

pub use self::find::find;
pub use self::ledger::Ledger;
pub use self::scan::Scan;
use super::mark::{self, Keys};
use super::refusals::{Epochs, Refusals};
use super::{Context, Of, Outbound, Positions, Start, Starts, Written, begins, moves, within};
use crate::batch::{Refused, Reject};
use crate::error::{Error, Result};
use crate::plan::{DocumentWrite, MongodbPlan};
use crate::rejects;

pub(crate) const POSITIONS: &str = "_millrace_positions";
/// An insert is sent when it has this many rows or bytes, whichever comes first. The driver takes 100,000 and 48 MB.
const INSERT_ROWS_MAX: usize = 1_000;
const INSERT_BYTES_MAX: usize = 4 << 20;
/// What a server takes (`maxBsonObjectSize`, which no server has otherwise).
const DOCUMENT_BYTES_MAX: usize = 16 << 20;
const DUPLICATE_KEY: i32 = 11_000;

pub struct Writer {
    context: Context,
    plan: MongodbPlan,
    encoder: document::Encoder,
    /// What is written of a row that is too large for a document.
    smaller: Option<document::Encoder>,
    refusals: Box<dyn Refusals>,
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
    /// Connects to nothing. `refusals`: what becomes of rows that MongoDB refuses.
    pub fn new(context: Context, plan: &MongodbPlan, refusals: Box<dyn Refusals>) -> Result<Writer> {
        let (encoder, smaller) = match context.of {
            Of::Rows => (document::Encoder::new(&context.columns)?, None),
            Of::Rejects => {
                let of = |columns: &[String]| document::Encoder::new(columns).map(document::Encoder::without_nulls);
                (of(&context.columns)?, Some(of(&rejects::columns_without_message())?))
            }
        };
        Ok(Writer {
            context,
            plan: plan.clone(),
            encoder,
            smaller,
            refusals,
            store: None,
            positions: Positions::new(),
            resets: BTreeMap::new(),
            written: Written::default(),
        })
    }

    async fn take(&mut self, store: &Store, outbound: &Outbound) -> Result<Vec<Reject>> {
        let moves = moves(&self.positions, &outbound.batch.spans)?;
        if moves.is_empty() {
            return Ok(Vec::new());
        }
        let (written, mut refused) = self.insert(store, outbound).await?;
        refused.sort_by_key(|refused| refused.row);
        let rejects = self.reject(outbound, refused).await?;
        let advances = moves.iter().map(|(&partition, &next)| {
            let resets = self.resets.get(&partition).cloned().unwrap_or(Bson::Null);
            store.advance(&self.context, partition, Stand { next, resets })
        });
        try_join_all(advances).await?;
        self.positions.extend(moves);
        self.written += written;
        Ok(rejects)
    }

    /// The rows that are new here, without those that MongoDB refuses; and these.
    async fn insert(&mut self, store: &Store, outbound: &Outbound) -> Result<(Written, Vec<Refused>)> {
        let batch = &outbound.batch;
        let encoder = self.encoder.batch(&batch.columns)?;
        let write = &self.plan.write;
        let keys = Keys::of(write, &batch.columns)?;
        let smaller = self.smaller.as_ref().map(|smaller| smaller.batch(&batch.columns)).transpose()?;
        let (mut chunk, mut written, mut refused) = (Chunk::default(), Written::default(), Vec::new());
        for (row, (partition, offset, index)) in batch.positions().enumerate() {
            if self.positions.get(&partition).is_none_or(|&position| offset < position) {
                continue;
            }
            let position = || self.context.row_id(partition, offset, index);
            let id = match keys.id(row, position) {
                Ok(id) => id,
                Err(no_key) => {
                    refused.push(no_key);
                    continue;
                }
            };
            let mut document = encoder.row(&id, row);
            if let DocumentWrite::Key(_) = write {
                document.append(cstr!("_millrace"), position());
            }
            if let Some(smaller) = smaller.as_ref().filter(|_| is_too_large(&document)) {
                document = smaller.row(&id, row);
            }
            if !chunk.has_room_for(&document) {
                written += store.write(&self.context, write, &mut chunk, &mut refused).await?;
            }
            match is_too_large(&document) {
                true => refused.push(too_large(row, &document)),
                false => chunk.push(document, id, row, (partition, offset, index)),
            }
            if chunk.is_full() {
                written += store.write(&self.context, write, &mut chunk, &mut refused).await?;
            }
        }
        written += store.write(&self.context, write, &mut chunk, &mut refused).await?;
        Ok((written, refused))
    }

    async fn reject(&mut self, outbound: &Outbound, refused: Vec<Refused>) -> Result<Vec<Reject>> {
        if refused.is_empty() {
            return Ok(Vec::new());
        }
        let resets = |resets: &Bson| resets.as_i64().and_then(|resets| u64::try_from(resets).ok());
        let epochs: Epochs = self.resets.iter().filter_map(|(&id, count)| Some((id, resets(count)?))).collect();
        self.refusals.take(outbound, &epochs, refused).await
    }
}

fn is_too_large(document: &RawDocumentBuf) -> bool {
    document.as_bytes().len() > DOCUMENT_BYTES_MAX
}

fn too_large(row: usize, document: &RawDocumentBuf) -> Refused {
    let bytes = document.as_bytes().len();
    let reason = format!("the row is {bytes} bytes as a document, and a document may have {DOCUMENT_BYTES_MAX}");
    Refused { row, code: judge::TOO_LARGE, reason }
}

impl super::Writer for Writer {
    async fn open(&mut self, starts: &Starts) -> Result<Positions> {
        let store = Store::connect(&self.context, &self.plan).await?;
        let (context, write) = (&self.context, &self.plan.write);
        let opened = starts.iter().map(|(&partition, &start)| {
            let store = &store;
            async move { Ok::<_, Error>((partition, store.position(context, write, partition, start).await?)) }
        });
        for (partition, Stand { next, resets }) in try_join_all(opened).await? {
            self.positions.insert(partition, next);
            self.resets.insert(partition, resets);
        }
        self.store = Some(store);
        Ok(self.positions.clone())
    }

    async fn write(&mut self, outbound: Arc<Outbound>) -> Result<Vec<Reject>> {
        let store = self.store.take().ok_or_else(|| Error::retry("the sink is not open"))?;
        let rejects = self.take(&store, &outbound).await?;
        self.store = Some(store);
        Ok(rejects)
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

/// Documents of one command.
#[derive(Default)]
struct Chunk {
    documents: Vec<RawDocumentBuf>,
    ids: Vec<String>,
    /// Partition, offset and index of the rows.
    positions: Vec<(i32, i64, u32)>,
    /// Their indices in the batch.
    rows: Vec<usize>,
    bytes: usize,
}

impl Chunk {
    fn push(&mut self, document: RawDocumentBuf, id: String, row: usize, position: (i32, i64, u32)) {
        self.bytes += document.as_bytes().len();
        self.documents.push(document);
        self.ids.push(id);
        self.rows.push(row);
        self.positions.push(position);
    }

    /// As text.
    fn position(&self, context: &Context, at: usize) -> String {
        let (partition, offset, index) = self.positions[at];
        context.row_id(partition, offset, index)
    }

    fn without(&self, bad: &[Refused]) -> Written {
        let mut written = Written::default();
        for (row, document) in self.rows.iter().zip(&self.documents) {
            if bad.iter().all(|bad| bad.row != *row) {
                written.row(document.as_bytes().len());
            }
        }
        written
    }

    /// A command of several rows stays far below what a server takes of one; a row that is larger goes alone.
    fn has_room_for(&self, document: &RawDocumentBuf) -> bool {
        self.bytes + document.as_bytes().len() <= INSERT_BYTES_MAX
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

/// Who connects when it is first asked, and the servers' addresses, for people.
pub(crate) async fn client(plan: &MongodbPlan, timeout: Duration, name: &str) -> Result<(Client, String)> {
    let what = || "resolving the MongoDB URI".to_owned();
    let options = within(timeout, what, ClientOptions::parse(&plan.uri)).await?;
    let mut options = options.map_err(|error| error::of("reading the MongoDB URI".to_owned(), error))?;
    // shorter than the timeout of a call, so that the driver can still say which servers it found and how they are
    let selection = timeout * 3 / 4;
    options.server_selection_timeout = Some(options.server_selection_timeout.unwrap_or(selection).min(selection));
    options.connect_timeout = Some(options.connect_timeout.unwrap_or(selection).min(selection));
    options.app_name.get_or_insert_with(|| name.to_owned());
    options.read_concern = Some(ReadConcern::majority());
    options.write_concern = Some(WriteConcern::builder().w(Acknowledgment::Majority).journal(true).build());
    // a position that a secondary is behind with would only be a longer replay; a missing one would stop the sink
    options.selection_criteria = None;
    let address = options.hosts.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let client = Client::with_options(options);
    let client = client.map_err(|error| error::of(format!("setting up a client of {address}"), error))?;
    Ok((client, address))
}

/// Under the timeout; what goes wrong is said with `what`.
pub(crate) async fn call<T>(
    timeout: Duration,
    what: impl Fn() -> String,
    call: impl IntoFuture<Output = Result<T, DriverError>>,
) -> Result<T> {
    within(timeout, &what, call).await?.map_err(|error| error::of(what(), error))
}

impl Store {
    async fn connect(context: &Context, plan: &MongodbPlan) -> Result<Store> {
        let name = format!("millrace {}/{}", context.pipeline, context.sink);
        let (client, address) = client(plan, context.timeout, &name).await?;
        let database = client.database(&plan.database);
        // a row that this primary has and no majority yet is there: the cursor that follows it waits for both
        let newest = CollectionOptions::builder().read_concern(ReadConcern::local()).build();
        let rows = database.collection_with_options(&plan.collection, newest);
        let cursors = database.collection(POSITIONS);
        Ok(Store { rows, cursors, address, timeout: context.timeout })
    }

    /// The partition's position; `start` where the sink never held anything of it.
    async fn position(&self, context: &Context, write: &DocumentWrite, partition: i32, start: Start) -> Result<Stand> {
        let id = cursor_id(context, partition);
        if let Some(cursor) = self.cursor(&id).await? {
            return self.checked(context, &cursor);
        }
        let place = format!("the position {id:?} in {}", self.cursors_name());
        let start = start.anew(&context.sink, partition, place)?;
        let rows = self.rows_without_cursor(context, write, partition, &id).await?;
        // another writer may have set it up, and written, since it was looked for
        match (rows, self.cursor(&id).await?) {
            (_, Some(cursor)) => return self.checked(context, &cursor),
            (Some(error), None) => return Err(error),
            (None, None) => {}
        }
        begins(&context.sink, partition, start);
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
    async fn rows_without_cursor(
        &self,
        context: &Context,
        write: &DocumentWrite,
        partition: i32,
        id: &str,
    ) -> Result<Option<Error>> {
        let rows = self.rows.clone_with_type::<Document>();
        let what = || format!("looking for rows of partition {partition} in {}", self.rows.namespace());
        let ours = rows_of(context, write, partition);
        let row = self.call(what, rows.find_one(ours.clone()).projection(doc! { "_id": 1 })).await?;
        Ok(row.map(|row| {
            Error::stop(format!(
                "{} holds rows of this pipeline ({}), but {} has no position {id:?}. If it was deleted, give it the first \
                 offset that is not there again: `millrace positions reset FILE --sink {} --to {partition}:OFFSET`; to \
                 begin anew, delete the documents that it wrote of the partition: {ours}",
                self.rows.namespace(),
                row.get("_id").map(ToString::to_string).unwrap_or_default(),
                self.cursors_name(),
                context.sink,
            ))
        }))
    }

    /// Empties the chunk: what of it is there, and into `refused`, which of its rows are bad.
    async fn write(
        &self,
        context: &Context,
        write: &DocumentWrite,
        chunk: &mut Chunk,
        refused: &mut Vec<Refused>,
    ) -> Result<Written> {
        let chunk = std::mem::take(chunk);
        if chunk.documents.is_empty() {
            return Ok(Written::default());
        }
        let bad = match write {
            DocumentWrite::Insert => self.insert(&chunk).await?,
            DocumentWrite::Key(_) => self.write_first(context, &chunk).await?,
            DocumentWrite::Replace(_) => self.write_last(context, &chunk).await?,
        };
        let written = chunk.without(&bad);
        refused.extend(bad);
        Ok(written)
    }

    /// Answers which of the rows are bad.
    async fn insert(&self, chunk: &Chunk) -> Result<Vec<Refused>> {
        let what = || format!("inserting {} rows into {}", chunk.ids.len(), self.rows_name());
        let insert = self.rows.insert_many(&chunk.documents).ordered(false);
        let Err(error) = within(self.timeout, what, insert).await? else { return Ok(Vec::new()) };
        match *error.kind {
            ErrorKind::InsertMany(ref failures) if failures.write_concern_error.is_none() => {
                self.judge(failures.write_errors.as_deref().unwrap_or_default(), chunk).await
            }
            _ => Err(error::of(what(), error)),
        }
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
        asked: impl IntoFuture<Output = Result<T, DriverError>>,
    ) -> Result<T> {
        call(self.timeout, what, asked).await
    }

    fn rows_name(&self) -> String {
        format!("{} at {}", self.rows.namespace(), self.address)
    }

    fn cursors_name(&self) -> String {
        format!("{} at {}", self.cursors.namespace(), self.address)
    }
}

/// All documents of one partition's rows.
fn rows_of(context: &Context, write: &DocumentWrite, partition: i32) -> Document {
    let prefix = context.rows_prefix(partition);
    // '0' is the character after '/'
    let texts = doc! { "$gte": &prefix, "$lt": format!("{}0", prefix.trim_end_matches('/')) };
    match write {
        DocumentWrite::Insert => doc! { "_id": texts },
        DocumentWrite::Key(_) => doc! { mark::FIELD: texts },
        DocumentWrite::Replace(_) => {
            doc! { format!("{}.{}", mark::FIELD, mark::partition_name(context, partition)): { "$exists": true } }
        }
    }
}

fn is_duplicate(error: &DriverError) -> bool {
    match &*error.kind {
        ErrorKind::Write(WriteFailure::WriteError(error)) => error.code == DUPLICATE_KEY,
        ErrorKind::Command(error) => error.code == DUPLICATE_KEY,
        _ => false,
    }
}
