//! Points and spans of time as the standard writes them: `xs:dateTime`, `xs:date`, `xs:time`, `xs:duration`.
//!
//! Source: nfi "Sensor Data"; XML Schema Part 2 §3.2. Times without zone are UTC; at most seven digits of a second are
//! written, since the reference client reads no more.
//!
//! # Why
//! The `time` crate does the calendar; the four small syntaxes are ours, because the standard's lenient reading (no zone,
//! any number of fraction digits) is not a format of that crate.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Why a text is not a point or span of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TimeError {
    /// The parts are numbers, but no such day or hour exists.
    #[error("no such date or time")]
    OutOfRange,
    /// Not the syntax of the type.
    #[error("not a date, time or duration in ISO 8601 form")]
    Syntax,
}

const MICROS_PER_SECOND: i64 = 1_000_000;

/// A point in time, UTC, in microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From microseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Later by `span`; stays at the end of time instead of wrapping.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(span.as_micros()).unwrap_or(i64::MAX)))
    }

    /// How long ago `earlier` was; zero if it is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        u64::try_from(self.0.saturating_sub(earlier.0)).map_or(Duration::ZERO, Duration::from_micros)
    }

    /// The same point without fractions of a second, as field readings are usually shown.
    #[must_use]
    pub fn whole_seconds(self) -> Self {
        Self(self.0.div_euclid(MICROS_PER_SECOND).saturating_mul(MICROS_PER_SECOND))
    }
}

impl fmt::Display for Timestamp {
    /// `2026-03-01T10:15:00Z`, with three or six digits of a second where there are any.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = i128::from(self.0) * 1000;
        let Ok(at) = time::OffsetDateTime::from_unix_timestamp_nanos(nanos) else {
            return f.write_str(if self.0 < 0 { "0001-01-01T00:00:00Z" } else { "9999-12-31T23:59:59Z" });
        };
        Date(at.date()).fmt(f)?;
        f.write_str("T")?;
        TimeOfDay(at.time()).fmt(f)?;
        f.write_str("Z")
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Timestamp {
    type Err = TimeError;

    /// Reads `xs:dateTime`; a missing zone means UTC, digits finer than a microsecond are cut.
    fn from_str(text: &str) -> Result<Self, TimeError> {
        let (date, rest) = text.split_once('T').ok_or(TimeError::Syntax)?;
        let date: Date = date.parse()?;
        let zone_at = rest.find(['Z', '+', '-']).unwrap_or(rest.len());
        let (clock, zone) = rest.split_at_checked(zone_at).ok_or(TimeError::Syntax)?;
        let clock: TimeOfDay = clock.parse()?;
        let local = time::PrimitiveDateTime::new(date.0, clock.0).assume_utc();
        let offset = zone_seconds(zone)?;
        let micros = i64::try_from(local.unix_timestamp_nanos() / 1000).map_err(|_| TimeError::OutOfRange)?;
        micros.checked_sub(offset * MICROS_PER_SECOND).map(Self).ok_or(TimeError::OutOfRange)
    }
}

/// Offset from UTC in seconds; `Z` and nothing are zero.
fn zone_seconds(zone: &str) -> Result<i64, TimeError> {
    let sign = match zone.as_bytes().first() {
        None => return Ok(0),
        Some(b'Z') if zone.len() == 1 => return Ok(0),
        Some(b'+') => 1,
        Some(b'-') => -1,
        Some(_) => return Err(TimeError::Syntax),
    };
    let (hours, minutes) = zone.get(1..).and_then(|zone| zone.split_once(':')).ok_or(TimeError::Syntax)?;
    let (hours, minutes) = (digits(hours, 2, 2)?, digits(minutes, 2, 2)?);
    // XML Schema allows up to 14 hours.
    if minutes > 59 || hours * 60 + minutes > 14 * 60 {
        return Err(TimeError::OutOfRange);
    }
    Ok(sign * (i64::from(hours) * 3600 + i64::from(minutes) * 60))
}

/// `min` to `max` ASCII digits as a number.
fn digits(text: &str, min: usize, max: usize) -> Result<u32, TimeError> {
    if text.len() < min || text.len() > max || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(TimeError::Syntax);
    }
    text.parse().map_err(|_| TimeError::Syntax)
}

/// A day of the calendar, years 0001 to 9999.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date(time::Date);

impl Date {
    /// A day by year, month (1 to 12) and day (1 to 31).
    ///
    /// # Errors
    /// [`TimeError::OutOfRange`] if the calendar has no such day.
    pub fn try_new(year: i32, month: u8, day: u8) -> Result<Self, TimeError> {
        if !(1..=9999).contains(&year) {
            return Err(TimeError::OutOfRange);
        }
        let month = time::Month::try_from(month).map_err(|_| TimeError::OutOfRange)?;
        time::Date::from_calendar_date(year, month, day).map(Self).map_err(|_| TimeError::OutOfRange)
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.0.year(), u8::from(self.0.month()), self.0.day())
    }
}

impl fmt::Debug for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Date {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        let mut parts = text.splitn(3, '-');
        let mut part = || parts.next().ok_or(TimeError::Syntax);
        let (year, month, day) = (digits(part()?, 4, 4)?, digits(part()?, 2, 2)?, digits(part()?, 2, 2)?);
        let year = i32::try_from(year).map_err(|_| TimeError::OutOfRange)?;
        let small = |number: u32| u8::try_from(number).map_err(|_| TimeError::OutOfRange);
        Self::try_new(year, small(month)?, small(day)?)
    }
}

/// A time of day without zone.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimeOfDay(time::Time);

impl TimeOfDay {
    /// A time by hour (0 to 23), minute, second and microsecond.
    ///
    /// # Errors
    /// [`TimeError::OutOfRange`].
    pub fn try_new(hour: u8, minute: u8, second: u8, micros: u32) -> Result<Self, TimeError> {
        time::Time::from_hms_micro(hour, minute, second, micros).map(Self).map_err(|_| TimeError::OutOfRange)
    }

    /// Microseconds since midnight.
    #[must_use]
    pub fn micros(self) -> i64 {
        let (hour, minute, second, micros) = self.0.as_hms_micro();
        let seconds = i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second);
        seconds * MICROS_PER_SECOND + i64::from(micros)
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (hour, minute, second, micros) = self.0.as_hms_micro();
        write!(f, "{hour:02}:{minute:02}:{second:02}")?;
        fraction(f, micros)
    }
}

fn fraction(f: &mut fmt::Formatter<'_>, micros: u32) -> fmt::Result {
    if micros == 0 {
        Ok(())
    } else if micros.is_multiple_of(1000) {
        write!(f, ".{:03}", micros / 1000)
    } else {
        write!(f, ".{micros:06}")
    }
}

impl fmt::Debug for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for TimeOfDay {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        let (clock, micros) = match text.split_once('.') {
            Some((clock, fraction)) => (clock, fraction_micros(fraction)?),
            None => (text, 0),
        };
        let mut parts = clock.splitn(3, ':');
        let mut part = || digits(parts.next().ok_or(TimeError::Syntax)?, 2, 2);
        let (hour, minute, second) = (part()?, part()?, part()?);
        let small = |number: u32| u8::try_from(number).map_err(|_| TimeError::OutOfRange);
        Self::try_new(small(hour)?, small(minute)?, small(second)?, micros)
    }
}

/// Digits after the point of a second, cut to microseconds.
fn fraction_micros(text: &str) -> Result<u32, TimeError> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(TimeError::Syntax);
    }
    let kept: String = text.chars().chain(std::iter::repeat('0')).take(6).collect();
    digits(&kept, 6, 6)
}

/// A span of time in the parts it was written with: a month is not thirty days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Span {
    /// Whether the span goes back in time.
    pub negative: bool,
    /// Years.
    pub years: u32,
    /// Months.
    pub months: u32,
    /// Days.
    pub days: u32,
    /// Hours.
    pub hours: u32,
    /// Minutes.
    pub minutes: u32,
    /// Seconds.
    pub seconds: u32,
    /// Microseconds, below one million.
    pub micros: u32,
}

impl Span {
    /// The span as a length, if it is neither negative nor counted in months or years.
    #[must_use]
    pub fn to_duration(self) -> Option<Duration> {
        if self.negative || self.years != 0 || self.months != 0 {
            return None;
        }
        let seconds = u64::from(self.days) * 86_400
            + u64::from(self.hours) * 3600
            + u64::from(self.minutes) * 60
            + u64::from(self.seconds);
        Some(Duration::from_secs(seconds) + Duration::from_micros(u64::from(self.micros)))
    }
}

impl From<Duration> for Span {
    fn from(duration: Duration) -> Self {
        let total = duration.as_secs();
        let days = u32::try_from(total / 86_400).unwrap_or(u32::MAX);
        // Remainders below 86,400 always fit.
        let rest = u32::try_from(total % 86_400).unwrap_or(0);
        Self {
            days,
            hours: rest / 3600,
            minutes: rest / 60 % 60,
            seconds: rest % 60,
            micros: duration.subsec_micros(),
            ..Self::default()
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.negative {
            f.write_str("-")?;
        }
        f.write_str("P")?;
        for (count, letter) in [(self.years, 'Y'), (self.months, 'M'), (self.days, 'D')] {
            if count != 0 {
                write!(f, "{count}{letter}")?;
            }
        }
        let clock = self.hours != 0 || self.minutes != 0 || self.seconds != 0 || self.micros != 0;
        let empty = self.years == 0 && self.months == 0 && self.days == 0;
        if !clock && !empty {
            return Ok(());
        }
        f.write_str("T")?;
        for (count, letter) in [(self.hours, 'H'), (self.minutes, 'M')] {
            if count != 0 {
                write!(f, "{count}{letter}")?;
            }
        }
        if self.seconds != 0 || self.micros != 0 || !clock {
            write!(f, "{}", self.seconds)?;
            fraction(f, self.micros)?;
            f.write_str("S")?;
        }
        Ok(())
    }
}

impl FromStr for Span {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        let (negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let text = text.strip_prefix('P').ok_or(TimeError::Syntax)?;
        let (date, clock) = match text.split_once('T') {
            Some((_, "")) => return Err(TimeError::Syntax),
            Some((date, clock)) => (date, clock),
            None => (text, ""),
        };
        if date.is_empty() && clock.is_empty() {
            return Err(TimeError::Syntax);
        }
        let mut span = Self { negative, ..Self::default() };
        let mut rest = date;
        for (letter, slot) in [('Y', &mut span.years), ('M', &mut span.months), ('D', &mut span.days)] {
            rest = take_count(rest, letter, slot)?;
        }
        if !rest.is_empty() {
            return Err(TimeError::Syntax);
        }
        rest = clock;
        for (letter, slot) in [('H', &mut span.hours), ('M', &mut span.minutes)] {
            rest = take_count(rest, letter, slot)?;
        }
        if let Some(seconds) = rest.strip_suffix('S') {
            let (whole, micros) = match seconds.split_once('.') {
                Some((whole, fraction)) => (whole, fraction_micros(fraction)?),
                None => (seconds, 0),
            };
            span.seconds = digits(whole, 1, 9)?;
            span.micros = micros;
            rest = "";
        }
        if rest.is_empty() { Ok(span) } else { Err(TimeError::Syntax) }
    }
}

/// Reads `<digits><letter>` from the front of `text` if it stands there.
fn take_count<'a>(text: &'a str, letter: char, slot: &mut u32) -> Result<&'a str, TimeError> {
    let count = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = text.split_at_checked(count).ok_or(TimeError::Syntax)?;
    match rest.strip_prefix(letter) {
        Some(rest) => {
            *slot = digits(number, 1, 9)?;
            Ok(rest)
        }
        None => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_timestamp_is_written_in_utc() {
        assert_eq!(Timestamp::from_micros(1_772_360_100_000_000).to_string(), "2026-03-01T10:15:00Z");
    }

    #[test]
    fn milliseconds_are_written_with_three_digits() {
        assert_eq!(Timestamp::from_micros(1_500_000).to_string(), "1970-01-01T00:00:01.500Z");
    }

    #[test]
    fn a_time_before_1970_is_written_too() {
        assert_eq!(Timestamp::from_micros(-1).to_string(), "1969-12-31T23:59:59.999999Z");
    }

    #[test]
    fn a_zone_is_taken_off() {
        let zoned: Timestamp = "2026-03-01T12:15:00+02:00".parse().unwrap();
        assert_eq!(zoned.to_string(), "2026-03-01T10:15:00Z");
    }

    #[test]
    fn a_missing_zone_means_utc() {
        let zoneless: Timestamp = "2026-03-01T10:15:00".parse().unwrap();
        assert_eq!(zoneless.to_string(), "2026-03-01T10:15:00Z");
    }

    #[test]
    fn digits_finer_than_a_microsecond_are_cut() {
        let fine: Timestamp = "1970-01-01T00:00:00.1234567Z".parse().unwrap();
        assert_eq!(fine.micros(), 123_456);
    }

    #[test]
    fn days_that_do_not_exist_are_refused() {
        for text in ["2026-02-29", "2026-13-01", "2026-00-10", "0000-01-01"] {
            assert_eq!(text.parse::<Date>(), Err(TimeError::OutOfRange), "{text}");
        }
    }

    #[test]
    fn texts_in_another_form_are_refused() {
        for text in ["", "2026-3-1T00:00:00Z", "2026-03-01 00:00:00", "2026-03-01T00:00Z", "2026-03-01T00:00:00.Z"] {
            assert_eq!(text.parse::<Timestamp>(), Err(TimeError::Syntax), "{text}");
        }
    }

    #[test]
    fn a_span_keeps_its_parts() {
        let span: Span = "P1Y2M3DT4H5M6.500S".parse().unwrap();
        assert_eq!(span.to_string(), "P1Y2M3DT4H5M6.500S");
    }

    #[test]
    fn an_empty_span_is_zero_seconds() {
        assert_eq!(Span::default().to_string(), "PT0S");
    }

    #[test]
    fn spans_without_content_or_out_of_order_are_refused() {
        for text in ["", "P", "PT", "P1S", "PT1S1M", "P1M1Y", "1D", "PT.5S"] {
            assert_eq!(text.parse::<Span>(), Err(TimeError::Syntax), "{text}");
        }
    }

    #[test]
    fn a_span_of_months_has_no_fixed_length() {
        assert_eq!("P1M".parse::<Span>().unwrap().to_duration(), None);
    }

    proptest! {
        #[test]
        fn a_timestamp_survives_its_text(micros in -60_000_000_000_000_000i64..200_000_000_000_000_000) {
            let at = Timestamp::from_micros(micros);
            prop_assert_eq!(at.to_string().parse::<Timestamp>().unwrap(), at);
        }

        #[test]
        fn a_duration_survives_its_text(millis in 0u64..10_000_000_000) {
            let duration = Duration::from_millis(millis);
            let span: Span = Span::from(duration).to_string().parse().unwrap();
            prop_assert_eq!(span.to_duration(), Some(duration));
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,40}") {
            let _ = text.parse::<Timestamp>();
            let _ = text.parse::<Span>();
            let _ = text.parse::<TimeOfDay>();
        }
    }
}
