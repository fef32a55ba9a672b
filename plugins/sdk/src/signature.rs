//! Fields: `text("Origin")`, `float64("DepDelay").nullable()`, `int64("Legs").list()`.

use crate::{Field, Kind, Signature};

impl Signature {
    pub const NONE: Signature =
        Signature { reads: Vec::new(), adds: Vec::new(), drops: Vec::new(), accepts_dict: false };
}

impl Field {
    /// A value may be absent.
    pub fn nullable(self) -> Field {
        Field { nullable: true, ..self }
    }

    /// Each value is a list.
    pub fn list(self) -> Field {
        Field { list: true, ..self }
    }
}

fn field(name: &str, kind: Kind) -> Field {
    Field { name: name.into(), kind, list: false, nullable: false }
}

pub fn boolean(name: &str) -> Field {
    field(name, Kind::Boolean)
}

pub fn int64(name: &str) -> Field {
    field(name, Kind::Int64)
}

pub fn float64(name: &str) -> Field {
    field(name, Kind::Float64)
}

pub fn text(name: &str) -> Field {
    field(name, Kind::Text)
}

pub fn binary(name: &str) -> Field {
    field(name, Kind::Binary)
}

pub fn date(name: &str) -> Field {
    field(name, Kind::Date)
}

pub fn timestamp(name: &str) -> Field {
    field(name, Kind::Timestamp)
}
