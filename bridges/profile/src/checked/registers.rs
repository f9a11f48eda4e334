//! Where a value lies in the tables of a device and how its bits are laid out (Modbus Application Protocol V1.1b3 §4).

use std::fmt;

/// The four tables of the Modbus data model (Modbus Application Protocol V1.1b3 §4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Single bits, read and write (functions 1, 5, 15).
    Coil,
    /// Single bits, read only (function 2).
    Discrete,
    /// 16-bit registers, read only (function 4).
    Input,
    /// 16-bit registers, read and write (functions 3, 6, 16, 22).
    Holding,
}

impl Table {
    /// Whether the table holds bits; otherwise it holds 16-bit registers.
    #[must_use]
    pub fn holds_bits(self) -> bool {
        matches!(self, Self::Coil | Self::Discrete)
    }

    /// Whether anything in it can be written.
    #[must_use]
    pub fn is_writable(self) -> bool {
        matches!(self, Self::Coil | Self::Holding)
    }

    /// Name in profiles.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Coil => "coil",
            Self::Discrete => "discrete",
            Self::Input => "input",
            Self::Holding => "holding",
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Which end comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Endian {
    /// Most significant first.
    #[default]
    Big,
    /// Least significant first.
    Little,
}

/// Order of the parts of a value: big-big is ABCD, word little CDAB, byte little BADC, both little DCBA.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Order {
    /// Order of the bytes in a register.
    pub byte: Endian,
    /// Order of the registers of a value.
    pub word: Endian,
}

/// How a raw value is laid out in a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// Four decimal digits in one register.
    Bcd16,
    /// Eight decimal digits in two registers.
    Bcd32,
    /// One coil or discrete input.
    Bit,
    /// IEEE 754 binary16.
    F16,
    /// IEEE 754 binary32.
    F32,
    /// IEEE 754 binary64.
    F64,
    /// So many registers, shown as hexadecimal text.
    Raw(u16),
    /// Signed, one register.
    S16,
    /// Signed, two registers.
    S32,
    /// Signed, four registers.
    S64,
    /// Signed, the high byte of a register.
    S8High,
    /// Signed, the low byte of a register.
    S8Low,
    /// Characters of ISO 8859-1, two in each of so many registers; what follows a NUL and trailing blanks are dropped.
    Text(u16),
    /// Unsigned, one register.
    U16,
    /// Unsigned, two registers.
    U32,
    /// Unsigned, four registers.
    U64,
    /// Unsigned, the high byte of a register.
    U8High,
    /// Unsigned, the low byte of a register.
    U8Low,
}

impl Encoding {
    /// How many registers (or bits, for [`Encoding::Bit`]) a value takes; at least 1.
    #[must_use]
    pub fn count(self) -> u16 {
        match self {
            Self::Bcd16 | Self::Bit | Self::F16 | Self::S16 | Self::U16 => 1,
            Self::S8High | Self::S8Low | Self::U8High | Self::U8Low => 1,
            Self::Bcd32 | Self::F32 | Self::S32 | Self::U32 => 2,
            Self::F64 | Self::S64 | Self::U64 => 4,
            Self::Raw(registers) | Self::Text(registers) => registers,
        }
    }

    /// Name in profiles.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Bcd16 => "bcd16",
            Self::Bcd32 => "bcd32",
            Self::Bit => "bit",
            Self::F16 => "f16",
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::Raw(_) => "raw",
            Self::S16 => "s16",
            Self::S32 => "s32",
            Self::S64 => "s64",
            Self::S8High => "s8hi",
            Self::S8Low => "s8lo",
            Self::Text(_) => "string",
            Self::U16 => "u16",
            Self::U32 => "u32",
            Self::U64 => "u64",
            Self::U8High => "u8hi",
            Self::U8Low => "u8lo",
        }
    }

    /// Whether it is a floating-point number.
    #[must_use]
    pub fn is_float(self) -> bool {
        matches!(self, Self::F16 | Self::F32 | Self::F64)
    }
}

/// Part of an unsigned value: `width` bits from bit `shift` on; bit 0 is the least significant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BitSlice {
    pub(crate) shift: u8,
    pub(crate) width: u8,
}

impl BitSlice {
    /// First bit, from the least significant one.
    #[must_use]
    pub fn shift(self) -> u8 {
        self.shift
    }

    /// How many bits, 1 to 64.
    #[must_use]
    pub fn width(self) -> u8 {
        self.width
    }
}
