//! The columns on their way from the source through the stages to the sinks: who made each, of what type, and whether
//! anybody wants it.
//!
//! Invariant: one mistake gives one error. After a mistake that hides columns the flow is open: a name that is not
//! there is then no error; a column whose type is unknown fits everywhere.
//! Knows nothing of what stages do, only what they read, add and drop.

use super::diagnostics::Diagnostic;
use super::reader::{At, Context, Read};
use crate::schema::{Field, Schema, Type};

pub struct Flow {
    columns: Vec<Column>,
    open: bool,
    /// Columns that are not there any more, or were never read: for the warning about fields that nobody uses.
    dropped: Vec<Column>,
}

#[derive(Clone)]
struct Column {
    name: String,
    /// None: what it is has been reported as wrong.
    ty: Option<Type>,
    /// Where the file says that it is made, and by whom.
    made: At<String>,
    from_source: bool,
    used: bool,
}

/// What a stage does to the columns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StageTypes {
    pub reads: Vec<Field>,
    pub adds: Vec<Field>,
    pub drops: Vec<String>,
}

/// A reader or maker of columns: ``plugin `features` ``, and where to point.
pub type Who = At<String>;

impl Flow {
    pub fn new() -> Flow {
        Flow { columns: Vec::new(), open: false, dropped: Vec::new() }
    }

    /// From here on columns may be there that the flow does not know.
    pub fn open(&mut self) {
        self.open = true;
    }

    /// A column of the source; false where its name is taken.
    pub fn source(&mut self, cx: &Context, name: &At<String>, ty: Option<Type>) {
        let made = At::new("the source".to_owned(), name.span.clone());
        self.insert(cx, &name.value, ty, &made, true);
    }

    fn insert(&mut self, cx: &Context, name: &str, ty: Option<Type>, made: &Who, from_source: bool) {
        if name.is_empty() {
            cx.error(Diagnostic::error(format!("{} has a column without a name", made.value)).at(&made.span));
            return self.open();
        }
        if let Some(there) = self.columns.iter().find(|column| column.name == name) {
            let twice =
                Diagnostic::error(format!("{} adds `{name}`, which is there already", made.value)).at(&made.span);
            cx.error(twice.note(&there.made.span, format!("`{name}` comes from {}", there.made.value)));
            return;
        }
        let column = Column { name: name.to_owned(), ty, made: made.clone(), from_source, used: false };
        self.columns.push(column);
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|column| column.name.as_str())
    }

    /// The column of that name is used by `who`; its index. `None`, silently, where an earlier mistake may hide it.
    pub fn find(&mut self, cx: &Context, name: &str, who: &Who) -> Read<Option<usize>> {
        if let Some(index) = self.find_maybe(name) {
            return Ok(Some(index));
        }
        if self.open {
            return Ok(None);
        }
        let missing = Diagnostic::error(format!("{} wants `{name}`, which is not there", who.value)).at(&who.span);
        let gone = self.dropped.iter().find(|column| column.name == name);
        let missing = match gone {
            Some(column) => missing.note(&column.made.span, format!("`{name}` was dropped by {}", column.made.value)),
            None => missing.label(format!("the columns here are {}", self.names().collect::<Vec<_>>().join(", "))),
        };
        Err(cx.error(missing.help_nearest(name, self.names())))
    }

    /// The same, where a column that is not there is no mistake.
    pub fn find_maybe(&mut self, name: &str) -> Option<usize> {
        let index = self.columns.iter().position(|column| column.name == name)?;
        self.columns[index].used = true;
        Some(index)
    }

    pub fn type_at(&self, index: usize) -> Option<Type> {
        self.columns[index].ty
    }

    /// `who` reads a column that must be of this type.
    pub fn read(&mut self, cx: &Context, wanted: &Field, who: &Who) {
        let Ok(Some(index)) = self.find(cx, &wanted.name, who) else { return };
        let column = &self.columns[index];
        let Some(ty) = column.ty.filter(|ty| !ty.fits(wanted.ty)) else { return };
        let name = &wanted.name;
        let wrong =
            Diagnostic::error(format!("{} wants `{name}` as {}, and it is {ty}", who.value, wanted.ty)).at(&who.span);
        let wrong = wrong.label(format!("expected `{name}` of type {}", wanted.ty));
        let wrong = wrong.note(&column.made.span, format!("`{name}` comes from {}", column.made.value));
        let only_nulls = Type { nullable: false, ..ty }.fits(wanted.ty);
        cx.error(if only_nulls {
            wrong.help("take the `?` away, or fill the column by a lookup before")
        } else {
            wrong
        });
    }

    pub fn add(&mut self, cx: &Context, field: &Field, who: &Who) {
        self.insert(cx, &field.name, Some(field.ty), who, false);
    }

    /// The column's values change, its place does not.
    pub fn retype(&mut self, index: usize, ty: Option<Type>, who: &Who) {
        let column = &mut self.columns[index];
        (column.ty, column.made) = (ty, who.clone());
    }

    fn drop(&mut self, cx: &Context, name: &str, who: &Who) {
        if let Ok(Some(index)) = self.find(cx, name, who) {
            let column = self.columns.remove(index);
            self.dropped.push(Column { made: who.clone(), ..column });
        }
    }

    /// Reads, then drops, then adds, so that a column may be replaced.
    pub fn stage(&mut self, cx: &Context, types: &StageTypes, who: &Who) {
        types.reads.iter().for_each(|wanted| self.read(cx, wanted, who));
        for name in &types.drops {
            // one that it reads too, and that is not there, was told
            let was_told = types.reads.iter().any(|wanted| wanted.name == *name) && self.find_maybe(name).is_none();
            if !was_told {
                self.drop(cx, name, who);
            }
        }
        types.adds.iter().for_each(|field| self.add(cx, field, who));
    }

    /// The columns as they are here; meaningful only where nothing was reported.
    pub fn schema(&self) -> Schema {
        let known = |column: &Column| column.ty.map(|ty| Field::new(&column.name, ty));
        Schema(self.columns.iter().filter_map(known).collect())
    }

    /// All columns are used.
    pub fn use_all(&mut self) {
        self.columns.iter_mut().for_each(|column| column.used = true);
    }

    /// Names of the source's columns that nobody uses, and where they are written; none where that is uncertain.
    pub fn unused(&self) -> impl Iterator<Item = At<&str>> {
        let unused = self.columns.iter().filter(|column| !self.open && column.from_source && !column.used);
        unused.map(|column| At::new(column.name.as_str(), column.made.span.clone()))
    }
}
