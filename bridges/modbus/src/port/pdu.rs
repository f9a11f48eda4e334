//! Requests and replies without their frames: function codes 1-6, 15, 16 and 22, and exceptions.
//!
//! Source: Modbus Application Protocol V1.1b3, 6 and 7. Pure; every byte of a reply is checked against the request it answers.

use std::fmt;

use torg_profile::{READ_BITS_MAX, READ_REGISTERS_MAX, Table};
use torg_thing::NodeError;

/// Most bits or registers one read may ask for (V1.1b3, 6.1 to 6.4).
pub fn read_max(table: Table) -> u16 {
    if table.holds_bits() { READ_BITS_MAX } else { READ_REGISTERS_MAX }
}

/// What a device is asked to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// FC 22: `(register AND and) OR (or AND NOT and)`.
    MaskRegister {
        /// Zero-based address of a holding register.
        address: u16,
        /// Bits to keep.
        and: u16,
        /// Bits to set among those not kept.
        or: u16,
    },
    /// FC 1, 2, 3 or 4, by table.
    Read {
        /// Which table.
        table: Table,
        /// Zero-based first address.
        address: u16,
        /// How many bits or registers; 1 to [`read_max`].
        count: u16,
    },
    /// FC 5.
    WriteCoil {
        /// Zero-based address.
        address: u16,
        /// The new state.
        on: bool,
    },
    /// FC 15.
    WriteCoils {
        /// Zero-based first address.
        address: u16,
        /// New states; 1 to 1968.
        bits: Vec<bool>,
    },
    /// FC 6.
    WriteRegister {
        /// Zero-based address of a holding register.
        address: u16,
        /// The new value.
        value: u16,
    },
    /// FC 16.
    WriteRegisters {
        /// Zero-based first address.
        address: u16,
        /// New values; 1 to 123.
        words: Vec<u16>,
    },
}

/// What a device answered, already checked against the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// As many bits as were asked for.
    Bits(Vec<bool>),
    /// As many registers as were asked for.
    Words(Vec<u16>),
    /// The write was confirmed with its address and amount.
    Written,
}

/// A reply that does not answer the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfit {
    /// The function code is another one.
    Function(u8),
    /// Byte count, address or amount is another one.
    Shape,
}

/// The answer of a device that will not do what was asked (V1.1b3, 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Exception(pub u8);

impl Exception {
    /// A register asked for does not exist.
    pub const ILLEGAL_ADDRESS: Self = Self(2);
    /// A count or value is not allowed; some devices say this of registers that do not exist.
    pub const ILLEGAL_VALUE: Self = Self(3);
    /// The gateway got no answer from the device behind it.
    pub const GATEWAY_TARGET_SILENT: Self = Self(11);

    /// The name in the standard.
    pub fn meaning(self) -> &'static str {
        match self.0 {
            1 => "illegal function",
            2 => "illegal data address",
            3 => "illegal data value",
            4 => "device failure",
            5 => "acknowledge: needs more time",
            6 => "device busy",
            7 => "negative acknowledge",
            8 => "memory parity error",
            10 => "gateway path unavailable",
            11 => "gateway target device failed to respond",
            _ => "not in the standard",
        }
    }
}

impl fmt::Display for Exception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exception {} ({})", self.0, self.meaning())
    }
}

impl From<Exception> for NodeError {
    fn from(exception: Exception) -> Self {
        Self::DeviceException { code: exception.0, meaning: exception.meaning() }
    }
}

/// A reply, or the device's refusal. Both are answers: the line works.
pub type Answer = Result<Reply, Exception>;

impl Request {
    /// Function code.
    pub fn function(&self) -> u8 {
        match self {
            Self::Read { table: Table::Coil, .. } => 1,
            Self::Read { table: Table::Discrete, .. } => 2,
            Self::Read { table: Table::Holding, .. } => 3,
            Self::Read { table: Table::Input, .. } => 4,
            Self::WriteCoil { .. } => 5,
            Self::WriteRegister { .. } => 6,
            Self::WriteCoils { .. } => 15,
            Self::WriteRegisters { .. } => 16,
            Self::MaskRegister { .. } => 22,
        }
    }

    /// Whether it changes the device.
    pub fn is_write(&self) -> bool {
        !matches!(self, Self::Read { .. })
    }

    /// Appends function code and data.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut put = |words: &[u16]| out.extend(words.iter().flat_map(|word| word.to_be_bytes()));
        match self {
            Self::Read { address, count, .. } => put(&[*address, *count]),
            Self::WriteCoil { address, on } => put(&[*address, if *on { 0xFF00 } else { 0 }]),
            Self::WriteRegister { address, value } => put(&[*address, *value]),
            Self::MaskRegister { address, and, or } => put(&[*address, *and, *or]),
            Self::WriteCoils { address, bits } => {
                put(&[*address, amount(bits.len())]);
                out.push(u8::try_from(bits.len().div_ceil(8)).unwrap_or(u8::MAX));
                out.extend(
                    bits.chunks(8).map(|bits| bits.iter().rev().fold(0, |byte, bit| byte << 1 | u8::from(*bit))),
                );
            }
            Self::WriteRegisters { address, words } => {
                put(&[*address, amount(words.len())]);
                out.push(u8::try_from(words.len().saturating_mul(2)).unwrap_or(u8::MAX));
                out.extend(words.iter().flat_map(|word| word.to_be_bytes()));
            }
        }
    }

    /// The request as it goes into a frame.
    pub fn pdu(&self) -> Vec<u8> {
        let mut pdu = vec![self.function()];
        self.encode(&mut pdu);
        pdu
    }

    /// Length of the reply if the device does not refuse, with function code.
    pub fn reply_length(&self) -> usize {
        match self {
            Self::Read { table, count, .. } => usize::from(data_bytes(*table, *count)).saturating_add(2),
            Self::MaskRegister { .. } => 7,
            _ => 5,
        }
    }

    /// Checks and decodes the reply to this very request.
    pub fn decode(&self, reply: &[u8]) -> Result<Answer, Unfit> {
        let function = self.function();
        let (first, data) = reply.split_first().ok_or(Unfit::Shape)?;
        if *first == function | EXCEPTION {
            return match data {
                [code] => Ok(Err(Exception(*code))),
                _ => Err(Unfit::Shape),
            };
        }
        if *first != function {
            return Err(Unfit::Function(*first));
        }
        match self {
            Self::Read { table, count, .. } => match data.split_first() {
                Some((bytes, data)) if *bytes == data_bytes(*table, *count) && data.len() == usize::from(*bytes) => {
                    Ok(Ok(if table.holds_bits() { Reply::Bits(bits(data, *count)) } else { Reply::Words(words(data)) }))
                }
                _ => Err(Unfit::Shape),
            },
            // The first four bytes of data come back: address and value, or address and amount; all six of FC 22.
            _ => {
                let sent = self.pdu();
                let echo = sent.get(..self.reply_length()).ok_or(Unfit::Shape)?;
                if reply == echo { Ok(Ok(Reply::Written)) } else { Err(Unfit::Shape) }
            }
        }
    }
}

/// Marks the function code of an exception reply.
pub(super) const EXCEPTION: u8 = 0x80;

fn amount(length: usize) -> u16 {
    u16::try_from(length).unwrap_or(u16::MAX)
}

fn data_bytes(table: Table, count: u16) -> u8 {
    let bytes = if table.holds_bits() { count.div_ceil(8) } else { count.saturating_mul(2) };
    u8::try_from(bytes).unwrap_or(u8::MAX)
}

fn words(data: &[u8]) -> Vec<u16> {
    data.as_chunks::<2>().0.iter().map(|pair| u16::from_be_bytes(*pair)).collect()
}

fn bits(data: &[u8], count: u16) -> Vec<bool> {
    data.iter().flat_map(|byte| (0..8).map(move |n| byte >> n & 1 == 1)).take(usize::from(count)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(table: Table, count: u16) -> Request {
        Request::Read { table, address: 0x6B, count }
    }

    /// Requests and replies of the examples in V1.1b3, 6.1 to 6.16.
    #[test]
    fn agrees_with_the_examples_of_the_standard() {
        let coils = Request::Read { table: Table::Coil, address: 0x13, count: 0x13 };
        assert_eq!(coils.pdu(), [1, 0, 0x13, 0, 0x13]);
        let Ok(Ok(Reply::Bits(bits))) = coils.decode(&[1, 3, 0xCD, 0x6B, 0x05]) else { panic!("no bits") };
        assert_eq!((bits.len(), bits[0], bits[1], bits[18]), (19, true, false, true));

        let holding = read(Table::Holding, 3);
        assert_eq!(holding.pdu(), [3, 0, 0x6B, 0, 3]);
        let reply = holding.decode(&[3, 6, 0x02, 0x2B, 0, 0, 0, 0x64]);
        assert_eq!(reply, Ok(Ok(Reply::Words(vec![0x022B, 0, 0x64]))));

        let coil = Request::WriteCoil { address: 0xAC, on: true };
        assert_eq!(coil.pdu(), [5, 0, 0xAC, 0xFF, 0]);
        let register = Request::WriteRegister { address: 1, value: 3 };
        assert_eq!(register.pdu(), [6, 0, 1, 0, 3]);
        let coils = [true, false, true, true, false, false, true, true, true, false];
        let coils = Request::WriteCoils { address: 0x13, bits: coils.to_vec() };
        assert_eq!(coils.pdu(), [15, 0, 0x13, 0, 0x0A, 2, 0xCD, 1]);
        assert_eq!(coils.decode(&[15, 0, 0x13, 0, 0x0A]), Ok(Ok(Reply::Written)));
        let registers = Request::WriteRegisters { address: 1, words: vec![0x0A, 0x0102] };
        assert_eq!(registers.pdu(), [16, 0, 1, 0, 2, 4, 0, 0x0A, 1, 2]);
        assert_eq!(registers.decode(&[16, 0, 1, 0, 2]), Ok(Ok(Reply::Written)));
        let mask = Request::MaskRegister { address: 4, and: 0xF2, or: 0x25 };
        assert_eq!(mask.pdu(), [22, 0, 4, 0, 0xF2, 0, 0x25]);
        assert_eq!(mask.decode(&mask.pdu()), Ok(Ok(Reply::Written)));
    }

    #[test]
    fn a_reply_with_another_byte_count_is_unfit() {
        assert_eq!(read(Table::Input, 2).decode(&[4, 2, 0, 1]), Err(Unfit::Shape));
        assert_eq!(read(Table::Input, 1).decode(&[4, 4, 0, 1, 0, 2]), Err(Unfit::Shape));
        assert_eq!(read(Table::Input, 2).decode(&[4, 4, 0, 1, 0]), Err(Unfit::Shape));
    }

    #[test]
    fn a_write_confirmed_with_another_address_or_amount_is_unfit() {
        let write = Request::WriteRegisters { address: 1, words: vec![5, 6] };
        assert_eq!(write.decode(&[16, 0, 2, 0, 2]), Err(Unfit::Shape));
        assert_eq!(write.decode(&[16, 0, 1, 0, 1]), Err(Unfit::Shape));
        let single = Request::WriteRegister { address: 1, value: 5 };
        assert_eq!(single.decode(&[6, 0, 1, 0, 4]), Err(Unfit::Shape));
    }

    #[test]
    fn every_exception_has_its_own_text() {
        let texts: std::collections::BTreeSet<_> =
            [1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 9].map(|code| Exception(code).to_string()).into();
        assert_eq!(texts.len(), 11);
        assert_eq!(read(Table::Input, 1).decode(&[0x84, 6]), Ok(Err(Exception(6))));
    }

    #[test]
    fn an_exception_to_another_function_is_unfit() {
        assert_eq!(read(Table::Input, 1).decode(&[0x83, 2]), Err(Unfit::Function(0x83)));
    }

    proptest! {
        #[test]
        fn no_reply_makes_the_decoder_panic(reply in proptest::collection::vec(any::<u8>(), 0..270), count in 1_u16..2000) {
            let _ = read(Table::Coil, count).decode(&reply);
            let _ = read(Table::Input, count.min(125)).decode(&reply);
            let _ = Request::WriteRegister { address: count, value: 1 }.decode(&reply);
        }

        #[test]
        fn the_length_of_a_reply_is_known_beforehand(count in 1_u16..=125) {
            let request = read(Table::Holding, count);
            let mut reply = vec![3, u8::try_from(count * 2).unwrap()];
            reply.resize(request.reply_length(), 0);
            prop_assert!(matches!(request.decode(&reply), Ok(Ok(Reply::Words(words))) if words.len() == usize::from(count)));
        }
    }
}
