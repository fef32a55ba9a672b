//! What a flight must be, and the words for what is wrong with one.

/// A day before the plan to two days after it.
const DELAY_MINUTES: std::ops::RangeInclusive<f64> = -1_440.0..=2_880.0;
/// Half way round the world is 12,450 miles.
const DISTANCE_MILES_MAX: f64 = 12_500.0;
/// Of a value in a reason.
const SHOWN_CHARS_MAX: usize = 40;

pub struct Flight<'a> {
    pub origin: &'a str,
    pub dest: &'a str,
    pub carrier: &'a str,
    pub dep_delay: Option<f64>,
    pub distance: f64,
}

#[derive(Debug, PartialEq)]
pub struct Wrong {
    pub code: &'static str,
    pub reason: String,
}

impl Flight<'_> {
    pub fn check(&self) -> Result<(), Wrong> {
        let wrong = |code, reason| Err(Wrong { code, reason });
        if !is_airport(self.origin) {
            return wrong("bad_origin", format!("origin {} is not three capital letters", shown(self.origin)));
        }
        if !is_airport(self.dest) {
            return wrong("bad_dest", format!("destination {} is not three capital letters", shown(self.dest)));
        }
        if self.origin == self.dest {
            return wrong("same_airport", format!("origin and destination are both {}", self.origin));
        }
        if !is_carrier(self.carrier) {
            let carrier = shown(self.carrier);
            return wrong("bad_carrier", format!("carrier {carrier} is not two capital letters or digits"));
        }
        if let Some(delay) = self.dep_delay.filter(|delay| !DELAY_MINUTES.contains(delay)) {
            let (least, most) = (DELAY_MINUTES.start(), DELAY_MINUTES.end());
            return wrong("bad_delay", format!("departure delay {delay:?} is not between {least} and {most} minutes"));
        }
        // written so that NaN is bad
        if !(self.distance > 0.0 && self.distance <= DISTANCE_MILES_MAX) {
            let distance = self.distance;
            return wrong(
                "bad_distance",
                format!("distance {distance:?} is not between 0 and {DISTANCE_MILES_MAX} miles"),
            );
        }
        Ok(())
    }
}

fn is_airport(code: &str) -> bool {
    matches!(code.as_bytes(), [b'A'..=b'Z', b'A'..=b'Z', b'A'..=b'Z'])
}

fn is_carrier(code: &str) -> bool {
    matches!(code.as_bytes(), [b'A'..=b'Z' | b'0'..=b'9', b'A'..=b'Z' | b'0'..=b'9'])
}

fn shown(value: &str) -> String {
    match value.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((end, _)) => format!("{:?}…", &value[..end]),
        None => format!("{value:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Flight<'_> =
        Flight { origin: "ATL", dest: "SFO", carrier: "B6", dep_delay: Some(5.0), distance: 2_139.0 };

    fn code(flight: Flight<'_>) -> &'static str {
        flight.check().map_or_else(|wrong| wrong.code, |()| "good")
    }

    #[test]
    fn good_at_the_limits() {
        assert_eq!(code(GOOD), "good");
        assert_eq!(code(Flight { dep_delay: None, ..GOOD }), "good");
        for delay in [-1_440.0, 0.0, 2_880.0] {
            assert_eq!(code(Flight { dep_delay: Some(delay), ..GOOD }), "good", "{delay}");
        }
        for distance in [f64::MIN_POSITIVE, 12_500.0] {
            assert_eq!(code(Flight { distance, ..GOOD }), "good", "{distance}");
        }
    }

    #[test]
    fn bad_just_beyond() {
        for origin in ["", "AT", "ATLA", "atl", "A1L", "ÄB", "AT "] {
            assert_eq!(code(Flight { origin, ..GOOD }), "bad_origin", "{origin}");
            assert_eq!(code(Flight { dest: origin, ..GOOD }), "bad_dest", "{origin}");
        }
        assert_eq!(code(Flight { dest: "ATL", ..GOOD }), "same_airport");
        for carrier in ["", "B", "B6X", "b6", "é"] {
            assert_eq!(code(Flight { carrier, ..GOOD }), "bad_carrier", "{carrier}");
        }
        for delay in [-1_440.5, 2_880.5, f64::NAN, f64::INFINITY] {
            assert_eq!(code(Flight { dep_delay: Some(delay), ..GOOD }), "bad_delay", "{delay}");
        }
        for distance in [0.0, -1.0, 12_500.5, f64::NAN, f64::INFINITY] {
            assert_eq!(code(Flight { distance, ..GOOD }), "bad_distance", "{distance}");
        }
    }

    #[test]
    fn a_reason_names_the_value_and_is_short() {
        let long = "é".repeat(10_000);
        let wrong = Flight { origin: &long, ..GOOD }.check().expect_err("a bad origin");
        assert!(wrong.reason.starts_with("origin \"ééé") && wrong.reason.len() < 200, "{}", wrong.reason);
        let wrong = Flight { dep_delay: Some(1e300), ..GOOD }.check().expect_err("a bad delay");
        assert_eq!(wrong.reason, "departure delay 1e300 is not between -1440 and 2880 minutes");
    }
}
