//! How much there is of what: a quick look at a live heap, not a proof.

use crate::agent::Agent;
use crate::layout::{self, GRANULE, PAGE};
use crate::page;
use crate::size_class::{CLASS, CLASSES};
use crate::slot;
use crate::sync::{Address, Memory};
use crate::words::{GranuleWord, PageKind, SlotWord};

/// Bytes and counts of a heap. All bytes are whole blocks or pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// In blocks that are taken.
    pub live_bytes: u64,
    /// Blocks that are taken.
    pub live_blocks: u64,
    /// Free: in slabs, granule pages and free pages.
    pub free_bytes: u64,
    /// Of the free bytes: in pages that hold other live blocks, so that only their kind of block can use them.
    pub fragmented_bytes: u64,
    /// Held by the heap itself: control area, slots, bodies, object table, headers, private pages and arenas.
    pub reserved_bytes: u64,
    /// Of the memory, not the heap's.
    pub foreign_bytes: u64,
    /// The memory.
    pub memory_bytes: u64,
    /// Agents attached.
    pub agents: u32,
    /// Slots of agents that no proof of death has freed yet: condemned, or taken by one that has not said who it is.
    pub quarantined: u32,
    /// Blocks of Rust programs whose maker's seat is empty: only an audit counts them.
    pub orphans: u32,
}

impl Agent {
    /// What the page table and the slabs' bitmaps say now. Others may be changing them; blocks that others freed in a
    /// slab count as taken until its owner collects them. Linear in the pages of the heap; writes nothing.
    #[must_use]
    pub fn figures(self) -> Figures {
        let memory = self.memory();
        let mut figures = Figures::default();
        let pages = memory.pages_now();
        for page in 0..self.limit().min(pages) {
            figures.add_page(self, page);
        }
        let beyond = pages.saturating_sub(self.limit());
        figures.foreign_bytes = figures.foreign_bytes.saturating_add(bytes(beyond));
        figures.memory_bytes = bytes(pages);
        slot::each(memory, self.control(), |_, at| {
            let word = slot::word(memory, at);
            figures.agents = figures.agents.wrapping_add(u32::from(word.has(SlotWord::ATTACHED)));
            let (blocks, bytes) = in_windows(memory, at);
            figures.live_blocks = figures.live_blocks.saturating_sub(blocks);
            figures.live_bytes = figures.live_bytes.saturating_sub(bytes);
            figures.free_bytes = figures.free_bytes.saturating_add(bytes);
            figures.quarantined = figures.quarantined.wrapping_add(u32::from(slot::is_quarantined(memory, at)));
            None::<()>
        });
        figures
    }

    /// The live bytes in a part of the pages, from one on, and the page behind it; `None`: those were the last ones. The sum of all parts
    /// is [`Figures::live_bytes`]; in the last one what agents hold ready is taken off.
    #[must_use]
    pub fn live_bytes(self, from: u32) -> (i64, Option<u32>) {
        let memory = self.memory();
        let mut figures = Figures::default();
        let pages = self.limit().min(memory.pages_now());
        let end = pages.min(from.saturating_add(PART));
        for page in from..end {
            figures.add_page(self, page);
        }
        if end < pages {
            return (figures.live_bytes as i64, Some(end));
        }
        let mut ready = 0u64;
        slot::each(memory, self.control(), |_, at| {
            ready = ready.saturating_add(in_windows(memory, at).1);
            None::<()>
        });
        ((figures.live_bytes as i64).saturating_sub(ready as i64), None)
    }
}

/// Blocks that the windows of the agent at `slot` hold, which are free and in no bitmap, and their bytes.
fn in_windows(memory: Memory, slot: Address) -> (u64, u64) {
    let mut sum = (0u64, 0u64);
    let body = slot::body(memory, slot).address();
    if body == 0 || !slot::word(memory, slot).has(SlotWord::ATTACHED) {
        return sum;
    }
    for class in 0..CLASSES {
        let window = body.wrapping_add(layout::body::WINDOWS).wrapping_add(class.wrapping_mul(layout::window::SIZE));
        if memory.own32(window.wrapping_add(layout::window::HEADERS)) != 0 {
            let free = u64::from(memory.own64(window).count_ones());
            let bytes = free.saturating_mul(u64::from(CLASS[(class & 31) as usize].size));
            sum = (sum.0.saturating_add(free), sum.1.saturating_add(bytes));
        }
    }
    sum
}

/// Pages of one part.
const PART: u32 = 4096;

fn bytes(pages: u32) -> u64 {
    u64::from(pages).saturating_mul(u64::from(PAGE))
}

impl Figures {
    fn add_page(&mut self, agent: Agent, page: u32) {
        let memory = agent.memory();
        let word = agent.page_word(page);
        match word.kind() {
            PageKind::Foreign => self.foreign_bytes = self.foreign_bytes.saturating_add(u64::from(PAGE)),
            PageKind::Free => self.free_bytes = self.free_bytes.saturating_add(u64::from(PAGE)),
            PageKind::Slab => {
                let shape = &CLASS[word.class() as usize];
                let free = agent.free_of(page::address(page), word.class());
                self.add_blocks(u32::from(shape.count).saturating_sub(free), free, u32::from(shape.size));
            }
            PageKind::Granules => {
                let granules = GranuleWord(memory.load64(agent.granule_word_at(page)));
                let taken = granules.used().count_ones().saturating_sub(1);
                let blocks = granules.starts().count_ones();
                self.add_blocks(taken, 15u32.saturating_sub(taken), GRANULE);
                self.live_blocks = self.live_blocks.saturating_sub(u64::from(taken)).saturating_add(u64::from(blocks));
            }
            PageKind::Run => {
                self.live_blocks = self.live_blocks.saturating_add(1);
                self.live_bytes = self.live_bytes.saturating_add(u64::from(PAGE));
            }
            PageKind::RunBody => self.live_bytes = self.live_bytes.saturating_add(u64::from(PAGE)),
            _ => self.reserved_bytes = self.reserved_bytes.saturating_add(u64::from(PAGE)),
        }
    }

    /// `taken` and `free` blocks of `size` bytes, in one page.
    pub(crate) fn add_blocks(&mut self, taken: u32, free: u32, size: u32) {
        let of = |count: u32| u64::from(count).saturating_mul(u64::from(size));
        self.live_blocks = self.live_blocks.saturating_add(u64::from(taken));
        self.live_bytes = self.live_bytes.saturating_add(of(taken));
        self.free_bytes = self.free_bytes.saturating_add(of(free));
        if taken != 0 {
            self.fragmented_bytes = self.fragmented_bytes.saturating_add(of(free));
        }
        let rest = u64::from(PAGE).saturating_sub(of(taken)).saturating_sub(of(free));
        self.reserved_bytes = self.reserved_bytes.saturating_add(rest);
    }
}
