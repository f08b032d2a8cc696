//! Who changes a map: it holds it, at work in its eras ([`super::eras`]).

use coheap_alloc::layout::slot;
use coheap_alloc::{Address, Block, Error, Kind, Memory, Operation, Result, SlotWord};

use super::eras;
use super::view::View;
use crate::claim::{Note, Purpose};
use crate::count::{self, Change, Counted};
use crate::holdings::Holder;
use crate::object::{Handle, Table, Type, VALUE};
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
    eras::publish(table.memory, entry, slot);
    match table.check(entry, handle, kind) {
        Ok(()) => Ok(entry),
        Err(error) => give_up_work(operation, handle, error),
    }
}

/// Ends what [`begin_work`] began, for this reason.
#[cold]
#[inline(never)]
pub(crate) fn give_up_work<R>(operation: &Operation, handle: Handle, error: Error) -> Result<R> {
    eras::leave(operation);
    hold::let_go(operation, handle)?;
    Err(error)
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
        let slot = operation.agent().slot();
        // Another round means that another agent took something out.
        let word = loop {
            let word = table.memory.load64(entry.wrapping_add(VALUE));
            if eras::covers(table.memory, entry, slot) {
                break word;
            }
        };
        match View::own(table, word) {
            Ok(view) => Ok(Self { operation, handle, entry, word, view }),
            Err(error) => give_up_work(operation, handle, error),
        }
    }

    /// As [`Writer::enter`] for who recovers an agent that was at work: its hold stands.
    pub(super) fn again(operation: &'a Operation, handle: Handle, head: Address) -> Result<Self> {
        let table = Table::of(operation);
        let entry = table.entry(handle.index).ok_or_else(|| handle.stale())?;
        let word = u64::from(head);
        Ok(Self { operation, handle, entry, word, view: View::own(table, word)? })
    }

    /// What it took out may be freed by others.
    #[inline]
    pub(super) fn leave(self) {
        eras::leave(self.operation);
    }

    /// Whether what this agent has met up to now stays while it works; if not, it searches anew.
    #[inline]
    pub(super) fn covers(&self) -> bool {
        eras::covers(self.memory(), self.entry, self.operation.agent().slot())
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

pub(super) fn allocate(operation: &Operation, size: u32) -> Result<Block> {
    let block = block::allocate_at(operation, size, size.min(512), Kind::Map)?;
    operation.memory().fill(block.address, size, 0);
    Ok(block)
}
