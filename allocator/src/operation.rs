//! What one operation can do: take blocks, free them, publish one by replacing a cell.

use core::cell::Cell;

use crate::agent::{Agent, Constants};
use crate::audit::Rule;
use crate::error::{Error, Result};
use crate::layout::{MIDDLE, PAGE, slot};
use crate::page;
use crate::reclaim::Pages;
use crate::record::{self, Block};
use crate::recovery;
use crate::size_class::{self, CLASS};
use crate::sync::{Address, Memory};
use crate::words::{Header, Kind, PageKind, PageWord, State};

/// An open operation: exists only inside [`Agent::operation`].
#[derive(Debug)]
pub struct Operation {
    agent: Agent,
    constants: Constants,
    /// Blocks taken and neither published nor freed.
    private: Cell<u32>,
}

impl Operation {
    #[inline(always)]
    pub(crate) fn new(agent: Agent) -> Self {
        Self { agent, constants: agent.checked_constants(), private: Cell::new(0) }
    }

    /// Ends the operation; what is still private goes back, at the latest at the end of the outermost one.
    #[inline(always)]
    pub(crate) fn close(&self, outermost: bool) {
        let memory = self.agent.memory();
        let left_at = self.agent.field(slot::LEFT);
        let left = self.private.get();
        if left != 0 || memory.own32(left_at) != 0 {
            close_slowly(self.agent, left, outermost);
        }
        if outermost {
            self.agent.clear_record();
        }
    }

    /// The agent that runs it.
    #[inline(always)]
    #[must_use]
    pub fn agent(&self) -> Agent {
        self.agent
    }

    /// The memory the heap is in.
    #[inline(always)]
    #[must_use]
    pub fn memory(&self) -> Memory {
        self.agent.memory()
    }

    /// Where the control area lies.
    #[inline(always)]
    #[must_use]
    pub fn control(&self) -> Address {
        self.agent.control()
    }

    /// Takes a block of at least `size` bytes at a multiple of `align` (a power of two, at most 64 KiB); its bytes
    /// are whatever was there. It stays private to this operation until it is freed or published by
    /// [`Operation::replace`]. Never blocks; constant time for at most 8 KiB while the current slab has a block.
    ///
    /// If the caller dies, the block goes back.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], [`Error::InvalidLayout`].
    #[inline(always)]
    pub fn allocate(&self, size: u32, align: u32, kind: Kind) -> Result<Block> {
        let block = match size_class::of(size, align) {
            Some(class) => self.agent.take_small(self.constants, class, kind)?,
            None => allocate_pages(self.agent, size, align, kind)?,
        };
        self.private.set(self.private.get().wrapping_add(1));
        Ok(block)
    }

    /// Frees a block that this operation took, or that nothing refers to any more. Never blocks.
    ///
    /// A second free before the block is used again is refused; after that only the generation tells.
    ///
    /// # Errors
    /// [`Error::NotAllocated`].
    #[inline(always)]
    pub fn free(&self, block: Block) -> Result<()> {
        let address = block.address;
        let Constants { table, limit, .. } = self.constants;
        let page = address / PAGE;
        // Not atomic: the upper half names this agent only while nobody else may change either half (I-6).
        let word = if page < limit { self.memory().own64(page::word_at(table, page)) } else { 0 };
        let word = PageWord(word);
        // An own slab first: that says what kind of page it is.
        let was_private = if word.0 & PageWord::OWN == self.constants.own {
            self.agent.free_small(self.constants, address, word, Some(block.generation))?.state() == State::Raw
        } else {
            free_elsewhere(self.agent, block)?
        };
        if was_private {
            self.private.set(self.private.get().saturating_sub(1));
        }
        Ok(())
    }

    /// Frees the block that starts at `address`, whatever its generation: for allocators of Rust programs, which know
    /// nothing but the pointer.
    ///
    /// # Errors
    /// [`Error::NotAllocated`].
    pub fn free_at(&self, address: Address) -> Result<()> {
        free_pages(self.agent, address, self.agent.page_word(address / PAGE), None)
    }

    /// Publishes `new` (if any) by exchanging the word of `cell` from `expected` to `replacement`, and retires `old`
    /// (if any), the block that `expected` referred to. One word commits: if the caller dies, the cell has either
    /// value, and the block it does not refer to goes back. Lock-free.
    ///
    /// # Errors
    /// The inner error is the word found instead of `expected`: nothing changed, `new` is still private.
    pub fn replace(
        &self,
        cell: Address,
        expected: u64,
        replacement: u64,
        new: Option<Block>,
        old: Option<Block>,
    ) -> Result<Result<(), u64>> {
        let agent = self.agent;
        if !agent.page_word(cell / PAGE).has_words() || cell.wrapping_sub(agent.field(slot::RECORD)) < record::SIZE {
            // Only a word that was destroyed leads there. The record would change what is exchanged, and whoever tries again would for ever.
            return Err(Error::corrupt(Rule::CellIsPlaced as u32, cell));
        }
        #[cfg(feature = "controls")]
        if crate::controls::active(crate::controls::Control::LiveBeforeRecord)
            && let Some(block) = new
        {
            // Seeded bug: who dies now leaves it live, and nobody has it.
            set_live(agent, block, true)?;
        }
        #[cfg(feature = "controls")]
        let (recorded_new, recorded_old) = if crate::controls::active(crate::controls::Control::NoRecord) {
            // Seeded bug: the record names nothing.
            (None, None)
        } else {
            (new, old)
        };
        #[cfg(not(feature = "controls"))]
        let (recorded_new, recorded_old) = (new, old);
        let [new_word, old_word] = [recorded_new, recorded_old].map(|block| block.map_or(0, Block::to_word));
        record_exchange(agent, Exchange { at: cell, expected, replacement }, new_word, old_word);
        #[cfg(feature = "controls")]
        if crate::controls::active(crate::controls::Control::LinkBeforeLive) {
            // Seeded bug: who dies after the exchange leaves a reference to a private block.
            let done = agent.memory().compare_exchange64(cell, expected, replacement);
            if let Some(block) = new.filter(|_| done.is_ok()) {
                self.private.set(self.private.get().saturating_sub(1));
                set_live(agent, block, true)?;
            }
            old.filter(|_| done.is_ok()).into_iter().for_each(|block| retire(agent, block));
            agent.record(record::KIND, 0);
            return Ok(done.map(drop));
        }
        if let Some(block) = new
            && let Err(error) = set_live(agent, block, true)
        {
            agent.record(record::KIND, 0);
            return Err(error);
        }
        if let Err(found) = agent.memory().compare_exchange64(cell, expected, replacement) {
            let undone = new.map_or(Ok(()), |block| set_live(agent, block, false));
            agent.record(record::KIND, 0);
            return undone.map(|()| Err(found));
        }
        if new.is_some() {
            self.private.set(self.private.get().saturating_sub(1));
        }
        if let Some(block) = old {
            retire(agent, block);
        }
        agent.record(record::KIND, 0);
        Ok(Ok(()))
    }

    /// As [`Operation::replace`] of a block for none, in one look at it: for who takes apart what nobody can find any more, so that only
    /// this agent changes the cell (I-20), which is known to be in a page of the heap. `false`: no block of at most 60 KiB is live that the cell's word names so, and nothing has
    /// changed. Never blocks.
    #[inline]
    #[must_use]
    pub fn empty(&self, cell: Exchange, block: Named) -> bool {
        let (agent, memory) = (self.agent, self.memory());
        let page = agent.page_word(block.address / PAGE);
        let Some(header_at) = header_of(agent, block.address, page) else { return false };
        let header = Header(memory.load64(header_at));
        let is_named = header.generation() & 0xFFFF == block.generation && header.kind() == block.kind as u8;
        if header.state() != State::Live || !is_named {
            return false;
        }
        let block = Block { address: block.address, generation: header.generation() };
        record_exchange(agent, cell, 0, block.to_word());
        // Not exchanged: it has one writer. From here on recovery retires the block.
        memory.set_own64(cell.at, cell.replacement);
        // Refused: another word named it, too, and somebody was quicker.
        let _ = free_pages(agent, block.address, page, Some(block.generation));
        agent.record(record::KIND, 0);
        true
    }

    /// Keeps one word of the layer above in the record until the operation ends: what it has claimed and not published.
    /// If the caller dies or its operation is cut short, recovery hands the word back to that layer.
    pub fn note(&self, word: u64) {
        self.agent.record(record::NOTE, word);
    }

    /// The word that [`Operation::note`] keeps; 0 if there is none.
    #[must_use]
    pub fn noted(&self) -> u64 {
        self.agent.recorded(record::NOTE)
    }

    /// Makes a live block of at most 60 KiB one of another kind, in the name of the agent of `slot`; whether that is
    /// done, now or by that agent before. Of several that try it with one block of `from`, it is done for one. Two
    /// loads, one compare-exchange.
    #[must_use]
    pub fn change_kind(&self, block: Block, from: Kind, to: Kind, slot: u32) -> bool {
        let memory = self.memory();
        let Some(at) = header_of(self.agent, block.address, self.agent.page_word(block.address / PAGE)) else {
            return false;
        };
        let changed = Header::taken(State::Live, to, slot, block.generation).0;
        let seen = Header(memory.load64_ordered(at));
        if seen.0 == changed {
            return true;
        }
        let fits = (seen.state(), seen.kind(), seen.generation()) == (State::Live, from as u8, block.generation);
        // The header's word is one of headers for as long as the block is live, and changes its generation afterwards.
        fits && memory.compare_exchange64(at, seen.0, changed).is_ok()
    }

    /// Puts a zeroed page into the u32 `cell` of the object table's directory, for ever. `false`: another agent was
    /// quicker, and its page serves as well. If the caller dies, the page is in the cell or free.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn install_objects_page(&self, cell: Address) -> Result<bool> {
        self.agent.install(cell, 1, PageKind::Objects)
    }

    /// The kind of a live block with this generation, or `None`: freed, or never there. Two or three loads.
    #[must_use]
    pub fn is_live(&self, block: Block) -> Option<Kind> {
        is_live(self.agent, block)
    }

    /// Whether a block of this generation is there and private: taken, and neither published nor freed.
    #[must_use]
    pub fn is_private(&self, block: Block) -> bool {
        let word = self.agent.page_word(block.address / PAGE);
        if word.kind() == PageKind::Run {
            return block.address & 0xFFFF == 0 && word.generation() == block.generation && !word.is_run_live();
        }
        header_of(self.agent, block.address, word).is_some_and(|at| {
            let header = Header(self.memory().load64(at));
            header.state() == State::Raw && header.generation() == block.generation
        })
    }

    /// Bytes that a block at this place has (at least what was asked for), or 0.
    #[must_use]
    pub fn size_of(&self, block: Block) -> u32 {
        size_of(self.agent, block.address)
    }

    /// Publishes a private block by handing out its address: for allocators of Rust programs. From here a death never
    /// takes it back.
    ///
    /// # Errors
    /// [`Error::NotAllocated`].
    pub fn publish(&self, block: Block) -> Result<()> {
        set_live(self.agent, block, true)?;
        self.private.set(self.private.get().saturating_sub(1));
        Ok(())
    }
}

/// The change of a cell.
#[derive(Clone, Copy, Debug)]
pub struct Exchange {
    /// Where it is.
    pub at: Address,
    /// Its word.
    pub expected: u64,
    /// What it is to be.
    pub replacement: u64,
}

/// A block as a word names it that has no room for more.
#[derive(Clone, Copy, Debug)]
pub struct Named {
    /// Where it starts.
    pub address: Address,
    /// The low 16 bits of its generation.
    pub generation: u32,
    /// What it is for.
    pub kind: Kind,
}

/// Says how a cell is about to change, and the words of the blocks that this publishes and retires.
fn record_exchange(agent: Agent, cell: Exchange, new: u64, old: u64) {
    agent.record(record::CELL, u64::from(cell.at));
    agent.record(record::EXPECTED, cell.expected);
    agent.record(record::REPLACEMENT, cell.replacement);
    agent.record(record::NEW, new);
    agent.record(record::OLD, old);
    agent.record(record::KIND, record::REPLACE);
}

/// What an operation left: the outermost one gives it back, an inner one leaves it to that.
#[cold]
fn close_slowly(agent: Agent, left: u32, outermost: bool) {
    let memory = agent.memory();
    let left_at = agent.field(slot::LEFT);
    if outermost {
        memory.set_own32(left_at, 0);
        let _ = recovery::sweep_own(agent, Pages::All);
    } else {
        memory.set_own32(left_at, memory.own32(left_at).wrapping_add(left));
    }
}

#[cold]
fn allocate_pages(agent: Agent, size: u32, align: u32, kind: Kind) -> Result<Block> {
    if !align.is_power_of_two() || align > PAGE {
        return Err(Error::invalid_layout(u64::from(size), u64::from(align)));
    }
    // A block has an address of its own, even one of no bytes.
    let size = size.max(1);
    if size <= MIDDLE && align <= crate::layout::GRANULE && !agent.keeps_blocks() {
        agent.take_middle(size, kind)
    } else {
        agent.take_large(size, kind)
    }
}

/// Frees a block that is not in an own slab; answers whether it was private.
#[cold]
#[inline(never)]
fn free_elsewhere(agent: Agent, block: Block) -> Result<bool> {
    let word = agent.page_word(block.address / PAGE);
    let private = match header_of(agent, block.address, word) {
        Some(at) => Header(agent.memory().load64(at)).state() == State::Raw,
        None => word.kind() == PageKind::Run && !word.is_run_live(),
    };
    free_pages(agent, block.address, word, Some(block.generation))?;
    Ok(private)
}

/// Frees a block of any kind of page.
#[cold]
pub(crate) fn free_pages(agent: Agent, address: Address, word: PageWord, generation: Option<u32>) -> Result<()> {
    match word.kind() {
        PageKind::Slab => agent.free_small(agent.constants(agent.body()), address, word, generation).map(drop),
        PageKind::Granules => agent.free_middle(address, generation),
        PageKind::Run => agent.free_large(address, word, generation),
        _ => Err(Error::not_allocated(address)),
    }
}

/// Frees a block that a cell has stopped referring to. Done already by somebody who finished for us: nothing.
pub(crate) fn retire(agent: Agent, block: Block) {
    let _ = free_pages(agent, block.address, agent.page_word(block.address / PAGE), Some(block.generation));
}

/// Bytes of the block at `address`, or 0.
pub(crate) fn size_of(agent: Agent, address: Address) -> u32 {
    let word = agent.page_word(address / PAGE);
    match word.kind() {
        PageKind::Slab => u32::from(CLASS[word.class() as usize].size),
        PageKind::Granules => agent.middle_size(address),
        // A run of all 65,536 pages cannot be: the control area has some.
        PageKind::Run => word.length().wrapping_mul(PAGE),
        _ => 0,
    }
}

/// Where the header of a small or middle block lies.
pub(crate) fn header_of(agent: Agent, address: Address, word: PageWord) -> Option<Address> {
    match word.kind() {
        PageKind::Slab => agent.small_header(address, word),
        PageKind::Granules => agent.middle_header(address),
        _ => None,
    }
}

pub(crate) fn is_live(agent: Agent, block: Block) -> Option<Kind> {
    let address = block.address;
    let word = agent.page_word(address / PAGE);
    if word.kind() == PageKind::Run {
        let same = address & 0xFFFF == 0 && word.generation() == block.generation && word.is_run_live();
        return if same { Kind::from_tag(word.run_kind()) } else { None };
    }
    let header = Header(agent.memory().load64(header_of(agent, address, word)?));
    let same = header.state() == State::Live && header.generation() == block.generation;
    if same { Kind::from_tag(header.kind()) } else { None }
}

/// Makes a private block that this agent made live, or private again what it did not publish after all. Nobody else
/// knows the block, so its header has no other writer.
fn set_live(agent: Agent, block: Block, live: bool) -> Result<()> {
    let address = block.address;
    let refused = || Error::not_allocated(address);
    let word = agent.page_word(address / PAGE);
    let (from, to) = if live { (State::Raw, State::Live) } else { (State::Live, State::Raw) };
    if word.kind() == PageKind::Run {
        let mine = address & 0xFFFF == 0
            && (word.generation(), word.run_slot(), word.is_run_live()) == (block.generation, agent.index(), !live);
        let kind = Kind::from_tag(word.run_kind()).filter(|_| mine).ok_or_else(refused)?;
        let new = PageWord::run(word.generation(), word.length(), word.run_slot(), kind, live);
        return if agent.exchange_page(address / PAGE, word, new) { Ok(()) } else { Err(refused()) };
    }
    let at = header_of(agent, address, word).ok_or_else(refused)?;
    let header = Header(agent.memory().own64(at));
    if (header.state(), header.slot(), header.generation()) != (from, agent.index(), block.generation) {
        return Err(refused());
    }
    let kind = Kind::from_tag(header.kind()).ok_or_else(refused)?;
    agent.memory().set_own64(at, Header::taken(to, kind, header.slot(), block.generation).0);
    Ok(())
}
