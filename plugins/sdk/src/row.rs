//! A plugin as a struct for a row that comes and a struct for a row that goes.
//!
//! Invariant: [`ReadRow`] and [`WriteRow`] say the same columns in the signature and in each call. A row costs what its
//! values cost: no column is copied, but a text that is returned is an allocation, so that column functions
//! ([`crate::Plugin`]) are about twice as fast where that counts.

use crate::{Column, ConfigError, Field, Input, Output, Plugin, Refusal, Signature};

/// A plugin whose answer to a row is one row, none (`Option`), or several (`Vec`).
pub trait RowPlugin: Default + Send + Sync + 'static {
    /// Empty: the package's.
    const NAME: &str = "";
    /// Empty: the package's.
    const VERSION: &str = "";
    /// A JSON Schema of the config; empty: it takes none.
    const CONFIG_SCHEMA: &str = "";
    /// Columns that end here.
    const DROPS: &[&str] = &[];

    /// What it reads of a row.
    type In<'a>: ReadRow<'a>;
    /// What it adds to one: a struct with `#[derive(WriteRow)]`, or an `Option` or a `Vec` of it.
    type Out: WriteRows;

    /// `config` is JSON: the pipeline's `config` table, `{}` where there is none. Without an `open` of its own a plugin
    /// takes none, and is its default.
    fn open(config: &str) -> Result<Self, Vec<ConfigError>> {
        match config.trim() {
            "" | "{}" | "null" => Ok(Self::default()),
            _ => Err(vec![ConfigError { path: String::new(), message: "this plugin takes no config".into() }]),
        }
    }

    fn row(&self, row: Self::In<'_>) -> Result<Self::Out, Refused>;
}

/// Why a row goes no further.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// A short word for machines.
    pub code: String,
    /// A sentence for people.
    pub reason: String,
}

impl Refused {
    pub fn new(code: impl Into<String>, reason: impl Into<String>) -> Refused {
        Refused { code: code.into(), reason: reason.into() }
    }
}

/// Derive it: a struct whose fields are the columns that a plugin reads.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no row that a plugin can read",
    note = "write #[derive(millrace_plugin::ReadRow)] above a struct with a field for each column"
)]
pub trait ReadRow<'a>: Sized {
    type Columns;

    fn fields() -> Vec<Field>;
    fn columns(input: &'a Input) -> Self::Columns;
    fn read(columns: &Self::Columns, row: usize) -> Self;
}

/// Derive it: a struct whose fields are the columns that a plugin adds.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no row that a plugin can add",
    note = "write #[derive(millrace_plugin::WriteRow)] above a struct with a field for each column"
)]
pub trait WriteRow: Sized {
    type Builders: Default;

    fn fields() -> Vec<Field>;
    fn write(self, builders: &mut Self::Builders);
    fn finish(builders: Self::Builders) -> Vec<Column>;
}

/// The rows that become of one.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no answer to a row",
    note = "an answer is a struct with #[derive(millrace_plugin::WriteRow)], or an Option or a Vec of it"
)]
pub trait WriteRows {
    type Row: WriteRow;
    const EACH_GIVES_ONE: bool = false;

    fn into_rows(self) -> impl Iterator<Item = Self::Row>;
}

impl<R: WriteRow> WriteRows for Option<R> {
    type Row = R;

    fn into_rows(self) -> impl Iterator<Item = R> {
        self.into_iter()
    }
}

impl<R: WriteRow> WriteRows for Vec<R> {
    type Row = R;

    fn into_rows(self) -> impl Iterator<Item = R> {
        self.into_iter()
    }
}

type Row<T> = <<T as RowPlugin>::Out as WriteRows>::Row;

impl<T: RowPlugin> Plugin for T {
    const NAME: &str = T::NAME;
    const VERSION: &str = T::VERSION;
    const CONFIG_SCHEMA: &str = T::CONFIG_SCHEMA;

    fn open(config: &str) -> Result<T, Vec<ConfigError>> {
        T::open(config)
    }

    fn signature(&self) -> Signature {
        Signature {
            reads: T::In::fields(),
            adds: Row::<T>::fields(),
            drops: T::DROPS.iter().map(|name| name.to_string()).collect(),
            accepts_dict: true,
        }
    }

    fn process(&self, input: &Input) -> Result<Output, String> {
        let columns = T::In::columns(input);
        let mut builders = <Row<T> as WriteRow>::Builders::default();
        let (mut lineage, mut refused) = (Vec::new(), Vec::new());
        for row in 0..input.rows() {
            match self.row(T::In::read(&columns, row)) {
                Ok(answer) => answer.into_rows().for_each(|answer| {
                    answer.write(&mut builders);
                    lineage.push(row as u32);
                }),
                Err(Refused { code, reason }) => refused.push(Refusal { row: row as u32, code, reason }),
            }
        }
        let lineage = Some(lineage).filter(|_| !T::Out::EACH_GIVES_ONE);
        Ok(Output { lineage, columns: Row::<T>::finish(builders), refused })
    }
}
