//! Finding a live block by its address alone, and seeing afterwards that it was this one all the time.
//!
//! For readers that take no lock and leave no trace: they look, copy, and look again. A word elsewhere may name a block
//! by its address and a few bits of its generation; what is compared here is the whole header (generation of 32 bits,
//! maker, kind, state) and the whole page word (kind, generation of 20 bits, owner). A block that was freed in between
//! has another header, and so has one that was taken again at the same place.

use crate::layout::{GRANULE, GRANULES, PAGE, control};
use crate::page;
use crate::record::Block;
use crate::size_class::CLASS;
use crate::sync::{Address, Memory};
use crate::words::{GranuleWord, Header, Kind, PageKind, PageWord, State};

/// The bits of a header that stay while its block is live; an audit may set others.
const HEADER: u64 = (1 << 58) - 1;
/// The bits of the page word of a run that stay while it is live.
const RUN: u64 = (1 << 61) - 1;

/// A live block, as it was seen: [`Sight::is_same`] tells whether it still is that one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sight {
    /// The block.
    pub block: Block,
    /// What it is for.
    pub kind: Kind,
    /// Bytes it has, all of them inside the memory.
    pub room: u32,
    page_at: Address,
    page: u64,
    /// Where its header is; 0 for a run, whose first page word says it all.
    header_at: Address,
    header: u64,
}

impl Sight {
    /// In which of its page's lives the block was: 20 bits that go on when the page becomes something else.
    #[must_use]
    pub fn life(&self) -> u32 {
        PageWord(self.page).generation()
    }

    /// Whether the block is still the one that was seen, and so was it in between. What was read of it is ordered
    /// before this look by the caller's [`Memory::fence`]. Loads only.
    #[inline(always)]
    #[must_use]
    pub fn is_same(&self, memory: Memory) -> bool {
        let page = memory.load64_ordered(self.page_at);
        if self.header_at == 0 {
            return page & RUN == self.page;
        }
        page == self.page && memory.load64_ordered(self.header_at) & HEADER == self.header
    }
}

/// The live block that starts at `address`, or `None`: no block starts there, or it is free or private. Three loads
/// for a small block.
#[inline]
#[must_use]
pub fn sight(memory: Memory, control: Address, address: Address) -> Option<Sight> {
    let number = address / PAGE;
    // The heap's bytes are untrusted: what lies beyond the memory is no block.
    let end = u64::from(address | (PAGE - 1)).wrapping_add(1);
    if number >= memory.constant32(control.wrapping_add(control::LIMIT)) || !memory.reaches(end) {
        return None;
    }
    let page_at = page::word_at(control.wrapping_add(control::TABLE), number);
    let page = PageWord(memory.load64(page_at));
    let (header_at, room) = match page.kind() {
        PageKind::Slab => {
            let class = &CLASS[page.class() as usize];
            let index = class.index(address & 0xFFFF)?;
            ((address & !0xFFFF).wrapping_add(class.header(index)), u32::from(class.size))
        }
        PageKind::Granules => {
            let start = (address & 0xFFFF) / GRANULE;
            if start == 0 || !address.is_multiple_of(GRANULE) {
                return None;
            }
            let word = GranuleWord(memory.load64(page_at.wrapping_add(8)));
            let count = word.count(start).min(GRANULES.wrapping_sub(start));
            ((address & !0xFFFF).wrapping_add(start.wrapping_mul(8)), count.wrapping_mul(GRANULE))
        }
        PageKind::Run => return sight_run(memory, address, page_at, page),
        _ => return None,
    };
    let header = Header(memory.load64(header_at));
    if header.state() != State::Live {
        return None;
    }
    Some(Sight {
        block: Block { address, generation: header.generation() },
        kind: Kind::from_tag(header.kind())?,
        room,
        page_at,
        page: page.0,
        header_at,
        header: header.0 & HEADER,
    })
}

fn sight_run(memory: Memory, address: Address, page_at: Address, page: PageWord) -> Option<Sight> {
    let length = page.length();
    let end = u64::from(address).saturating_add(u64::from(length).saturating_mul(u64::from(PAGE)));
    if address & 0xFFFF != 0 || !page.is_run_live() || !memory.reaches(end) {
        return None;
    }
    Some(Sight {
        block: Block { address, generation: page.generation() },
        kind: Kind::from_tag(page.run_kind())?,
        room: length.saturating_mul(PAGE),
        page_at,
        page: page.0 & RUN,
        header_at: 0,
        header: 0,
    })
}
