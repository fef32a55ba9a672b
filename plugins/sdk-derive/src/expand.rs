//! Structs to implementations.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Error, Fields, GenericParam, Ident, Lifetime, LitStr, Result, Type};

struct Row {
    name: Ident,
    generics: TokenStream,
    /// Of the call's columns.
    lifetime: Lifetime,
    /// The struct has no lifetime of its own: the implementation brings one.
    brings_lifetime: bool,
    columns: Vec<Column>,
}

struct Column {
    field: Ident,
    name: String,
    ty: Type,
}

pub fn read_row(input: TokenStream) -> Result<TokenStream> {
    let Row { name, generics, lifetime, brings_lifetime, columns } = Row::parse(input)?;
    let (fields, names, types) = parts(&columns);
    let of = |item| items(&types, &quote!(::millrace_plugin::ReadValue<#lifetime>), item);
    let (column_type, field, column, read) = (of("Column"), of("field"), of("column"), of("read"));
    let index = 0..columns.len();
    let tuple: Vec<_> = index.clone().map(syn::Index::from).collect();
    let params = if brings_lifetime { quote!(<#lifetime>) } else { generics.clone() };
    Ok(quote! {
        impl #params ::millrace_plugin::ReadRow<#lifetime> for #name #generics {
            type Columns = (#(#column_type,)*);

            fn fields() -> ::std::vec::Vec<::millrace_plugin::Field> {
                ::std::vec![#(#field(#names)),*]
            }

            fn columns(input: &#lifetime ::millrace_plugin::Input) -> Self::Columns {
                (#(#column(input, #index),)*)
            }

            fn read(columns: &Self::Columns, row: usize) -> Self {
                Self { #(#fields: #read(&columns.#tuple, row)),* }
            }
        }
    })
}

pub fn write_row(input: TokenStream) -> Result<TokenStream> {
    let Row { name, lifetime, brings_lifetime, columns, .. } = Row::parse(input)?;
    if !brings_lifetime {
        let why = "an answer owns what is in it: a text is a String, bytes are Bytes";
        return Err(Error::new(lifetime.span(), why));
    }
    let (fields, names, types) = parts(&columns);
    let of = |item| items(&types, &quote!(::millrace_plugin::WriteValue), item);
    let (builder_type, field, write, finish) = (of("Builder"), of("field"), of("write"), of("finish"));
    let tuple: Vec<_> = (0..columns.len()).map(syn::Index::from).collect();
    let builder: Vec<_> = (0..columns.len()).map(|index| format_ident!("builder{index}")).collect();
    Ok(quote! {
        impl ::millrace_plugin::WriteRow for #name {
            type Builders = (#(#builder_type,)*);

            fn fields() -> ::std::vec::Vec<::millrace_plugin::Field> {
                ::std::vec![#(#field(#names)),*]
            }

            fn write(self, builders: &mut Self::Builders) {
                #(#write(self.#fields, &mut builders.#tuple);)*
            }

            fn finish((#(#builder,)*): Self::Builders) -> ::std::vec::Vec<::millrace_plugin::Column> {
                ::std::vec![#(#finish(#builder)),*]
            }
        }

        impl ::millrace_plugin::WriteRows for #name {
            type Row = Self;
            const EACH_GIVES_ONE: bool = true;

            fn into_rows(self) -> impl ::std::iter::Iterator<Item = Self> {
                ::std::iter::once(self)
            }
        }
    })
}

/// `<Type as Trait>::item` of each type, with the type's place: what is wrong with it is said there.
fn items(types: &[&Type], of: &TokenStream, item: &str) -> Vec<TokenStream> {
    let item = |ty: &&Type| {
        let item = Ident::new(item, ty.span());
        quote_spanned!(ty.span()=> <#ty as #of>::#item)
    };
    types.iter().map(item).collect()
}

fn parts(columns: &[Column]) -> (Vec<&Ident>, Vec<&str>, Vec<&Type>) {
    let names = columns.iter().map(|column| column.name.as_str()).collect();
    (columns.iter().map(|column| &column.field).collect(), names, columns.iter().map(|column| &column.ty).collect())
}

impl Row {
    fn parse(input: TokenStream) -> Result<Row> {
        let input: DeriveInput = syn::parse2(input)?;
        let fields = match &input.data {
            Data::Struct(data) => &data.fields,
            Data::Enum(data) => {
                return Err(Error::new(data.enum_token.span, "a row is a struct: a field for each column"));
            }
            Data::Union(data) => {
                return Err(Error::new(data.union_token.span, "a row is a struct: a field for each column"));
            }
        };
        let named = match fields {
            Fields::Named(named) => &named.named,
            Fields::Unnamed(fields) => {
                return Err(Error::new(fields.span(), "fields need names: a field is the column of its name"));
            }
            Fields::Unit => return Err(Error::new(input.ident.span(), "a row needs a field: one for each column")),
        };
        let mut columns: Vec<Column> = Vec::new();
        for field in named {
            let column = Column::parse(field)?;
            if let Some(first) = columns.iter().find(|known| known.name == column.name) {
                let twice =
                    format!("the fields `{}` and `{}` are both the column `{}`", first.field, column.field, first.name);
                return Err(Error::new(column.field.span(), twice));
            }
            columns.push(column);
        }
        let own = lifetime(&input)?;
        let generics = own.as_ref().map_or(TokenStream::new(), |lifetime| quote!(<#lifetime>));
        let brings_lifetime = own.is_none();
        let lifetime = own.unwrap_or_else(|| Lifetime::new("'input", Span::call_site()));
        Ok(Row { name: input.ident, generics, lifetime, brings_lifetime, columns })
    }
}

/// The struct's own, of which there is one at most.
fn lifetime(input: &DeriveInput) -> Result<Option<Lifetime>> {
    let mut found = None;
    for parameter in &input.generics.params {
        match parameter {
            GenericParam::Lifetime(lifetime) if found.is_none() => found = Some(lifetime.lifetime.clone()),
            GenericParam::Lifetime(second) => {
                return Err(Error::new(second.span(), "one lifetime is enough: all columns live as long as the call"));
            }
            other => return Err(Error::new(other.span(), "a row is not generic: a column has one type")),
        }
    }
    Ok(found)
}

impl Column {
    fn parse(field: &syn::Field) -> Result<Column> {
        let Some(ident) = field.ident.clone() else { return Err(Error::new(field.span(), "fields need names")) };
        // a raw identifier is the column without its r#
        let mut name = ident.to_string().trim_start_matches("r#").to_owned();
        for attribute in field.attrs.iter().filter(|attribute| attribute.path().is_ident("column")) {
            let written: LitStr = attribute
                .parse_args()
                .map_err(|error| Error::new(error.span(), "expected the column's name: #[column(\"Name\")]"))?;
            name = written.value();
            if name.is_empty() {
                return Err(Error::new(written.span(), "a column's name is not empty"));
            }
        }
        Ok(Column { field: ident, name, ty: field.ty.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(input: TokenStream) -> String {
        let (read, write) = (read_row(input.clone()), write_row(input));
        let [read, write] = [read, write].map(|expanded| expanded.expect_err("a mistake").to_string());
        assert_eq!(read, write);
        read
    }

    #[test]
    fn mistakes_are_said_in_words_of_columns() {
        assert_eq!(
            said(quote!(
                enum Flight {
                    A,
                }
            )),
            "a row is a struct: a field for each column"
        );
        assert_eq!(
            said(quote!(
                struct Flight(i64);
            )),
            "fields need names: a field is the column of its name"
        );
        assert_eq!(
            said(quote!(
                struct Flight;
            )),
            "a row needs a field: one for each column"
        );
        assert_eq!(
            said(quote!(
                struct Flight<T> {
                    a: T,
                }
            )),
            "a row is not generic: a column has one type"
        );
        assert_eq!(
            said(quote!(
                struct Flight<'a, 'b> {
                    a: &'a str,
                    b: &'b str,
                }
            )),
            "one lifetime is enough: all columns live as long as the call"
        );
        assert_eq!(
            said(quote!(
                struct Flight {
                    #[column("B")]
                    a: i64,
                    #[column("B")]
                    b: i64,
                }
            )),
            "the fields `a` and `b` are both the column `B`"
        );
        for wrong in [quote!(#[column]), quote!(#[column(3)]), quote!(#[column(name = "A")])] {
            assert_eq!(
                said(quote!(struct Flight { #wrong a: i64 })),
                "expected the column's name: #[column(\"Name\")]"
            );
        }
        assert_eq!(
            said(quote!(
                struct Flight {
                    #[column("")]
                    a: i64,
                }
            )),
            "a column's name is not empty"
        );
    }

    #[test]
    fn an_answer_borrows_nothing() {
        let said = write_row(quote!(
            struct Bill<'a> {
                greeting: &'a str,
            }
        ));
        let said = said.expect_err("it would outlive its row").to_string();
        assert_eq!(said, "an answer owns what is in it: a text is a String, bytes are Bytes");
    }

    #[test]
    fn names_are_the_fields_or_as_written() {
        let row = Row::parse(quote!(
            struct Flight {
                origin: i64,
                r#type: i64,
                #[column("Dep Delay")]
                delay: f64,
            }
        ));
        let names: Vec<_> = row.expect("a row").columns.into_iter().map(|column| column.name).collect();
        assert_eq!(names, ["origin", "type", "Dep Delay"]);
    }
}
