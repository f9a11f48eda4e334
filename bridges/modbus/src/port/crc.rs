//! The checksum of an RTU frame.
//!
//! Source: Modbus over Serial Line V1.02, 6.2.2. One table step per byte, since every byte of every serial line passes here.

/// Whether the last two bytes are the checksum of those before.
pub(super) fn intact(frame: &[u8]) -> bool {
    frame.split_last_chunk::<2>().is_some_and(|(body, tail)| crc16(body) == u16::from_le_bytes(*tail))
}

/// Appends the checksum, low byte first.
pub(super) fn seal(frame: &mut Vec<u8>) {
    let crc = crc16(frame);
    frame.extend_from_slice(&crc.to_le_bytes());
}

fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xFFFF, |crc, byte| {
        let [low, high] = crc.to_le_bytes();
        u16::from(high) ^ TABLE.get(usize::from(low ^ byte)).copied().unwrap_or_default()
    })
}

/// Reflected form of the polynomial 0x8005.
const POLYNOMIAL: u16 = 0xA001;

const TABLE: [u16; 256] = table();

#[expect(clippy::indexing_slicing, clippy::as_conversions, reason = "evaluated by the compiler, not on input")]
const fn table() -> [u16; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u16;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ POLYNOMIAL } else { crc >> 1 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn agrees_with_the_example_of_the_standard() {
        let mut frame = vec![0x02, 0x07];
        seal(&mut frame);
        assert_eq!(frame, [0x02, 0x07, 0x41, 0x12]);
    }

    proptest! {
        #[test]
        fn agrees_with_the_simulator(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            prop_assert_eq!(crc16(&bytes), torg_simulated::crc::crc16(&bytes));
        }

        #[test]
        fn one_turned_bit_is_always_seen(bytes in proptest::collection::vec(any::<u8>(), 1..256), bit in any::<usize>()) {
            let mut frame = bytes;
            seal(&mut frame);
            let bit = bit % (frame.len() * 8);
            frame[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(!intact(&frame));
        }
    }
}
