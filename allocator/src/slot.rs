//! Slots: the seats of agents, in chunks of 128, up to 4,096.
//!
//! Claiming one is a single compare-exchange of its word. It needs no stack, because the stack is what it gets: the
//! compiled `claim` keeps no frame in linear memory, which the build checks.

use crate::agent::Agent;
use crate::error::{Error, Result};
use crate::layout::{PAGE, control, slot};
use crate::page;
use crate::reclaim::Pages;
use crate::record;
use crate::sync::{Address, Memory};
use crate::words::{Header, PageKind, PageName, PageWord, SlotWord};

/// Free slots that an attaching agent leaves before it adds a chunk.
const RESERVE: u32 = 16;

/// The slot with this index, if its chunk exists.
#[inline(always)]
#[must_use]
pub fn find(memory: Memory, control: Address, index: u32) -> Option<Address> {
    if index >= slot::COUNT {
        return None;
    }
    let chunk = chunk_at(memory, control, index / slot::CHUNK);
    let within = (index & 127).wrapping_mul(slot::SIZE);
    (chunk != 0).then(|| chunk.wrapping_add(within))
}

fn chunk_cell(control: Address, chunk: u32) -> Address {
    control.wrapping_add(control::SLOT_CHUNKS).wrapping_add(chunk.wrapping_mul(4))
}

/// Where a chunk of slots lies, or 0. Out of line: one look serves many slots.
#[inline(never)]
fn chunk_at(memory: Memory, control: Address, chunk: u32) -> Address {
    PageName(memory.load32(chunk_cell(control, chunk))).follow(memory)
}

/// Where the body of a slot lies.
#[inline(always)]
#[must_use]
pub fn body(memory: Memory, slot: Address) -> PageName {
    PageName(memory.load32(slot.wrapping_add(slot::BODY)))
}

/// As [`body`], for who would write there; 0: there is none. Out of line: there are many such places.
#[inline(never)]
#[must_use]
pub fn body_page(memory: Memory, slot: Address) -> Address {
    body(memory, slot).follow(memory)
}

/// The word of a slot.
#[inline(always)]
#[must_use]
pub fn word(memory: Memory, slot: Address) -> SlotWord {
    SlotWord(memory.load64(slot.wrapping_add(slot::WORD)))
}

/// What ends at once with the thread of the agent that has a slot; 0: unknown, nobody has it, or not yet.
#[must_use]
pub fn life(memory: Memory, slot: Address) -> u64 {
    // That of an agent before stays there until the next one says its own, and only then its incarnation: who leaves can be
    // found until the slot is free.
    let said = SlotWord(memory.load64_ordered(slot.wrapping_add(slot::OFFLINE)));
    let word = word(memory, slot);
    let is_its = word.has(SlotWord::ATTACHED) && word.incarnation() == said.incarnation();
    if is_its { memory.load64(slot.wrapping_add(slot::LIFE)) } else { 0 }
}

/// Whether the agent that took a seat has not said yet whose it is: it has begun nothing in the heap. If it died there, nobody can tell.
#[must_use]
#[inline(never)]
pub fn is_anonymous(memory: Memory, slot: Address) -> bool {
    let word = SlotWord(memory.load64_ordered(slot.wrapping_add(slot::WORD)));
    // Of a seat that had no agent before, that is 0.
    let said = SlotWord(memory.load64_ordered(slot.wrapping_add(slot::OFFLINE)));
    let has_said = said.has(SlotWord::ATTACHED) && said.incarnation() == word.incarnation();
    word.has(SlotWord::ATTACHED) && !has_said
}

/// Whether nobody can prove that its agent is dead, as far as is known so far: it was condemned, or [`is_anonymous`].
#[must_use]
pub(crate) fn is_quarantined(memory: Memory, slot: Address) -> bool {
    word(memory, slot).has(SlotWord::CONDEMNED) || is_anonymous(memory, slot)
}

/// The first answer of `visit` for a slot of an existing chunk: index and address.
#[inline(always)]
pub fn each<R>(memory: Memory, control: Address, visit: impl FnMut(u32, Address) -> Option<R>) -> Option<R> {
    each_from(memory, control, 0, visit)
}

/// As [`each`], from the slot with this index on.
#[inline(always)]
pub fn each_from<R>(
    memory: Memory,
    control: Address,
    from: u32,
    visit: impl FnMut(u32, Address) -> Option<R>,
) -> Option<R> {
    each_between(memory, control, from, slot::COUNT, visit)
}

/// As [`each`], for the slots that have had an agent: each slot in which one may be, unless it attached after the
/// caller's last sequentially consistent write.
#[inline(always)]
pub fn each_used<R>(memory: Memory, control: Address, visit: impl FnMut(u32, Address) -> Option<R>) -> Option<R> {
    let used = memory.load32_ordered(control.wrapping_add(control::SLOTS_USED));
    each_between(memory, control, 0, used.min(slot::COUNT), visit)
}

#[inline(always)]
fn each_between<R>(
    memory: Memory,
    control: Address,
    from: u32,
    limit: u32,
    mut visit: impl FnMut(u32, Address) -> Option<R>,
) -> Option<R> {
    let mut from = from;
    loop {
        let next = next(memory, control, from, limit);
        let (index, at) = (next as u32, (next >> 32) as Address);
        if at == 0 {
            return None;
        }
        if let Some(found) = visit(index, at) {
            return Some(found);
        }
        from = index.wrapping_add(1);
    }
}

/// The first slot of an existing chunk from this index on, in one number, which needs no memory to be answered in: index 32 · address
/// 32; address 0: there is none.
#[inline(never)]
fn next(memory: Memory, control: Address, from: u32, limit: u32) -> u64 {
    let mut index = from;
    while index < limit {
        let within = index % slot::CHUNK;
        let chunk = chunk_at(memory, control, index / slot::CHUNK);
        if chunk != 0 {
            let at = chunk.wrapping_add(within.wrapping_mul(slot::SIZE));
            return u64::from(index) | u64::from(at) << 32;
        }
        index = index.wrapping_sub(within).wrapping_add(slot::CHUNK);
    }
    0
}

/// Takes a free slot for an agent that comes online with it; `None` when there is none. Lock-free.
///
/// `life` is that of the thread, or 0; `parent` is the parent agent's slot plus one, or 0; `role` is [`slot::MAY_BLOCK`] or 0. Then
/// [`Agent::attach`] on a stack that is the slot's own. If the caller dies before that, the slot stays taken until its
/// death is proven.
#[inline(always)]
#[must_use]
pub fn claim(memory: Memory, control: Address, nonce: u64, life: u64, parent: u32, role: u32) -> Option<Address> {
    each(memory, control, |index, at| {
        let found = word(memory, at);
        if found.0 & 0xFFFF != 0 {
            return None;
        }
        let flags = SlotWord::ATTACHED | SlotWord::ONLINE;
        let online = SlotWord::new(flags, found.tenure(), found.incarnation());
        memory.compare_exchange64(at.wrapping_add(slot::WORD), found.0, online.0).ok()?;
        // First: from these two on a death is found.
        memory.set_own64(at.wrapping_add(slot::LIFE), life);
        let offline = SlotWord::new(SlotWord::ATTACHED, found.tenure(), found.incarnation());
        memory.store64(at.wrapping_add(slot::OFFLINE), offline.0);
        memory.fetch_add32(control.wrapping_add(control::DISTURBED), 1);
        set_tables(memory, at, control);
        let limit = memory.load32(control.wrapping_add(control::LIMIT));
        memory.set_own32(at.wrapping_add(slot::LIMIT), limit);
        memory.set_own32(at.wrapping_add(slot::INDEX), index);
        memory.set_own64(at.wrapping_add(slot::STAMP), Header::stamp(index).0);
        memory.set_own32(at.wrapping_add(slot::ROLE), role);
        memory.set_own32(at.wrapping_add(slot::PARENT), parent);
        memory.set_own32(at.wrapping_add(slot::DEPTH), 0);
        memory.set_own32(at.wrapping_add(slot::LEFT), 0);
        memory.set_own64(at.wrapping_add(slot::OWN), PageWord::own(index, found.tenure()));
        memory.set_own64(at.wrapping_add(slot::EXPECTED), online.0);
        // Last: who knows the nonce finds a slot that is whole.
        memory.store64(at.wrapping_add(slot::NONCE), nonce);
        Some(at)
    })
}

/// Says in a slot where the heap is.
#[inline(always)]
pub(crate) fn set_tables(memory: Memory, slot: Address, control: Address) {
    memory.set_own32(slot.wrapping_add(slot::CONTROL), control);
    memory.set_own32(slot.wrapping_add(slot::TABLE), control.wrapping_add(control::TABLE));
}

/// The slot, but not `except`, whose agent attached with this nonce. Loads only, in the one order of all; at most one look at
/// each slot.
#[inline(always)]
#[must_use]
pub fn with_nonce(memory: Memory, control: Address, nonce: u64, except: Address) -> Option<Address> {
    each(memory, control, |_, at| {
        let is_there = at != except
            && memory.load64_ordered(at.wrapping_add(slot::NONCE)) == nonce
            && SlotWord(memory.load64_ordered(at.wrapping_add(slot::WORD))).has(SlotWord::ATTACHED);
        is_there.then_some(at)
    })
}

impl Agent {
    /// Makes a claimed slot ready: its body page, and room for those who attach next. Ends offline.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`]: the slot is free again.
    pub fn attach(self) -> Result<()> {
        self.clear_record();
        let made = self.make_body();
        if made.is_err() {
            self.free_slot();
            return made;
        }
        self.forget_slabs();
        self.forget_adopted();
        self.raise_slots_used();
        // A reserve that cannot be had now is tried again by the next one.
        let _ = self.add_chunk_if_low();
        self.leave();
        Ok(())
    }

    fn raise_slots_used(self) {
        let at = self.control_field(control::SLOTS_USED);
        let mut found = self.memory().load32(at);
        // It only rises: at most one round for each slot.
        while found <= self.index() {
            match self.memory().compare_exchange32(at, found, self.index().wrapping_add(1)) {
                Ok(_) => break,
                Err(now) => found = now,
            }
        }
    }

    fn make_body(self) -> Result<()> {
        if self.body() != 0 {
            return Ok(());
        }
        let page = self.claim_page()?;
        let at = page::address(page);
        self.memory().fill(at, PAGE, 0);
        // The slot names its body before the page stops being private: a death in between loses neither.
        self.memory().store32(self.field(slot::BODY), PageName::of(at).0);
        self.finish_body();
        Ok(())
    }

    /// Makes the page that the slot names as its body one, if that was cut short.
    pub(crate) fn finish_body(self) {
        let page = self.body() / PAGE;
        let word = self.page_word(page);
        if self.body() != 0 && word.kind() == PageKind::Private && word.slot() == self.index() {
            self.publish_page(page, PageWord::owned(PageKind::Body, word.generation(), 0, self.index(), 0));
        }
    }

    fn add_chunk_if_low(self) -> Result<()> {
        let mut free = 0u32;
        let enough = each(self.memory(), self.control(), |_, at| {
            free = free.wrapping_add(u32::from(word(self.memory(), at).0 & 0xFFFF == 0));
            (free >= RESERVE).then_some(())
        });
        let missing = (0..slot::CHUNKS).find(|&chunk| self.memory().load32(chunk_cell(self.control(), chunk)) == 0);
        if let (None, Some(chunk)) = (enough, missing) {
            self.install(chunk_cell(self.control(), chunk), slot::CHUNK_PAGES, PageKind::Control)?;
        }
        Ok(())
    }

    /// Leaves the heap: empty slabs and the private arena go back, slabs with live blocks become everybody's, the slot
    /// is free. Never blocks; linear in the pages of the heap.
    ///
    /// # Errors
    /// [`Error::AgentLost`] when it had left already; [`Error::Busy`] inside an operation.
    pub fn detach(self) -> Result<()> {
        self.detach_some(Pages::All).map(drop)
    }

    /// As [`Agent::detach`], of as many pages; whether that is all, and the slot free. If not, the agent is offline.
    ///
    /// # Errors
    /// Those of [`Agent::detach`].
    pub fn detach_some(self, pages: Pages) -> Result<bool> {
        let is_all = self.clear_out(pages)?;
        if is_all {
            self.free_slot();
        }
        Ok(is_all)
    }

    /// What [`Agent::detach`] does before the slot is free; whether that is all. Ends online, or offline if it is not.
    pub(crate) fn clear_out(self, pages: Pages) -> Result<bool> {
        loop {
            match self.enter() {
                Err(Error::Gate { .. }) => self.break_gate(),
                other => {
                    other?;
                    break;
                }
            }
        }
        self.check_tables();
        if self.memory().own32(self.field(slot::DEPTH)) != 0 {
            return Err(Error::busy(self.index()));
        }
        let is_all = crate::reclaim::own_pages(self, pages);
        self.clear_record();
        if !is_all {
            self.leave();
        }
        Ok(is_all)
    }

    /// Gives a slot back that was claimed and could not be attached, whatever state it is in: for a caller that an
    /// exception left between [`claim`] and the end of [`Agent::attach`]. Never blocks.
    pub fn abandon(self) {
        self.finish_body();
        self.memory().set_own32(self.field(slot::DEPTH), 0);
        if self.recorded(record::KIND) == record::INSTALL {
            // The pages become private, and nobody's with the slot.
            self.finish_recorded_install();
        }
        self.clear_record();
        self.free_slot();
    }

    /// Frees the slot for its next agent: whatever the page table still names as this one's is ownerless with it.
    pub(crate) fn free_slot(self) {
        let memory = self.memory();
        memory.set_own64(self.field(slot::EXPECTED), 0);
        memory.store64(self.field(slot::NONCE), 0);
        // The seat's next agent is online before it can say what it holds.
        memory.store64(self.field(slot::HOLD), 0);
        let at = self.field(slot::WORD);
        let mut found = memory.load64(at);
        // Others only set or clear flags here: a handful of rounds.
        while SlotWord(found).has(SlotWord::ATTACHED) && SlotWord(found).incarnation() == self.incarnation() {
            match memory.compare_exchange64(at, found, SlotWord(found).freed().0) {
                Ok(_) => break,
                Err(now) => found = now,
            }
        }
        memory.fetch_add32(self.control_field(control::ORPHANED), 1);
        memory.fetch_add32(self.control_field(control::DISTURBED), 1);
    }

    /// Takes the slabs of every offline agent from it, so that what was freed into them is everybody's.
    pub(crate) fn revoke_offline(self) {
        let memory = self.memory();
        each(memory, self.control(), |index, at| {
            let found = word(memory, at);
            let flags = SlotWord::ONLINE | SlotWord::CONDEMNED;
            if index != self.index() && found.has(SlotWord::ATTACHED) && found.0 & flags == 0 {
                // Going online meanwhile, it keeps them: the whole word is compared.
                let _ = memory.compare_exchange64(at.wrapping_add(slot::WORD), found.0, found.revoked().0);
            }
            None::<()>
        });
        memory.fetch_add32(self.control_field(control::ORPHANED), 1);
    }

    /// Whether an arena page is this agent's.
    #[cfg(not(any(loom, shuttle)))]
    pub(crate) fn is_own_arena(self, word: PageWord) -> bool {
        self.is_arena_of_slot(word) && word.tenure() == self.offline().incarnation() & 0xF_FFFF
    }

    /// Whether an arena page is this agent's, or was one's that had the seat before and died.
    pub(crate) fn is_arena_of_slot(self, word: PageWord) -> bool {
        word.kind() == PageKind::Arena && word.slot() == self.index()
    }

    /// Decides what the record says about pages that were being installed.
    #[inline(never)]
    pub(crate) fn finish_recorded_install(self) {
        let shape = self.recorded(record::EXPECTED);
        self.finish_install(
            self.recorded(record::CELL) as Address,
            self.recorded(record::REPLACEMENT) as Address,
            shape as u32,
        );
    }
}
