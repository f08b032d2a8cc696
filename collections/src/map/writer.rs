//! Who changes a map holds it, in an era.
//!
//! What is taken out of a map may still be in the hands of another agent. So an agent that changes a map holds it
//! ([`crate::hold`]) and puts the map's *era* into its slot, and then looks whether that is the era still. Who takes
//! something out raises the era afterwards, and frees it when no agent that is online works in an older era: either the
//! agent's search began when there was no way to it any more, or it is seen. Both look after they wrote, in the one order
//! of all.

use coheap_alloc::layout::slot;
use coheap_alloc::{Address, Block, Kind, Memory, Operation, Result, SlotWord, slot as slots};

use super::view::View;
use crate::claim::{Note, Purpose};
use crate::count::{self, Change, Counted};
use crate::holdings::Holder;
use crate::object::{ERA, Handle, Table, Type, VALUE};
use crate::{block, hold};

/// An agent at work in a map.
#[derive(Debug)]
pub(super) struct Writer<'a> {
    pub(super) operation: &'a Operation,
    pub(super) handle: Handle,
    pub(super) entry: Address,
    /// The value word of the object's entry, when it began.
    pub(super) word: u64,
    pub(super) view: View,
}

/// The writer's half: the era is in the slot, in the one order of all, when this returns; what it answers is it.
#[inline]
pub fn publish_era(memory: Memory, entry: Address, slot: Address) -> u64 {
    // Another round means that another agent took something out of the map.
    loop {
        let era = memory.load64_ordered(entry.wrapping_add(ERA));
        #[cfg(feature = "controls")]
        if crate::controls::is_on(crate::controls::NO_ERA) {
            // Seeded bug: nobody sees that the agent is at work.
            return era;
        }
        memory.swap64(slot.wrapping_add(slot::HOLD_ERA), era.wrapping_add(1));
        if memory.load64_ordered(entry.wrapping_add(ERA)) == era {
            return era;
        }
    }
}

/// The other half: whether the agent of the slot at `at` is at work in the map in an era before this one.
#[inline]
#[must_use]
pub fn is_before(memory: Memory, at: Address, handle: Handle, era: u64) -> bool {
    let held = memory.load64_ordered(at.wrapping_add(slot::HOLD_ERA));
    held != 0 && held <= era && hold::holds(memory, at, handle)
}

/// Raises a map's era and answers it. Lock-free.
pub fn raise_era(memory: Memory, entry: Address) -> u64 {
    let at = entry.wrapping_add(ERA);
    let mut era = memory.load64_ordered(at);
    // Another round means that another agent raised it.
    loop {
        match memory.compare_exchange64(at, era, era.wrapping_add(1)) {
            Ok(_) => return era.wrapping_add(1),
            Err(found) => era = found,
        }
    }
}

/// Whether another agent is at work in the map in an era before this one. One load for each slot that was ever used.
pub(super) fn is_anybody_before(operation: &Operation, handle: Handle, era: u64) -> bool {
    let memory = operation.memory();
    let own = operation.agent().slot();
    let found = slots::each_used(memory, operation.control(), |_, at| {
        (at != own && is_before(memory, at, handle, era)).then_some(())
    });
    found.is_some()
}

/// As [`is_anybody_before`], or this one: it may be at work in what was taken out.
pub(crate) fn is_any_before(operation: &Operation, handle: Handle, era: u64) -> bool {
    let memory = operation.memory();
    #[cfg(feature = "controls")]
    if crate::controls::is_on(crate::controls::FREE_AT_ONCE) {
        // Seeded bug: what was taken out is freed while others are there.
        return false;
    }
    let found = slots::each_used(memory, operation.control(), |_, at| is_before(memory, at, handle, era).then_some(()));
    found.is_some()
}

/// Whether another agent is at work in the map, or is online and was the last to count its references.
pub(super) fn is_anybody_at_work(memory: Memory, at: Address, handle: Handle) -> bool {
    memory.load64_ordered(at.wrapping_add(slot::HOLD_ERA)) != 0
        && memory.load64_ordered(at.wrapping_add(slot::HOLD)) == handle.to_word()
        && SlotWord(memory.load64_ordered(at.wrapping_add(slot::WORD))).may_be_inside()
}

/// Begins to work in the map or list of a handle, and answers where its entry is. One swap, or two; [`leave`] ends it.
///
/// # Errors
/// [`coheap_alloc::Error::StaleHandle`], [`coheap_alloc::Error::WrongType`].
#[inline(never)]
pub(crate) fn begin_work(operation: &Operation, handle: Handle, kind: Type) -> Result<Address> {
    let table = Table::of(operation);
    let entry = table.entry(handle.index).ok_or_else(|| handle.stale())?;
    let slot = operation.agent().slot();
    hold::publish(table.memory, slot.wrapping_add(slot::HOLD), handle);
    publish_era(table.memory, entry, slot);
    match table.check(entry, handle, kind) {
        Ok(()) => Ok(entry),
        Err(error) => {
            leave(operation);
            hold::let_go(operation, handle)?;
            Err(error)
        }
    }
}

impl<'a> Writer<'a> {
    /// Begins to work in the map of a handle. [`Writer::leave`] ends it.
    ///
    /// # Errors
    /// [`coheap_alloc::Error::StaleHandle`], [`coheap_alloc::Error::WrongType`], [`coheap_alloc::Error::Corrupt`].
    #[inline]
    pub(super) fn enter(operation: &'a Operation, handle: Handle) -> Result<Self> {
        let table = Table::of(operation);
        let entry = begin_work(operation, handle, Type::Map)?;
        let word = table.memory.load64(entry.wrapping_add(VALUE));
        match View::new(table, word) {
            Ok(view) => Ok(Self { operation, handle, entry, word, view }),
            Err(error) => {
                leave(operation);
                hold::let_go(operation, handle)?;
                Err(error)
            }
        }
    }

    /// As [`Writer::enter`] for who recovers an agent that was at work: its hold stands.
    pub(super) fn again(operation: &'a Operation, handle: Handle, head: Address) -> Result<Self> {
        let table = Table::of(operation);
        let entry = table.entry(handle.index).ok_or_else(|| handle.stale())?;
        let word = u64::from(head);
        Ok(Self { operation, handle, entry, word, view: View::new(table, word)? })
    }

    /// What it took out may be freed by others.
    #[inline]
    pub(super) fn leave(self) {
        leave(self.operation);
    }

    #[inline]
    pub(super) fn memory(&self) -> Memory {
        self.view.table.memory
    }

    #[inline]
    pub(super) fn holder(&self) -> Holder {
        Holder::of(self.operation)
    }

    /// Notes what is about to change at `place`, and answers the sequence under which it will be counted.
    pub(super) fn begin(&self, change: Change, place: u64) -> u64 {
        let holder = self.holder();
        self.operation.note(Note { handle: self.handle, purpose: Purpose::Mapping }.to_word());
        self.place(place);
        count::begin(self.memory(), holder, Counted::of_entries(self.view.head), change)
    }

    pub(super) fn place(&self, place: u64) {
        self.memory().set_own64(self.holder().slot.wrapping_add(slot::PLACE), place);
    }

    /// The same change has come further.
    pub(super) fn go_on(&self, change: Change) {
        self.memory().set_own64(self.holder().slot.wrapping_add(slot::CHANGE), change as u64);
    }

    pub(super) fn end(&self) {
        count::end(self.memory(), self.holder());
    }

    /// Counts an entry, or counts it no more.
    pub(super) fn count(&self, holder: Holder, add: bool, sequence: u64) {
        // A map's count refuses nothing.
        let _ = count::change(self.memory(), holder, Counted::of_entries(self.view.head), add, sequence);
    }

    /// A private block of a map, zeroed.
    pub(super) fn allocate(&self, size: u32) -> Result<Block> {
        allocate(self.operation, size)
    }
}

/// What was taken out may be freed by others.
#[inline]
pub(crate) fn leave(operation: &Operation) {
    // A release: an exchange that was made before may otherwise reach memory after it.
    operation.memory().store64(operation.agent().slot().wrapping_add(slot::HOLD_ERA), 0);
}

pub(super) fn allocate(operation: &Operation, size: u32) -> Result<Block> {
    let block = block::allocate_at(operation, size, size.min(512), Kind::Map)?;
    operation.memory().fill(block.address, size, 0);
    Ok(block)
}
