//! What is inside: versions of the parts that decide what a row becomes, or how it gets here.

use millrace::stage::model;

/// Several lines, for `--version`.
pub fn long() -> String {
    format!(
        "{} (git {})\nXGBoost {}\nwasmtime {}\nlibrdkafka {}",
        env!("CARGO_PKG_VERSION"),
        env!("MILLRACE_GIT"),
        model::version(),
        env!("MILLRACE_WASMTIME"),
        rdkafka::util::get_rdkafka_version().1,
    )
}
