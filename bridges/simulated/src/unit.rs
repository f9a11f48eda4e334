//! One simulated device: its register banks and how it answers a request PDU.
//!
//! Source: Modbus Application Protocol V1.1b3, 6 and 7. Pure: the time comes in as an argument.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// The four tables of the Modbus data model (V1.1b3, 4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Single bits, read and write.
    Coil,
    /// Single bits, read only.
    Discrete,
    /// 16-bit registers, read and write.
    Holding,
    /// 16-bit registers, read only.
    Input,
}

/// What gives a device its readings: called before each request with the time since the device started.
pub trait Content: Send {
    /// Writes the values of the moment `age` into the banks.
    fn refresh(&mut self, banks: &mut Banks, age: Duration);
}

/// Register banks; an address that holds nothing answers with exception 2.
#[derive(Debug, Clone, Default)]
pub struct Banks {
    bits: BTreeMap<(Table, u16), bool>,
    words: BTreeMap<(Table, u16), u16>,
}

impl Banks {
    /// Sets one coil or discrete input.
    pub fn set_bit(&mut self, table: Table, address: u16, on: bool) {
        self.bits.insert((table, address), on);
    }

    /// Sets consecutive registers; addresses past 65535 are dropped.
    pub fn set_words(&mut self, table: Table, address: u16, words: &[u16]) {
        for (word, offset) in words.iter().zip(0_u16..) {
            if let Some(at) = address.checked_add(offset) {
                self.words.insert((table, at), *word);
            }
        }
    }

    /// Takes registers away: reading them gets exception 2.
    pub fn forget(&mut self, table: Table, addresses: std::ops::Range<u16>) {
        self.words.retain(|(of, address), _| *of != table || !addresses.contains(address));
    }

    /// Sets a 32-bit float, high word first, in two registers.
    pub fn set_f32(&mut self, table: Table, address: u16, value: f32) {
        let bits = value.to_be_bytes();
        self.set_words(table, address, &words_of(&bits));
    }

    /// Sets an unsigned 32-bit number, high word first, in two registers.
    pub fn set_u32(&mut self, table: Table, address: u16, value: u32) {
        self.set_words(table, address, &words_of(&value.to_be_bytes()));
    }

    /// Sets an unsigned 64-bit number, high word first, in four registers.
    pub fn set_u64(&mut self, table: Table, address: u16, value: u64) {
        self.set_words(table, address, &words_of(&value.to_be_bytes()));
    }

    /// One coil or discrete input, if there is one.
    pub fn bit(&self, table: Table, address: u16) -> Option<bool> {
        self.bits.get(&(table, address)).copied()
    }

    /// One register, if there is one.
    pub fn word(&self, table: Table, address: u16) -> Option<u16> {
        self.words.get(&(table, address)).copied()
    }

    fn words(&self, table: Table, address: u16, count: u16) -> Option<Vec<u16>> {
        let last = address.checked_add(count.checked_sub(1)?)?;
        let words: Vec<u16> = self.words.range((table, address)..=(table, last)).map(|(_, word)| *word).collect();
        (words.len() == usize::from(count)).then_some(words)
    }

    fn bits(&self, table: Table, address: u16, count: u16) -> Option<Vec<bool>> {
        let last = address.checked_add(count.checked_sub(1)?)?;
        let bits: Vec<bool> = self.bits.range((table, address)..=(table, last)).map(|(_, bit)| *bit).collect();
        (bits.len() == usize::from(count)).then_some(bits)
    }
}

fn words_of(bytes: &[u8]) -> Vec<u16> {
    bytes.chunks_exact(2).filter_map(|pair| pair.first_chunk::<2>()).map(|pair| u16::from_be_bytes(*pair)).collect()
}

/// A simulated device behind one unit id.
#[derive(Default)]
pub struct Unit {
    /// Its registers and bits.
    pub banks: Banks,
    content: Option<Box<dyn Content>>,
    read_limit: Option<u16>,
    requests: u64,
}

impl fmt::Debug for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unit").field("banks", &self.banks).field("requests", &self.requests).finish_non_exhaustive()
    }
}

impl Unit {
    /// A device without any register.
    pub fn new() -> Self {
        Self::default()
    }

    /// A device whose registers follow `content`.
    pub fn following(content: impl Content + 'static) -> Self {
        Self { content: Some(Box::new(content)), ..Self::default() }
    }

    /// Adds consecutive registers.
    #[must_use]
    pub fn words(mut self, table: Table, address: u16, words: &[u16]) -> Self {
        self.banks.set_words(table, address, words);
        self
    }

    /// Adds consecutive bits.
    #[must_use]
    pub fn bits(mut self, table: Table, address: u16, bits: &[bool]) -> Self {
        for (bit, offset) in bits.iter().zip(0_u16..) {
            self.banks.set_bit(table, address.saturating_add(offset), *bit);
        }
        self
    }

    /// The most registers one read may ask for; a longer read gets exception 3. The standard's limit is 125.
    #[must_use]
    pub fn read_limit(mut self, registers: u16) -> Self {
        self.read_limit = Some(registers);
        self
    }

    /// How many requests this device has seen.
    pub fn requests(&self) -> u64 {
        self.requests
    }

    /// Answers one request PDU; the answer is a response or an exception PDU.
    pub fn answer(&mut self, request: &[u8], age: Duration) -> Vec<u8> {
        self.requests = self.requests.saturating_add(1);
        if let Some(content) = &mut self.content {
            content.refresh(&mut self.banks, age);
        }
        let function = request.first().copied().unwrap_or_default();
        self.dispatch(request).unwrap_or_else(|code| vec![function | 0x80, code])
    }

    fn dispatch(&mut self, request: &[u8]) -> Result<Vec<u8>, u8> {
        match request {
            [function @ (1 | 2), a0, a1, n0, n1] => {
                let (address, count) = (be(*a0, *a1), be(*n0, *n1));
                let table = if *function == 1 { Table::Coil } else { Table::Discrete };
                if !(1..=2000).contains(&count) {
                    return Err(ILLEGAL_VALUE);
                }
                let bits = self.banks.bits(table, address, count).ok_or(ILLEGAL_ADDRESS)?;
                let packed: Vec<u8> = bits.chunks(8).map(pack).collect();
                Ok(counted(*function, &packed))
            }
            [function @ (3 | 4), a0, a1, n0, n1] => {
                let table = if *function == 3 { Table::Holding } else { Table::Input };
                let bytes = self.read(table, be(*a0, *a1), be(*n0, *n1))?;
                Ok(counted(*function, &bytes))
            }
            [5, a0, a1, v0, v1] => {
                let on = match be(*v0, *v1) {
                    0xFF00 => true,
                    0 => false,
                    _ => return Err(ILLEGAL_VALUE),
                };
                let bit = self.banks.bits.get_mut(&(Table::Coil, be(*a0, *a1))).ok_or(ILLEGAL_ADDRESS)?;
                *bit = on;
                Ok(request.to_vec())
            }
            [6, a0, a1, v0, v1] => {
                let word = self.banks.words.get_mut(&(Table::Holding, be(*a0, *a1))).ok_or(ILLEGAL_ADDRESS)?;
                *word = be(*v0, *v1);
                Ok(request.to_vec())
            }
            [15, a0, a1, n0, n1, bytes, values @ ..] => {
                let (address, count) = (be(*a0, *a1), be(*n0, *n1));
                if !(1..=1968).contains(&count)
                    || usize::from(*bytes) != values.len()
                    || values.len() != usize::from(count.div_ceil(8))
                {
                    return Err(ILLEGAL_VALUE);
                }
                self.banks.bits(Table::Coil, address, count).ok_or(ILLEGAL_ADDRESS)?;
                for (offset, bit) in
                    (0..count).zip(values.iter().flat_map(|byte| (0..8).map(move |n| byte >> n & 1 == 1)))
                {
                    self.banks.set_bit(Table::Coil, address.saturating_add(offset), bit);
                }
                Ok(vec![15, *a0, *a1, *n0, *n1])
            }
            [16, a0, a1, n0, n1, bytes, values @ ..] => {
                self.write(be(*a0, *a1), be(*n0, *n1), *bytes, values)?;
                Ok(vec![16, *a0, *a1, *n0, *n1])
            }
            [22, a0, a1, and0, and1, or0, or1] => {
                let (and, or) = (be(*and0, *and1), be(*or0, *or1));
                let word = self.banks.words.get_mut(&(Table::Holding, be(*a0, *a1))).ok_or(ILLEGAL_ADDRESS)?;
                *word = (*word & and) | (or & !and);
                Ok(request.to_vec())
            }
            [23, a0, a1, n0, n1, w0, w1, m0, m1, bytes, values @ ..] => {
                self.write(be(*w0, *w1), be(*m0, *m1), *bytes, values)?;
                let read = self.read(Table::Holding, be(*a0, *a1), be(*n0, *n1))?;
                Ok(counted(23, &read))
            }
            [1..=6 | 15 | 16 | 22 | 23, ..] => Err(ILLEGAL_VALUE),
            _ => Err(ILLEGAL_FUNCTION),
        }
    }

    fn read(&self, table: Table, address: u16, count: u16) -> Result<Vec<u8>, u8> {
        if !(1..=self.read_limit.unwrap_or(125)).contains(&count) {
            return Err(ILLEGAL_VALUE);
        }
        let words = self.banks.words(table, address, count).ok_or(ILLEGAL_ADDRESS)?;
        Ok(words.iter().flat_map(|word| word.to_be_bytes()).collect())
    }

    fn write(&mut self, address: u16, count: u16, bytes: u8, values: &[u8]) -> Result<(), u8> {
        if !(1..=123).contains(&count)
            || usize::from(bytes) != values.len()
            || values.len() != usize::from(count.saturating_mul(2))
        {
            return Err(ILLEGAL_VALUE);
        }
        self.banks.words(Table::Holding, address, count).ok_or(ILLEGAL_ADDRESS)?;
        self.banks.set_words(Table::Holding, address, &words_of(values));
        Ok(())
    }
}

/// V1.1b3, 7: the function is not supported.
pub(crate) const ILLEGAL_FUNCTION: u8 = 1;
/// V1.1b3, 7: some register asked for does not exist.
pub(crate) const ILLEGAL_ADDRESS: u8 = 2;
/// V1.1b3, 7: a count or value is out of range.
pub(crate) const ILLEGAL_VALUE: u8 = 3;

fn be(high: u8, low: u8) -> u16 {
    u16::from_be_bytes([high, low])
}

fn pack(bits: &[bool]) -> u8 {
    bits.iter().rev().fold(0, |byte, bit| byte << 1 | u8::from(*bit))
}

fn counted(function: u8, bytes: &[u8]) -> Vec<u8> {
    let mut answer = vec![function, u8::try_from(bytes.len()).unwrap_or(u8::MAX)];
    answer.extend_from_slice(bytes);
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit() -> Unit {
        Unit::new().words(Table::Holding, 10, &[1, 2, 3]).words(Table::Input, 0, &[0x4366, 0x199A]).bits(
            Table::Coil,
            0,
            &[true, false, true, true, false, false, false, false, true],
        )
    }

    fn ask(unit: &mut Unit, request: &[u8]) -> Vec<u8> {
        unit.answer(request, Duration::ZERO)
    }

    #[test]
    fn reads_input_registers() {
        assert_eq!(ask(&mut unit(), &[4, 0, 0, 0, 2]), [4, 4, 0x43, 0x66, 0x19, 0x9A]);
    }

    #[test]
    fn packs_coils_low_bit_first() {
        assert_eq!(ask(&mut unit(), &[1, 0, 0, 0, 9]), [1, 2, 0b0000_1101, 1]);
    }

    #[test]
    fn writes_registers_and_reads_them_back() {
        let mut unit = unit();
        assert_eq!(ask(&mut unit, &[16, 0, 10, 0, 2, 4, 0, 7, 0, 8]), [16, 0, 10, 0, 2]);
        assert_eq!(ask(&mut unit, &[3, 0, 10, 0, 3]), [3, 6, 0, 7, 0, 8, 0, 3]);
    }

    #[test]
    fn writes_coils_and_reads_them_back() {
        let mut unit = unit();
        assert_eq!(ask(&mut unit, &[15, 0, 0, 0, 9, 2, 0xF0, 0]), [15, 0, 0, 0, 9]);
        assert_eq!(ask(&mut unit, &[1, 0, 0, 0, 9]), [1, 2, 0xF0, 0]);
        assert_eq!(ask(&mut unit, &[5, 0, 8, 0xFF, 0]), [5, 0, 8, 0xFF, 0]);
        assert_eq!(ask(&mut unit, &[1, 0, 8, 0, 1]), [1, 1, 1]);
    }

    #[test]
    fn masks_a_register_as_the_standard_example_does() {
        let mut unit = Unit::new().words(Table::Holding, 4, &[0x12]);
        assert_eq!(ask(&mut unit, &[22, 0, 4, 0, 0xF2, 0, 0x25]), [22, 0, 4, 0, 0xF2, 0, 0x25]);
        assert_eq!(unit.banks.word(Table::Holding, 4), Some(0x17));
    }

    #[test]
    fn writes_before_it_reads_in_one_request() {
        assert_eq!(ask(&mut unit(), &[23, 0, 10, 0, 1, 0, 10, 0, 1, 2, 0, 99]), [23, 2, 0, 99]);
    }

    #[test]
    fn unmapped_addresses_get_exception_two() {
        assert_eq!(ask(&mut unit(), &[3, 0, 12, 0, 2]), [0x83, 2]);
        assert_eq!(ask(&mut unit(), &[6, 0, 9, 0, 2]), [0x86, 2]);
        assert_eq!(ask(&mut unit(), &[3, 0xFF, 0xFF, 0, 2]), [0x83, 2]);
    }

    #[test]
    fn too_long_reads_get_exception_three() {
        let mut unit = unit().read_limit(2);
        assert_eq!(ask(&mut unit, &[3, 0, 10, 0, 2]).len(), 6);
        assert_eq!(ask(&mut unit, &[3, 0, 10, 0, 3]), [0x83, 3]);
        assert_eq!(ask(&mut unit, &[3, 0, 10, 0, 0]), [0x83, 3]);
    }

    #[test]
    fn unknown_functions_get_exception_one() {
        assert_eq!(ask(&mut unit(), &[0x2B, 0x0E]), [0xAB, 1]);
    }
}
