//! The life of an entry of the object table: claim, publish, end, finish.
//!
//! Free entries are found by hints: each page of the table begins with a bitmap of entries that are *busy*, and the
//! first page also has a bitmap of pages that are *full*. A fresh page is all zeros, which says "all free". A hint
//! that is wrong, or was lost with its agent, costs a look at the truth; when memory runs out, everything is looked at.
//!
//! Before an agent changes an entry it notes in its operation record which one and why, so that
//! [`crate::recovery::settle`] can decide for it.

mod finish;

use coheap_alloc::layout::control;
use coheap_alloc::{Address, Block, Error, Operation, Result};

use crate::count::CountWord;
use crate::holdings::{self, Holder};
use crate::object::{COUNT, EntryWord, FIRST, Handle, INFO, Info, PARKED, PER_PAGE, SIZE, State, Table, Type, VALUE};
use crate::wait::{self, Wake};
use crate::{fields, hold, map, rule, string};

pub use finish::Round;
pub(crate) use finish::{end, end_later, finish, finish_all, finish_some, is_in_slices, take_back};

/// Words of a page's bitmap of busy entries.
const BITMAP: u32 = PER_PAGE / 64;

/// Where the bitmap of full pages begins in the first page.
const FULL: Address = 512;

/// What a note is for, in the index's unused bits.
const PURPOSE: u64 = 7 << 29;

/// What an operation was doing to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Making it.
    Making,
    /// Taking a reference to it.
    Acquiring,
    /// Giving a reference back, or something else that may end it.
    Releasing,
    /// Taking a parked reference to it.
    Taking,
    /// Changing an entry of it, which is a map.
    Mapping,
    /// Putting a reference to it into a structure, or taking one out.
    Nesting,
    /// Reading from it, which is a pipe.
    Piping,
    /// Taking bytes from it on loan, which is a pipe.
    Leasing,
}

/// What the record says about an object: who reads it is recovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Note {
    /// The object.
    pub handle: Handle,
    /// What was done to it.
    pub purpose: Purpose,
}

impl Note {
    /// As the word of a record.
    #[must_use]
    pub fn to_word(self) -> u64 {
        self.handle.to_word() & !PURPOSE | (self.purpose as u64) << 29
    }

    /// From the word of a record.
    #[must_use]
    pub fn from_word(word: u64) -> Self {
        let purpose = match (word & PURPOSE) >> 29 {
            0 => Purpose::Making,
            1 => Purpose::Acquiring,
            2 => Purpose::Releasing,
            3 => Purpose::Taking,
            4 => Purpose::Mapping,
            5 => Purpose::Nesting,
            6 => Purpose::Piping,
            _ => Purpose::Leasing,
        };
        Self { handle: Handle::from_word(word & !PURPOSE), purpose }
    }
}

/// A raw entry: this operation's own until published or abandoned.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claim {
    pub(crate) handle: Handle,
    entry: Address,
    word: EntryWord,
}

impl Table {
    /// The table of the operation's heap.
    #[inline]
    #[must_use]
    pub fn of(operation: &Operation) -> Self {
        Self { memory: operation.memory(), control: operation.control() }
    }

    /// Where the generations of an entry begin: drawn from the heap's seed, so that a handle of another heap, or of a
    /// heap of yesterday, names nothing here.
    #[must_use]
    pub fn first_generation(self, index: u32) -> u32 {
        let seed = self.memory.own64(self.control.wrapping_add(control::SEED));
        let mixed = (seed ^ index as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        ((mixed ^ mixed >> 29).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 32) as u32
    }

    /// What a dying or raw entry becomes: free with the next generation, or retired before one comes round.
    pub(crate) fn freed(self, word: EntryWord, index: u32) -> EntryWord {
        let next = word.generation().wrapping_add(1);
        #[cfg(feature = "controls")]
        if crate::controls::is_on(crate::controls::SAME_GENERATION) {
            // Seeded bug: a handle of the entry's former object finds the next one.
            return EntryWord::new(word.generation(), 0, 0, State::Free);
        }
        if next == self.first_generation(index) {
            EntryWord::new(word.generation(), 0, 0, State::Retired)
        } else {
            EntryWord::new(next, 0, 0, State::Free)
        }
    }

    fn full_word(self, number: u32) -> Option<Address> {
        Some(self.page(0)?.wrapping_add(FULL).wrapping_add(number / 64 * 8))
    }

    fn busy_word(self, index: u32) -> Option<Address> {
        Some(self.page(index / PER_PAGE)?.wrapping_add(index % PER_PAGE / 64 * 8))
    }

    /// Hint: the entry may be free. Who hides it again looks at the truth afterwards, and so does who fills a page.
    pub(crate) fn show(self, index: u32) {
        let (Some(busy), Some(full)) = (self.busy_word(index), self.full_word(index / PER_PAGE)) else { return };
        self.memory.fetch_and64(busy, !bit(index));
        let number = bit(index / PER_PAGE);
        if self.memory.load64_ordered(full) & number != 0 {
            self.memory.fetch_and64(full, !number);
        }
    }

    /// Hint: the entry is busy.
    fn hide(self, index: u32) {
        let Some(busy) = self.busy_word(index) else { return };
        if self.memory.load64(busy) & bit(index) == 0 {
            self.memory.fetch_or64(busy, bit(index));
        }
    }
}

fn bit(number: u32) -> u64 {
    1u64.wrapping_shl(number % 64)
}

/// Claims an entry: FREE → RAW, and makes room for a reference. Lock-free; one look at each hinted entry at most.
///
/// # Errors
/// [`Error::OutOfMemory`] when the table cannot grow and a look at every entry found none free.
pub(crate) fn claim(operation: &Operation, kind: Type) -> Result<Claim> {
    holdings::reserve(operation)?;
    map::go_on(operation)?;
    let table = Table::of(operation);
    let cursor = operation.agent().object_cursor();
    let last = table.memory.own32(cursor);
    let found = match claim_in(operation, table, last, kind, true)? {
        Some(claim) => claim,
        None => claim_anywhere(operation, table, kind)?,
    };
    table.memory.set_own32(cursor, found.handle.index / PER_PAGE);
    Ok(found)
}

fn claim_anywhere(operation: &Operation, table: Table, kind: Type) -> Result<Claim> {
    // At most one round a page of the table.
    for number in 0..control::OBJECT_CHUNK_COUNT {
        if table.page(number).is_none() {
            match operation.install_objects_page(table.directory(number)) {
                // Lost to another agent, whose page serves as well.
                Ok(_) => {}
                Err(error @ Error::OutOfMemory { .. }) => return claim_by_truth(operation, table, kind)?.ok_or(error),
                Err(other) => return Err(other),
            }
        } else if let Some(full) = table.full_word(number)
            && table.memory.load64(full) & bit(number) != 0
        {
            continue;
        }
        if let Some(claim) = claim_in(operation, table, number, kind, true)? {
            return Ok(claim);
        }
        fill(table, number);
    }
    let all = u64::from(control::OBJECT_CHUNK_COUNT) * u64::from(PER_PAGE) * u64::from(SIZE);
    claim_by_truth(operation, table, kind)?.ok_or_else(|| Error::out_of_memory(u64::from(SIZE), all, all))
}

/// Looks at every entry of the table, whatever the hints say.
#[cold]
fn claim_by_truth(operation: &Operation, table: Table, kind: Type) -> Result<Option<Claim>> {
    for number in 0..control::OBJECT_CHUNK_COUNT {
        if table.page(number).is_none() {
            break;
        }
        if let Some(claim) = claim_in(operation, table, number, kind, false)? {
            return Ok(Some(claim));
        }
    }
    Ok(None)
}

/// Hint: no entry of the page is free.
fn fill(table: Table, number: u32) {
    let (Some(page), Some(full)) = (table.page(number), table.full_word(number)) else { return };
    table.memory.fetch_or64(full, bit(number));
    // An entry that was shown between the look and the hint takes the hint back.
    for word in 0..BITMAP {
        if !table.memory.load64_ordered(page.wrapping_add(word * 8)) & places(word) != 0 {
            table.memory.fetch_and64(full, !bit(number));
            return;
        }
    }
}

/// The bits of a bitmap word that stand for entries: the header has none.
fn places(word: u32) -> u64 {
    if word * 64 < FIRST { !0 << FIRST } else { !0 }
}

fn claim_in(operation: &Operation, table: Table, number: u32, kind: Type, hinted: bool) -> Result<Option<Claim>> {
    let Some(page) = table.page(number) else { return Ok(None) };
    // Agents begin at different words, so that they rarely meet.
    let first = operation.agent().index().wrapping_mul(5);
    for step in 0..BITMAP {
        let word = first.wrapping_add(step) % BITMAP;
        let busy = if hinted { table.memory.load64(page.wrapping_add(word * 8)) } else { 0 };
        let mut free = !busy & places(word);
        while free != 0 {
            let index = number * PER_PAGE + word * 64 + free.trailing_zeros();
            free &= free.wrapping_sub(1);
            if let Some(claim) = claim_entry(operation, table, index, kind)? {
                return Ok(Some(claim));
            }
        }
    }
    Ok(None)
}

fn claim_entry(operation: &Operation, table: Table, index: u32, kind: Type) -> Result<Option<Claim>> {
    let Some(entry) = table.entry(index) else { return Ok(None) };
    let mut word = table.word(entry);
    if word.is(State::Dying) {
        finish(operation, Handle { index, generation: word.generation() })?;
        word = table.word(entry);
    }
    let generation = match word.state() {
        Some(State::Virgin) => table.first_generation(index),
        Some(State::Free) => word.generation(),
        // Somebody is still writing to it: the hint stays.
        Some(State::Dying) => return Ok(None),
        Some(State::Raw | State::Live | State::Retired) | None => {
            table.hide(index);
            if matches!(table.word(entry).state(), Some(State::Free | State::Dying)) {
                table.show(index);
            }
            return Ok(None);
        }
    };
    let handle = Handle { index, generation };
    operation.note(Note { handle, purpose: Purpose::Making }.to_word());
    let raw = EntryWord::new(generation, operation.agent().index(), kind as u8, State::Raw);
    if table.memory.compare_exchange64(entry, word.0, raw.0).is_err() {
        return Ok(None);
    }
    table.hide(index);
    Ok(Some(Claim { handle, entry, word: raw }))
}

/// Publishes a claimed entry: RAW → LIVE, and `block` with it. The agent has a reference, and if the object is named, so
/// has the directory. If the caller dies before, recovery frees both.
///
/// # Errors
/// [`Error::Corrupt`] when somebody else changed a raw entry, [`Error::NotAllocated`] when the block is not private: the
/// entry is given back.
pub(crate) fn publish(
    operation: &Operation,
    claim: Claim,
    value: u64,
    info: Info,
    block: Option<Block>,
) -> Result<Handle> {
    let memory = operation.memory();
    let generation = claim.handle.generation;
    memory.set_own64(claim.entry.wrapping_add(VALUE), value);
    memory.set_own64(claim.entry.wrapping_add(INFO), info.0);
    let references = 1 + u32::from(info.bucket().is_some());
    memory.store64(claim.entry.wrapping_add(COUNT), CountWord::new(references, generation).0);
    memory.store64(claim.entry.wrapping_add(PARKED), CountWord::new(0, generation).0);
    let holder = Holder::of(operation);
    // Before the object can be found: whoever recovers this agent finds what to give back.
    holdings::insert(memory, holder, claim.handle)?;
    let live = claim.word.with_state(State::Live);
    let done = match block {
        Some(_) => operation.replace(claim.entry, claim.word.0, live.0, block, None).map(|done| done.is_ok()),
        None => Ok(memory.compare_exchange64(claim.entry, claim.word.0, live.0).is_ok()),
    };
    if matches!(done, Ok(true)) {
        return Ok(claim.handle);
    }
    holdings::remove(memory, holder, claim.handle)?;
    abandon(operation, claim);
    done.and_then(|_| Err(Error::corrupt(rule::ENTRY_WORD, claim.entry)))
}

/// Gives a claimed entry back: RAW → FREE.
pub(crate) fn abandon(operation: &Operation, claim: Claim) {
    free_raw(Table::of(operation), claim.handle.index, claim.entry, claim.word);
}

/// As [`abandon`], by whoever recovers its maker.
pub(crate) fn free_raw(table: Table, index: u32, entry: Address, word: EntryWord) {
    if table.memory.compare_exchange64(entry, word.0, table.freed(word, index).0).is_ok() {
        table.show(index);
    }
}
