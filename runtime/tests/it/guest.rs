//! A pipeline of the test guest, on numbers.

use crate::flights::repository;

const PIPELINE: &str = r#"
name = "NAME"

[source.kafka]
brokers = "localhost:9092"
topic = "flight-delay-ml-request"
group = "NAME"

[source.fields]
n = "int64"

[[stages]]
name = "guest"
[stages.plugin]
component = "ROOT/plugins/test-guest"
memory_mib_max = 16
fuel_per_row_max = FUEL
config = { mode = "MODE" }
"#;

/// `sinks`: what is behind the guest, in TOML.
pub fn pipeline(name: &str, mode: &str, fuel: &str, sinks: &str) -> String {
    let toml = PIPELINE.replace("ROOT", &repository().display().to_string()).replace("NAME", name);
    toml.replace("MODE", mode).replace("FUEL", fuel) + sinks
}
