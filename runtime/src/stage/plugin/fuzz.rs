//! Answers of guests, made of any bytes: for [`crate::fuzz`].

pub use super::bindings::millrace::plugin::types::Output;
use super::bindings::millrace::plugin::types::{
    ColumnResult, DataResult, DictResult, ItemsResult, Refusal, ScalarsResult, VarlenResult,
};
use super::lift::{self, Answer, Lie};
use crate::fuzz::Bytes;
use crate::schema::{Field, Kind, Type};

pub fn verified(output: Output, rows: u32, adds: &[Field]) -> Result<Answer, Lie> {
    lift::verify(output, rows, adds)
}

/// A signature's columns.
pub fn adds(bytes: &mut Bytes<'_>) -> Vec<Field> {
    let count = bytes.byte() % 3;
    let field = |n| {
        let choice = bytes.byte();
        let kind = Kind::ALL[usize::from(choice & 15) % Kind::ALL.len()];
        let ty = Type { list: choice & 16 != 0, nullable: choice & 32 != 0, ..Type::of(kind) };
        Field::new(format!("c{n}"), ty)
    };
    (0..count).map(field).collect()
}

pub fn output(bytes: &mut Bytes<'_>) -> Output {
    Output {
        lineage: bytes.maybe(|bytes| bytes.list(Bytes::number)),
        columns: (0..bytes.byte() % 3).map(|_| column(bytes)).collect(),
        refused: bytes.list(refusal),
    }
}

fn refusal(bytes: &mut Bytes<'_>) -> Refusal {
    let text = |bytes: &mut Bytes<'_>| String::from_utf8_lossy(&bytes.list(Bytes::byte)).into_owned();
    Refusal { row: bytes.number(), code: text(bytes), reason: text(bytes) }
}

fn column(bytes: &mut Bytes<'_>) -> ColumnResult {
    let validity = bytes.maybe(|bytes| bytes.list(Bytes::byte));
    let data = match bytes.byte() % 2 {
        0 => DataResult::Flat(scalars(bytes)),
        _ => DataResult::Nested(ItemsResult {
            offsets: offsets(bytes),
            validity: bytes.maybe(|bytes| bytes.list(Bytes::byte)),
            values: scalars(bytes),
        }),
    };
    ColumnResult { validity, data }
}

/// Rising more often than chance has it.
fn offsets(bytes: &mut Bytes<'_>) -> Vec<u32> {
    let mut offsets = bytes.list(Bytes::number);
    if !bytes.byte().is_multiple_of(4) {
        offsets.sort_unstable();
    }
    offsets
}

fn varlen(bytes: &mut Bytes<'_>) -> VarlenResult {
    VarlenResult { offsets: offsets(bytes), bytes: bytes.list(Bytes::byte) }
}

fn scalars(bytes: &mut Bytes<'_>) -> ScalarsResult {
    let wide = |bytes: &mut Bytes<'_>| i64::from(bytes.number()) << (bytes.byte() % 33);
    match bytes.byte() % 8 {
        0 => ScalarsResult::Bits(bytes.list(Bytes::byte)),
        1 => ScalarsResult::S64s(bytes.list(wide)),
        2 => ScalarsResult::F64s(bytes.list(|bytes| f64::from_bits(wide(bytes) as u64))),
        3 => ScalarsResult::Texts(varlen(bytes)),
        4 => ScalarsResult::Binaries(varlen(bytes)),
        5 => ScalarsResult::DictTexts(DictResult { keys: bytes.list(Bytes::number), values: varlen(bytes) }),
        6 => ScalarsResult::Days(bytes.list(|bytes| bytes.number() as i32)),
        _ => ScalarsResult::MicrosUtc(bytes.list(wide)),
    }
}
