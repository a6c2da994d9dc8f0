//! CRC-32 (IEEE 802.3, reflected, polynomial 0xEDB88320), four bits at a time: 64 bytes of table.

/// CRC of each 4-bit value.
const TABLE: [u32; 16] = table();

const fn table() -> [u32; 16] {
    let mut table = [0; 16];
    let mut i = 0;
    while i < 16 {
        let mut crc = i as u32;
        let mut bit = 0;
        while bit < 4 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
            bit += 1;
        }
        table[i] = crc;
        i += 1;
    }
    table
}

/// A CRC over several pieces of bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Crc32(u32);

impl Crc32 {
    pub(super) const fn new() -> Self {
        Self(!0)
    }

    pub(super) fn update(self, bytes: &[u8]) -> Self {
        let step = |crc: u32, nibble: u32| (crc >> 4) ^ TABLE[((crc ^ nibble) & 15) as usize];
        Self(bytes.iter().fold(self.0, |crc, &byte| {
            let byte = u32::from(byte);
            step(step(crc, byte), byte >> 4)
        }))
    }

    pub(super) const fn value(self) -> u32 {
        !self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_the_published_check_value() {
        // CRC-32/ISO-HDLC of "123456789" in the catalogue of parametrised CRC algorithms.
        assert_eq!(Crc32::new().update(b"1234").update(b"56789").value(), 0xCBF4_3926);
    }
}
