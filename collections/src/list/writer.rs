//! Who changes a list: at work in an era of it, as in a map ([`crate::map`]).
//!
//! # A change of a place
//! Which place is a value's changes with each new root, so a change must not happen after the root in which its place was
//! found. It is announced in the agent's slot; then the agent looks whether the root has ended; then the place's word is
//! exchanged for one that names slot and sequence; then the announcement becomes *done*, by whoever comes first; then the word becomes
//! the new one. Who ends a root says so first, then refuses all announcements that are not done, and only then
//! names the next root. Either the agent sees that the root has ended, or its announcement is seen.
//!
//! Until it is done readers have the word before, then the word after: both stand in the slot.

use coheap_alloc::layout::slot;
use coheap_alloc::{Address, Block, Error, Kind, Memory, Operation, Result, slot as slots};

use super::root::{Root, check, corrupt, is_value};
use super::words::*;
use crate::cell::LOOKS;
use crate::holdings::Holder;
use crate::object::{Handle, Table, Type, VALUE};
use crate::string::{self, Made};
use crate::{block, hold, map, nested, rule, value};

/// An agent at work in a list.
#[derive(Debug)]
pub(super) struct Writer<'a> {
    pub(super) operation: &'a Operation,
    pub(super) handle: Handle,
    pub(super) entry: Address,
    pub(super) head: Address,
}

/// A private block of a list, zeroed.
pub(super) fn allocate(operation: &Operation, size: u32) -> Result<Block> {
    let block = block::allocate(operation, size, Kind::Map)?;
    operation.memory().fill(block.address, size, 0);
    Ok(block)
}

/// A private chunk of so many places.
pub(super) fn allocate_chunk(operation: &Operation, places: u32) -> Result<Block> {
    let block = block::allocate(operation, places * 8, Kind::Map)?;
    for place in 0..places {
        operation.memory().set_own64(block.address.wrapping_add(place * 8), value::EMPTY);
    }
    Ok(block)
}

/// Decides a change whose word stands in a place, and puts the word there that follows.
pub(super) fn finish(operation: &Operation, at: Address, word: u64) -> Result<()> {
    let memory = operation.memory();
    let index = (value::payload(word) >> 32) as u32;
    let Some(slot) = slots::find(memory, operation.control(), index) else { return corrupt(at) };
    let (setting_at, sequence) = (slot.wrapping_add(slot::SETTING), word as u32);
    // It is pending, so the root has not ended: who ended it would have refused it.
    let _ = memory.compare_exchange64(setting_at, setting(sequence, PENDING), setting(sequence, DONE));
    let is_done = memory.load64_ordered(setting_at) == setting(sequence, DONE);
    let next = memory.load64_ordered(slot.wrapping_add(if is_done { slot::SET_NEW } else { slot::SET_OLD }));
    if is_operation(next) {
        return corrupt(at);
    }
    // Not exchanged: another agent did, and what was read may be of another change.
    let _ = memory.compare_exchange64(at, word, next);
    Ok(())
}

impl<'a> Writer<'a> {
    /// Begins to work in the list of a handle; [`Writer::leave`] ends it.
    ///
    /// # Errors
    /// [`Error::StaleHandle`], [`Error::WrongType`], [`Error::Corrupt`].
    pub(super) fn enter(operation: &'a Operation, handle: Handle) -> Result<Self> {
        let entry = map::begin_work(operation, handle, Type::List)?;
        Self::again(operation, handle, entry).or_else(|error| map::give_up_work(operation, handle, error))
    }

    /// As [`Writer::enter`] for who is at work, or acts for who was.
    pub(super) fn again(operation: &'a Operation, handle: Handle, entry: Address) -> Result<Self> {
        let head = operation.memory().load64(entry.wrapping_add(VALUE)) as Address;
        Table::of(operation).check_own(head)?;
        Ok(Self { operation, handle, entry, head })
    }

    /// What it took out may be freed: some of what the list gave up is.
    pub(super) fn leave(self) -> Result<()> {
        map::eras::leave(self.operation);
        super::reclaim::tidy(self.operation, self.handle, self.head)
    }

    pub(super) fn memory(&self) -> Memory {
        self.operation.memory()
    }

    pub(super) fn table(&self) -> Table {
        Table::of(self.operation)
    }

    /// Whether all that this agent has met stays while it works; if not, it is to look for it anew.
    #[inline(never)]
    pub(super) fn covers(&self) -> bool {
        map::eras::covers(self.memory(), self.entry, self.operation.agent().slot())
    }

    /// The root that is the list's now. It and its chunks stay while this agent works: they were made before it, or count as made with it.
    /// Lock-free: another round means that another agent edited.
    pub(super) fn root(&self) -> Result<Root> {
        let at = self.head.wrapping_add(ROOT);
        loop {
            let word = self.memory().load64_ordered(at);
            if word == 0 {
                let root = super::edit::make_root(self.operation, SPARE, map::eras::now(self.memory(), self.entry))?;
                self.install(at, root)?;
            } else if self.covers() {
                return Root::own(self.table(), word);
            }
        }
    }

    /// Puts a block where there is none, unless another agent has put something there.
    fn install(&self, at: Address, block: Block) -> Result<()> {
        if self.operation.replace(at, 0, block.to_word(), Some(block), None)?.is_err() {
            block::free(self.operation, block)?;
        }
        Ok(())
    }

    /// Puts a value behind all others, and answers how many there are then. Lock-free: another round means that another agent
    /// pushed, or that the list has a new chunk or a new root.
    #[inline(never)]
    pub(super) fn push(&self, made: Made) -> Result<u64> {
        loop {
            let root = self.root()?;
            let end = root.end()?;
            root.table.check_own(end.at)?;
            let word = self.memory().load64_ordered(end.at);
            #[cfg(feature = "controls")]
            if crate::controls::is_on(crate::controls::LENGTH_BY_STORE)
                && word == value::EMPTY
                && value::to_number(made.word).is_some()
            {
                // Seeded bug: another agent's value may stand there by now.
                self.memory().store64(end.at, made.word);
                return Ok(u64::from(end.length) + 1);
            }
            if is_forward(word) {
                self.follow(&root, word)?;
            } else if end.is_entry && word == 0 {
                if end.used == root.room() {
                    self.grow()?;
                } else {
                    // Who only pushes goes on with what others left, too.
                    map::go_on(self.operation)?;
                    let chunk = allocate_chunk(self.operation, places(end.used - root.frozen))?;
                    self.install(end.at, chunk)?;
                }
            } else if word == value::EMPTY && nested::put(self.operation, end.at, word, made, None)? {
                return Ok(u64::from(end.length) + 1);
            }
        }
    }

    /// Gives a value that is there another one. Lock-free: another round means that another agent changed it, or the list.
    ///
    /// # Errors
    /// [`Error::OutOfRange`].
    #[inline(never)]
    pub(super) fn set(&self, index: u64, made: Made) -> Result<()> {
        let table = self.table();
        let (mut lost, mut refused, mut of) = (0, 0, 0);
        loop {
            let root = self.root()?;
            if root.word != of {
                (of, refused) = (root.word, 0);
            }
            let at = match u32::try_from(index) {
                Ok(index) if index < LONGEST => root.place(index)?,
                _ => None,
            };
            let word = at.map_or(value::EMPTY, |at| self.memory().load64_ordered(at));
            let Some(at) = at.filter(|_| is_value(word)) else {
                let length = root.end()?.length;
                if self.memory().load64_ordered(self.head.wrapping_add(ROOT)) == root.word {
                    return Err(Error::out_of_range(index, 1, u64::from(length)));
                }
                continue;
            };
            table.check_own(at)?;
            if is_operation(word) {
                finish(self.operation, at, word)?;
                continue;
            }
            let old = string::block_of(table, word);
            if value::is_block(word) && old.is_none() {
                lost = if self.memory().load64_ordered(at) == word { lost + 1 } else { 0 };
                if lost == LOOKS {
                    return Err(Error::corrupt(rule::VALUE_BLOCK, at));
                }
                continue;
            }
            let (_, gone) = nested::begin_put(self.operation, at, word, made, old);
            let done = self.exchange(&root, (at, word), made, gone, &mut refused);
            if nested::end_put(self.operation, made, done)? {
                return Ok(());
            }
            if root.load(NEXT) != 0 {
                self.complete(&root)?;
            }
        }
    }

    /// Exchanges a value's word in a root that has not ended; `false`: it has, or the word is another one by now. `old` is given back.
    /// `refused`: how often it was in a root that had not ended.
    #[inline(never)]
    fn exchange(
        &self,
        root: &Root,
        (at, word): (Address, u64),
        made: Made,
        old: Option<Block>,
        refused: &mut u32,
    ) -> Result<bool> {
        let (memory, holder) = (self.memory(), Holder::of(self.operation));
        let field = |offset: Address| holder.slot.wrapping_add(offset);
        if at.wrapping_sub(field(slot::SETTING)) < slot::TRANSACTION - slot::SETTING {
            // Only a word that was destroyed leads there: the announcement itself would change it, in each round.
            return corrupt(at);
        }
        nested::note(self.operation);
        let sequence = ((memory.load64(field(slot::SETTING)) >> 2) as u32).wrapping_add(1);
        for (offset, word) in [(slot::SET_AT, u64::from(at)), (slot::SET_OLD, word), (slot::SET_NEW, made.word)] {
            memory.store64(field(offset), word);
        }
        memory.swap64(field(slot::SETTING), setting(sequence, PENDING));
        if let Some(block) = made.block
            && self.operation.is_private(block)
        {
            // From here on it goes as the announcement says.
            self.operation.publish(block)?;
        }
        let mine = operation(holder.index, sequence);
        let is_there = root.load(NEXT) == 0;
        #[cfg(feature = "controls")]
        if crate::controls::is_on(crate::controls::SET_UNREFUSED) {
            // Longer between the look and the exchange.
            for _ in 0..2000 {
                core::hint::spin_loop();
            }
        }
        let is_exchanged = is_there && memory.compare_exchange64(at, word, mine).is_ok();
        #[cfg(feature = "controls")]
        if crate::controls::is_on(crate::controls::CHANGED_BEFORE_DONE) {
            // Longer until it is done.
            for _ in 0..200 {
                let _ = memory.load64(at);
            }
        }
        if is_exchanged {
            finish(self.operation, at, mine)?;
        }
        let _ = memory.compare_exchange64(field(slot::SETTING), setting(sequence, PENDING), setting(sequence, REFUSED));
        let done = setting(sequence, DONE);
        if memory.load64_ordered(field(slot::SETTING)) != done {
            // What stands in its place is refused by who ends the root, or is late in ending an earlier one: each agent once at most.
            *refused += u32::from(is_exchanged && root.load(NEXT) == 0);
            return if *refused > slot::COUNT { corrupt(at) } else { Ok(false) };
        }
        let _ = self.operation.replace(field(slot::SETTING), done, setting(sequence, IDLE), None, old)?;
        Ok(true)
    }

    /// Gives back what was made and is nowhere.
    pub(super) fn discard(&self, made: Made) -> Result<()> {
        let at = Holder::of(self.operation).slot.wrapping_add(slot::SETTING);
        let refused = self.memory().load64(at);
        if refused & 3 != REFUSED {
            return made.discard(self.operation);
        }
        let block = made.block.filter(|_| !value::is_reference(made.word));
        let _ = self.operation.replace(at, refused, refused & !3, None, block)?;
        if block.is_none() { made.discard(self.operation) } else { Ok(()) }
    }

    /// Goes on to the root that follows one that has ended.
    pub(super) fn follow(&self, root: &Root, word: u64) -> Result<()> {
        let next = forwarded(word);
        // Only read: if others were quicker it may be anything by now.
        check(self.table(), next, ENTRIES)?;
        let _ = self.memory().compare_exchange64(root.field(NEXT), 0, self.memory().load64(next.wrapping_add(OWN)));
        self.complete(root)
    }

    /// Goes on to the root in which this agent, or who it acts for, ended one. Lock-free: another round means that another agent edited.
    pub(super) fn complete_own(&self, root: &Root, next: Address) -> Result<()> {
        while self.memory().load64_ordered(self.head.wrapping_add(ROOT)) == root.word {
            self.follow(root, forward(next))?;
        }
        Ok(())
    }

    /// Makes the root that follows the list's. Any number of agents may, at once or one after the other.
    pub(super) fn complete(&self, root: &Root) -> Result<()> {
        let (memory, next) = (self.memory(), root.load(NEXT));
        if !self.covers() {
            // It may be another object's by now: the caller looks again.
            return Ok(());
        }
        let found = Root::new(self.table(), next)?;
        if found.number != root.number.wrapping_add(1) {
            // Roots that follow each other in a circle would be followed for ever.
            return corrupt(root.at);
        }
        // What was announced before this root said that it had ended is seen here.
        let _ = slots::each_used(memory, self.operation.control(), |_, at| -> Option<()> {
            let setting_at = at.wrapping_add(slot::SETTING);
            let seen = memory.load64_ordered(setting_at);
            #[cfg(feature = "controls")]
            if crate::controls::is_on(crate::controls::SET_UNREFUSED) {
                // Seeded bug: a change happens in a root that the list does not have any more.
                return None;
            }
            if seen & 3 == PENDING && hold::holds(memory, at, self.handle) {
                let _ = memory.compare_exchange64(setting_at, seen, seen & !3 | REFUSED);
            }
            None
        });
        // Whoever comes by writes the same.
        memory.store64(root.field(LOST), found.load(CUT));
        memory.store64(root.field(LENGTH), found.load(BEFORE).wrapping_add(1));
        if memory.compare_exchange64(self.head.wrapping_add(ROOT), root.word, next).is_ok() {
            super::reclaim::draw_era(memory, self.entry, root);
        }
        Ok(())
    }
}
