//! Making a heap in a memory, and finding the one that is there.

use crate::agent::Agent;
use crate::error::{Error, Result};
use crate::generated::{ABI_NUMBER, LAYOUT_VERSION, MAGIC};
use crate::layout::{PAGE, control, slot};
use crate::slot as slots;
use crate::sync::{Address, Memory};
use crate::words::{PageKind, PageName, PageWord};

/// How a heap is made.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Pages of 64 KiB that the memory may have in the end, those below the heap included; at most 65,536.
    pub maximum_pages: u32,
    /// Never grow.
    pub fixed: bool,
    /// Where generations start: random.
    pub seed: u64,
}

/// Who attaches.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seat {
    /// The token's nonce, or 0.
    pub nonce: u64,
    /// What ends at once with the thread: one number for all its agents; 0: unknown.
    pub life: u64,
    /// The parent agent's slot plus one, or 0.
    pub parent: u32,
    /// Whether the thread may block.
    pub may_block: bool,
}

/// One heap in one memory.
#[derive(Clone, Copy, Debug)]
pub struct Heap {
    memory: Memory,
    control: Address,
}

impl Heap {
    /// Makes a heap: its control area at `control` (a multiple of 64 KiB, zeroed from there on), and every page from
    /// there to the memory's present end its own. The caller is alone. About 100 µs.
    ///
    /// # Errors
    /// [`Error::InvalidLayout`] for a bad address or maximum, [`Error::OutOfMemory`] when the memory cannot hold the
    /// control area and the first slots.
    pub fn initialize(memory: Memory, control: Address, options: Options) -> Result<Self> {
        let limit = options.maximum_pages;
        if control == 0 || !control.is_multiple_of(PAGE) || limit == 0 || limit > 65_536 {
            return Err(Error::invalid_layout(u64::from(limit), u64::from(control)));
        }
        let pages = control::TABLE.wrapping_add(limit.wrapping_mul(16)).div_ceil(PAGE);
        let first = control / PAGE;
        let own = pages.wrapping_add(slot::CHUNK_PAGES);
        let need = first.wrapping_add(own);
        let have = memory.pages();
        let fits = need <= limit && (need <= have || memory.grow(need.wrapping_sub(have)).is_some());
        if !fits {
            let bytes = |pages: u32| u64::from(pages).wrapping_mul(u64::from(PAGE));
            return Err(Error::out_of_memory(bytes(own), bytes(have), bytes(limit)));
        }
        let field = |offset: Address| control.wrapping_add(offset);
        memory.store32(field(control::LAYOUT), LAYOUT_VERSION);
        memory.store32(field(control::ABI), ABI_NUMBER);
        memory.store32(field(control::FLAGS), if options.fixed { control::FIXED } else { 0 });
        memory.store32(field(control::LIMIT), limit);
        memory.store32(field(control::PAGES), pages);
        memory.store64(field(control::SEED), options.seed);
        let slots = control.wrapping_add(pages.wrapping_mul(PAGE));
        memory.store32(field(control::SLOT_CHUNKS), PageName::of(slots).0);
        for page in first..memory.pages().min(limit) {
            let word = if page < need { PageWord::simple(PageKind::Control, 1) } else { PageWord::free(1) };
            memory.store64(field(control::TABLE).wrapping_add(page.wrapping_mul(16)), word.0);
            if page >= need {
                let hints = crate::hints::Hints::new(memory, field(control::FREE_HINTS), limit);
                hints.set(page);
            }
        }
        memory.store32(field(control::MAGIC), MAGIC);
        Ok(Self { memory, control })
    }

    /// The heap whose control area is at `control`. Reads only.
    ///
    /// # Errors
    /// [`Error::NotAHeap`] when magic or layout version differ, [`Error::Frozen`] for a frozen copy.
    pub fn open(memory: Memory, control: Address) -> Result<Self> {
        let field = |offset: Address| control.wrapping_add(offset);
        let inside = memory.has(control, control::TABLE);
        if control == 0 || !control.is_multiple_of(PAGE) || !inside {
            return Err(Error::not_a_heap(0));
        }
        let found = [memory.load32(field(control::MAGIC)), memory.load32(field(control::LAYOUT))];
        if found != [MAGIC, LAYOUT_VERSION] {
            return Err(Error::not_a_heap(found[0]));
        }
        if memory.load32(field(control::FLAGS)) & control::FROZEN != 0 {
            return Err(Error::frozen());
        }
        Ok(Self { memory, control })
    }

    /// The memory the heap is in.
    #[must_use]
    pub fn memory(self) -> Memory {
        self.memory
    }

    /// Where the control area lies.
    #[must_use]
    pub fn control(self) -> Address {
        self.control
    }

    /// Gives the calling thread a seat. Never blocks.
    ///
    /// # Errors
    /// [`Error::NoSlot`], [`Error::OutOfMemory`].
    pub fn attach(self, seat: Seat) -> Result<Agent> {
        let role = if seat.may_block { slot::MAY_BLOCK } else { 0 };
        let at = slots::claim(self.memory, self.control, seat.nonce, seat.life, seat.parent, role)
            .ok_or_else(|| self.no_slot())?;
        // SAFETY: I-14 claimed just now.
        let agent = unsafe { Agent::from_slot(self.memory, at, slots::word(self.memory, at).incarnation()) };
        agent.attach()?;
        Ok(agent)
    }

    /// The error that says how many slots there are.
    #[must_use]
    pub fn no_slot(self) -> Error {
        let (mut count, mut quarantined) = (0u32, 0u32);
        slots::each(self.memory, self.control, |_, at| {
            count = count.wrapping_add(1);
            quarantined = quarantined.wrapping_add(u32::from(slots::is_quarantined(self.memory, at)));
            None::<()>
        });
        Error::no_slot(count, quarantined)
    }
}
