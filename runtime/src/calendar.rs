//! Dates as days since 1970-01-01, and back; the proleptic Gregorian calendar, no time zones.
//!
//! Invariant: [`parse_date`] and [`format_date`] undo each other for the years 0001 to 9999.

/// Year, month (1–12) and day (1–31).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Civil {
    pub year: i32,
    pub month: u32,
    pub day: u32,
}

/// Days between 0000-03-01, from which eras of 400 years are counted, and 1970-01-01.
const DAYS_TO_1970: i64 = 719_468;
const DAYS_PER_ERA: i64 = 146_097;

/// Days since 1970-01-01.
pub fn days(date: Civil) -> i32 {
    // a year begins in March here, so that a leap day is its last
    let year = i64::from(date.year) - i64::from(date.month <= 2);
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((i64::from(date.month) + 9) % 12) + 2) / 5 + i64::from(date.day) - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    (era * DAYS_PER_ERA + day_of_era - DAYS_TO_1970) as i32
}

pub fn civil(days: i32) -> Civil {
    let since_march = i64::from(days) + DAYS_TO_1970;
    let (era, day_of_era) = (since_march.div_euclid(DAYS_PER_ERA), since_march.rem_euclid(DAYS_PER_ERA));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    Civil {
        year: (year_of_era + era * 400 + i64::from(month <= 2)) as i32,
        month: month as u32,
        day: (day_of_year - (153 * march_month + 2) / 5 + 1) as u32,
    }
}

/// `YYYY-MM-DD`, nothing else, and only a day that there is.
pub fn parse_date(text: &str) -> Option<i32> {
    let bytes = text.as_bytes();
    if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' {
        return None;
    }
    let number = |range: std::ops::Range<usize>| {
        bytes[range]
            .iter()
            .try_fold(0, |sum: u32, byte| byte.is_ascii_digit().then(|| sum * 10 + u32::from(byte - b'0')))
    };
    let date = Civil { year: number(0..4)? as i32, month: number(5..7)?, day: number(8..10)? };
    let exists = date.year >= 1 && (1..=12).contains(&date.month) && date.day >= 1;
    // a day that there is comes back as it went in: 2013-02-29 would come back as 2013-03-01
    let days = exists.then(|| days(date))?;
    (civil(days) == date).then_some(days)
}

pub fn format_date(days: i32) -> String {
    let Civil { year, month, day } = civil(days);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_days() {
        for (text, days) in [("1970-01-01", 0), ("2000-03-01", 11_017), ("2013-05-06", 15_831), ("1969-12-31", -1)] {
            assert_eq!(parse_date(text), Some(days), "{text}");
            assert_eq!(format_date(days), text);
        }
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let mut date = Civil { year: 1, month: 1, day: 1 };
        let first = days(date);
        for day in first..=days(Civil { year: 9999, month: 12, day: 31 }) {
            assert_eq!(civil(day), date);
            assert_eq!(days(date), day);
            date = next(date);
        }
        assert_eq!(parse_date("0001-01-01"), Some(first));
    }

    /// By the rule as people say it.
    fn next(Civil { year, month, day }: Civil) -> Civil {
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let length = [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month as usize - 1];
        match (day < length, month < 12) {
            (true, _) => Civil { year, month, day: day + 1 },
            (false, true) => Civil { year, month: month + 1, day: 1 },
            (false, false) => Civil { year: year + 1, month: 1, day: 1 },
        }
    }

    #[test]
    fn what_is_no_date() {
        for text in
            ["", "2013-02-29", "2013-13-01", "2013-00-10", "2013-1-01", "2013-01-32", "0000-01-01", "+013-01-01"]
        {
            assert_eq!(parse_date(text), None, "{text}");
        }
        for text in ["2013-01-01T00:00", "20130101", "2013-01-0é", "é013-01-1"] {
            assert_eq!(parse_date(text), None, "{text}");
        }
    }
}
