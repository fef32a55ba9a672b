//! A pipeline of a plugin that means harm, on a folder.

use crate::guest;

const SINKS: &str = r#"
[sinks.answers]
columns = ["n", "y"]
[sinks.answers.kafka]
topic = "flight-delay-ml-response"

[rejects.kafka]
topic = "flight-delay-ml-rejected"
"#;

/// What the guest does with the row 13: its role, and the code and a part of the reason of that row's reject.
pub const ROLES: [(&str, &str, &str); 17] = [
    ("panic", "plugin_trap", "thirteen"),
    ("loop", "plugin_fuel", "fuel_per_row_max"),
    ("memory", "plugin_trap", "it wanted more than its 16 MiB of memory"),
    ("stack", "plugin_trap", "out of bounds memory access"),
    ("calls", "plugin_trap", "call stack exhausted"),
    ("error", "plugin_error", "thirteen is not welcome"),
    ("giant-error", "plugin_error", "thirteen thirteen"),
    ("big-log", "plugin_trap", "it logged and counted more than 1048576 bytes in a call"),
    ("keep-back", "plugin_invalid_output", "0 values for 1 rows in `y`"),
    ("lie int64:kind", "plugin_invalid_output", "f64s where its signature says int64 in `y`"),
    ("lie int64:long", "plugin_invalid_output", "2 values for 1 rows in `y`"),
    ("lie int64:lineage-beyond", "plugin_invalid_output", "a lineage with row 1 of 1"),
    ("lie int64:lineage-many", "plugin_invalid_output", "more than 1024 rows for one row"),
    ("lie int64:refused-beyond", "plugin_invalid_output", "a refusal of row 1 of 1"),
    ("lie int64:code", "plugin_invalid_output", "the code `plugin_trap`, which is the host's"),
    ("lie int64:giant", "plugin_invalid_output", "too much data"),
    ("lie text:utf-8", "plugin_invalid_output", "texts that are not UTF-8 in `y`"),
];

pub fn toml(role: &str) -> String {
    // fuel for ever: it is a stack that ends, the guest's own or the engine's
    let fuel = if matches!(role, "stack" | "calls") { "10_000_000_000" } else { "1_000_000" };
    guest::pipeline("hostile", role, fuel, SINKS)
}

/// The role in a folder's name.
pub fn word(role: &str) -> String {
    role.chars().map(|char| if char.is_ascii_alphanumeric() { char } else { '-' }).collect()
}
