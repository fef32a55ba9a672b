//! What it reads of a row, what it adds to it, and which rows it refuses.

use millrace_plugin::{ReadRow, Refused, WriteRow, row};

#[derive(ReadRow)]
struct Order<'a> {
    customer: &'a str,
    price: f64,
    count: i64,
    coupon: Option<&'a str>,
}

#[derive(WriteRow)]
struct Bill {
    total: f64,
    greeting: String,
}

#[row]
fn bill(order: Order<'_>) -> Result<Bill, Refused> {
    if order.count < 1 {
        return Err(Refused::new("bad_count", format!("{} of something are no order", order.count)));
    }
    let discount = if order.coupon == Some("TENTH") { 0.9 } else { 1.0 };
    let total = order.price * order.count as f64 * discount;
    Ok(Bill { total, greeting: format!("Dear {}", order.customer) })
}
