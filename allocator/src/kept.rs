//! For test builds: what was freed is never used again, so that whoever writes into it is found.

#[cfg(feature = "controls")]
use crate::page::address;
#[cfg(feature = "controls")]
use crate::{Address, PageKind, layout::PAGE, size_class};
use crate::{Agent, Header, PageWord};

/// The generation of a page that was never used.
const NEW: u32 = 1;

#[cfg(feature = "controls")]
fn is_on() -> bool {
    crate::controls::active(crate::controls::Control::KeepFreed)
}

#[cfg(not(feature = "controls"))]
const fn is_on() -> bool {
    false
}

impl Agent {
    /// Whether the free block of `page` with this header was used, and so is not to be used again.
    #[inline(always)]
    pub(crate) fn is_kept_block(self, page: u32, header: Header) -> bool {
        is_on() && header.generation() != Header::free(self.first_generation(page)).generation()
    }

    /// As [`Agent::is_kept_block`], of any block that is freed now.
    #[inline(always)]
    pub(crate) fn keeps_blocks(self) -> bool {
        is_on()
    }

    /// Whether a free page with this word was used.
    #[inline(always)]
    pub(crate) fn is_kept_page(self, word: PageWord) -> bool {
        is_on() && word.generation() != NEW
    }
}

#[cfg(feature = "controls")]
impl Agent {
    /// The first freed block or page that begins at `from` or behind it, and its size; blocks of granules are not made in such a build.
    #[must_use]
    pub fn first_freed(self, from: Address) -> Option<(Address, u32)> {
        let end = self.limit().min(self.memory().pages());
        (from / PAGE..end).find_map(|page| {
            let word = self.page_word(page);
            let at = address(page);
            match word.kind() {
                PageKind::Free if at >= from && self.is_kept_page(word) => Some((at, PAGE)),
                PageKind::Slab => self.first_freed_of_slab(at, word.class(), from),
                _ => None,
            }
        })
    }

    fn first_freed_of_slab(self, at: Address, class: u32, from: Address) -> Option<(Address, u32)> {
        let shape = &size_class::CLASS[(class & 31) as usize];
        let size = u32::from(shape.size);
        let before = from.saturating_sub(at.wrapping_add(shape.block(0)));
        (before.div_ceil(size)..u32::from(shape.count)).find_map(|index| {
            let header = Header(self.memory().load64(at.wrapping_add(shape.header(index))));
            let freed = !header.is_taken() && self.is_kept_block(at / PAGE, header);
            freed.then(|| (at.wrapping_add(shape.block(index)), size))
        })
    }

    /// A hash of these bytes: FNV-1a of their words.
    #[must_use]
    pub fn hash(self, at: Address, size: u32) -> u32 {
        (0..size / 4).fold(0x811C_9DC5, |hash: u32, word| {
            (hash ^ self.memory().load32(at.wrapping_add(word.wrapping_mul(4)))).wrapping_mul(0x0100_0193)
        })
    }
}
