//! Exact decimal numbers: what a meter shows is what a reader gets.
//!
//! A [`Decimal`] is a whole number and a count of digits after the point, so `21.50` keeps its zero. The number of digits is
//! significant (nfi "Sensor Data": the decimals of a quantity tell its precision).
//!
//! # Why
//! `f64` shows 230.1 as 230.10000000000002 after a scaling, and makes golden files flaky. A 128-bit mantissa holds any
//! 64-bit register value multiplied by any scale a profile may give; the general decimal crates carry arithmetic we never use
//! and drop trailing zeros in places where we need them.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// Why a number cannot be a [`Decimal`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecimalError {
    /// Division by zero.
    #[error("division by zero")]
    DivisionByZero,
    /// Not a finite number (NaN or infinite).
    #[error("not a finite number")]
    NotFinite,
    /// More digits than a decimal can hold.
    #[error("the number needs more digits than can be kept exactly")]
    Overflow,
    /// Not the text of a number.
    #[error("not a decimal number")]
    Syntax,
}

/// An exact decimal number: `mantissa / 10^decimals`.
///
/// Equality is structural: `21.5` and `21.50` differ, since their precision does. Use [`Decimal::numeric_cmp`] to compare
/// amounts.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Decimal {
    mantissa: i128,
    decimals: u8,
}

impl Decimal {
    /// Greatest number of digits after the point.
    pub const DECIMALS_MAX: u8 = 18;

    /// Zero without decimals.
    pub const ZERO: Self = Self { mantissa: 0, decimals: 0 };

    /// `mantissa / 10^decimals`.
    ///
    /// # Errors
    /// [`DecimalError::Overflow`] above [`Decimal::DECIMALS_MAX`] decimals.
    pub fn try_new(mantissa: i128, decimals: u8) -> Result<Self, DecimalError> {
        if decimals > Self::DECIMALS_MAX {
            return Err(DecimalError::Overflow);
        }
        Ok(Self { mantissa, decimals })
    }

    /// The whole number behind the point-less digits.
    #[must_use]
    pub fn mantissa(self) -> i128 {
        self.mantissa
    }

    /// Digits after the point, 0 to [`Decimal::DECIMALS_MAX`].
    #[must_use]
    pub fn decimals(self) -> u8 {
        self.decimals
    }

    /// The nearest decimal with `decimals` digits; the exact binary value is rounded, ties to even.
    ///
    /// # Errors
    /// [`DecimalError::NotFinite`], or [`DecimalError::Overflow`] beyond 38 digits.
    pub fn from_f64(value: f64, decimals: u8) -> Result<Self, DecimalError> {
        if !value.is_finite() {
            return Err(DecimalError::NotFinite);
        }
        if decimals > Self::DECIMALS_MAX || value.abs() > 1e30 {
            return Err(DecimalError::Overflow);
        }
        format!("{value:.*}", usize::from(decimals)).parse()
    }

    /// The nearest binary number; for thresholds and statistics, never for showing.
    #[must_use]
    pub fn to_f64(self) -> f64 {
        // Shortest detour with correct rounding: the decimal text.
        self.to_string().parse().unwrap_or(f64::NAN)
    }

    /// The same amount with exactly `decimals` digits, rounded half to even where digits are lost.
    ///
    /// # Errors
    /// [`DecimalError::Overflow`].
    pub fn rescaled(self, decimals: u8) -> Result<Self, DecimalError> {
        if decimals > Self::DECIMALS_MAX {
            return Err(DecimalError::Overflow);
        }
        let mantissa = match decimals.cmp(&self.decimals) {
            Ordering::Equal => self.mantissa,
            Ordering::Greater => {
                self.mantissa.checked_mul(power(decimals - self.decimals)).ok_or(DecimalError::Overflow)?
            }
            Ordering::Less => div_half_even(self.mantissa, power(self.decimals - decimals)),
        };
        Ok(Self { mantissa, decimals })
    }

    /// Product with all digits kept; trailing digits beyond [`Decimal::DECIMALS_MAX`] are rounded.
    ///
    /// # Errors
    /// [`DecimalError::Overflow`].
    pub fn checked_mul(self, other: Self) -> Result<Self, DecimalError> {
        let mantissa = self.mantissa.checked_mul(other.mantissa).ok_or(DecimalError::Overflow)?;
        let decimals = self.decimals + other.decimals;
        if decimals <= Self::DECIMALS_MAX {
            return Ok(Self { mantissa, decimals });
        }
        let mantissa = div_half_even(mantissa, power(decimals - Self::DECIMALS_MAX));
        Ok(Self { mantissa, decimals: Self::DECIMALS_MAX })
    }

    /// Quotient with `decimals` digits, rounded half to even.
    ///
    /// # Errors
    /// [`DecimalError::DivisionByZero`] or [`DecimalError::Overflow`].
    pub fn checked_div(self, other: Self, decimals: u8) -> Result<Self, DecimalError> {
        if other.mantissa == 0 {
            return Err(DecimalError::DivisionByZero);
        }
        if decimals > Self::DECIMALS_MAX {
            return Err(DecimalError::Overflow);
        }
        // (a / 10^m) / (b / 10^n) = a * 10^(n + decimals - m) / b, in units of 10^-decimals.
        let raise = u32::from(other.decimals) + u32::from(decimals);
        let lower = u32::from(self.decimals);
        let (numerator, denominator) = if raise >= lower {
            let factor = 10i128.checked_pow(raise - lower).ok_or(DecimalError::Overflow)?;
            (self.mantissa.checked_mul(factor).ok_or(DecimalError::Overflow)?, other.mantissa)
        } else {
            let factor = 10i128.checked_pow(lower - raise).ok_or(DecimalError::Overflow)?;
            (self.mantissa, other.mantissa.checked_mul(factor).ok_or(DecimalError::Overflow)?)
        };
        Ok(Self { mantissa: div_half_even(numerator, denominator), decimals })
    }

    /// Sum with the decimals of the more precise summand.
    ///
    /// # Errors
    /// [`DecimalError::Overflow`].
    pub fn checked_add(self, other: Self) -> Result<Self, DecimalError> {
        let decimals = self.decimals.max(other.decimals);
        let (left, right) = (self.rescaled(decimals)?, other.rescaled(decimals)?);
        let mantissa = left.mantissa.checked_add(right.mantissa).ok_or(DecimalError::Overflow)?;
        Ok(Self { mantissa, decimals })
    }

    /// The amount with its sign turned.
    #[must_use]
    pub fn negated(self) -> Self {
        Self { mantissa: self.mantissa.saturating_neg(), decimals: self.decimals }
    }

    /// Compares amounts: `21.5` equals `21.50`.
    #[must_use]
    pub fn numeric_cmp(self, other: Self) -> Ordering {
        let decimals = self.decimals.max(other.decimals);
        match (self.rescaled(decimals), other.rescaled(decimals)) {
            (Ok(left), Ok(right)) => left.mantissa.cmp(&right.mantissa),
            // Only one that is too large to rescale can get here; its sign and magnitude decide.
            _ => self.to_f64().partial_cmp(&other.to_f64()).unwrap_or(Ordering::Equal),
        }
    }

    /// The whole number, if there is nothing after the point but zeros.
    #[must_use]
    pub fn to_integer(self) -> Option<i128> {
        let unit = power(self.decimals);
        (self.mantissa % unit == 0).then(|| self.mantissa / unit)
    }
}

/// 10 to the power of at most twice [`Decimal::DECIMALS_MAX`], which always fits.
fn power(exponent: u8) -> i128 {
    10i128.saturating_pow(u32::from(exponent))
}

fn div_half_even(numerator: i128, denominator: i128) -> i128 {
    let (quotient, remainder) = (numerator / denominator, numerator % denominator);
    let twice = remainder.unsigned_abs().saturating_mul(2);
    let away = match twice.cmp(&denominator.unsigned_abs()) {
        Ordering::Less => false,
        Ordering::Greater => true,
        Ordering::Equal => quotient % 2 != 0,
    };
    let step = if (numerator < 0) == (denominator < 0) { 1 } else { -1 };
    if away { quotient + step } else { quotient }
}

impl From<i64> for Decimal {
    fn from(value: i64) -> Self {
        Self { mantissa: i128::from(value), decimals: 0 }
    }
}

impl From<u64> for Decimal {
    fn from(value: u64) -> Self {
        Self { mantissa: i128::from(value), decimals: 0 }
    }
}

impl From<i32> for Decimal {
    fn from(value: i32) -> Self {
        Self::from(i64::from(value))
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.mantissa < 0 { "-" } else { "" };
        let magnitude = self.mantissa.unsigned_abs();
        if self.decimals == 0 {
            return write!(f, "{sign}{magnitude}");
        }
        let unit = power(self.decimals).unsigned_abs();
        let width = usize::from(self.decimals);
        write!(f, "{sign}{}.{:0width$}", magnitude / unit, magnitude % unit)
    }
}

impl fmt::Debug for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Decimal {
    type Err = DecimalError;

    /// Reads `xs:double` and `xs:decimal` texts except `INF` and `NaN`: sign, digits, point, exponent.
    fn from_str(text: &str) -> Result<Self, DecimalError> {
        let (number, exponent) = match text.split_once(['e', 'E']) {
            Some((number, exponent)) => (number, exponent.parse::<i32>().map_err(|_| DecimalError::Syntax)?),
            None => (text, 0),
        };
        let (negative, digits) = match number.as_bytes().first() {
            Some(b'-') => (true, number.get(1..).unwrap_or_default()),
            Some(b'+') => (false, number.get(1..).unwrap_or_default()),
            _ => (false, number),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        if whole.is_empty() && fraction.is_empty() {
            return Err(DecimalError::Syntax);
        }
        let mut mantissa: i128 = 0;
        for digit in whole.bytes().chain(fraction.bytes()) {
            if !digit.is_ascii_digit() {
                return Err(DecimalError::Syntax);
            }
            mantissa = mantissa
                .checked_mul(10)
                .and_then(|shifted| shifted.checked_add(i128::from(digit - b'0')))
                .ok_or(DecimalError::Overflow)?;
        }
        if negative {
            mantissa = -mantissa;
        }
        let written = i32::try_from(fraction.len()).map_err(|_| DecimalError::Overflow)?;
        let decimals = written.checked_sub(exponent).ok_or(DecimalError::Overflow)?;
        if decimals < 0 {
            let factor = 10i128.checked_pow(decimals.unsigned_abs()).ok_or(DecimalError::Overflow)?;
            let mantissa = mantissa.checked_mul(factor).ok_or(DecimalError::Overflow)?;
            return Ok(Self { mantissa, decimals: 0 });
        }
        let decimals = u8::try_from(decimals).map_err(|_| DecimalError::Overflow)?;
        Self::try_new(mantissa, decimals)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decimal(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    #[test]
    fn trailing_zeros_are_kept() {
        assert_eq!(decimal("21.50").to_string(), "21.50");
    }

    #[test]
    fn a_negative_fraction_keeps_its_sign() {
        assert_eq!(decimal("-0.05").to_string(), "-0.05");
    }

    #[test]
    fn negative_zero_is_zero() {
        assert_eq!(Decimal::from_f64(-0.0, 1).unwrap().to_string(), "0.0");
    }

    #[test]
    fn a_float_of_32_bits_gets_the_decimals_asked() {
        assert_eq!(Decimal::from_f64(f64::from(f32::from_bits(0x4366_199A)), 1).unwrap().to_string(), "230.1");
    }

    #[test]
    fn not_a_number_is_refused() {
        assert_eq!(Decimal::from_f64(f64::NAN, 1), Err(DecimalError::NotFinite));
    }

    #[test]
    fn the_greatest_register_value_times_a_hundredth_is_exact() {
        let product = Decimal::from(u64::MAX).checked_mul(decimal("0.01")).unwrap();
        assert_eq!(product.to_string(), "184467440737095516.15");
    }

    #[test]
    fn division_rounds_half_to_even() {
        assert_eq!(decimal("5").checked_div(decimal("2"), 0).unwrap().to_string(), "2");
        assert_eq!(decimal("7").checked_div(decimal("2"), 0).unwrap().to_string(), "4");
        assert_eq!(decimal("-5").checked_div(decimal("2"), 0).unwrap().to_string(), "-2");
    }

    #[test]
    fn division_by_zero_is_an_error() {
        assert_eq!(decimal("1").checked_div(Decimal::ZERO, 2), Err(DecimalError::DivisionByZero));
    }

    #[test]
    fn an_exponent_moves_the_point() {
        assert_eq!(decimal("1.25e1").to_string(), "12.5");
        assert_eq!(decimal("1.5e3").to_string(), "1500");
        assert_eq!(decimal("15e-3").to_string(), "0.015");
    }

    #[test]
    fn texts_that_are_no_numbers_are_refused() {
        for text in ["", ".", "-", "1,5", "0x10", "NaN", "INF", "1e", "--1", "1.2.3", " 1"] {
            assert_eq!(text.parse::<Decimal>(), Err(DecimalError::Syntax), "{text}");
        }
    }

    #[test]
    fn as_many_decimals_as_allowed_are_read_and_one_more_is_refused() {
        assert!("0.000000000000000001".parse::<Decimal>().is_ok());
        assert_eq!("0.0000000000000000001".parse::<Decimal>(), Err(DecimalError::Overflow));
    }

    #[test]
    fn amounts_compare_whatever_their_precision() {
        assert_eq!(decimal("21.5").numeric_cmp(decimal("21.50")), Ordering::Equal);
        assert_eq!(decimal("-1").numeric_cmp(decimal("0.5")), Ordering::Less);
    }

    #[test]
    fn only_whole_amounts_become_integers() {
        assert_eq!(decimal("7.00").to_integer(), Some(7));
        assert_eq!(decimal("7.01").to_integer(), None);
    }

    proptest! {
        #[test]
        fn text_and_number_say_the_same(mantissa in any::<i64>(), decimals in 0u8..=18) {
            let number = Decimal::try_new(i128::from(mantissa), decimals).unwrap();
            prop_assert_eq!(number.to_string().parse::<Decimal>().unwrap(), number);
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,40}") {
            let _ = text.parse::<Decimal>();
        }
    }
}
