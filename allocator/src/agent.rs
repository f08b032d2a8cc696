//! An agent's seat: the handle to its slot, and the fence that every operation passes.
//!
//! The slot word is {incarnation, tenure, flags}. Going online is one compare-exchange from the exact word the agent
//! knows, so a zombie never enters under its successor's name, and an agent whose slabs were taken notices before it
//! touches one. Leaving is one read-modify-write. Between [`Agent::turn_begin`] and [`Agent::turn_end`] the agent
//! stays online and entering costs two loads.

use core::marker::PhantomData;

use crate::error::{Error, Result};
use crate::layout::{body, control, slot};
use crate::operation::Operation;
use crate::reclaim::Pages;
use crate::recovery;
use crate::slot as slots;
use crate::sync::{Address, Memory};
use crate::words::{PageName, PageWord, SlotWord};

/// This thread's seat at the heap. Copies name the same slot; none may leave the thread. Once the slot is somebody
/// else's, every operation answers [`Error::AgentLost`]: the incarnation stands here and not in the slot, where the next
/// agent would overwrite it.
#[derive(Clone, Copy, Debug)]
pub struct Agent {
    memory: Memory,
    slot: Address,
    incarnation: u32,
    not_send: PhantomData<*mut ()>,
}

/// For [`Agent::recover`] when no layer above leaves notes.
///
/// # Errors
/// None.
pub fn nothing_to_settle(_: &Operation, _: u32, _: u64) -> Result<bool> {
    Ok(true)
}

/// The words of a seat that stay as they are while the agent is online: read once an operation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Constants {
    /// Where the body lies.
    pub(crate) body: Address,
    /// The header of a raw block of this agent, without kind and generation.
    pub(crate) stamp: u64,
    /// What the page words of own slabs contain.
    pub(crate) own: u64,
    /// Where the page table lies.
    pub(crate) table: Address,
    /// Pages it describes.
    pub(crate) limit: u32,
}

/// The address of a field of a slot or a body, in the form that compilers fold into the access.
#[inline(always)]
pub(crate) fn within(at: Address, offset: Address) -> Address {
    // SAFETY: I-13 slots and bodies lie in the memory whole, so that no field of one is beyond 4 GiB.
    unsafe { at.unchecked_add(offset) }
}

/// How an operation was entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// The agent was online already: nothing to leave.
    Online,
    /// Gone online for this operation: [`Agent::leave`] ends it.
    Precise,
}

/// An open operation, and how deep it is nested.
struct Opened {
    operation: Operation,
    depth: u32,
}

impl Agent {
    /// The agent that has, or had, the slot at `slot` in this incarnation.
    ///
    /// # Safety
    /// The slot is one of this memory, and that incarnation of it was given to this thread.
    #[inline(always)]
    #[must_use]
    pub const unsafe fn from_slot(memory: Memory, slot: Address, incarnation: u32) -> Self {
        Self { memory, slot, incarnation, not_send: PhantomData }
    }

    /// Which of the slot's agents this is.
    #[must_use]
    pub fn incarnation(self) -> u32 {
        self.incarnation
    }

    /// The memory the heap is in.
    #[inline(always)]
    #[must_use]
    pub fn memory(self) -> Memory {
        self.memory
    }

    /// Where the slot lies.
    #[inline(always)]
    #[must_use]
    pub fn slot(self) -> Address {
        self.slot
    }

    #[inline(always)]
    pub(crate) fn field(self, offset: Address) -> Address {
        within(self.slot, offset)
    }

    /// For an operation that begins.
    #[inline(always)]
    pub(crate) fn checked_constants(self) -> Constants {
        self.check_tables();
        self.constants(self.body_name().follow(self.memory))
    }

    #[inline(always)]
    pub(crate) fn constants(self, body: Address) -> Constants {
        let memory = self.memory;
        Constants {
            body,
            stamp: memory.constant64(self.field(slot::STAMP)),
            own: memory.constant64(self.field(slot::OWN)),
            table: memory.constant32(self.field(slot::TABLE)),
            limit: memory.constant32(self.field(slot::LIMIT)),
        }
    }

    /// Where the control area lies.
    #[inline(always)]
    #[must_use]
    pub fn control(self) -> Address {
        self.memory.constant32(self.field(slot::CONTROL))
    }

    /// Whoever writes looks here first, once a call: no damaged word of the slot leads it out of the heap.
    #[inline(always)]
    pub(crate) fn check_tables(self) {
        if self.table().wrapping_sub(self.control()) != control::TABLE {
            self.memory.trap();
        }
    }

    #[inline(always)]
    pub(crate) fn control_field(self, offset: Address) -> Address {
        self.control().wrapping_add(offset)
    }

    #[inline(always)]
    pub(crate) fn table(self) -> Address {
        self.memory.constant32(self.field(slot::TABLE))
    }

    /// Pages that the page table describes.
    #[inline(always)]
    pub(crate) fn limit(self) -> u32 {
        self.memory.constant32(self.field(slot::LIMIT))
    }

    /// The slot's index: how other agents name this one.
    #[inline(always)]
    #[must_use]
    pub fn index(self) -> u32 {
        self.memory.constant32(self.field(slot::INDEX))
    }

    /// Whether the agent's thread may block.
    #[must_use]
    pub fn may_block(self) -> bool {
        self.memory.own32(self.field(slot::ROLE)) & slot::MAY_BLOCK != 0
    }

    pub(crate) fn body(self) -> Address {
        slots::body_page(self.memory, self.slot)
    }

    #[inline(always)]
    pub(crate) fn body_name(self) -> PageName {
        PageName(self.memory.constant32(self.field(slot::BODY)))
    }

    #[inline(always)]
    pub(crate) fn body_field(self, offset: Address) -> Address {
        within(self.body(), offset)
    }

    /// Where the agent's transfer buffer lies: [`body::TRANSFER_LENGTH`] bytes.
    #[must_use]
    pub fn transfer(self) -> Address {
        self.body_field(body::TRANSFER)
    }

    /// A private word of the body that the layer above may use: where it found a free object entry last.
    #[must_use]
    pub fn object_cursor(self) -> Address {
        self.body_field(body::OBJECT_CURSOR)
    }

    /// A private word of the body for the layer above: of a dead agent, how far giving back what it holds has come.
    #[must_use]
    pub fn given(self) -> Address {
        self.body_field(body::GIVEN)
    }

    /// A private word of the body for the layer above: whether this agent looks for long before it sleeps.
    #[must_use]
    pub fn patience(self) -> Address {
        self.body_field(body::PATIENCE)
    }

    /// What the page word of each of this agent's slabs contains under [`PageWord::OWN`].
    #[inline(always)]
    pub(crate) fn own(self) -> u64 {
        self.memory.own64(self.field(slot::OWN))
    }

    pub(crate) fn offline(self) -> SlotWord {
        SlotWord(self.memory.own64(self.field(slot::OFFLINE)))
    }

    pub(crate) fn tenure(self) -> u32 {
        self.offline().tenure()
    }

    /// Begins an operation: two loads while online, a compare-exchange otherwise.
    ///
    /// # Errors
    /// [`Error::Gate`] while an audit walks, [`Error::AgentLost`] when the slot was condemned, reaped or freed.
    #[inline(always)]
    pub fn enter(self) -> Result<Entry> {
        if self.is_online() { Ok(Entry::Online) } else { self.enter_offline() }
    }

    /// Whether the agent is online, and nobody wants anything of it: two loads.
    #[inline(always)]
    #[must_use]
    pub fn is_online(self) -> bool {
        let word = self.memory.load64(self.field(slot::WORD));
        self.is_mine(SlotWord(word)) && word == self.memory.own64(self.field(slot::EXPECTED))
    }

    /// Whether a word of the slot is of this agent, and not of one who had it before or has it now.
    #[inline(always)]
    fn is_mine(self, word: SlotWord) -> bool {
        #[cfg(feature = "controls")]
        if crate::controls::active(crate::controls::Control::TrustTheSlot) {
            return true;
        }
        word.incarnation() == self.incarnation
    }

    /// Whether an operation of this slot is open: its agent's, whose thread is the only one to ask.
    fn is_inside(self) -> bool {
        self.memory.own32(self.field(slot::DEPTH)) != 0
    }

    /// The slot word, if the slot is still this agent's.
    fn own_word(self) -> Result<SlotWord> {
        let word = SlotWord(self.memory.load64(self.field(slot::WORD)));
        let mine = word.has(SlotWord::ATTACHED) && self.is_mine(word);
        if mine { Ok(word) } else { Err(Error::agent_lost(self.index())) }
    }

    #[cold]
    fn enter_offline(self) -> Result<Entry> {
        let word = self.own_word()?;
        self.check_tables();
        if word.has(SlotWord::ONLINE) && self.is_inside() {
            // Inside an operation: whatever flag was set meanwhile is acknowledged at the end of the outermost one.
            return Ok(Entry::Online);
        }
        let mut known = self.offline();
        if !self.is_mine(known) {
            return Err(Error::agent_lost(self.index()));
        }
        // Each round either enters, fails, or has learned of one change made by another agent (tenure, gate): three
        // changes in one entry mean that the others starve us, and the caller may as well begin again.
        for _ in 0..64 {
            #[cfg(feature = "controls")]
            if crate::controls::active(crate::controls::Control::StoreEntry) {
                // Seeded bug: online by a plain store, which cannot see who has the slot by now.
                let found = self.memory.load64(self.field(slot::WORD));
                self.memory.store64(self.field(slot::WORD), found | SlotWord::ONLINE);
                self.memory.set_own64(self.field(slot::EXPECTED), found | SlotWord::ONLINE);
                return Ok(Entry::Precise);
            }
            let online = known.0 | SlotWord::ONLINE;
            match self.memory.compare_exchange64(self.field(slot::WORD), known.0, online) {
                Ok(_) => {
                    self.learn(known);
                    self.memory.set_own64(self.field(slot::EXPECTED), online);
                    return Ok(Entry::Precise);
                }
                Err(found) => known = self.adapt(SlotWord(found))?,
            }
        }
        Err(Error::busy(self.index()))
    }

    /// The word to go online from, given what others changed. Writes nothing but the flag: offline, the agent may be reaped at any
    /// moment, and the seat be another's.
    fn adapt(self, found: SlotWord) -> Result<SlotWord> {
        let mine = found.has(SlotWord::ATTACHED) && self.is_mine(found);
        if mine && found.has(SlotWord::ONLINE) {
            // Online, but a flag was set meanwhile (or an exception cut `enter` short): acknowledge by going offline.
            self.go_offline();
        }
        if !mine || found.has(SlotWord::CONDEMNED) {
            return Err(Error::agent_lost(self.index()));
        }
        if found.has(SlotWord::GATE) && !found.has(SlotWord::ONLINE) {
            return Err(Error::gate(self.memory.load32(self.control_field(control::GATE))));
        }
        Ok(SlotWord::new(SlotWord::ATTACHED, found.tenure(), found.incarnation()))
    }

    /// Online, takes the word that it went online from for the one that it knows: if its slabs were taken meanwhile, it forgets them.
    pub(crate) fn learn(self, known: SlotWord) {
        if known.tenure() == self.tenure() {
            return;
        }
        self.forget_slabs();
        let offline = SlotWord::new(SlotWord::ATTACHED, known.tenure(), known.incarnation());
        // In this order: cut short between the two, the agent still knows the old word and learns once more.
        self.memory.set_own64(self.field(slot::OWN), PageWord::own(self.index(), offline.tenure()));
        self.memory.set_own64(self.field(slot::OFFLINE), offline.0);
    }

    /// Drops the private tables that name slabs: they are somebody else's now, or will be rebuilt.
    pub(crate) fn forget_slabs(self) {
        for class in 0..crate::size_class::CLASSES {
            let offset = class.wrapping_mul(4);
            crate::slab::close_window(self, class);
            for table in [body::RING, body::HINT, body::SEARCHED] {
                self.memory.set_own32(self.body_field(table.wrapping_add(offset)), 0);
            }
        }
    }

    /// Ends an operation that [`Agent::enter`] began with [`Entry::Precise`]. Does nothing inside [`Agent::run`]. Never
    /// blocks.
    #[inline(always)]
    pub fn leave(self) {
        if !self.is_inside() {
            self.go_offline();
        }
    }

    #[inline(always)]
    fn go_offline(self) {
        self.memory.set_own64(self.field(slot::EXPECTED), 0);
        self.memory.fetch_and64(self.field(slot::WORD), !SlotWord::ONLINE);
    }

    /// Stays online until [`Agent::turn_end`]: what comes between enters with two loads. Never blocks.
    ///
    /// # Errors
    /// As [`Agent::enter`].
    pub fn turn_begin(self) -> Result<()> {
        self.enter().map(|_| ())
    }

    /// Goes offline, if online and not inside an operation; answers whether the agent is offline. Never blocks.
    pub fn turn_end(self) -> bool {
        match self.own_word() {
            Ok(word) if word.has(SlotWord::ONLINE) => {
                self.leave();
                !self.is_inside()
            }
            _ => true,
        }
    }

    /// Opens the gate that stopped this agent, so that its operations go on; the audit begins again.
    pub fn break_gate(self) {
        let word = self.field(slot::WORD);
        if SlotWord(self.memory.load64(word)).has(SlotWord::GATE) {
            self.memory.fetch_add32(self.control_field(control::DISTURBED), 1);
            self.memory.fetch_and64(word, !SlotWord::GATE);
        }
    }

    /// Runs `f` as one operation: the unit that the fence knows. Nested calls join the outer one.
    ///
    /// Blocks that `f` allocated and neither published nor freed are freed at the end. If the caller dies inside,
    /// its record says what was in flight. If `f` unwinds, [`Agent::recover`] must run before the next operation.
    ///
    /// # Errors
    /// What `f` answers; [`Error::AgentLost`].
    pub fn operation<R>(self, f: impl FnOnce(&Operation) -> Result<R>) -> Result<R> {
        let entry = loop {
            match self.enter() {
                // In Rust nobody waits for an audit: it is the audit that begins again.
                Err(Error::Gate { .. }) => self.break_gate(),
                other => break other?,
            }
        };
        self.run(entry, f)
    }

    /// As [`Agent::operation`] for a caller that has entered already. Answers what `f` answers.
    #[inline(always)]
    pub fn run<R>(self, entry: Entry, f: impl FnOnce(&Operation) -> R) -> R {
        let opened = self.open();
        let result = f(&opened.operation);
        self.close(&opened, entry);
        result
    }

    /// Out of line, as [`Agent::close`].
    #[inline(never)]
    fn open(self) -> Opened {
        let depth = self.memory.own32(self.field(slot::DEPTH));
        self.memory.set_own32(self.field(slot::DEPTH), depth.wrapping_add(1));
        Opened { operation: Operation::new(self), depth }
    }

    /// Out of line: there are as many operations in a program as it has kinds of calls.
    #[inline(never)]
    fn close(self, opened: &Opened, entry: Entry) {
        opened.operation.close(opened.depth == 0);
        self.memory.set_own32(self.field(slot::DEPTH), opened.depth);
        if entry == Entry::Precise {
            self.leave();
        }
    }

    /// After an exception cut an operation short: decides what its record names, frees its private blocks, goes
    /// offline. Idempotent; does nothing when nothing was in flight. Linear in the pages of the heap.
    ///
    /// `settle` gets the operation, this slot and the note ([`Operation::note`]) of what was cut short, if there is one.
    ///
    /// # Errors
    /// [`Error::AgentLost`], and what `settle` answers: then the next call settles.
    pub fn recover(self, settle: &impl Fn(&Operation, u32, u64) -> Result<bool>) -> Result<()> {
        self.recover_some(Pages::All, settle).map(drop)
    }

    /// As [`Agent::recover`], of as many pages; whether that is all. Until it is, the agent is online: audits wait.
    ///
    /// # Errors
    /// Those of [`Agent::recover`].
    pub fn recover_some(self, pages: Pages, settle: &impl Fn(&Operation, u32, u64) -> Result<bool>) -> Result<bool> {
        let word = self.own_word()?;
        if word.has(SlotWord::ONLINE) {
            self.check_tables();
            self.learn(word);
            // `enter` or `leave` may have been cut short between their two stores.
            self.memory.set_own64(self.field(slot::EXPECTED), self.offline().0 | SlotWord::ONLINE);
            self.finish_body();
            if !recovery::recover_own(self, pages, settle)? {
                return Ok(false);
            }
            // What it was writing to can be freed by whoever releases it.
            self.memory.swap64(self.field(slot::HOLD), 0);
            self.memory.store64(self.field(slot::HOLD_ERA), 0);
            self.memory.store64(self.field(slot::RECLAIMING), 0);
            self.go_offline();
        }
        Ok(true)
    }
}
