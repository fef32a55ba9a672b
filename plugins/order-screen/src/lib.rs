//! Which orders go on, and which of them are in a hurry: a plugin that filters, marks and takes a config.

use millrace_plugin::{ConfigError, ReadRow, Refused, RowPlugin, WriteRow};
use serde_json::Value;

#[derive(ReadRow)]
struct Order<'a> {
    country: &'a str,
    total: f64,
}

#[derive(WriteRow)]
struct Mark {
    express: bool,
}

#[derive(Default)]
struct OrderScreen {
    countries: Vec<String>,
    express_from: f64,
}

impl RowPlugin for OrderScreen {
    /// The config was checked by it before `open` sees it.
    const CONFIG_SCHEMA: &str = include_str!("../config.schema.json");
    type In<'a> = Order<'a>;
    type Out = Option<Mark>;

    fn open(config: &str) -> Result<OrderScreen, Vec<ConfigError>> {
        let wrong = |path: &str| vec![ConfigError { path: path.into(), message: "is not as the schema has it".into() }];
        let config: Value = serde_json::from_str(config).map_err(|_| wrong(""))?;
        let countries = config["countries"].as_array().ok_or_else(|| wrong("/countries"))?;
        let countries = countries.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        let express_from = config["express_from"].as_f64().ok_or_else(|| wrong("/express_from"))?;
        Ok(OrderScreen { countries, express_from })
    }

    fn row(&self, order: Order<'_>) -> Result<Option<Mark>, Refused> {
        if order.total < 0.0 {
            return Err(Refused::new("bad_total", format!("a total of {} is below 0", order.total)));
        }
        let wanted = self.countries.iter().any(|country| country == order.country);
        Ok(wanted.then_some(Mark { express: order.total >= self.express_from }))
    }
}

millrace_plugin::export!(OrderScreen);
