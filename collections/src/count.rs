//! Counted references: an object lives until the last one is given back.
//!
//! A reference belongs to an agent ([`crate::holdings`]), to the name directory, or to nobody: those are *parked*, and
//! who opens the object next gets one. An entry has two words that count, one the references and one the parked ones
//! among them:
//!
//! `count 16 · generation 16 (the low bits) · last slot 12 · last sequence 20`
//!
//! # Each change happens once
//! A +1 that was cut short must not happen twice, nor never. Before each change an agent writes into its slot what it
//! is about to do, under a *sequence* that is never used again; the change is one compare-exchange, which leaves the
//! maker's {slot, sequence} in the word as its *mark*. So a mark says that a change happened. Who changes the word next
//! overwrites the mark: if that change is still in its maker's record, it first raises the maker's *done* word to that
//! sequence. Recovery looks at the word and then at *done*: the mark is there, or was noted, or the change did not
//! happen and no longer can, because its maker is not running.
//!
//! A mark has only the low bits of a sequence. Two changes are never confused nevertheless: who begins a change takes the
//! next sequence if its own mark of old stands in the word with the same low bits; and who notes a mark looks whether
//! the record is about this very word, and whether the mark still stands there.
//!
//! The model is `tests/models/count.test.mjs`.
//!
//! # Which word the changes hit
//! Entries are words of the table for ever, but a word may count the references of the next object. An agent that takes
//! a reference holds the object first ([`crate::hold`]): until it lets go, the entry is not used again. One that gives a
//! reference back has one, and the object cannot end before. So an agent's hold is another one after a call of this
//! module.
//!
//! # If the caller dies here
//! [`settle`] decides from the record: taking a reference has happened or not; giving back is done. What the agent still
//! holds is in its holdings, see [`give_back`].
//!
//! Lock-free: a retry means that another agent changed the count.

use coheap_alloc::layout::slot;
use coheap_alloc::{Address, Error, Memory, Operation, Result};

use crate::claim::{self, Note, Purpose};
use crate::holdings::{self, Holder};
use crate::object::{COUNT, Handle, INFO, Info, PARKED, Table, Type};
use crate::wait::{Host, Wake};
use crate::{hold, rule};

/// References that an object can have.
pub const MOST: u32 = 0xFFFF;

/// A word that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CountWord(pub u64);

/// Bits of a sequence that a mark has.
const MARK_BITS: u64 = 0xF_FFFF;

impl CountWord {
    /// A word without a mark.
    #[must_use]
    pub fn new(count: u32, generation: u32) -> Self {
        Self((count & MOST) as u64 | ((generation & 0xFFFF) as u64) << 16)
    }

    fn changed(self, count: u32, holder: Holder, sequence: u64) -> Self {
        let kept = self.0 & 0xFFFF_0000;
        Self(kept | (count & MOST) as u64 | ((holder.index & 0xFFF) as u64) << 32 | (sequence & MARK_BITS) << 44)
    }

    /// How many.
    #[must_use]
    pub fn count(self) -> u32 {
        self.0 as u32 & MOST
    }

    fn fits(self, handle: Handle) -> bool {
        (self.0 >> 16) as u32 & 0xFFFF == handle.generation & 0xFFFF
    }

    fn slot(self) -> u32 {
        (self.0 >> 32) as u32 & 0xFFF
    }

    /// The sequence's low bits, or 0 when nobody left a mark.
    fn sequence(self) -> u64 {
        self.0 >> 44
    }

    fn is_marked(self, holder: Holder, sequence: u64) -> bool {
        self.slot() == holder.index & 0xFFF && self.sequence() == sequence & MARK_BITS
    }
}

/// One of the two counts of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// All references.
    All,
    /// Those of nobody.
    Parked,
    /// The entries of a map, whose head lies where the entry would.
    Entries,
}

/// A word that counts, of the object of a handle.
#[derive(Clone, Copy, Debug)]
pub struct Counted {
    /// Where its entry lies.
    pub entry: Address,
    /// The object.
    pub handle: Handle,
    /// Which of its counts.
    pub which: Which,
}

/// Marks the parked count in a record's target, in the index's unused bits.
const OF_PARKED: u64 = 1 << 31;
/// Marks the count of a map's head, whose address stands where the generation would.
const OF_ENTRIES: u64 = 1 << 30;

impl Counted {
    fn at(self) -> Address {
        self.entry.wrapping_add(match self.which {
            Which::All => COUNT,
            Which::Parked => PARKED,
            Which::Entries => 0,
        })
    }

    /// The count of the entries of a map, whose head is at `head`.
    #[inline]
    pub(crate) fn of_entries(head: Address) -> Self {
        Self { entry: head, handle: Handle { index: 0, generation: 0 }, which: Which::Entries }
    }

    /// Where the head of the map lies whose count a record's target is, if it is one.
    pub(crate) fn head_of(target: u64) -> Option<Address> {
        (target as u32 as u64 == OF_ENTRIES).then_some((target >> 32) as Address)
    }

    /// What the word becomes. A map's count has 32 bits, comes round, and never refuses.
    #[inline]
    fn next(self, seen: CountWord, add: bool) -> Result<u32, Refused> {
        match (self.which, seen.fits(self.handle), seen.count(), add) {
            (Which::Entries, _, _, true) => Ok((seen.0 as u32).wrapping_add(1)),
            (Which::Entries, _, _, false) => Ok((seen.0 as u32).wrapping_sub(1)),
            // A count of references that is 0 stays 0; one of parked references may rise again.
            (_, false, ..) | (_, _, 0, false) | (Which::All, _, 0, true) => Err(Refused::Gone),
            (_, _, MOST, true) => Err(Refused::Full),
            (_, _, count, true) => Ok(count + 1),
            (_, _, count, false) => Ok(count - 1),
        }
    }

    #[inline]
    fn changed(self, seen: CountWord, count: u32, holder: Holder, sequence: u64) -> u64 {
        let word = seen.changed(count, holder, sequence).0;
        if self.which == Which::Entries { word & !0xFFFF_FFFF | u64::from(count) } else { word }
    }

    /// What stands in the records of those who change it.
    fn target(self) -> u64 {
        match self.which {
            Which::All => self.handle.to_word(),
            Which::Parked => self.handle.to_word() | OF_PARKED,
            Which::Entries => OF_ENTRIES | u64::from(self.entry) << 32,
        }
    }

    /// How many there are.
    pub(crate) fn count(self, memory: Memory) -> u32 {
        self.load(memory).count()
    }

    fn load(self, memory: Memory) -> CountWord {
        CountWord(memory.load64_ordered(self.at()))
    }
}

/// Why a count changes. Numbers of the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Change {
    /// The holder takes a reference.
    Acquire = 1,
    /// The holder gives its reference back.
    Release = 2,
    /// The name is removed, and the directory's reference goes.
    Unname = 3,
    /// The holder's reference becomes a parked one.
    Park = 4,
    /// A parked reference becomes the holder's.
    Take = 5,
    /// A parked reference is taken by one who has one.
    Absorb = 6,
    /// … and goes.
    Absorbed = 7,
    /// A place of a map is claimed for an entry, which nobody finds yet.
    Claim = 8,
    /// An entry of a map is inserted, and counted once it has a value.
    Insert = 9,
    /// An entry of a map is deleted, and not counted any more.
    Delete = 10,
    /// A map gets a new head.
    Clear = 11,
    /// A structure is about to have a reference, see [`crate::nested`].
    Nest = 12,
    /// A structure had one, which goes.
    Drop = 13,
}

impl Change {
    pub(crate) fn from_word(word: u64) -> Option<Self> {
        [
            Self::Acquire,
            Self::Release,
            Self::Unname,
            Self::Park,
            Self::Take,
            Self::Absorb,
            Self::Absorbed,
            Self::Claim,
            Self::Insert,
            Self::Delete,
            Self::Clear,
            Self::Nest,
            Self::Drop,
        ]
        .into_iter()
        .find(|&change| change as u64 == word)
    }
}

/// Why a count could not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It is 0 already, or another object's: the object is gone.
    Gone,
    /// It can be no larger.
    Full,
}

/// The sequence after this one: never one whose mark would look like none.
fn after(sequence: u64) -> u64 {
    let next = sequence.wrapping_add(1);
    if next & MARK_BITS == 0 { next.wrapping_add(1) } else { next }
}

fn field(holder: Holder, offset: Address) -> Address {
    holder.slot.wrapping_add(offset)
}

/// Draws the sequence of a change of this word. The mark of an old change of the same holder may stand in it: the new
/// one is another.
fn draw(memory: Memory, holder: Holder, counted: Counted) -> u64 {
    let mut sequence = after(memory.load64(field(holder, slot::SEQUENCE)));
    #[cfg(feature = "controls")]
    let skip = !crate::controls::is_on(crate::controls::OLD_MARK);
    #[cfg(not(feature = "controls"))]
    let skip = true;
    if skip && counted.load(memory).is_marked(holder, sequence) {
        sequence = after(sequence);
    }
    memory.store64(field(holder, slot::SEQUENCE), sequence);
    sequence
}

/// Writes into the holder's slot what is about to change, and why. From here on recovery decides. The answer is the
/// change's sequence.
pub fn begin(memory: Memory, holder: Holder, counted: Counted, change: Change) -> u64 {
    let change_at = field(holder, slot::CHANGE);
    if memory.own64(change_at) != 0 {
        // What an error left: with another target it would be another change.
        memory.store64(change_at, 0);
    }
    let sequence = draw(memory, holder, counted);
    let target = field(holder, slot::TARGET);
    if memory.own64(target) != counted.target() {
        memory.store64(target, counted.target());
    }
    memory.store64(field(holder, slot::COUNTING), sequence);
    // Last: until here there is nothing to decide.
    memory.store64(change_at, change as u64);
    sequence
}

/// Nothing is in flight any more.
pub fn end(memory: Memory, holder: Holder) {
    memory.store64(field(holder, slot::CHANGE), 0);
    memory.store64(field(holder, slot::COUNTING), 0);
}

/// Adds to the count, under the holder's mark, and answers what it is then.
///
/// # Errors
/// Why nothing changed.
pub fn change(memory: Memory, holder: Holder, counted: Counted, add: bool, sequence: u64) -> Result<u32, Refused> {
    let mut seen = counted.load(memory);
    loop {
        let count = counted.next(seen, add)?;
        #[cfg(feature = "controls")]
        if crate::controls::is_on(crate::controls::NOTE_AFTER) {
            // Seeded bug: notes the mark of another's change when it is overwritten already.
            match memory.compare_exchange64(counted.at(), seen.0, counted.changed(seen, count, holder, sequence)) {
                Ok(_) => {
                    note(memory, holder, counted, seen);
                    return Ok(count);
                }
                Err(found) => {
                    seen = CountWord(found);
                    continue;
                }
            }
        }
        note(memory, holder, counted, seen);
        match memory.compare_exchange64(counted.at(), seen.0, counted.changed(seen, count, holder, sequence)) {
            Ok(_) => return Ok(count),
            Err(found) => seen = CountWord(found),
        }
    }
}

/// Notes that the change whose mark is about to be overwritten has happened, if its maker's record still has it.
fn note(memory: Memory, holder: Holder, counted: Counted, seen: CountWord) {
    if seen.sequence() == 0 || seen.slot() == holder.index & 0xFFF {
        return;
    }
    // The maker's slot is in the same chunks as all others; a word that says otherwise was not written by coheap.
    let Some(maker) = other(memory, holder, seen.slot()) else { return };
    let at = field(maker, slot::DONE);
    // Another round means that another agent noted a change of this maker.
    loop {
        let done = memory.load64_ordered(at);
        let sequence = memory.load64_ordered(field(maker, slot::COUNTING));
        if sequence == 0 || sequence & MARK_BITS != seen.sequence() || done >= sequence {
            return;
        }
        // The target changes only while nothing is in flight, so it is this sequence's if the sequence stays. And the
        // mark is this sequence's if it stands in the word now: when it was drawn, another one did.
        let target = memory.load64_ordered(field(maker, slot::TARGET));
        let same = memory.load64_ordered(field(maker, slot::COUNTING)) == sequence && target == counted.target();
        #[cfg(feature = "controls")]
        let same = same || crate::controls::is_on(crate::controls::NOTE_ANYTHING);
        if !same || counted.load(memory) != seen || memory.compare_exchange64(at, done, sequence).is_ok() {
            return;
        }
    }
}

fn other(memory: Memory, holder: Holder, index: u32) -> Option<Holder> {
    let control = memory.load32(field(holder, slot::CONTROL));
    coheap_alloc::slot::find(memory, control, index).map(|slot| Holder { slot, index })
}

/// Whether a change that was cut short has happened. Its maker does not run, so it cannot happen any more.
#[must_use]
pub fn happened(memory: Memory, holder: Holder, counted: Counted, sequence: u64) -> bool {
    #[cfg(feature = "controls")]
    if crate::controls::is_on(crate::controls::DONE_FIRST) {
        // Seeded bug: the mark may be overwritten, and noted, between the two loads.
        let done = memory.load64_ordered(field(holder, slot::DONE));
        return counted.load(memory).is_marked(holder, sequence) || done >= sequence;
    }
    // In this order: a mark that is not there any more was noted before it went.
    counted.load(memory).is_marked(holder, sequence) || memory.load64_ordered(field(holder, slot::DONE)) >= sequence
}

pub(crate) fn no_object(handle: Handle) -> impl FnOnce(Refused) -> Error {
    move |refused| match refused {
        Refused::Gone => handle.stale(),
        Refused::Full => Error::TooManyReferences { index: handle.index, maximum: MOST },
    }
}

/// Takes a reference of this agent to the object of a handle, or a parked one if there is one, and answers the object's
/// type. An agent that has a reference keeps the one. With `kind`, an object of another type is refused.
///
/// If the caller dies before the operation ends, it has no reference, or gives it back.
///
/// # Errors
/// [`Error::StaleHandle`], [`Error::WrongType`], [`Error::TooManyReferences`], [`Error::OutOfMemory`].
pub fn acquire(operation: &Operation, handle: Handle, kind: Option<Type>) -> Result<Type> {
    let table = Table::of(operation);
    let (memory, holder) = (table.memory, Holder::of(operation));
    let entry = table.entry(handle.index).ok_or_else(|| handle.stale())?;
    let word = table.check_any(entry, handle)?;
    let found = u32::from(word.kind());
    let Some(found) = Type::from_tag(found).filter(|&found| kind.is_none_or(|kind| kind == found)) else {
        return Err(Error::WrongType { expected: kind.map_or(0, |kind| kind as u32), found });
    };
    let parked = Counted { entry, handle, which: Which::Parked };
    if holdings::holds(memory, holder, handle)? {
        if parked.load(memory).count() != 0 {
            operation.note(Note { handle, purpose: Purpose::Releasing }.to_word());
            absorb(memory, holder, parked)?;
        }
        return Ok(found);
    }
    holdings::reserve(operation)?;
    hold::hold_any(operation, handle)?;
    let taken = take(operation, holder, entry, handle);
    hold::let_go(operation, handle)?;
    taken.map(|()| found)
}

/// A reference to the object of `handle` in `entry`, which is held, becomes this agent's.
fn take(operation: &Operation, holder: Holder, entry: Address, handle: Handle) -> Result<()> {
    let memory = operation.memory();
    let parked = Counted { entry, handle, which: Which::Parked };
    if parked.load(memory).count() != 0 {
        operation.note(Note { handle, purpose: Purpose::Taking }.to_word());
        let sequence = begin(memory, holder, parked, Change::Take);
        let taken = change(memory, holder, parked, false, sequence).map(|_| holdings::insert(memory, holder, handle));
        end(memory, holder);
        if let Ok(held) = taken {
            return held;
        }
        // Somebody else took it.
    }
    operation.note(Note { handle, purpose: Purpose::Acquiring }.to_word());
    let all = Counted { entry, handle, which: Which::All };
    let sequence = begin(memory, holder, all, Change::Acquire);
    let taken = change(memory, holder, all, true, sequence)
        .map_err(no_object(handle))
        .and_then(|_| holdings::insert(memory, holder, handle));
    end(memory, holder);
    taken
}

/// A parked reference is taken by a holder that has one already, so that there is one too many.
fn absorb(memory: Memory, holder: Holder, parked: Counted) -> Result<()> {
    let sequence = begin(memory, holder, parked, Change::Absorb);
    let taken = change(memory, holder, parked, false, sequence).is_ok();
    if taken {
        return absorbed(memory, holder, parked);
    }
    end(memory, holder);
    Ok(())
}

/// The second half, from the parked reference that is nobody's now.
fn absorbed(memory: Memory, holder: Holder, parked: Counted) -> Result<()> {
    let all = Counted { which: Which::All, ..parked };
    let sequence = draw(memory, holder, all);
    memory.store64(field(holder, slot::SECOND), sequence);
    // The commit: from here on recovery does the second change.
    memory.store64(field(holder, slot::CHANGE), Change::Absorbed as u64);
    drop_surplus(memory, holder, all, sequence)
}

fn drop_surplus(memory: Memory, holder: Holder, all: Counted, sequence: u64) -> Result<()> {
    memory.store64(field(holder, slot::COUNTING), 0);
    memory.store64(field(holder, slot::TARGET), all.target());
    memory.store64(field(holder, slot::COUNTING), sequence);
    // The holder's own reference stays, so the count does not become 0.
    let dropped = change(memory, holder, all, false, sequence);
    end(memory, holder);
    dropped.map(drop).map_err(no_object(all.handle))
}

/// Gives this agent's reference back; with the last one the object ends. Never blocks; works when memory is exhausted.
///
/// What the answer names is to be notified after the operation. If the caller dies here: recovery gives it back.
///
/// # Errors
/// [`Error::StaleHandle`], also when the agent has no reference; [`Error::WrongType`].
pub fn release(operation: &Operation, handle: Handle, kind: Type) -> Result<Wake> {
    let table = Table::of(operation);
    table.find(handle, kind)?;
    release_any(operation, handle)
}

/// As [`release`], whatever the object's type.
///
/// # Errors
/// [`Error::StaleHandle`], also when the agent has no reference.
pub fn release_any(operation: &Operation, handle: Handle) -> Result<Wake> {
    let holder = Holder::of(operation);
    if !holdings::holds(operation.memory(), holder, handle)? {
        return Err(handle.stale());
    }
    operation.note(Note { handle, purpose: Purpose::Releasing }.to_word());
    release_of(operation, holder, handle)
}

/// Gives a holder's reference back, which it has.
pub(crate) fn release_of(operation: &Operation, holder: Holder, handle: Handle) -> Result<Wake> {
    let table = Table::of(operation);
    let entry = table.entry(handle.index).ok_or_else(|| handle.stale());
    let entry = match entry.and_then(|entry| table.check_any(entry, handle).map(|_| entry)) {
        Ok(entry) => entry,
        Err(error) => {
            // An object that was taken back, although somebody guessed its handle.
            holdings::remove(operation.memory(), holder, handle)?;
            return Err(error);
        }
    };
    let all = Counted { entry, handle, which: Which::All };
    let sequence = begin(table.memory, holder, all, Change::Release);
    let left = change(table.memory, holder, all, false, sequence);
    released(operation, holder, all, left)
}

/// What follows when the reference is not counted any more.
fn released(operation: &Operation, holder: Holder, all: Counted, left: Result<u32, Refused>) -> Result<Wake> {
    // First: what ends may be a map, and to take that apart changes other counts.
    let removed = holdings::remove(operation.memory(), holder, all.handle);
    let ended = if matches!(left, Ok(0)) { claim::end(operation, all.handle) } else { Ok(Wake::NONE) };
    end(operation.memory(), holder);
    left.map_err(no_object(all.handle))?;
    removed?;
    ended
}

/// Makes this agent's reference one of nobody: who opens the object next has it. The object stays until then.
///
/// If the caller dies here, the agent has the reference, or nobody.
///
/// # Errors
/// [`Error::StaleHandle`], also when the agent has no reference; [`Error::TooManyReferences`].
pub fn park(operation: &Operation, handle: Handle) -> Result<()> {
    let holder = Holder::of(operation);
    if !holdings::holds(operation.memory(), holder, handle)? {
        return Err(handle.stale());
    }
    operation.note(Note { handle, purpose: Purpose::Releasing }.to_word());
    park_of(operation, holder, handle)
}

/// Parks a holder's reference, which it has.
pub(crate) fn park_of(operation: &Operation, holder: Holder, handle: Handle) -> Result<()> {
    let table = Table::of(operation);
    let memory = table.memory;
    let entry = table.entry(handle.index).ok_or_else(|| handle.stale())?;
    table.check_any(entry, handle)?;
    let parked = Counted { entry, handle, which: Which::Parked };
    let sequence = begin(memory, holder, parked, Change::Park);
    let done = change(memory, holder, parked, true, sequence)
        .map_err(no_object(handle))
        .and_then(|_| holdings::remove(memory, holder, handle));
    end(memory, holder);
    done
}

/// Takes its name from an object, and the directory's reference with it; `None` when it has no name (any more). Works
/// when memory is exhausted.
///
/// # Errors
/// [`Error::StaleHandle`].
pub(crate) fn unname(operation: &Operation, handle: Handle) -> Result<Option<Wake>> {
    let table = Table::of(operation);
    let (memory, holder) = (table.memory, Holder::of(operation));
    let entry = hold::hold_any(operation, handle)?;
    let at = entry.wrapping_add(INFO);
    let info = Info(memory.load64(at));
    let mut done = Ok(None);
    if info.bucket().is_some() {
        operation.note(Note { handle, purpose: Purpose::Releasing }.to_word());
        let all = Counted { entry, handle, which: Which::All };
        let sequence = begin(memory, holder, all, Change::Unname);
        if memory.compare_exchange64(at, info.0, info.removed(holder.index).0).is_ok() {
            let left = change(memory, holder, all, false, sequence);
            done = unnamed(operation, all, left).map(Some);
        }
        end(memory, holder);
    }
    hold::let_go(operation, handle)?;
    done
}

fn unnamed(operation: &Operation, all: Counted, left: Result<u32, Refused>) -> Result<Wake> {
    match left {
        Ok(0) => claim::end(operation, all.handle),
        Ok(_) => Ok(Wake::NONE),
        Err(_) => Err(Error::Corrupt { rule: rule::COUNT, address: all.entry }),
    }
}

/// Decides what the holder's record says about a count: a reference was taken or not; what was being given back is given
/// back. Idempotent; the holder does not run, but for this. Nothing when nothing was in flight.
///
/// # Errors
/// [`Error::Corrupt`].
pub fn settle(operation: &Operation, holder: Holder) -> Result<()> {
    let memory = operation.memory();
    let target = memory.load64(field(holder, slot::TARGET));
    let Some(why) = Change::from_word(memory.load64(field(holder, slot::CHANGE))) else {
        end(memory, holder);
        return Ok(());
    };
    let handle = Handle::from_word(target & !OF_PARKED);
    // Of a holder that gave its reference back the object may have ended: then that has happened.
    let settled = match hold::hold_any(operation, handle) {
        Ok(entry) => {
            let settled = settle_held(operation, holder, why, entry, handle);
            let finished = hold::let_go(operation, handle);
            settled.and(finished)
        }
        Err(_) => holdings::remove(operation.memory(), holder, handle),
    };
    end(memory, holder);
    settled
}

fn settle_held(operation: &Operation, holder: Holder, why: Change, entry: Address, handle: Handle) -> Result<()> {
    let memory = operation.memory();
    let sequence = memory.load64(field(holder, slot::COUNTING));
    let all = Counted { entry, handle, which: Which::All };
    let parked = Counted { entry, handle, which: Which::Parked };
    // Gives a reference back, unless that happened; then whoever comes first ends the object.
    let give = |sequence| {
        if happened(memory, holder, all, sequence) {
            Ok(all.load(memory).count())
        } else {
            change(memory, holder, all, false, sequence)
        }
    };
    match why {
        Change::Acquire if happened(memory, holder, all, sequence) => holdings::insert(memory, holder, handle),
        Change::Take if happened(memory, holder, parked, sequence) => holdings::insert(memory, holder, handle),
        Change::Park if happened(memory, holder, parked, sequence) => {
            holdings::remove(operation.memory(), holder, handle)
        }
        Change::Absorb if happened(memory, holder, parked, sequence) => absorbed(memory, holder, parked),
        Change::Acquire | Change::Take | Change::Park | Change::Absorb => Ok(()),
        Change::Release => released(operation, holder, all, give(sequence)).map(drop),
        Change::Unname if Info(memory.load64(entry.wrapping_add(INFO))).remover() == Some(holder.index) => {
            unnamed(operation, all, give(sequence)).map(drop)
        }
        // Not removed, or by another agent; and what is a map's or a structure's is not settled here.
        Change::Unname
        | Change::Claim
        | Change::Insert
        | Change::Delete
        | Change::Clear
        | Change::Nest
        | Change::Drop => Ok(()),
        Change::Absorbed => {
            let second = memory.load64(field(holder, slot::SECOND));
            if sequence == second && happened(memory, holder, all, second) {
                return Ok(());
            }
            drop_surplus(memory, holder, all, second)
        }
    }
}

/// Gives back the next reference that the holder has at a place not before `from`: the place to go on from, and who is
/// to be woken; `None` when there is none. One step, so that giving back many is many operations.
///
/// # Errors
/// [`Error::Corrupt`].
pub fn give_back(operation: &Operation, holder: Holder, from: u32) -> Result<Option<(u32, Wake)>> {
    let Some((handle, next)) = holdings::next(operation.memory(), holder, from)? else { return Ok(None) };
    operation.note(Note { handle, purpose: Purpose::Releasing }.to_word());
    let wake = match release_of(operation, holder, handle) {
        Ok(wake) => wake,
        // It was nothing that could be given back; it is not held any more.
        Err(Error::StaleHandle { .. }) => Wake::NONE,
        Err(error) => return Err(error),
    };
    Ok(Some((next, wake)))
}

/// Gives back what the agent holds and leaves the heap. Never blocks; linear in its holdings and in the pages of the
/// heap.
///
/// # Errors
/// Those of [`coheap_alloc::Agent::detach`].
pub fn detach(agent: coheap_alloc::Agent, host: &impl Host) -> Result<()> {
    if agent.memory().own32(agent.slot().wrapping_add(slot::DEPTH)) != 0 {
        return Err(Error::Busy { agent: agent.index() });
    }
    let mut from = 0;
    // One round a holding. What cannot be read is left to whoever has the slot next.
    while let Ok(entry) = host.enter(agent)
        && let Ok(Some((next, wake))) = agent.run(entry, |operation| give_back(operation, Holder::of(operation), from))
    {
        from = next;
        wake.notify(host);
    }
    if let Ok(entry) = host.enter(agent) {
        // Not done is no harm: whoever has the slot next uses it.
        let _ = agent.run(entry, |operation| holdings::clear(operation, Holder::of(operation)));
    }
    agent.detach()
}
