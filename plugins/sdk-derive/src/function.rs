//! A function to a plugin.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::visit_mut::{self, VisitMut};
use syn::{Error, FnArg, GenericArgument, Item, ItemFn, Lifetime, PathArguments, Result, ReturnType, Type};

const WANTED: &str = "a plugin's function is `fn(Row<'_>) -> Result<Answer, Refused>`";

pub fn row(arguments: TokenStream, function: TokenStream) -> Result<TokenStream> {
    if !arguments.is_empty() {
        let why = "#[row] takes nothing: a plugin with a config, or of another name, is a struct with a RowPlugin";
        return Err(Error::new(arguments.span(), why));
    }
    let function: ItemFn = match syn::parse2(function.clone()) {
        Ok(function) => function,
        Err(error) if syn::parse2::<Item>(function.clone()).is_ok() => {
            return Err(Error::new(error.span(), format!("{WANTED}: #[row] stands above nothing else")));
        }
        // the compiler says best what is wrong within it
        Err(_) => return Ok(function),
    };
    let (row, answer, name) = (read(&function)?, answered(&function)?, &function.sig.ident);
    let reads = quote_spanned!(row.span()=> type In<'row> = #row;);
    let adds = quote_spanned!(answer.span()=> type Out = #answer;);
    Ok(quote! {
        #function

        const _: () = {
            #[derive(::std::default::Default)]
            struct Function;

            impl ::millrace_plugin::RowPlugin for Function {
                #reads
                #adds

                fn row(&self, row: Self::In<'_>) -> ::std::result::Result<Self::Out, ::millrace_plugin::Refused> {
                    #name(row)
                }
            }

            ::millrace_plugin::export!(Function);
        };
    })
}

/// The type of its argument, with the lifetime of the call's columns.
fn read(function: &ItemFn) -> Result<Type> {
    let arguments = &function.sig.inputs;
    match (arguments.first(), arguments.len()) {
        (Some(FnArg::Typed(argument)), 1) => {
            let mut row = (*argument.ty).clone();
            OfTheCall.visit_type_mut(&mut row);
            Ok(row)
        }
        _ => Err(Error::new(function.sig.paren_token.span.join(), format!("{WANTED}: it gets one row"))),
    }
}

struct OfTheCall;

impl VisitMut for OfTheCall {
    fn visit_lifetime_mut(&mut self, lifetime: &mut Lifetime) {
        if lifetime.ident == "_" {
            *lifetime = Lifetime::new("'row", lifetime.span());
        }
        visit_mut::visit_lifetime_mut(self, lifetime);
    }
}

/// The first type of the `Result`: whether the second is `Refused` is judged by the compiler.
fn answered(function: &ItemFn) -> Result<&Type> {
    let wrong = |span: Span| Error::new(span, format!("{WANTED}: what becomes of a row is the first of the two"));
    let ReturnType::Type(_, returned) = &function.sig.output else { return Err(wrong(function.sig.ident.span())) };
    let Type::Path(path) = &**returned else { return Err(wrong(returned.span())) };
    let result = path.path.segments.last().filter(|last| last.ident == "Result");
    let Some(PathArguments::AngleBracketed(types)) = result.map(|last| &last.arguments) else {
        return Err(wrong(returned.span()));
    };
    match types.args.first() {
        Some(GenericArgument::Type(answer)) => Ok(answer),
        _ => Err(wrong(types.to_token_stream().span())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(arguments: TokenStream, function: TokenStream) -> String {
        row(arguments, function).expect_err("not a plugin's function").to_string()
    }

    #[test]
    fn what_is_no_function_of_a_row_is_said() {
        let none = TokenStream::new;
        assert_eq!(
            said(
                none(),
                quote!(
                    struct Order;
                )
            ),
            "a plugin's function is `fn(Row<'_>) -> Result<Answer, Refused>`: #[row] stands above nothing else"
        );
        for arguments in [quote!(), quote!(&self), quote!(order: Order, other: Order)] {
            assert_eq!(
                said(none(), quote!(fn bill(#arguments) -> Result<Bill, Refused> { todo!() })),
                "a plugin's function is `fn(Row<'_>) -> Result<Answer, Refused>`: it gets one row"
            );
        }
        for answer in [quote!(), quote!(-> Bill), quote!(-> Result), quote!(-> &Bill), quote!(-> Result<'a>)] {
            assert_eq!(
                said(none(), quote!(fn bill(order: Order) #answer { todo!() })),
                "a plugin's function is `fn(Row<'_>) -> Result<Answer, Refused>`: what becomes of a row is the first \
                 of the two"
            );
        }
        assert_eq!(
            said(
                quote!(drops("x")),
                quote!(
                    fn bill(order: Order) -> Result<Bill, Refused> {
                        todo!()
                    }
                )
            ),
            "#[row] takes nothing: a plugin with a config, or of another name, is a struct with a RowPlugin"
        );
    }

    #[test]
    fn what_the_compiler_does_not_read_is_left_to_it() {
        let broken = quote!(fn bill(order: Order) -> Result<Bill, Refused> { let x = ; });
        assert_eq!(row(TokenStream::new(), broken.clone()).expect("as it was").to_string(), broken.to_string());
    }

    #[test]
    fn a_row_lives_as_long_as_the_call() {
        let made = row(
            TokenStream::new(),
            quote!(
                fn bill(Order { price, .. }: orders::Order<'_, &'_ str>) -> Result<Vec<Bill>, Refused> {
                    todo!()
                }
            ),
        );
        let made = made.expect("a plugin").to_string().replace(' ', "");
        assert!(made.contains("typeIn<'row>=orders::Order<'row,&'rowstr>;typeOut=Vec<Bill>;"), "{made}");
    }
}
