//! Write a millrace plugin in Rust: implement [`Plugin`], say [`export!`], run `millrace plugin build`.
//!
//! A plugin gets columns and returns columns. It has no clock, no randomness, no files and no network, and keeps
//! nothing from call to call: what becomes of a row depends on the row and the config alone. [`Plugin::process`] takes
//! `&self` for that reason.
//!
//! ```
//! use millrace_plugin::{Column, ConfigError, Input, Output, Plugin, Signature, float64};
//!
//! struct Double;
//!
//! impl Plugin for Double {
//!     const NAME: &str = "double";
//!     const VERSION: &str = "1.0.0";
//!
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

#[doc(hidden)]
pub mod bindings;
mod input;
mod output;
mod signature;

use std::sync::OnceLock;

pub use bindings::exports::millrace::plugin::transform::{Column, ConfigError, Manifest, Output, Signature};
pub use bindings::millrace::plugin::host::{Level, count, log};
pub use bindings::millrace::plugin::types::{Data, Dict, Field, Items, Kind, Refusal, Scalars, Varlen};
pub use input::{Binaries, Booleans, Input, Numbers, Texts};
pub use output::{Bits, VarlenBuilder, refuse};
pub use signature::{binary, boolean, date, float64, int64, text, timestamp};

pub trait Plugin: Sized + Send + Sync + 'static {
    const NAME: &str;
    const VERSION: &str;
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
                    OPENED.describe()
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

    pub fn describe(&self) -> Manifest {
        Manifest { name: P::NAME.into(), version: P::VERSION.into(), config_schema: P::CONFIG_SCHEMA.into() }
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
