//! Reproducible data: both ends generate the same bytes from the same seed, and compare.

/// `SplitMix64`, a random number generator for choices and payloads; unsuitable for secrets.
#[derive(Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number below `end`, which must not be 0.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// Returns true with a probability of `percent`.
    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub(crate) fn choose<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len() as u64) as usize]
    }
}

/// Endless sequence of bytes. It depends on the seed alone, not on the sizes in which it is read.
pub(crate) struct Pattern {
    random: Random,
    word: [u8; 8],
    /// Number of bytes of `word` already returned.
    used: usize,
}

impl Pattern {
    pub(crate) fn new(seed: u64) -> Self {
        Self { random: Random::new(seed), word: [0; 8], used: 8 }
    }

    /// Fills `bytes` with the next bytes.
    pub(crate) fn fill(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            *byte = self.next();
        }
    }

    /// Returns the next `length` bytes.
    pub(crate) fn take(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.fill(&mut bytes);
        bytes
    }

    /// Compares `bytes` with the next bytes, and returns the index of the first difference.
    pub(crate) fn first_mismatch(&mut self, bytes: &[u8]) -> Option<usize> {
        bytes.iter().position(|byte| *byte != self.next())
    }

    fn next(&mut self) -> u8 {
        if self.used == 8 {
            (self.word, self.used) = (self.random.next().to_le_bytes(), 0);
        }
        self.used += 1;
        self.word[self.used - 1]
    }
}
