//! Rows of a Parquet file: a column is a field of the message.
//!
//! The types are those that Parquet itself has; what the writer's own library thought they were is passed over.
//! Invariant: columns and compressions are looked at before the first row; an error names the row group.

use std::fs::File;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::Arc;
use std::vec;

use arrow_array::RecordBatch;
use arrow_schema::extension::EXTENSION_TYPE_NAME_KEY;
use arrow_schema::{DataType, Field, FieldRef, Fields, Schema, TimeUnit};
use millrace::json::foreign;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::basic::{Compression, ConvertedType, LogicalType, Type as PhysicalType};
use parquet::file::metadata::ParquetMetaData;
use parquet::schema::types::ColumnDescriptor;

use super::new_uuid;

/// Rows that are in memory at once, beside the pages that they are read from.
const BATCH_ROWS_MAX: usize = 256;

pub struct Parquet {
    file: File,
    metadata: ArrowReaderMetadata,
    /// The columns that are read, with the extensions that the file's types do not have.
    fields: Fields,
    mask: ProjectionMask,
    /// What stands at the end of each row: `"UUID":"`.
    uuid: Option<String>,
    reader: Option<ParquetRecordBatchReader>,
    /// Row groups that were begun.
    groups: usize,
    batch: vec::IntoIter<String>,
    at: u64,
}

impl Parquet {
    pub fn open(path: &Path, uuid: Option<&str>) -> Result<Parquet, String> {
        let file = File::open(path).map_err(|error| error.to_string())?;
        let metadata = guarded(|| metadata(&file)).map_err(|said| {
            format!("it is no Parquet file, or not all of it is there: its footer cannot be read: {said}")
        })?;
        readable(metadata.metadata())?;
        let kept = |field: &Field| uuid != Some(field.name().as_str());
        let roots = metadata.schema().fields().iter().enumerate().filter(|(_, field)| kept(field));
        let mask = ProjectionMask::roots(metadata.parquet_schema(), roots.map(|(index, _)| index));
        let named = fields(&metadata, with_extension);
        let fields: Fields = named.iter().filter(|field| kept(field)).cloned().collect();
        let rows = Parquet {
            file,
            metadata,
            fields,
            mask,
            uuid: uuid.map(|name| format!("{}:", serde_json::Value::from(name))),
            reader: None,
            groups: 0,
            batch: Vec::new().into_iter(),
            at: 0,
        };
        let nothing = RecordBatch::new_empty(Arc::new(Schema::new(rows.fields.clone())));
        rows.encode(&nothing)?;
        Ok(rows)
    }

    pub fn next_row(&mut self) -> Result<Option<String>, String> {
        loop {
            if let Some(row) = self.batch.next() {
                self.at += 1;
                return Ok(Some(row));
            }
            match guarded(|| self.next_batch()) {
                Ok(Some(batch)) => self.batch = self.encode(&batch)?.into_iter(),
                Ok(None) => return Ok(None),
                Err(said) => return Err(self.damaged(&said)),
            }
        }
    }

    fn next_batch(&mut self) -> Result<Option<RecordBatch>, String> {
        loop {
            if let Some(batch) = self.reader.as_mut().and_then(Iterator::next) {
                return batch.map(Some).map_err(|error| error.to_string());
            }
            if self.groups == self.metadata.metadata().num_row_groups() {
                return Ok(None);
            }
            self.groups += 1;
            self.reader = Some(self.group()?);
        }
    }

    pub fn at(&self) -> u64 {
        self.at
    }

    pub fn whole(&self) -> u64 {
        u64::try_from(self.metadata.metadata().file_metadata().num_rows()).unwrap_or(0)
    }

    /// Of the row group that was begun last.
    fn group(&self) -> Result<ParquetRecordBatchReader, String> {
        let file = self.file.try_clone().map_err(|error| error.to_string())?;
        ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.metadata.clone())
            .with_row_groups(vec![self.groups - 1])
            .with_projection(self.mask.clone())
            .with_batch_size(BATCH_ROWS_MAX)
            .build()
            .map_err(|error| error.to_string())
    }

    fn encode(&self, batch: &RecordBatch) -> Result<Vec<String>, String> {
        let row = foreign::object("", &self.fields, batch.columns()).map_err(|error| error.to_string())?;
        let rows = (0..batch.num_rows()).map(|index| {
            let mut out = Vec::new();
            row(index, &mut out);
            let json = String::from_utf8(out).map_err(|error| error.to_string())?;
            Ok(match &self.uuid {
                Some(prefix) => with_uuid(&json, prefix),
                None => json,
            })
        });
        rows.collect()
    }

    fn damaged(&self, said: &str) -> String {
        format!(
            "row group {} of {} cannot be read beyond row {} of the file: {said}; the file is damaged, or not all \
             of it is there",
            self.groups,
            self.metadata.metadata().num_row_groups(),
            self.at
        )
    }
}

fn with_uuid(json: &str, prefix: &str) -> String {
    let object = json.strip_suffix('}').unwrap_or(json);
    let mark = if object == "{" { "" } else { "," };
    format!("{object}{mark}{prefix}\"{}\"}}", new_uuid())
}

/// The library panics at some of what damage makes of a file; it is said like any other.
fn guarded<T>(read: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let read = panic::catch_unwind(AssertUnwindSafe(read));
    panic::set_hook(hook);
    read.unwrap_or_else(|panic| match panic.downcast::<String>() {
        Ok(said) => Err(*said),
        Err(panic) => Err(panic.downcast_ref::<&str>().copied().unwrap_or("no words for it").to_owned()),
    })
}

fn metadata(file: &File) -> Result<ArrowReaderMetadata, String> {
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let found = ArrowReaderMetadata::load(file, options.clone()).map_err(|error| error.to_string())?;
    let wider = Arc::new(Schema::new(fields(&found, as_wide)));
    ArrowReaderMetadata::try_new(found.metadata().clone(), options.with_schema(wider))
        .map_err(|error| error.to_string())
}

/// Refuses compressions that nothing here can undo.
fn readable(metadata: &ParquetMetaData) -> Result<(), String> {
    for (number, group) in metadata.row_groups().iter().enumerate() {
        for column in group.columns() {
            match column.compression() {
                Compression::UNCOMPRESSED | Compression::SNAPPY | Compression::ZSTD(_) => {}
                other => {
                    let other = other.to_string();
                    return Err(format!(
                        "row group {} of {}: column `{}` is compressed with {}; write the file with snappy, \
                         zstd or no compression",
                        number + 1,
                        metadata.num_row_groups(),
                        column.column_path().string(),
                        // without the level that nothing says
                        other.split('(').next().unwrap_or(&other)
                    ));
                }
            }
        }
    }
    Ok(())
}

/// The file's columns, each leaf changed by what its descriptor says: both come in the same order.
fn fields(metadata: &ArrowReaderMetadata, change: fn(Field, &ColumnDescriptor) -> Field) -> Fields {
    let mut leaves = metadata.parquet_schema().columns().iter();
    let mut next = |field: Field| match leaves.next() {
        Some(leaf) => change(field, leaf),
        None => field,
    };
    metadata.schema().fields().iter().map(|field| leaf(field, &mut next)).collect()
}

fn leaf(field: &FieldRef, change: &mut dyn FnMut(Field) -> Field) -> FieldRef {
    let same = field.as_ref().clone();
    let changed = match field.data_type() {
        DataType::List(item) => same.with_data_type(DataType::List(leaf(item, change))),
        DataType::Map(entries, sorted) => same.with_data_type(DataType::Map(leaf(entries, change), *sorted)),
        DataType::Struct(fields) => {
            let fields = fields.iter().map(|field| leaf(field, change)).collect();
            same.with_data_type(DataType::Struct(fields))
        }
        _ => change(same),
    };
    Arc::new(changed)
}

/// INT96 is a timestamp of nanoseconds with years that do not fit into 64 bits of them; an enumeration is a text.
fn as_wide(field: Field, leaf: &ColumnDescriptor) -> Field {
    let is_enum = leaf.converted_type() == ConvertedType::ENUM || leaf.logical_type_ref() == Some(&LogicalType::Enum);
    match leaf.physical_type() {
        PhysicalType::INT96 => field.with_data_type(DataType::Timestamp(TimeUnit::Microsecond, None)),
        PhysicalType::BYTE_ARRAY if is_enum => field.with_data_type(DataType::Utf8),
        _ => field,
    }
}

fn with_extension(field: Field, leaf: &ColumnDescriptor) -> Field {
    if leaf.logical_type_ref() != Some(&LogicalType::Uuid) {
        return field;
    }
    let mut metadata = field.metadata().clone();
    metadata.insert(EXTENSION_TYPE_NAME_KEY, foreign::UUID_EXTENSION);
    field.with_metadata(metadata)
}
