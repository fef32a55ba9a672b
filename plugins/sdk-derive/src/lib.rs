//! `#[derive(ReadRow)]` and `#[derive(WriteRow)]`: a struct whose fields are columns; `#[row]`: a function from one to the
//! other as a plugin. What they mean is in `millrace-plugin`, which re-exports them.
//!
//! Invariant: what is wrong with a struct or a function is said at the place that is wrong, in words of columns. Types of
//! fields are judged by the compiler, by the traits that the code here names.

mod expand;
mod function;

use proc_macro::TokenStream;

/// The columns that a plugin reads: one for each field, by its name or `#[column("Name")]`.
#[proc_macro_derive(ReadRow, attributes(column))]
pub fn read_row(input: TokenStream) -> TokenStream {
    made(expand::read_row(input.into()))
}

/// The columns that a plugin adds: one for each field, by its name or `#[column("Name")]`.
#[proc_macro_derive(WriteRow, attributes(column))]
pub fn write_row(input: TokenStream) -> TokenStream {
    made(expand::write_row(input.into()))
}

/// A function from a row that is read to `Result<Answer, Refused>`, as the plugin of this crate: it takes no config, and its
/// name and version are the package's. A `RowPlugin` may be more.
#[proc_macro_attribute]
pub fn row(arguments: TokenStream, function: TokenStream) -> TokenStream {
    made(function::row(arguments.into(), function.into()))
}

fn made(expanded: syn::Result<proc_macro2::TokenStream>) -> TokenStream {
    expanded.unwrap_or_else(syn::Error::into_compile_error).into()
}
