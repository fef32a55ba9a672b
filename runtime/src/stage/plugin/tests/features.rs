//! The reference plugin as pipelines run it.

use arrow_array::{Date32Array, Float64Array, StringArray};

use super::*;
use crate::calendar::parse_date;

struct Flight {
    origin: &'static str,
    dest: &'static str,
    date: &'static str,
    carrier: &'static str,
    delay: Option<f64>,
    distance: f64,
}

const GOOD: Flight =
    Flight { origin: "ATL", dest: "SFO", date: "2024-02-29", carrier: "B6", delay: Some(5.0), distance: 2_139.0 };

fn flights(flights: &[Flight]) -> Batch {
    let texts = |of: fn(&Flight) -> &'static str| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(flights.iter().map(of)))
    };
    let dates = flights.iter().map(|flight| parse_date(flight.date).expect("a date"));
    batch(vec![
        ("UUID", texts(|flight| flight.date)),
        ("Carrier", texts(|flight| flight.carrier)),
        ("Origin", texts(|flight| flight.origin)),
        ("Dest", texts(|flight| flight.dest)),
        ("FlightDate", Arc::new(Date32Array::from_iter_values(dates))),
        ("DepDelay", Arc::new(flights.iter().map(|flight| flight.delay).collect::<Float64Array>())),
        ("Distance", Arc::new(Float64Array::from_iter_values(flights.iter().map(|flight| flight.distance)))),
    ])
}

fn features() -> Program {
    Program::load(&component("flight-features"), settings("{}")).expect("flight-features")
}

#[test]
fn signature() {
    let StageTypes { reads, adds, drops } = features().types();
    let written = |fields: Vec<crate::schema::Field>| -> Vec<String> {
        fields.iter().map(|field| format!("{} {}", field.name, field.ty)).collect()
    };
    let expected =
        ["Origin text", "Dest text", "FlightDate date", "Carrier text", "DepDelay float64?", "Distance float64"];
    assert_eq!(written(reads), expected);
    assert_eq!(written(adds), ["DayOfMonth int64", "DayOfWeek int64", "DayOfYear int64", "Route text"]);
    assert_eq!(drops, [""; 0]);
}

#[test]
fn exact_features() {
    of_the_calendar(&features());
}

pub fn of_the_calendar(features: &Program) {
    let days = [
        ("2024-02-29", [29, 4, 60]),
        ("2024-03-01", [1, 5, 61]),
        ("2023-02-28", [28, 2, 59]),
        ("2023-03-01", [1, 3, 60]),
        ("2024-12-31", [31, 2, 366]),
        ("2023-12-31", [31, 7, 365]),
        ("2024-01-01", [1, 1, 1]),
        ("2000-02-29", [29, 2, 60]),
        ("2100-03-01", [1, 1, 60]),
        ("1969-12-31", [31, 3, 365]),
        ("0001-01-01", [1, 1, 1]),
        ("9999-12-31", [31, 5, 365]),
    ];
    let asked: Vec<_> = days.iter().map(|(date, _)| Flight { date, ..GOOD }).collect();
    let done = run(features, flights(&asked));
    for (index, name) in ["DayOfMonth", "DayOfWeek", "DayOfYear"].into_iter().enumerate() {
        assert_eq!(ints(&done, name), days.map(|(_, day)| day[index]), "{name}");
    }
    let routes = done.columns.column_by_name("Route").expect("routes").as_string::<i32>();
    assert!(routes.iter().all(|route| route == Some("ATL-SFO")));
    assert_eq!(done.rejects, []);
    let names: Vec<_> = done.columns.schema().fields().iter().map(|field| field.name().clone()).collect();
    let carried = ["UUID", "Carrier", "Origin", "Dest", "FlightDate", "DepDelay", "Distance"];
    assert_eq!(names, [&carried[..], &["DayOfMonth", "DayOfWeek", "DayOfYear", "Route"]].concat());
}

#[test]
fn refused_rows_leave_the_others() {
    let done = run(
        &features(),
        flights(&[
            Flight { origin: "atl", ..GOOD },
            GOOD,
            Flight { dest: "SFO ", ..GOOD },
            Flight { dest: "ATL", ..GOOD },
            Flight { carrier: "Delta", ..GOOD },
            Flight { delay: Some(3_000.0), ..GOOD },
            Flight { distance: f64::NAN, ..GOOD },
            Flight { delay: None, dest: "JFK", ..GOOD },
        ]),
    );
    let expected = [
        ("bad_origin", "origin \"atl\" is not three capital letters", 0),
        ("bad_dest", "destination \"SFO \" is not three capital letters", 2),
        ("same_airport", "origin and destination are both ATL", 3),
        ("bad_carrier", "carrier \"Delta\" is not two capital letters or digits", 4),
        ("bad_delay", "departure delay 3000.0 is not between -1440 and 2880 minutes", 5),
        ("bad_distance", "distance NaN is not between 0 and 12500 miles", 6),
    ];
    assert_eq!(rejects(&done), expected);
    assert_eq!(done.lineage, [1, 7]);
    let routes: Vec<_> =
        done.columns.column_by_name("Route").expect("routes").as_string::<i32>().iter().flatten().collect();
    assert_eq!(routes, ["ATL-SFO", "ATL-JFK"]);
}

#[test]
fn a_config_is_a_mistake() {
    let error = Program::load(&component("flight-features"), settings("{\"x\":1}")).expect_err("no config is taken");
    let file = component("flight-features");
    assert_eq!(
        error.to_string(),
        format!("{}: does not accept its config: this plugin takes no config", file.display())
    );
}
