//! What stands for a page of granules: which of them are taken, and where a block begins.

/// A granule word: used 16 | starts 16 | claimant's slot 12 | generation 20. Bit 0 is the granule of the headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GranuleWord(pub u64);

impl GranuleWord {
    const GENERATION: u32 = 0xF_FFFF;

    fn new(low: u64, claimant: u32, generation: u32) -> Self {
        Self(low | ((claimant & 0xFFF) as u64) << 32 | ((generation & Self::GENERATION) as u64) << 44)
    }

    /// An empty page of granules.
    #[must_use]
    pub fn open(generation: u32) -> Self {
        Self::new(1, 0xFFF, generation)
    }

    /// No page of granules (any more): nothing can be claimed.
    #[must_use]
    pub fn closed(generation: u32) -> Self {
        Self::new(0xFFFF, 0xFFF, generation)
    }

    /// Taken granules.
    #[must_use]
    pub fn used(self) -> u32 {
        self.0 as u32 & 0xFFFF
    }

    /// Granules where a block starts.
    #[must_use]
    pub fn starts(self) -> u32 {
        (self.0 >> 16) as u32 & 0xFFFF
    }

    /// Changes with each claim.
    #[must_use]
    pub fn generation(self) -> u32 {
        (self.0 >> 44) as u32
    }

    /// The generation after this one.
    #[must_use]
    pub fn next_generation(self) -> u32 {
        self.generation().wrapping_add(1) & Self::GENERATION
    }

    /// Who claimed last.
    #[must_use]
    pub fn claimant(self) -> u32 {
        (self.0 >> 32) as u32 & 0xFFF
    }

    /// Nothing but the headers is taken.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 as u32 == 1
    }

    /// Closed for good.
    #[must_use]
    pub fn is_closed(self) -> bool {
        self.used() == 0xFFFF && self.starts() == 0
    }

    /// The first run of `count` free granules, or `None`.
    #[must_use]
    pub fn room(self, count: u32) -> Option<u32> {
        let mut free = !self.used() & 0xFFFF;
        for _ in 1..count {
            free &= free >> 1;
        }
        (free != 0).then(|| free.trailing_zeros())
    }

    /// `count` granules from `start` taken by `claimant`, one block.
    #[must_use]
    pub fn claimed(self, start: u32, count: u32, claimant: u32) -> Self {
        let bits = Self::mask(start, count) & 0xFFFF | 1u64.wrapping_shl(start.wrapping_add(16));
        Self::new(self.0 & 0xFFFF_FFFF | bits, claimant, self.next_generation())
    }

    fn mask(start: u32, count: u32) -> u64 {
        1u64.wrapping_shl(count).wrapping_sub(1).wrapping_shl(start)
    }

    /// Granules of the block that starts at `start`, or 0 when none starts there.
    #[must_use]
    pub fn count(self, start: u32) -> u32 {
        if self.starts().wrapping_shr(start) & 1 == 0 {
            return 0;
        }
        let behind = start.wrapping_add(1);
        // The block ends where another starts or a granule is free.
        let stops = (self.starts() | !self.used()).wrapping_shr(behind) | 1u32.wrapping_shl(15u32.wrapping_sub(start));
        stops.trailing_zeros().wrapping_add(1)
    }

    /// The bits that freeing the block at `start` clears.
    #[must_use]
    pub fn block(self, start: u32) -> u64 {
        Self::mask(start, self.count(start)) & 0xFFFF | 1u64.wrapping_shl(start.wrapping_add(16))
    }
}
