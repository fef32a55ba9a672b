//! A row for each item of an order: a plugin that makes many rows of one.

use millrace_plugin::{ReadRow, Refused, RowPlugin, WriteRow};

#[derive(ReadRow)]
struct Order<'a> {
    items: Vec<&'a str>,
}

#[derive(WriteRow)]
struct Line {
    /// From 1.
    line: i64,
    item: String,
}

#[derive(Default)]
struct OrderLines;

impl RowPlugin for OrderLines {
    const DROPS: &[&str] = &["items"];
    type In<'a> = Order<'a>;
    type Out = Vec<Line>;

    fn row(&self, order: Order<'_>) -> Result<Vec<Line>, Refused> {
        if order.items.is_empty() {
            return Err(Refused::new("no_items", "an order of nothing"));
        }
        Ok((1..).zip(order.items).map(|(line, item)| Line { line, item: item.to_owned() }).collect())
    }
}

millrace_plugin::export!(OrderLines);
