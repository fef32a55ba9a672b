//! A flight as a person typed it: checked field by field, and made into the request that the pipeline reads.
//!
//! Invariant: what is sent is what was typed, and no more than `Timestamp` and `UUID` beside it. Codes are checked for
//! their shape alone: what becomes of an airport that the model does not know is the pipeline's to say.

use std::collections::BTreeMap;
use std::time::SystemTime;

use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

/// A day early to two days late.
const DELAY_MINUTES: std::ops::RangeInclusive<f64> = -1_440.0..=2_880.0;
const FLIGHT_NUM_CHARACTERS_MAX: usize = 8;

/// The form's fields; others are ignored.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Typed {
    dep_delay: String,
    carrier: String,
    flight_date: String,
    dest: String,
    flight_num: String,
    origin: String,
}

/// A sentence for each field that is wrong.
pub type Faults = BTreeMap<&'static str, String>;

#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Flight {
    dep_delay: Option<f64>,
    carrier: String,
    flight_date: String,
    dest: String,
    flight_num: Option<String>,
    origin: String,
}

#[derive(Serialize)]
struct Request<'a> {
    #[serde(flatten)]
    flight: &'a Flight,
    #[serde(rename = "Timestamp")]
    timestamp: String,
    #[serde(rename = "UUID")]
    uuid: &'a str,
}

impl Flight {
    pub fn check(typed: &Typed) -> Result<Flight, Faults> {
        let mut faults = Faults::new();
        let mut keep = |field, checked: Result<String, String>| {
            checked.unwrap_or_else(|fault| {
                faults.insert(field, fault);
                String::new()
            })
        };
        let carrier = keep("Carrier", carrier(&typed.carrier));
        let flight_date = keep("FlightDate", date(&typed.flight_date));
        let origin = keep("Origin", airport(&typed.origin, "from"));
        let dest = keep("Dest", airport(&typed.dest, "to"));
        let flight_num = keep("FlightNum", flight_num(&typed.flight_num));
        let dep_delay = delay(&typed.dep_delay).unwrap_or_else(|fault| {
            faults.insert("DepDelay", fault);
            None
        });
        if !origin.is_empty() && origin == dest {
            faults.insert("Dest", format!("A flight cannot go from {origin} to {dest}: choose another airport."));
        }
        let flight_num = Some(flight_num).filter(|number| !number.is_empty());
        let flight = Flight { dep_delay, carrier, flight_date, dest, flight_num, origin };
        if faults.is_empty() { Ok(flight) } else { Err(faults) }
    }

    /// The message's value.
    pub fn request(&self, uuid: &str, now: SystemTime) -> serde_json::Result<Vec<u8>> {
        let timestamp = DateTime::<Utc>::from(now).to_rfc3339_opts(SecondsFormat::Millis, true);
        serde_json::to_vec(&Request { flight: self, timestamp, uuid })
    }
}

fn carrier(typed: &str) -> Result<String, String> {
    let code = typed.trim().to_ascii_uppercase();
    match code.len() {
        0 => Err("Choose a carrier.".into()),
        2 | 3 if code.bytes().all(|byte| byte.is_ascii_alphanumeric()) => Ok(code),
        _ => Err("A carrier is a code of two letters or digits, such as UA.".into()),
    }
}

fn airport(typed: &str, way: &str) -> Result<String, String> {
    let code = typed.trim().to_ascii_uppercase();
    match code.len() {
        0 => Err(format!("Choose the airport that the flight goes {way}.")),
        3 if code.bytes().all(|byte| byte.is_ascii_uppercase()) => Ok(code),
        _ => Err("An airport is a code of three letters, such as ATL.".into()),
    }
}

fn date(typed: &str) -> Result<String, String> {
    let text = typed.trim();
    let shaped = text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    match NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        _ if text.is_empty() => Err("Choose the day of the flight.".into()),
        Ok(_) if shaped => Ok(text.into()),
        _ => Err("There is no such day: a date is written as 2013-12-24.".into()),
    }
}

fn delay(typed: &str) -> Result<Option<f64>, String> {
    let text = typed.trim();
    match text.parse() {
        _ if text.is_empty() => Ok(None),
        Ok(minutes) if DELAY_MINUTES.contains(&minutes) => Ok(Some(minutes)),
        Ok(_) => Err("Minutes from -1440 (a day early) to 2880 (two days late).".into()),
        Err(_) => Err("A number of minutes, such as 15; leave it empty if it is not known.".into()),
    }
}

fn flight_num(typed: &str) -> Result<String, String> {
    let text = typed.trim();
    if text.len() <= FLIGHT_NUM_CHARACTERS_MAX && text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        Ok(text.into())
    } else {
        Err(format!("At most {FLIGHT_NUM_CHARACTERS_MAX} letters or digits, such as 1519."))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn typed(field: &str, value: &str) -> Typed {
        let mut typed = Typed {
            dep_delay: "14".into(),
            carrier: "AA".into(),
            flight_date: "2013-12-24".into(),
            dest: "SFO".into(),
            flight_num: "1519".into(),
            origin: "JFK".into(),
        };
        let place = match field {
            "DepDelay" => &mut typed.dep_delay,
            "Carrier" => &mut typed.carrier,
            "FlightDate" => &mut typed.flight_date,
            "Dest" => &mut typed.dest,
            "FlightNum" => &mut typed.flight_num,
            _ => &mut typed.origin,
        };
        *place = value.into();
        typed
    }

    fn request(typed: &Typed) -> String {
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(1_387_843_200_123);
        let flight = Flight::check(typed).expect("it is in order");
        String::from_utf8(flight.request("the-id", now).expect("it is JSON")).expect("it is text")
    }

    #[test]
    fn sends_what_was_typed_and_no_more() {
        assert_eq!(
            request(&typed("DepDelay", "14")),
            concat!(
                r#"{"DepDelay":14.0,"Carrier":"AA","FlightDate":"2013-12-24","Dest":"SFO","FlightNum":"1519","#,
                r#""Origin":"JFK","Timestamp":"2013-12-24T00:00:00.123Z","UUID":"the-id"}"#
            )
        );
    }

    #[test]
    fn what_may_be_left_out_is_null() {
        assert!(request(&typed("DepDelay", " ")).starts_with(r#"{"DepDelay":null,"#));
        assert!(request(&typed("FlightNum", "")).contains(r#""FlightNum":null,"#));
        assert!(request(&typed("DepDelay", "-3.5")).starts_with(r#"{"DepDelay":-3.5,"#));
        assert!(request(&typed("Dest", "atl ")).contains(r#""Dest":"ATL","#));
    }

    #[test]
    fn a_date_stays_the_day_that_was_typed() {
        for day in ["2012-02-29", "2013-01-01", "2013-12-31"] {
            assert!(request(&typed("FlightDate", day)).contains(&format!(r#""FlightDate":"{day}""#)));
        }
    }

    #[test]
    fn each_fault_has_its_field_and_its_sentence() {
        for (field, value, sentence) in [
            ("DepDelay", "soon", "A number of minutes"),
            ("DepDelay", "NaN", "Minutes from -1440"),
            ("DepDelay", "inf", "Minutes from -1440"),
            ("DepDelay", "2881", "Minutes from -1440"),
            ("DepDelay", "-1441", "Minutes from -1440"),
            ("Carrier", "", "Choose a carrier"),
            ("Carrier", "A", "A carrier is a code"),
            ("Carrier", "A-", "A carrier is a code"),
            ("FlightDate", "", "Choose the day"),
            ("FlightDate", "2013-02-29", "There is no such day"),
            ("FlightDate", "2013-2-1", "There is no such day"),
            ("FlightDate", "24.12.2013", "There is no such day"),
            ("FlightDate", "+013-02-01", "There is no such day"),
            ("Origin", "", "Choose the airport that the flight goes from"),
            ("Dest", "", "Choose the airport that the flight goes to"),
            ("Dest", "S1O", "An airport is a code"),
            ("Dest", "SÉ", "An airport is a code"),
            ("Dest", "JFK", "A flight cannot go from JFK to JFK"),
            ("FlightNum", "123456789", "At most 8"),
            ("FlightNum", "1 5", "At most 8"),
        ] {
            let faults = Flight::check(&typed(field, value)).expect_err(value);
            assert_eq!(faults.len(), 1, "{field} {value:?}: {faults:?}");
            assert!(faults[field].starts_with(sentence), "{field} {value:?}: {faults:?}");
        }
    }

    #[test]
    fn all_faults_are_said_at_once() {
        let faults = Flight::check(&Typed::default()).expect_err("nothing was typed");
        assert_eq!(faults.into_keys().collect::<Vec<_>>(), ["Carrier", "Dest", "FlightDate", "Origin"]);
    }
}
