//! Types of columns: what a source gives, a stage needs and adds, a sink writes.
//!
//! Invariant: these types are the plugin contract's, no more and no fewer.
//! Knows nothing of JSON, Kafka or any sink.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use arrow_schema::{DataType, Field as ArrowField, Schema as ArrowSchema, TimeUnit};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Boolean,
    Int64,
    Float64,
    Text,
    Binary,
    /// Days since 1970-01-01.
    Date,
    /// Microseconds since 1970-01-01T00:00:00Z.
    Timestamp,
}

impl Kind {
    pub const ALL: [Kind; 7] =
        [Kind::Boolean, Kind::Int64, Kind::Float64, Kind::Text, Kind::Binary, Kind::Date, Kind::Timestamp];

    pub fn name(self) -> &'static str {
        match self {
            Kind::Boolean => "bool",
            Kind::Int64 => "int64",
            Kind::Float64 => "float64",
            Kind::Text => "text",
            Kind::Binary => "binary",
            Kind::Date => "date",
            Kind::Timestamp => "timestamp",
        }
    }

    pub fn arrow(self) -> DataType {
        match self {
            Kind::Boolean => DataType::Boolean,
            Kind::Int64 => DataType::Int64,
            Kind::Float64 => DataType::Float64,
            Kind::Text => DataType::Utf8,
            Kind::Binary => DataType::Binary,
            Kind::Date => DataType::Date32,
            Kind::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        }
    }
}

/// A column's type, written `kind`, `list<kind>`, with `?` after it where a value may be absent.
/// The values inside a list are never null.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Type {
    pub kind: Kind,
    pub list: bool,
    pub nullable: bool,
}

impl Type {
    pub const fn of(kind: Kind) -> Type {
        Type { kind, list: false, nullable: false }
    }

    pub const fn nullable(self) -> Type {
        Type { nullable: true, ..self }
    }

    pub const fn list(self) -> Type {
        Type { list: true, ..self }
    }

    /// Can a column of this type be read where `wanted` is asked for?
    pub fn fits(self, wanted: Type) -> bool {
        self.kind == wanted.kind && self.list == wanted.list && (wanted.nullable || !self.nullable)
    }

    pub fn arrow(self) -> DataType {
        if self.list {
            DataType::List(Arc::new(ArrowField::new("item", self.kind.arrow(), false)))
        } else {
            self.kind.arrow()
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = if self.nullable { "?" } else { "" };
        match self.list {
            true => write!(f, "list<{}>{mark}", self.kind.name()),
            false => write!(f, "{}{mark}", self.kind.name()),
        }
    }
}

/// The text is no type; holds the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownType(pub String);

impl fmt::Display for UnknownType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = Kind::ALL.iter().map(|kind| kind.name()).collect();
        write!(
            f,
            "`{}` is not a type: {}, or list<…> of one, with ? where a value may be absent",
            self.0,
            names.join(", ")
        )
    }
}

impl std::error::Error for UnknownType {}

impl FromStr for Type {
    type Err = UnknownType;

    fn from_str(text: &str) -> Result<Type, UnknownType> {
        let (inner, nullable) = match text.strip_suffix('?') {
            Some(inner) => (inner, true),
            None => (text, false),
        };
        let (name, list) = match inner.strip_prefix("list<").and_then(|rest| rest.strip_suffix('>')) {
            Some(name) => (name, true),
            None => (inner, false),
        };
        let kind = Kind::ALL.into_iter().find(|kind| kind.name() == name);
        kind.map(|kind| Type { kind, list, nullable }).ok_or_else(|| UnknownType(text.to_owned()))
    }
}

impl Serialize for Type {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Type {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Type, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    pub name: String,
    #[serde(rename = "type")]
    pub ty: Type,
}

impl Field {
    pub fn new(name: impl Into<String>, ty: Type) -> Field {
        Field { name: name.into(), ty }
    }
}

/// Columns by name and order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schema(pub Vec<Field>);

impl Schema {
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|field| field.name == name)
    }

    pub fn get(&self, name: &str) -> Option<&Field> {
        self.0.iter().find(|field| field.name == name)
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|field| field.name.as_str())
    }

    pub fn arrow(&self) -> Arc<ArrowSchema> {
        let fields = self.0.iter().map(|field| ArrowField::new(&field.name, field.ty.arrow(), field.ty.nullable));
        Arc::new(ArrowSchema::new(fields.collect::<Vec<_>>()))
    }
}
