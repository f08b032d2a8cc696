//! A bitmap of pages that may have something: a hint, so every bit is checked against truth by who uses it.

use crate::sync::{Address, Memory};

/// One bit a page. A set bit promises nothing; a lost one is found again by a walk of the truth.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hints {
    memory: Memory,
    at: Address,
    pages: u32,
}

impl Hints {
    pub(crate) fn new(memory: Memory, at: Address, pages: u32) -> Self {
        Self { memory, at, pages }
    }

    fn word(self, index: u32) -> Address {
        self.at.wrapping_add(index.wrapping_mul(8))
    }

    /// Says that `page` has something. The load comes after the caller's change in the one order of all: who clears the
    /// bit looks at the truth afterwards, so either it sees the change or this sees the bit cleared.
    pub(crate) fn set(self, page: u32) {
        let bit = 1u64.wrapping_shl(page & 63);
        if self.memory.load64_ordered(self.word(page >> 6)) & bit == 0 {
            self.memory.fetch_or64(self.word(page >> 6), bit);
        }
    }

    /// Says that `page` has nothing.
    pub(crate) fn clear(self, page: u32) {
        let bit = 1u64.wrapping_shl(page & 63);
        if self.memory.load64(self.word(page >> 6)) & bit != 0 {
            self.memory.fetch_and64(self.word(page >> 6), !bit);
        }
    }

    /// Whether `page` may have something.
    pub(crate) fn has(self, page: u32) -> bool {
        self.memory.load64(self.word(page >> 6)) & 1u64.wrapping_shl(page & 63) != 0
    }

    /// The first answer of `take` for a set bit, beginning at `from` and going round once. At most one call a page.
    pub(crate) fn find<R>(self, from: u32, mut take: impl FnMut(u32) -> Option<R>) -> Option<R> {
        let words = self.pages.div_ceil(64);
        if words == 0 {
            return None;
        }
        let first = (from >> 6).checked_rem(words).unwrap_or(0);
        for step in 0..words {
            let index = first.wrapping_add(step).checked_rem(words).unwrap_or(0);
            let mut bits = self.memory.load64(self.word(index));
            while bits != 0 {
                let page = index.wrapping_mul(64).wrapping_add(bits.trailing_zeros());
                bits &= bits.wrapping_sub(1);
                if page < self.pages
                    && let Some(found) = take(page)
                {
                    return Some(found);
                }
            }
        }
        None
    }
}
