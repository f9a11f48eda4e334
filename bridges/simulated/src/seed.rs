//! Repeatable randomness: the same seed gives the same run on every machine.
//!
//! Not for secrets.

/// A small generator (SplitMix64) for test scripts.
#[derive(Debug, Clone)]
pub struct Seed(u64);

impl Seed {
    /// Starts a sequence.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number in `0..bound`; 0 when `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next_u64().checked_rem(bound).unwrap_or(0)
    }

    /// A number in `0..bound` that fits a register.
    pub fn below_u16(&mut self, bound: u16) -> u16 {
        u16::try_from(self.below(u64::from(bound))).unwrap_or(0)
    }

    /// True in `percent` of 100 cases.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_numbers() {
        let (mut a, mut b) = (Seed::new(7), Seed::new(7));
        assert!((0..100).all(|_| a.next_u64() == b.next_u64()));
    }

    #[test]
    fn numbers_stay_below_their_bound() {
        let mut seed = Seed::new(1);
        assert!((0..1000).all(|_| seed.below(3) < 3));
        assert_eq!(seed.below(0), 0);
    }
}
