//! A date's place in its month, week and year; the proleptic Gregorian calendar, for every number of days.

/// Days between 0000-03-01, from which eras of 400 years are counted, and 1970-01-01.
const DAYS_TO_1970: i64 = 719_468;
const DAYS_PER_ERA: i64 = 146_097;
/// A year begins in March here, so that a leap day is its last: January is day 306.
const DAYS_MARCH_TO_JANUARY: i64 = 306;
const DAYS_JANUARY_AND_FEBRUARY: i64 = 59;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Day {
    /// 1 to 31
    pub of_month: i64,
    /// 1, a Monday, to 7
    pub of_week: i64,
    /// 1 to 366
    pub of_year: i64,
}

impl Day {
    /// `days` since 1970-01-01, which was a Thursday.
    pub fn of(days: i32) -> Day {
        let days = i64::from(days);
        let day_of_era = (days + DAYS_TO_1970).rem_euclid(DAYS_PER_ERA);
        let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let since_march = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month = (5 * since_march + 2) / 153;
        let leap = year_of_era % 4 == 0 && (year_of_era % 100 != 0 || year_of_era == 0);
        let of_year = match since_march.checked_sub(DAYS_MARCH_TO_JANUARY) {
            Some(since_january) if since_january >= 0 => since_january + 1,
            _ => since_march + DAYS_JANUARY_AND_FEBRUARY + i64::from(leap) + 1,
        };
        Day { of_month: since_march - (153 * month + 2) / 5 + 1, of_week: (days + 3).rem_euclid(7) + 1, of_year }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(of_month: i64, of_week: i64, of_year: i64) -> Day {
        Day { of_month, of_week, of_year }
    }

    #[test]
    fn days_that_people_know() {
        assert_eq!(Day::of(0), day(1, 4, 1), "1970-01-01, a Thursday");
        assert_eq!(Day::of(-1), day(31, 3, 365), "1969-12-31");
        assert_eq!(Day::of(11_016), day(29, 2, 60), "2000-02-29, a Tuesday");
        assert_eq!(Day::of(19_782), day(29, 4, 60), "2024-02-29, a Thursday");
        assert_eq!(Day::of(19_783), day(1, 5, 61), "2024-03-01");
        assert_eq!(Day::of(20_088), day(31, 2, 366), "2024-12-31, a Tuesday");
        assert_eq!(Day::of(47_540), day(28, 7, 59), "2100-02-28, a Sunday");
        assert_eq!(Day::of(47_541), day(1, 1, 60), "2100-03-01: 2100 has no leap day");
    }

    /// 800 years by the rule as people say it, from 1600-01-01, a Saturday.
    #[test]
    fn every_day_follows_the_one_before() {
        let (mut year, mut month, mut expected) = (1600, 1, day(1, 6, 1));
        for days in -135_140..-135_140 + 2 * 146_097 {
            assert_eq!(Day::of(days), expected, "{year}-{month}");
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let length = [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1];
            expected = day(expected.of_month + 1, expected.of_week % 7 + 1, expected.of_year + 1);
            if expected.of_month > length {
                (month, expected.of_month) = (month + 1, 1);
            }
            if month > 12 {
                (year, month, expected.of_year) = (year + 1, 1, 1);
            }
        }
        assert_eq!((year, month), (2400, 1));
    }

    #[test]
    fn no_number_of_days_is_too_large() {
        for days in [i32::MIN, i32::MAX] {
            let day = Day::of(days);
            assert!(
                (1..=31).contains(&day.of_month) && (1..=7).contains(&day.of_week) && (1..=366).contains(&day.of_year)
            );
        }
    }
}
