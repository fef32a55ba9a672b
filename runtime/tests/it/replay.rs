//! `millrace replay` of Parquet files, as other programs write them: what is in the topic afterwards, and what is said
//! of files that cannot be read.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use arrow_array::builder::{Int64Builder, ListBuilder, MapBuilder, StringBuilder};
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Decimal128Type, Decimal256Type, Float32Type, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type, IntervalDayTimeType, Time32MillisecondType, Time64MicrosecondType, Time64NanosecondType,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, UInt8Type, UInt16Type, UInt32Type,
    UInt64Type,
};
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Int64Array, NullArray, PrimitiveArray, RecordBatch, StringArray, StructArray,
};
use arrow_buffer::{IntervalDayTime, i256};
use arrow_schema::{DataType, Field};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, GzipLevel, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType, FixedLenByteArray, FixedLenByteArrayType, Int96, Int96Type};
use parquet::file::metadata::{
    ColumnChunkMetaDataBuilder, ParquetMetaData, ParquetMetaDataReader, ParquetMetaDataWriter,
};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use serde_json::{Value, json};

use crate::flow::rig::{Rig, setting};

pub fn folder(test: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("replay-{test}"));
    drop(fs::remove_dir_all(&folder));
    fs::create_dir_all(&folder).unwrap();
    folder
}

pub fn millrace(arguments: &[&str], data: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_millrace")).args(arguments).arg("--embedded").arg(data).output().unwrap()
}

pub fn replay(file: &Path, options: &[&str]) -> Output {
    let arguments = [&["replay", file.to_str().unwrap(), "--topic", "rows"], options].concat();
    millrace(&arguments, &file.with_extension("data"))
}

/// The lines of the topic, after a replay that went well.
fn replayed(file: &Path, options: &[&str]) -> Vec<String> {
    let done = replay(file, options);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    consumed(file)
}

fn consumed(file: &Path) -> Vec<String> {
    let done = millrace(&["consume", "rows"], &file.with_extension("data"));
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// What is said of a file that cannot be replayed.
fn refused(file: &Path) -> String {
    let done = replay(file, &[]);
    let said = String::from_utf8(done.stderr).unwrap();
    assert_eq!(done.status.code(), Some(1), "{said}");
    assert!(said.contains(file.to_str().unwrap()), "{said}");
    said
}

fn properties(compression: Compression, group_rows: usize) -> WriterProperties {
    WriterProperties::builder()
        .set_compression(compression)
        .set_max_row_group_row_count(Some(group_rows))
        .set_dictionary_enabled(false)
        .build()
}

fn write(file: &Path, batch: &RecordBatch, properties: WriterProperties) {
    let mut writer = ArrowWriter::try_new(File::create(file).unwrap(), batch.schema(), Some(properties)).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true))).unwrap()
}

/// A value, and then none.
fn of<T: ArrowPrimitiveType>(value: T::Native) -> PrimitiveArray<T> {
    PrimitiveArray::from_iter([Some(value), None])
}

fn arc(array: impl arrow_array::Array + 'static) -> ArrayRef {
    Arc::new(array)
}

/// Rows that are counted: `n` from 0, and a text that says it.
fn counted(rows: i64) -> RecordBatch {
    let texts: StringArray = (0..rows).map(|n| Some(format!("row {n}"))).collect();
    batch(vec![("n", arc(Int64Array::from_iter_values(0..rows))), ("text", arc(texts))])
}

fn counted_lines(rows: i64) -> Vec<String> {
    (0..rows).map(|n| format!(r#"{{"n":{n},"text":"row {n}"}}"#)).collect()
}

#[test]
fn every_type_becomes_a_field_and_what_is_absent_null() {
    let moment = 1_367_824_089;
    let columns: Vec<(&str, ArrayRef, &str)> = vec![
        ("bool", arc(BooleanArray::from(vec![Some(true), None])), "true"),
        ("i8", arc(of::<Int8Type>(-128)), "-128"),
        ("i16", arc(of::<Int16Type>(-32_768)), "-32768"),
        ("i32", arc(of::<Int32Type>(i32::MIN)), "-2147483648"),
        ("i64", arc(of::<Int64Type>(i64::MIN)), "-9223372036854775808"),
        ("u8", arc(of::<UInt8Type>(255)), "255"),
        ("u16", arc(of::<UInt16Type>(65_535)), "65535"),
        ("u32", arc(of::<UInt32Type>(u32::MAX)), "4294967295"),
        ("u64", arc(of::<UInt64Type>(u64::MAX)), "18446744073709551615"),
        ("f32", arc(of::<Float32Type>(0.1)), "0.1"),
        ("f64", arc(of::<Float64Type>(0.1 + 0.2)), "0.30000000000000004"),
        ("nan", arc(of::<Float64Type>(f64::NAN)), "null"),
        ("infinite", arc(of::<Float32Type>(f32::NEG_INFINITY)), "null"),
        ("text", arc(StringArray::from(vec![Some("é \"x\"\n"), None])), r#""é \"x\"\n""#),
        ("binary", arc(BinaryArray::from(vec![Some(b"\xff\x00".as_slice()), None])), r#""/wA=""#),
        ("date", arc(of::<Date32Type>(15_831)), r#""2013-05-06""#),
        ("time_ms", arc(of::<Time32MillisecondType>(1_002)), r#""00:00:01.002000""#),
        ("time_us", arc(of::<Time64MicrosecondType>(86_399_999_999)), r#""23:59:59.999999""#),
        ("time_ns", arc(of::<Time64NanosecondType>(1)), r#""00:00:00.000000001""#),
        ("ms", arc(of::<TimestampMillisecondType>(moment * 1_000)), r#""2013-05-06T07:08:09.000000""#),
        (
            "us_utc",
            arc(of::<TimestampMicrosecondType>(moment * 1_000_000 + 5).with_timezone("UTC")),
            r#""2013-05-06T07:08:09.000005Z""#,
        ),
        // an instant stays the instant that it is, wherever it was written
        (
            "us_zone",
            arc(of::<TimestampMicrosecondType>(moment * 1_000_000).with_timezone("+02:00")),
            r#""2013-05-06T07:08:09.000000Z""#,
        ),
        ("ns", arc(of::<TimestampNanosecondType>(moment * 1_000_000_000 + 5)), r#""2013-05-06T07:08:09.000000005""#),
        ("cents", arc(of::<Decimal128Type>(-5).with_precision_and_scale(9, 2).unwrap()), "-0.05"),
        (
            "huge",
            arc(of::<Decimal256Type>(i256::from_string(&"1234567890".repeat(6)).unwrap())
                .with_precision_and_scale(76, 10)
                .unwrap()),
            "12345678901234567890123456789012345678901234567890.1234567890",
        ),
        ("list", lists(), r#"[[1,null],[]]"#),
        ("struct", structs(), r#"{"a":7,"b":{"c":"x"}}"#),
        ("map", maps(), r#"{"k \"":1,"l":null}"#),
        ("nothing", arc(NullArray::new(2)), "null"),
    ];
    let expected = columns.iter().map(|(name, _, value)| format!(r#""{name}":{value}"#)).collect::<Vec<_>>();
    let nulls = columns.iter().map(|(name, ..)| format!(r#""{name}":null"#)).collect::<Vec<_>>();
    let batch = batch(columns.into_iter().map(|(name, array, _)| (name, array)).collect());
    let file = folder("types").join("types.parquet");
    write(&file, &batch, properties(Compression::SNAPPY, 100));
    let lines = replayed(&file, &[]);
    assert_eq!(lines, [format!("{{{}}}", expected.join(",")), format!("{{{}}}", nulls.join(","))]);
    lines.iter().for_each(|line| drop(serde_json::from_str::<Value>(line).unwrap()));
}

fn lists() -> ArrayRef {
    let mut lists = ListBuilder::new(ListBuilder::new(Int64Builder::new()));
    lists.values().append_value([Some(1), None]);
    lists.values().append_value([]);
    lists.append(true);
    lists.append(false);
    arc(lists.finish())
}

fn structs() -> ArrayRef {
    let inner: ArrayRef = arc(StructArray::from(vec![(
        Arc::new(Field::new("c", DataType::Utf8, true)),
        arc(StringArray::from(vec!["x", "y"])),
    )]));
    let fields = vec![Field::new("a", DataType::Int64, true), Field::new("b", inner.data_type().clone(), true)];
    arc(StructArray::new(fields.into(), vec![arc(Int64Array::from(vec![7, 8])), inner], Some(vec![true, false].into())))
}

fn maps() -> ArrayRef {
    let mut maps = MapBuilder::new(None, StringBuilder::new(), Int64Builder::new());
    maps.keys().append_value("k \"");
    maps.values().append_value(1);
    maps.keys().append_value("l");
    maps.values().append_null();
    maps.append(true).unwrap();
    maps.append(false).unwrap();
    arc(maps.finish())
}

/// Spark's timestamps, enumerations, UUIDs, and decimals in bytes: nothing that Arrow's writer makes.
#[test]
fn types_of_other_writers_are_read() {
    let file = folder("foreign-types").join("foreign.parquet");
    let schema = "message m { required int96 t; required binary e (ENUM); required fixed_len_byte_array(16) u (UUID); \
                  required binary d (DECIMAL(5,1)); required fixed_len_byte_array(2) h (FLOAT16); }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let mut writer = SerializedFileWriter::new(File::create(&file).unwrap(), schema, Arc::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    // half a day into Julian day 5,373,484, which is 9999-12-31: no 64 bits of nanoseconds have it
    let nanos = 43_200_000_000_000_u64;
    let mut far = Int96::new();
    far.set_data(nanos as u32, (nanos >> 32) as u32, 5_373_484);
    column.typed::<Int96Type>().write_batch(&[far], None, None).unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<ByteArrayType>().write_batch(&[ByteArray::from("RED")], None, None).unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    let uuid = FixedLenByteArray::from((0..16).collect::<Vec<u8>>());
    column.typed::<FixedLenByteArrayType>().write_batch(&[uuid], None, None).unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<ByteArrayType>().write_batch(&[ByteArray::from(vec![0xff, 0x85])], None, None).unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    let half = FixedLenByteArray::from(vec![0x00, 0x3e]);
    column.typed::<FixedLenByteArrayType>().write_batch(&[half], None, None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
    assert_eq!(
        replayed(&file, &[]),
        [
            r#"{"t":"9999-12-31T12:00:00.000000","e":"RED","u":"00010203-0405-0607-0809-0a0b0c0d0e0f","d":-12.3,"h":1.5}"#
        ]
    );
}

#[test]
fn rows_come_in_order_from_many_row_groups_and_batches() {
    let file = folder("order").join("order.parquet");
    write(&file, &counted(2_100), properties(Compression::ZSTD(ZstdLevel::default()), 700));
    assert_eq!(replayed(&file, &[]), counted_lines(2_100));
}

#[test]
fn a_file_without_rows_gives_none_and_ends() {
    let file = folder("empty").join("empty.parquet");
    write(&file, &counted(0), properties(Compression::UNCOMPRESSED, 100));
    let done = replay(&file, &["--loop"]);
    assert_eq!(done.status.code(), Some(0));
    assert!(String::from_utf8(done.stderr).unwrap().starts_with("0 rows of "));
}

#[test]
fn a_new_uuid_takes_the_place_of_a_column() {
    let file = folder("uuid").join("uuid.parquet");
    write(&file, &counted(2), properties(Compression::UNCOMPRESSED, 100));
    let lines = replayed(&file, &["--uuid", "text"]);
    lines.iter().for_each(|line| assert_eq!(line.matches("text").count(), 1, "{line}"));
    let rows: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!([&rows[0]["n"], &rows[1]["n"]], [&json!(0), &json!(1)]);
    let uuids: Vec<_> = rows.iter().map(|row| uuid::Uuid::parse_str(row["text"].as_str().unwrap()).unwrap()).collect();
    assert_ne!(uuids[0], uuids[1]);
}

#[test]
fn progress_is_drawn_on_a_terminal_and_nowhere_else() {
    let file = folder("progress").join("progress.parquet");
    write(&file, &counted(40), properties(Compression::UNCOMPRESSED, 100));
    let program = env!("CARGO_BIN_EXE_millrace");
    let line = format!("{program} replay {0} --topic rows --rate 100 --embedded {0}.data", file.display());
    let piped = Command::new("sh").args(["-c", &line]).output().unwrap();
    assert_eq!(String::from_utf8(piped.stderr).unwrap(), format!("40 rows of {} into rows\n", file.display()));
    // script gives its command a terminal
    let drawn = Command::new("script").args(["-qec", &line, "/dev/null"]).output().unwrap();
    let drawn = String::from_utf8(drawn.stdout).unwrap();
    for word in ["%", " rows, ", "/s, ", " left"] {
        assert!(drawn.contains(word), "no {word:?} in {drawn:?}");
    }
}

#[test]
fn kafka_gets_the_same_rows() {
    let rig = Rig::new("replay", 1);
    let file = rig.folder.join("rows.parquet");
    write(&file, &counted(1_000), properties(Compression::SNAPPY, 300));
    let topic = rig.topic("request");
    let command = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_millrace"));
        let done = command.args(arguments).args(["--brokers", &setting("KAFKA_BROKERS")]).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap()
    };
    command(&["replay", file.to_str().unwrap(), "--topic", &topic]);
    let lines = command(&["consume", &topic]);
    assert_eq!(lines.lines().collect::<Vec<_>>(), counted_lines(1_000));
}

#[test]
fn a_type_without_a_form_is_refused_by_its_column_before_any_row() {
    let file = folder("interval").join("interval.parquet");
    let inner: ArrayRef = arc(of::<IntervalDayTimeType>(IntervalDayTime::new(1, 2)));
    let field = Arc::new(Field::new("for", inner.data_type().clone(), true));
    let whole =
        batch(vec![("n", arc(Int64Array::from(vec![1, 2]))), ("late", arc(StructArray::from(vec![(field, inner)])))]);
    write(&file, &whole, properties(Compression::UNCOMPRESSED, 100));
    let said = refused(&file);
    assert!(said.contains("column `late.for` is of type Interval(DayTime), which has no form in a message"), "{said}");
    assert!(!file.with_extension("data").exists(), "a folder was made for nothing");
}

#[test]
fn a_foreign_or_short_file_is_told_apart_from_a_bad_row() {
    let folder = folder("short");
    let foreign = folder.join("foreign.parquet");
    fs::write(&foreign, "{\"n\": 1}\n".repeat(100)).unwrap();
    assert!(refused(&foreign).contains("it is no Parquet file, or not all of it is there"));
    let whole = folder.join("whole.parquet");
    write(&whole, &counted(1_000), properties(Compression::SNAPPY, 300));
    let bytes = fs::read(&whole).unwrap();
    for length in [0, 3, 8, bytes.len() / 2, bytes.len() - 1] {
        let short = folder.join("short.parquet");
        fs::write(&short, &bytes[..length]).unwrap();
        assert!(refused(&short).contains("it is no Parquet file, or not all of it is there"));
    }
}

#[test]
fn damage_is_named_by_row_group_and_what_came_before_it_is_in_the_topic() {
    let file = folder("damage").join("damage.parquet");
    write(&file, &counted(900), properties(Compression::SNAPPY, 300));
    let column = metadata(&file).row_group(1).column(1).clone();
    let mut bytes = fs::read(&file).unwrap();
    let (start, length) = column.byte_range();
    bytes[start as usize..(start + length) as usize].fill(0xee);
    fs::write(&file, bytes).unwrap();
    let said = refused(&file);
    assert!(said.contains("row group 2 of 3 cannot be read beyond row 300 of the file"), "{said}");
    assert!(said.contains("300 rows of "), "{said}");
    assert_eq!(consumed(&file), counted_lines(300));
}

#[test]
fn damage_that_the_library_panics_at_is_said_like_any_other() {
    let file = folder("panic").join("panic.parquet");
    write(&file, &counted(900), properties(Compression::UNCOMPRESSED, 300));
    rewrite(&file, 1, |column| column.set_total_compressed_size(-1));
    let said = refused(&file);
    assert!(said.contains("row group 2 of 3 cannot be read beyond row 300 of the file"), "{said}");
    assert!(!said.contains("panicked"), "{said}");
}

#[test]
fn a_compression_that_is_not_built_in_is_refused_before_any_row() {
    let file = folder("gzip").join("gzip.parquet");
    write(&file, &counted(900), properties(Compression::UNCOMPRESSED, 300));
    rewrite(&file, 2, |column| column.set_compression(Compression::GZIP(GzipLevel::default())));
    let said = refused(&file);
    assert!(said.contains("row group 3 of 3: column `n` is compressed with GZIP; write"), "{said}");
    assert!(!file.with_extension("data").exists(), "a folder was made for nothing");
}

fn metadata(file: &Path) -> ParquetMetaData {
    ParquetMetaDataReader::new().parse_and_finish(&File::open(file).unwrap()).unwrap()
}

/// Another footer behind the file's own: the last one is read.
fn rewrite(file: &Path, group: usize, change: fn(ColumnChunkMetaDataBuilder) -> ColumnChunkMetaDataBuilder) {
    let metadata = metadata(file);
    let mut groups = metadata.row_groups().to_vec();
    let columns = groups[group].columns().iter().map(|column| change(column.clone().into_builder()).build().unwrap());
    groups[group] = groups[group].clone().into_builder().set_column_metadata(columns.collect()).build().unwrap();
    let told = metadata.into_builder().set_row_groups(groups).build();
    let mut bytes = fs::read(file).unwrap();
    ParquetMetaDataWriter::new(&mut bytes, &told).finish().unwrap();
    fs::write(file, bytes).unwrap();
}
