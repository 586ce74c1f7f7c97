//! Bytes that both ends derive from a seed, and so can verify.

/// `SplitMix64`: for choices and payloads, not for secrets.
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

    /// A number less than `end`, which is not 0.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub(crate) fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }

    pub(crate) fn one_of<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len() as u64) as usize]
    }
}

/// An endless sequence of bytes, the same for the same seed, however it is split.
pub(crate) struct Pattern {
    random: Random,
    word: [u8; 8],
    at: usize,
}

impl Pattern {
    pub(crate) fn new(seed: u64) -> Self {
        Self { random: Random::new(seed), word: [0; 8], at: 8 }
    }

    /// Fills `bytes` with the next bytes.
    pub(crate) fn fill(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            *byte = self.next();
        }
    }

    pub(crate) fn take(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.fill(&mut bytes);
        bytes
    }

    /// The first position at which these are not the next bytes, if any.
    pub(crate) fn differs(&mut self, bytes: &[u8]) -> Option<usize> {
        bytes.iter().position(|byte| *byte != self.next())
    }

    fn next(&mut self) -> u8 {
        if self.at == 8 {
            (self.word, self.at) = (self.random.next().to_le_bytes(), 0);
        }
        self.at += 1;
        self.word[self.at - 1]
    }
}
