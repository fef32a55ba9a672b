//! Write a millrace plugin in Rust: a struct for a row that comes, a struct for a row that goes, and a function
//! ([`macro@row`]); or a [`RowPlugin`], which may take a config, or functions on columns ([`Plugin`]) where speed counts,
//! and [`export!`]. Then run `millrace plugin build`.
//!
//! A plugin has no clock, no randomness, no files and no network, and keeps nothing from call to call: what becomes of
//! a row depends on the row and the config alone. Its functions take `&self` for that reason.
//!
//! ```
//! use millrace_plugin::{ReadRow, Refused, WriteRow, row};
//!
//! #[derive(ReadRow)]
//! struct Order<'a> {
//!     customer: &'a str,
//!     #[column("Price")]
//!     price: f64,
//!     discount: Option<f64>,
//! }
//!
//! #[derive(WriteRow)]
//! struct Bill {
//!     total: f64,
//!     greeting: String,
//! }
//!
//! #[row]
//! fn bill(order: Order<'_>) -> Result<Bill, Refused> {
//!     let total = order.price - order.discount.unwrap_or(0.0);
//!     if total < 0.0 {
//!         return Err(Refused::new("bad_discount", format!("{} would get money back", order.customer)));
//!     }
//!     Ok(Bill { total, greeting: format!("Dear {}", order.customer) })
//! }
//! ```
//!
//! One that takes a config, has another name than its package, or ends columns:
//!
//! ```
//! use millrace_plugin::{ConfigError, ReadRow, Refused, RowPlugin, WriteRow};
//!
//! #[derive(ReadRow)]
//! struct Order {
//!     total: f64,
//! }
//!
//! #[derive(WriteRow)]
//! struct Mark {
//!     express: bool,
//! }
//!
//! #[derive(Default)]
//! struct Express {
//!     from: f64,
//! }
//!
//! impl RowPlugin for Express {
//!     const CONFIG_SCHEMA: &str = r#"{"type": "number"}"#;
//!     const DROPS: &[&str] = &["total"];
//!     type In<'a> = Order;
//!     type Out = Mark;
//!
//!     fn open(config: &str) -> Result<Express, Vec<ConfigError>> {
//!         let wrong = |_| vec![ConfigError { path: String::new(), message: "is no number".into() }];
//!         Ok(Express { from: config.parse().map_err(wrong)? })
//!     }
//!
//!     fn row(&self, order: Order) -> Result<Mark, Refused> {
//!         Ok(Mark { express: order.total >= self.from })
//!     }
//! }
//!
//! millrace_plugin::export!(Express);
//! ```
//!
//! The same on columns, which a plugin gets and returns whole:
//!
//! ```
//! use millrace_plugin::{Column, ConfigError, Input, Output, Plugin, Signature, float64};
//!
//! struct Double;
//!
//! impl Plugin for Double {
//!     fn open(_config: &str) -> Result<Double, Vec<ConfigError>> {
//!         Ok(Double)
//!     }
//!
//!     fn signature(&self) -> Signature {
//!         Signature { reads: vec![float64("x")], adds: vec![float64("twice")], ..Signature::NONE }
//!     }
//!
//!     fn process(&self, input: &Input) -> Result<Output, String> {
//!         let twice = input.floats(0).values().iter().map(|x| 2.0 * x).collect();
//!         Ok(Output::of(vec![Column::floats(twice)]))
//!     }
//! }
//!
//! millrace_plugin::export!(Double);
//! ```
//!
//! A type that no column has is a mistake that the compiler explains:
//!
//! ```compile_fail
//! #[derive(millrace_plugin::ReadRow)]
//! struct Order {
//!     price: f32,
//! }
//! ```

#[doc(hidden)]
pub mod bindings;
mod input;
mod output;
mod row;
mod signature;
mod value;

use std::sync::OnceLock;

pub use bindings::exports::millrace::plugin::transform::{Column, ConfigError, Manifest, Output, Signature};
pub use bindings::millrace::plugin::host::{Level, count, log};
pub use bindings::millrace::plugin::types::{Data, Dict, Field, Items, Kind, Refusal, Scalars, Varlen};
pub use input::{Binaries, Booleans, Input, Numbers, Texts};
pub use millrace_plugin_derive::{ReadRow, WriteRow, row};
pub use output::{Bits, VarlenBuilder, refuse};
pub use row::{ReadRow, Refused, RowPlugin, WriteRow, WriteRows};
pub use signature::{binary, boolean, date, float64, int64, text, timestamp};
pub use value::{Bytes, Date, Lists, ListsBuilder, ReadScalar, ReadValue, Timestamp, WriteScalar, WriteValue};

pub trait Plugin: Sized + Send + Sync + 'static {
    /// Empty: the package's.
    const NAME: &str = "";
    /// Empty: the package's.
    const VERSION: &str = "";
    /// A JSON Schema of the config; empty: it takes none.
    const CONFIG_SCHEMA: &str = "";

    /// `config` is JSON: the pipeline's `config` table, `{}` where there is none.
    fn open(config: &str) -> Result<Self, Vec<ConfigError>>;

    fn signature(&self) -> Signature;

    /// An error is for what no single row is to blame for; a bad row is [`refuse`]d.
    fn process(&self, input: &Input) -> Result<Output, String>;
}

/// Makes a component of a [`Plugin`].
#[macro_export]
macro_rules! export {
    ($plugin:ty) => {
        const _: () = {
            static OPENED: $crate::Opened<$plugin> = $crate::Opened::new();

            struct Exported;

            impl $crate::bindings::exports::millrace::plugin::transform::Guest for Exported {
                fn describe() -> $crate::Manifest {
                    // of the crate that says `export!`
                    OPENED.describe(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
                }

                fn open(config: String) -> Result<$crate::Signature, Vec<$crate::ConfigError>> {
                    OPENED.open(&config)
                }

                fn process(rows: u32, input: Vec<$crate::Column>) -> Result<$crate::Output, String> {
                    OPENED.process(rows, input)
                }
            }

    $crate::bindings::export_component!(Exported with_types_in $crate::bindings);
        };
    };
}

/// The plugin of this instance, once it is open.
#[doc(hidden)]
pub struct Opened<P>(OnceLock<P>);

impl<P: Plugin> Opened<P> {
    #[allow(clippy::new_without_default, reason = "a static needs a const fn")]
    pub const fn new() -> Opened<P> {
        Opened(OnceLock::new())
    }

    pub fn describe(&self, package: &str, version: &str) -> Manifest {
        let or = |said: &str, package: &str| if said.is_empty() { package.to_owned() } else { said.to_owned() };
        let (name, version) = (or(P::NAME, package), or(P::VERSION, version));
        Manifest { name, version, config_schema: P::CONFIG_SCHEMA.into() }
    }

    pub fn open(&self, config: &str) -> Result<Signature, Vec<ConfigError>> {
        // a panic is a trap, which says nothing: the host adds this line to its reason
        std::panic::set_hook(Box::new(|panic| log(Level::Error, &panic.to_string())));
        let plugin = P::open(config)?;
        Ok(self.0.get_or_init(|| plugin).signature())
    }

    pub fn process(&self, rows: u32, columns: Vec<Column>) -> Result<Output, String> {
        let plugin = self.0.get().ok_or("process was called before open")?;
        plugin.process(&Input::new(rows, columns))
    }
}
