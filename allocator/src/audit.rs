//! The audit: a walk that proves the heap, or names the first rule it breaks and where.
//!
//! It closes a gate: each attached agent's slot word gets a flag that stops its next operation before it begins, and the
//! audit waits until everybody is offline. An agent that may block waits for the gate, one that may not breaks it; then
//! the walk counts for nothing and begins again. Such a walk may read anything, so it forms no address outside the
//! memory, and it writes only its marks, which lie where nobody else writes: in pages of its own, and (the layer above)
//! in the spare words of object entries, which are never anything else.

use core::ops::Range;

use crate::agent::{Agent, Entry};
use crate::error::{Error, Result};
use crate::figures::Figures;
use crate::layout::{GRANULE, GRANULES, PAGE, body, control, slot};
use crate::operation::{header_of, is_live};
use crate::page;
use crate::reap;
use crate::record::Block;
use crate::size_class::CLASS;
use crate::slot as slots;
use crate::sync::{Address, Memory};
use crate::words::{GranuleWord, Header, Kind, PageKind, PageWord, SlotWord, State};

/// What the audit checks. Numbers from 64 on belong to the layer above.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Rule {
    /// A reference names a live block of its kind and generation.
    ReferenceIsLive = 1,
    /// A block is referred to once.
    ReferenceIsOnly = 2,
    /// A live block is referred to, unless it belongs to a Rust program.
    BlockIsReferenced = 3,
    /// No block is private to an operation while none is open.
    BlockIsPublished = 4,
    /// A live block has a kind.
    BlockHasKind = 5,
    /// What the bitmap of an owned slab calls free is free.
    ListIsWhole = 6,
    /// A granule is used by a block that starts, and every block has a header.
    GranulesAreWhole = 7,
    /// The pages of a run follow its first one.
    RunIsWhole = 8,
    /// A page's kind fits its place.
    PageIsPlaced = 9,
    /// No page is private while no operation is open.
    PageIsPublished = 10,
    /// What an exchange changes is a word of a structure, in a page of the heap, and not of the record that the agent keeps of it.
    CellIsPlaced = 11,
}

/// Who knows the references: the layer above.
pub trait References {
    /// Calls `seen` with every block that something in the heap refers to, once for each reference. A walk asks again
    /// for each part of the heap that it has marks for.
    ///
    /// # Errors
    /// What `seen` answers; [`Error::Corrupt`] for its own rules.
    fn visit<F: FnMut(Block, Kind) -> Result<()>>(&self, memory: Memory, control: Address, seen: &mut F) -> Result<()>;

    /// A walk begins: what an earlier one counted, which ended as busy, is worth nothing.
    fn begin(&mut self) {}

    /// Told of each live block once a walk: its kind, its maker's slot, its bytes.
    fn count(&mut self, _kind: Kind, _slot: u32, _bytes: u64) {}
}

/// No references at all: a heap with nothing but blocks of Rust programs.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoReferences;

impl References for NoReferences {
    fn visit<F: FnMut(Block, Kind) -> Result<()>>(&self, _: Memory, _: Address, _: &mut F) -> Result<()> {
        Ok(())
    }
}

fn broken(rule: Rule, address: Address) -> Error {
    Error::corrupt(rule as u32, address)
}

/// Bytes of marks for a page: one bit for 16 bytes, because that is how near two blocks can start.
const PER_PAGE: u32 = PAGE / 16 / 8;
/// Pages whose marks fill a page.
const SPAN: u32 = PAGE / PER_PAGE;
/// Pages of marks at most: for 512 MiB.
const MOST: usize = 64;

/// Which blocks of a window of the heap are referred to: bits in free pages that are private to the auditor meanwhile,
/// or in its transfer buffer when that is enough or no page is free. A death leaves the pages to the next sweep.
struct Marks {
    agent: Agent,
    /// Where the bits lie: the pages, or [`body::MARKS`] alone; then zeros.
    places: [Address; MOST],
    /// Pages of the window.
    span: u32,
    /// The first of them.
    first: u32,
}

impl Marks {
    /// For a memory of so many pages. Neither grows nor reclaims: an audit leaves the heap as large as it is.
    fn claim(agent: Agent, pages: u32) -> Self {
        let few = body::MARKS_LENGTH / PER_PAGE;
        let wanted = if pages > few { pages.div_ceil(SPAN) } else { 0 };
        let mut places = [0; MOST];
        let mut span = 0u32;
        for place in places.iter_mut().take(wanted as usize) {
            let Some(page) = agent.claim_hinted_page() else { break };
            *place = page::address(page);
            span = span.wrapping_add(SPAN);
        }
        if span == 0 {
            (places[0], span) = (agent.body_field(body::MARKS), few);
        }
        Self { agent, places, span, first: 0 }
    }

    /// Whether the page holds marks.
    fn holds(&self, page: u32) -> bool {
        page != 0 && self.places.contains(&page::address(page))
    }

    /// Forgets all marks; the window begins at page `first`.
    fn clear(&mut self, first: u32) {
        self.first = first;
        for &place in self.places.iter().take_while(|&&place| place != 0) {
            self.agent.memory().fill(place, self.span.min(SPAN).wrapping_mul(PER_PAGE), 0);
        }
    }

    /// The word and the bit of the block at `address`; `None` outside the window.
    fn bit(&self, address: Address) -> Option<(Address, u64)> {
        let page = (address / PAGE).wrapping_sub(self.first);
        let place = self.places.get((page / SPAN) as usize).filter(|_| page < self.span)?;
        let offset = (page % SPAN).wrapping_mul(PER_PAGE).wrapping_add((address >> 7) & 0x1F8);
        Some((place.wrapping_add(offset), 1u64.wrapping_shl((address >> 4) & 63)))
    }

    /// Marks the block at `address` if it lies in the window; `false` when it is marked already.
    fn set(&self, address: Address) -> bool {
        let Some((word, bit)) = self.bit(address) else { return true };
        let before = self.agent.memory().own64(word);
        self.agent.memory().set_own64(word, before | bit);
        before & bit == 0
    }

    fn has(&self, address: Address) -> bool {
        self.bit(address).is_some_and(|(word, bit)| self.agent.memory().own64(word) & bit != 0)
    }

    /// Gives the pages back.
    fn release(self) {
        let pages = self.places.into_iter().filter(|&place| place != 0 && place.is_multiple_of(PAGE));
        pages.for_each(|place| self.agent.release_page(place / PAGE));
    }
}

impl Agent {
    /// Closes the gate. Answers how many other agents are still online: call [`Agent::audit_online`] until it is 0,
    /// then [`Agent::audit_walk`]. Every path ends with [`Agent::audit_end`]. If the caller dies, the gate stays closed
    /// until somebody breaks it.
    #[must_use]
    pub fn audit_begin(self) -> u32 {
        let memory = self.memory();
        self.check_tables();
        // First: who finds the gate closed knows whether its own thread would open it.
        memory.store64(self.control_field(control::AUDITOR), slots::life(memory, self.slot()));
        let gate = memory.load32(self.control_field(control::GATE)) | 1;
        memory.store32(self.control_field(control::GATE), gate);
        let begun = memory.load32(self.control_field(control::DISTURBED));
        memory.set_own32(self.body_field(body::AUDIT_BEGUN), begun);
        slots::each(memory, self.control(), |index, at| {
            let word = slots::word(memory, at);
            if index != self.index() && word.has(SlotWord::ATTACHED) && !word.has(SlotWord::GATE) {
                memory.fetch_or64(at.wrapping_add(slot::WORD), SlotWord::GATE);
                // It may have been freed in between: then the flag must not stay.
                let now = slots::word(memory, at);
                if !now.has(SlotWord::ATTACHED) {
                    memory.fetch_and64(at.wrapping_add(slot::WORD), !SlotWord::GATE);
                }
            }
            None::<()>
        });
        self.audit_online()
    }

    /// How many other agents are online, and have begun anything.
    #[must_use]
    pub fn audit_online(self) -> u32 {
        let mut online = 0u32;
        slots::each(self.memory(), self.control(), |index, at| {
            let word = slots::word(self.memory(), at);
            let counts =
                index != self.index() && word.has(SlotWord::ONLINE) && !reap::is_nobodys_yet(self.memory(), at);
            online = online.wrapping_add(u32::from(counts));
            None::<()>
        });
        online
    }

    /// Opens the gate. Who waits on the gate word must then be notified.
    pub fn audit_end(self) {
        let memory = self.memory();
        self.check_tables();
        // Another audit may be relying on the same flags.
        memory.fetch_add32(self.control_field(control::DISTURBED), 1);
        slots::each(memory, self.control(), |_, at| {
            if slots::word(memory, at).has(SlotWord::GATE) {
                memory.fetch_and64(at.wrapping_add(slot::WORD), !SlotWord::GATE);
            }
            None::<()>
        });
        let gate = self.control_field(control::GATE);
        memory.store32(gate, memory.load32(gate).wrapping_add(1) & !1);
    }

    /// Whether nobody went online since [`Agent::audit_begin`].
    fn undisturbed(self) -> Result<()> {
        let memory = self.memory();
        let begun = memory.own32(self.body_field(body::AUDIT_BEGUN));
        let online = slots::each(memory, self.control(), |index, at| {
            let word = SlotWord(memory.load64_ordered(at.wrapping_add(slot::WORD)));
            let free = !word.has(SlotWord::ATTACHED);
            let held = word.has(SlotWord::GATE) && !word.has(SlotWord::ONLINE);
            // It goes on only after it has said so in DISTURBED.
            let counts = index != self.index() && !free && !held && !reap::is_nobodys_yet(memory, at);
            counts.then_some(index)
        });
        match online {
            Some(agent) => Err(Error::busy(agent)),
            None if memory.load32_ordered(self.control_field(control::DISTURBED)) != begun => {
                Err(Error::busy(self.index()))
            }
            None => Ok(()),
        }
    }

    /// Walks the whole heap inside a closed gate, in passes over as much of it as it has marks for: up to 64 free pages
    /// are private to it meanwhile, for 8 MiB each; without any, a part of the transfer buffer serves for 1.4 MiB. What
    /// was in that is gone. Linear in the blocks, and each pass in the references. If it is cut short, [`Agent::recover`] gives
    /// the pages back.
    ///
    /// # Errors
    /// [`Error::Corrupt`] with the rule and the place; [`Error::Busy`] when an agent is online or broke the gate: end
    /// and begin again.
    pub fn audit_walk(self, references: &mut impl References) -> Result<Figures> {
        // Online, so that nobody takes the pages of its marks, and no other audit, which would find them private, walks.
        let entry = match self.enter() {
            Err(Error::Gate { .. }) => return Err(Error::busy(self.index())),
            other => other?,
        };
        let result = self.undisturbed().and_then(|()| {
            let result = self.walk(references);
            // A violation seen while others wrote proves nothing; and plain loads may be answered late.
            self.memory().fence();
            self.undisturbed().and(result)
        });
        if entry == Entry::Precise {
            self.leave();
        }
        result
    }

    /// Closes the gate, walks, opens it: for programs whose other agents go offline by themselves. Gives up after a
    /// million looks.
    ///
    /// # Errors
    /// As [`Agent::audit_walk`].
    pub fn audit(self, references: &mut impl References) -> Result<Figures> {
        let mut result = Err(Error::busy(self.index()));
        for _ in 0..1000 {
            let mut online = self.audit_begin();
            for _ in 0..1000 {
                if online == 0 {
                    break;
                }
                core::hint::spin_loop();
                online = self.audit_online();
            }
            result = self.audit_walk(references);
            self.audit_end();
            if !matches!(result, Err(Error::Busy { .. })) {
                break;
            }
        }
        result
    }

    fn walk(self, references: &mut impl References) -> Result<Figures> {
        let pages = self.limit().min(self.memory().pages_now());
        let mut marks = Marks::claim(self, pages);
        let result = self.walk_windows(pages, &mut marks, references);
        marks.release();
        result
    }

    fn walk_windows(self, pages: u32, marks: &mut Marks, references: &mut impl References) -> Result<Figures> {
        references.begin();
        let mut figures = self.figures();
        (figures.live_bytes, figures.live_blocks, figures.free_bytes) = (0, 0, 0);
        (figures.fragmented_bytes, figures.reserved_bytes) = (0, 0);
        let mut first = 0u32;
        while first < pages {
            marks.clear(first);
            let is_first = first == 0;
            references.visit(self.memory(), self.control(), &mut |block, kind| {
                self.mark_reference(block, kind, is_first.then_some(pages), marks)
            })?;
            if first == 0 {
                (0..pages).try_for_each(|page| self.check_page(page, marks, &mut figures))?;
            }
            let end = pages.min(first.wrapping_add(marks.span));
            self.each_block(first..end, &mut |address, word| {
                self.check_block(address, word, marks.has(address), references, &mut figures.orphans)
            })?;
            // The next window begins with a block: the inside of a run needs no pass.
            let starts_block = |&page: &u32| {
                let kind = self.page_word(page).kind();
                matches!(kind, PageKind::Slab | PageKind::Granules | PageKind::Run)
            };
            first = (end..pages).find(starts_block).unwrap_or(pages);
        }
        Ok(figures)
    }

    /// Calls `visit` with the address of each taken block of these pages and the word of its page.
    fn each_block(self, pages: Range<u32>, visit: &mut impl FnMut(Address, PageWord) -> Result<()>) -> Result<()> {
        let memory = self.memory();
        for page in pages {
            let word = self.page_word(page);
            let at = page::address(page);
            match word.kind() {
                PageKind::Slab => {
                    let shape = &CLASS[word.class() as usize];
                    for index in 0..u32::from(shape.count) {
                        if Header(memory.load64(at.wrapping_add(shape.header(index)))).is_taken() {
                            visit(at.wrapping_add(shape.block(index)), word)?;
                        }
                    }
                }
                PageKind::Granules => {
                    let granules = self.granules(page);
                    for start in 1..GRANULES {
                        if granules.count(start) != 0 {
                            visit(at.wrapping_add(start.wrapping_mul(GRANULE)), word)?;
                        }
                    }
                }
                PageKind::Run => visit(at, word)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Marks the block of a reference, which none has marked before; in the first window of so many pages also checks it.
    #[inline(never)]
    fn mark_reference(self, block: Block, kind: Kind, pages: Option<u32>, marks: &mut Marks) -> Result<()> {
        if let Some(pages) = pages {
            let inside = block.address / PAGE < pages;
            if !inside || is_live(self, block) != Some(kind) {
                return Err(broken(Rule::ReferenceIsLive, block.address));
            }
        }
        if marks.set(block.address) { Ok(()) } else { Err(broken(Rule::ReferenceIsOnly, block.address)) }
    }

    fn check_block(
        self,
        address: Address,
        word: PageWord,
        marked: bool,
        references: &mut impl References,
        orphans: &mut u32,
    ) -> Result<()> {
        let (live, tag, slot) = match header_of(self, address, word) {
            Some(at) => {
                let header = Header(self.memory().load64(at));
                (header.state() == State::Live, header.kind(), header.slot())
            }
            None => (word.is_run_live(), word.run_kind(), word.run_slot()),
        };
        if !live {
            return Err(broken(Rule::BlockIsPublished, address));
        }
        let kind = Kind::from_tag(tag).ok_or_else(|| broken(Rule::BlockHasKind, address))?;
        if !marked && kind != Kind::Rust {
            return Err(broken(Rule::BlockIsReferenced, address));
        }
        let maker = slots::find(self.memory(), self.control(), slot);
        let empty = !maker.is_some_and(|at| slots::word(self.memory(), at).has(SlotWord::ATTACHED));
        *orphans = orphans.wrapping_add(u32::from(kind == Kind::Rust && empty));
        let bytes = u64::from(crate::operation::size_of(self, address));
        references.count(kind, slot, bytes);
        Ok(())
    }

    fn check_page(self, page: u32, marks: &Marks, figures: &mut Figures) -> Result<()> {
        let word = self.page_word(page);
        let at = page::address(page);
        let size = u64::from(PAGE);
        match word.kind() {
            PageKind::Slab => self.check_slab(at, word, figures)?,
            PageKind::Granules => self.check_granules(page, figures)?,
            PageKind::Run => {
                for distance in 1..word.length() {
                    let body = self.page_word(page.wrapping_add(distance));
                    if body.kind() != PageKind::RunBody || body.length() != distance {
                        return Err(broken(Rule::RunIsWhole, at));
                    }
                }
                figures.live_blocks = figures.live_blocks.saturating_add(1);
                figures.live_bytes = figures.live_bytes.saturating_add(u64::from(word.length()).saturating_mul(size));
            }
            PageKind::RunBody => {
                let first = page.wrapping_sub(word.length());
                let head = self.page_word(first);
                if head.kind() != PageKind::Run || head.length() <= word.length() {
                    return Err(broken(Rule::RunIsWhole, at));
                }
            }
            PageKind::Free => figures.free_bytes = figures.free_bytes.saturating_add(size),
            PageKind::Private if marks.holds(page) => figures.free_bytes = figures.free_bytes.saturating_add(size),
            PageKind::Private if !self.is_ownerless(word) => return Err(broken(Rule::PageIsPublished, at)),
            PageKind::Control | PageKind::Objects | PageKind::Body if at < self.control() => {
                return Err(broken(Rule::PageIsPlaced, at));
            }
            PageKind::Foreign => {}
            _ => figures.reserved_bytes = figures.reserved_bytes.saturating_add(size),
        }
        Ok(())
    }

    fn check_slab(self, at: Address, word: PageWord, figures: &mut Figures) -> Result<()> {
        let memory = self.memory();
        let shape = &CLASS[word.class() as usize];
        let count = u32::from(shape.count);
        let mut free = 0u32;
        for index in 0..count {
            let header = Header(memory.load64(at.wrapping_add(shape.header(index))));
            free = free.wrapping_add(u32::from(!header.is_taken()));
            let word_at = shape.bitmap(at).wrapping_add((index >> 6).wrapping_mul(8));
            let listed = memory.own64(word_at).wrapping_shr(index & 63) & 1 != 0;
            if listed && header.is_taken() && !self.is_ownerless(word) {
                return Err(broken(Rule::ListIsWhole, at));
            }
        }
        figures.add_blocks(count.saturating_sub(free), free, u32::from(shape.size));
        Ok(())
    }

    fn check_granules(self, page: u32, figures: &mut Figures) -> Result<()> {
        let at = page::address(page);
        let word = GranuleWord(self.memory().load64(self.granule_word_at(page)));
        if word.is_closed() {
            figures.free_bytes = figures.free_bytes.saturating_add(u64::from(PAGE));
            return Ok(());
        }
        let mut covered = 1u32;
        for start in 1..GRANULES {
            let count = word.count(start);
            if count == 0 {
                continue;
            }
            let block = at.wrapping_add(start.wrapping_mul(GRANULE));
            let taken = self.middle_header(block).is_some_and(|at| Header(self.memory().load64(at)).is_taken());
            if !taken {
                return Err(broken(Rule::GranulesAreWhole, block));
            }
            covered |= 1u32.wrapping_shl(count).wrapping_sub(1).wrapping_shl(start);
        }
        if covered != word.used() || word.starts() & 1 != 0 {
            return Err(broken(Rule::GranulesAreWhole, at));
        }
        let taken = word.used().count_ones().saturating_sub(1);
        figures.add_blocks(taken, 15u32.saturating_sub(taken), GRANULE);
        figures.live_blocks =
            figures.live_blocks.saturating_sub(u64::from(taken)).saturating_add(u64::from(word.starts().count_ones()));
        Ok(())
    }
}
