//! Randomness and the commonest kinds of damage.

/// SplitMix64.
#[derive(Debug, Clone)]
pub struct Dice(pub u64);

impl Dice {
    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Below `limit`, which is taken for at least 1.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.bits() % limit.max(1) as u64) as usize
    }

    /// A number where mistakes live: small, at the end of a type, near the old one.
    pub fn interesting(&mut self, old: i128) -> i128 {
        let power = 1_i128 << self.below(33);
        match self.below(8) {
            0 => self.below(5) as i128,
            1 => old + 1,
            2 => old - 1,
            3 => old * 2,
            4 => old / 2,
            5 => power - 1,
            6 => power,
            _ => i128::from(self.bits() as u32 >> self.below(32)),
        }
    }

    /// Flips, overwrites, cuts or repeats some bytes.
    pub fn damage(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(4) {
            if bytes.is_empty() {
                bytes.push(self.bits() as u8);
                continue;
            }
            let at = self.below(bytes.len());
            let some = 1 + self.below(8).min(bytes.len() - at - 1);
            match self.below(8) {
                0 => bytes.truncate(at),
                1 => drop(bytes.drain(at..at + some)),
                2 => {
                    let piece = bytes[at..at + some].to_vec();
                    bytes.splice(at..at, piece);
                }
                3 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][self.below(5)],
                4 => bytes[at] = bytes[at].wrapping_add(1),
                5 => bytes[at] = bytes[at].wrapping_sub(1),
                6 => bytes[at] = self.bits() as u8,
                _ => bytes[at] ^= 1 << self.below(8),
            }
        }
    }
}
