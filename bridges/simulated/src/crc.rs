//! The checksum of an RTU frame.
//!
//! Source: Modbus over Serial Line V1.02, 2.5.1.2 and 6.2.2: polynomial 0xA001 (reflected 0x8005), start 0xFFFF, low byte first.

/// CRC over `bytes`.
pub fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xFFFF, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xA001 } else { crc >> 1 })
    })
}

/// True when the last two bytes are the checksum of the rest.
pub fn intact(frame: &[u8]) -> bool {
    frame.split_last_chunk::<2>().is_some_and(|(body, tail)| crc16(body) == u16::from_le_bytes(*tail))
}

/// Appends the checksum.
pub fn seal(frame: &mut Vec<u8>) {
    let crc = crc16(frame);
    frame.extend_from_slice(&crc.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_example_of_the_standard() {
        // Modbus over Serial Line V1.02, 6.2.2: message 02 07 has the checksum 0x1241, sent as 41 12.
        assert_eq!(crc16(&[0x02, 0x07]), 0x1241);
        assert!(intact(&[0x02, 0x07, 0x41, 0x12]));
    }
}
