//! Many additions, and the commit of a loan with them, as one step: all of it or nothing.
//!
//! An addition has no identity: of a number that others add to as well nobody can say afterwards which additions it has. So
//! they are made in two phases, by a descriptor as in Harris', Fraser's and Pratt's multi-word compare-and-swap (2002):
//!
//! 1. For each key there is a *record*: where its value word is, the value before, and the value after. The value word is
//!    exchanged for one that names slot, sequence and record: the entry has *joined*. A key that is not there gets an
//!    entry that has joined from the beginning.
//! 2. One exchange of the *phase* in the agent's slot decides: from then on every joined entry has the value after.
//!
//! Then each value word is exchanged for the value, an entry that was made for nothing is deleted, and the loan is
//! committed. `IDLE → UNDECIDED → COMMITTED → SETTLED → IDLE`, or `UNDECIDED → ABORTED → IDLE`.
//!
//! # Who meets a joined entry
//! Readers take the value that the phase says, and see afterwards that neither phase nor word is another; they never
//! wait. Writers finish what is decided. What is undecided they wait for as long as it gets on, which is not long: all
//! agents join in the order of the keys' hashes, so hardly any waits for one that waits for it. If it does not get on, because
//! its agent is stopped or dead, they abort it: its agent begins anew, and the others wait longer each time, so that at last it
//! gets its turn.
//!
//! # If the caller dies here
//! What was decided is finished by recovery, what was not is taken back ([`settle::settle`]), before its loans go back to their pipe.
//!
//! # Not promised
//! A writer that is stopped between its look at a record and its exchange while the same agent makes exactly a multiple
//! of 65,536 transactions, of which the last has the same entry by the same record and is under way, takes the one for the
//! other. A `clear` at the same time comes after it. Sizes count entries that may never have a value.

mod look;
mod settle;
mod sort;
mod words;

use coheap_alloc::layout::slot;
use coheap_alloc::{Address, Block, Error, Kind, Operation, Result};

use super::change::{Action, Wish, attempt};
use super::key::Key;
use super::view::corrupt;
use super::words as entry_words;
use super::writer::Writer;
use crate::block;
use crate::claim::{Note, Purpose};
use crate::holdings::Holder;
use crate::object::{Handle, Table};
use crate::pipe::{self, Lease};
use crate::string::{Made, Stored};
use crate::value;
use crate::wait::Wake;

pub(crate) use look::records_of;
pub(super) use look::{Met, look_at_value, meet, value_of};
pub(crate) use settle::settle_some;

use words::*;

/// Additions of one transaction at most.
pub const MOST: u32 = 1 << 16;
/// Rounds in which others abort it until it is given up.
const ATTEMPTS: u32 = 64;

/// The additions of a transaction, which can be read again and again, without changing the heap.
pub trait Additions {
    /// How many there are.
    fn count(&self) -> u32;

    /// Calls `f` with the key and the number of the addition at a position, 0 for the first, and answers what it does and the position
    /// of the next.
    ///
    /// # Errors
    /// Why it cannot be read, and those of `f`.
    fn with<R>(&self, position: u32, f: impl FnOnce(&Key<'_>, f64) -> Result<R>) -> Result<(R, u32)>;
}

/// Adds to the numbers of keys, to 0 where one is not there, and commits a loan of a pipe: all of it or nothing, as one
/// step for whoever reads any of it.
///
/// # Errors
/// [`Error::NotANumber`], [`Error::LeaseLost`], [`Error::OutOfRange`] for more than [`MOST`] additions, [`Error::Busy`] when
/// others abort it again and again, or when `additions` calls this, those of [`super::set`]: map and loan are as they were. Not so
/// [`Error::Corrupt`], after which all may have happened.
pub fn add_many(
    operation: &Operation,
    handle: Handle,
    additions: &impl Additions,
    loan: Option<(Handle, Lease)>,
) -> Result<Wake> {
    let count = additions.count();
    if count > MOST {
        return Err(Error::out_of_range(0, count.into(), MOST.into()));
    }
    if let Some((pipe, lease)) = loan {
        pipe::check_lease(operation, pipe, lease)?;
    }
    if phase(operation.memory().load64(operation.agent().slot().wrapping_add(slot::TRANSACTION))) == UNDECIDED {
        // Called by the additions of another one of this agent.
        return Err(Error::busy(operation.agent().index()));
    }
    // What an error left.
    let _ = settle::settle(operation, Holder::of(operation))?;
    let sorted = block::allocate(operation, count.max(1) * 8, Kind::Map)?;
    let done = prepare(operation, handle, additions, sorted.address, loan)
        .and_then(|records| decide(operation, handle, additions, sorted.address, records));
    block::free(operation, sorted)?;
    let settled = settle::settle(operation, Holder::of(operation));
    done.and(settled)
}

/// Sorts the additions, and makes room for their records.
fn prepare(
    operation: &Operation,
    handle: Handle,
    additions: &impl Additions,
    sorted: Address,
    loan: Option<(Handle, Lease)>,
) -> Result<Block> {
    let memory = operation.memory();
    let count = additions.count();
    let mut position = 0;
    for number in 0..count {
        let (order, next) = additions.with(position, |key, _| key.order(Table::of(operation)))?;
        memory.set_own64(sorted.wrapping_add(number * 8), u64::from(order) << 32 | u64::from(position));
        position = next;
    }
    sort::sort(memory, sorted, count);
    let records = block::allocate(operation, RECORDS + count * RECORD, Kind::Map)?;
    write_head(operation, records.address, handle, loan);
    // From here on recovery looks at the slot's words.
    operation.note(Note { handle, purpose: Purpose::Mapping }.to_word());
    let at = operation.agent().slot().wrapping_add(slot::TRANSACTION_RECORDS);
    if operation.replace(at, 0, records.to_word(), Some(records), None)?.is_err() {
        return corrupt(at);
    }
    Ok(records)
}

/// Joins and commits.
fn decide(
    operation: &Operation,
    handle: Handle,
    additions: &impl Additions,
    sorted: Address,
    records: Block,
) -> Result<()> {
    // Another round means that another agent, which needed a key, got on instead: the more there were, the longer others wait.
    for attempt in 0..ATTEMPTS {
        let writer = Writer::enter(operation, handle)?;
        let decided = writer.join_all(additions, sorted, records, attempt).map(|undecided| writer.commit(undecided));
        let left = settle::finish_entries(operation, Holder::of(operation), records, u32::MAX);
        let tidied = writer.tidy_cleared();
        writer.leave();
        if decided? {
            // What others left is not what the caller asks about.
            return Ok(());
        }
        left.and(tidied)?;
    }
    Err(Error::busy(operation.agent().index()))
}

/// As [`add_many`], up to the decision or not even that: for models in which the agent dies there.
///
/// # Errors
/// As [`add_many`].
#[cfg(shuttle)]
pub fn begin(operation: &Operation, handle: Handle, additions: &impl Additions, commits: bool) -> Result<()> {
    let sorted = block::allocate(operation, additions.count().max(1) * 8, Kind::Map)?;
    let records = prepare(operation, handle, additions, sorted.address, None)?;
    let writer = Writer::enter(operation, handle)?;
    let undecided = writer.join_all(additions, sorted.address, records, 0)?;
    let _ = commits && writer.commit(undecided);
    Ok(())
}

fn write_head(operation: &Operation, at: Address, handle: Handle, loan: Option<(Handle, Lease)>) {
    let set = |offset: Address, word: u64| operation.memory().set_own64(at.wrapping_add(offset), word);
    set(COUNT, 0);
    set(MAP, handle.to_word());
    set(PIPE, loan.map_or(0, |(pipe, _)| pipe.to_word()));
    if let Some((_, lease)) = loan {
        set(LOAN, u64::from(lease.number) | u64::from(lease.generation) << 32);
        set(POSITION, lease.position);
        set(LENGTH, lease.length.into());
    }
}

/// One addition on its way.
#[derive(Debug)]
pub(super) struct Joining {
    /// The word of the entry that has joined, and where its record is.
    word: u64,
    record: Address,
    records: Block,
    delta: f64,
    /// Whether the record was needed: not if the key was added to before.
    used: bool,
}

impl Joining {
    /// The word to put there, after its record.
    pub(super) fn decide(&mut self, operation: &Operation, found: Option<(u64, Option<&Stored>)>) -> Result<Action> {
        let before = found.map_or(value::EMPTY, |(word, _)| word);
        let number = match found {
            None => 0.0,
            Some((word, _)) => value::to_number(word)
                .ok_or_else(|| Error::not_a_number(value::tag(word).map_or(0, |tag| tag as u32)))?,
        };
        let memory = operation.memory();
        memory.set_own64(self.record.wrapping_add(OLD), before);
        memory.set_own64(self.record.wrapping_add(NEW), value::from_number(number + self.delta));
        self.used = true;
        Ok(Action::Put(Made { word: self.word, block: None }))
    }

    /// Says in the record which entry is about to join.
    pub(super) fn name(&self, operation: &Operation, at: Address) {
        operation.memory().set_own64(self.record.wrapping_add(CELL), at.into());
    }

    /// Adds to the record of an entry that has joined this very transaction; whether it has.
    pub(super) fn add_again(&self, operation: &Operation, at: Address, word: u64) -> Result<bool> {
        let (own, other) = (entry_words::joined_by(self.word), entry_words::joined_by(word));
        if (own.0, own.1) != (other.0, other.1) {
            return Ok(false);
        }
        let (memory, record) = (operation.memory(), record_at(self.records.address, other.2));
        // The heap's bytes are untrusted: the word may be made up.
        if other.2 >= own.2 || memory.own64(record.wrapping_add(CELL)) != u64::from(at) {
            return corrupt(at);
        }
        let number = value::to_number(memory.own64(record.wrapping_add(NEW))).unwrap_or(f64::NAN);
        memory.set_own64(record.wrapping_add(NEW), value::from_number(number + self.delta));
        Ok(true)
    }
}

impl Writer<'_> {
    /// Says that it is undecided, and joins entry after entry. The answer is the phase, which may be another one by now; after an error
    /// it is.
    fn join_all(&self, additions: &impl Additions, sorted: Address, records: Block, attempt: u32) -> Result<u64> {
        let (memory, at) = (self.memory(), self.phase_at());
        memory.set_own64(records.address.wrapping_add(HEAD), self.word);
        memory.set_own64(records.address.wrapping_add(COUNT), count_word(0, attempt));
        let undecided = next_sequence(memory.load64(at), UNDECIDED);
        memory.swap64(at, undecided);
        // Whoever reads a record of this one finds this phase.
        memory.fence();
        let joined = self.join_each(additions, sorted, records, (undecided, attempt));
        if joined.is_err() {
            look::abort(memory, at, undecided);
        }
        joined.map(|()| undecided)
    }

    fn phase_at(&self) -> Address {
        self.holder().slot.wrapping_add(slot::TRANSACTION)
    }

    /// Decides, if nobody has; whether it is committed.
    fn commit(&self, undecided: u64) -> bool {
        let committed = with_phase(undecided, COMMITTED);
        self.memory().compare_exchange64(self.phase_at(), undecided, committed).is_ok()
    }

    /// Joins entry after entry, as long as nobody aborts that.
    fn join_each(
        &self,
        additions: &impl Additions,
        sorted: Address,
        records: Block,
        (undecided, attempt): (u64, u32),
    ) -> Result<()> {
        let mut used = 0;
        for index in 0..additions.count() {
            if self.view.load(self.phase_at()) != undecided {
                break;
            }
            let word = self.memory().own64(sorted.wrapping_add(index * 8));
            let (order, position) = ((word >> 32) as u32, word as u32);
            let (has_record, _) = additions.with(position, |key, delta| {
                let joining = self.begin_joining(records, (undecided, attempt), used, delta);
                self.join(key, order, undecided, joining)
            })?;
            used += u32::from(has_record);
        }
        Ok(())
    }

    /// A record that says nothing yet.
    fn begin_joining(&self, records: Block, (undecided, attempt): (u64, u32), number: u32, delta: f64) -> Joining {
        let memory = self.memory();
        let record = record_at(records.address, number);
        memory.set_own64(record.wrapping_add(CELL), 0);
        memory.set_own64(records.address.wrapping_add(COUNT), count_word(number + 1, attempt));
        let word = entry_words::joined(self.holder().index, sequence(undecided), number);
        Joining { word, record, records, delta, used: false }
    }

    /// One addition, as far as the transaction is not aborted; whether it has a record.
    fn join(&self, key: &Key<'_>, order: u32, undecided: u64, joining: Joining) -> Result<bool> {
        let mut wish = Wish::Join(joining);
        let mut claimed = None;
        // Lock-free: another round means that another agent changed the map.
        let done = loop {
            if self.view.load(self.phase_at()) != undecided {
                break Ok(());
            }
            match attempt(self, key, order, &mut claimed, &mut wish) {
                Ok(super::change::Attempt::Done) => break Ok(()),
                Ok(super::change::Attempt::Again) => {}
                Err(error) => break Err(error),
            }
        };
        if done.is_err() && claimed.is_none() {
            self.end();
        }
        self.discard(claimed).and(done)?;
        Ok(matches!(wish, Wish::Join(Joining { used: true, .. })))
    }
}
