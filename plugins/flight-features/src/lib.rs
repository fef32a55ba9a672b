//! The reference plugin: says what is wrong with a flight request, and adds what the model takes beside it.
//!
//! Reads what a request carries; adds the day's place in month, week and year, and the route. Codes of refusals:
//! `bad_origin`, `bad_dest`, `same_airport`, `bad_carrier`, `bad_delay`, `bad_distance`; the first that applies.

mod calendar;
mod check;

use calendar::Day;
use check::Flight;
use millrace_plugin::{
    Column, ConfigError, Input, Output, Plugin, Signature, VarlenBuilder, date, float64, int64, refuse, text,
};

/// `ATL-SFO`
const ROUTE_BYTES: usize = 7;

struct FlightFeatures;

impl Plugin for FlightFeatures {
    const NAME: &str = env!("CARGO_PKG_NAME");
    const VERSION: &str = env!("CARGO_PKG_VERSION");

    fn open(config: &str) -> Result<FlightFeatures, Vec<ConfigError>> {
        // a config that is given and means nothing is a mistake
        match config.trim() {
            "" | "{}" | "null" => Ok(FlightFeatures),
            _ => Err(vec![ConfigError { path: String::new(), message: "this plugin takes no config".into() }]),
        }
    }

    fn signature(&self) -> Signature {
        Signature {
            reads: vec![
                text("Origin"),
                text("Dest"),
                date("FlightDate"),
                text("Carrier"),
                float64("DepDelay").nullable(),
                float64("Distance"),
            ],
            adds: vec![int64("DayOfMonth"), int64("DayOfWeek"), int64("DayOfYear"), text("Route")],
            accepts_dict: true,
            ..Signature::NONE
        }
    }

    fn process(&self, input: &Input) -> Result<Output, String> {
        let (origins, dests, carriers) = (input.texts(0), input.texts(1), input.texts(3));
        let (dates, delays, distances) = (input.dates(2).values(), input.floats(4), input.floats(5).values());
        let rows = input.rows();
        let [mut of_month, mut of_week, mut of_year] = [(); 3].map(|()| Vec::with_capacity(rows));
        let mut routes = VarlenBuilder::with_capacity(rows, rows * ROUTE_BYTES);
        let mut refused = Vec::new();
        for row in 0..rows {
            let flight = Flight {
                origin: origins.value(row),
                dest: dests.value(row),
                carrier: carriers.value(row),
                dep_delay: delays.get(row),
                distance: distances[row],
            };
            if let Err(wrong) = flight.check() {
                refused.push(refuse(row, wrong.code, wrong.reason));
                continue;
            }
            let day = Day::of(dates[row]);
            of_month.push(day.of_month);
            of_week.push(day.of_week);
            of_year.push(day.of_year);
            routes.push_parts(&[flight.origin, "-", flight.dest]);
        }
        let columns = vec![Column::ints(of_month), Column::ints(of_week), Column::ints(of_year), Column::texts(routes)];
        Ok(Output { lineage: None, columns, refused })
    }
}

millrace_plugin::export!(FlightFeatures);
