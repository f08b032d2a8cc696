//! Loans for users: bytes that come back unless they are committed.

use coheap_alloc::{Address, Operation};

use super::loans::{self, Loan};
use super::read::{Found, gather, take};
use super::*;
use crate::holdings::Holder;

/// Bytes that an agent has on loan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Which loan of the pipe.
    pub number: u32,
    /// Which of those that had this number.
    pub generation: u32,
    /// Where in the stream its bytes begin, modulo 4 TiB.
    pub position: u64,
    /// How many bytes it is of.
    pub length: u32,
}

/// A loan, or the end of the stream.
type Leased = Outcome<Option<Lease>>;

/// Takes at most `most` bytes on loan, one at least, whole tokens as [`read`](super::read()) does; a token that is longer is taken whole.
/// The bytes are read by [`lease_bytes`], and gone for good when [`commit`] says so. They come back by [`give_up`], and when
/// the agent gives its reference to the pipe back or dies. At most 31 loans of a pipe are out at once; then it is as if
/// nothing was there. What came back from a loan is taken again as the piece that it was, or the beginning of it.
///
/// If the caller dies here, the bytes are in the pipe.
///
/// # Errors
/// As [`read`](super::read()), and [`Error::OutOfMemory`].
pub fn lease(
    operation: &Operation,
    handle: Handle,
    most: u32,
    until: Option<Until>,
    scanned: &mut Option<u64>,
    wait: bool,
) -> Result<(Leased, Wake)> {
    let view = open_sound(operation, handle)?;
    if most == 0 {
        return Err(Error::out_of_range(0, 0, u64::from(view.capacity)));
    }
    loans::hear(operation, &view);
    let mut waiting = Waiting::new(operation, wait);
    let mut token = None;
    // Lock-free: another round means that another agent read or wrote, but for the one that follows an announcement and
    // those that follow a look at a longer token.
    loop {
        // Memory that is short may be found by changes of other objects, which have notes and holds of their own.
        match attempt(operation, handle, (most, token), until, scanned)? {
            Attempt::Taken(lease) => return Ok((Outcome::Done(Some(lease)), wake(&view))),
            Attempt::End => return Ok((Outcome::Done(None), Wake::NONE)),
            Attempt::Again => token = None,
            Attempt::Longer(length) => token = Some(length),
            Attempt::Nothing => {
                if !waiting.again(&view, view.place(view.tail().sequence())) {
                    return Ok((Outcome::Wait(waiting.watch()), Wake::NONE));
                }
            }
        }
    }
}

enum Attempt {
    Taken(Lease),
    End,
    /// Another agent was quicker.
    Again,
    /// The next token has so many bytes.
    Longer(u32),
    Nothing,
}

/// One round of [`lease`], for so many bytes at most, or for a token that was so long.
fn attempt(
    operation: &Operation,
    handle: Handle,
    (limit, token): (u32, Option<u32>),
    until: Option<Until>,
    scanned: &mut Option<u64>,
) -> Result<Attempt> {
    let view = open_sound(operation, handle)?;
    let (returned, shown) = loans::first_returned(&view)?;
    // Moves the tail past what was written.
    let _ = write::next_place(&view)?;
    let there = distance(view.head().position(), view.tail().position()).unwrap_or(0);
    let there = returned.map_or(there, |loan| u64::from(loan.rest()));
    // What was said to be longer gets what it needs, whatever the marks say.
    let most = token.unwrap_or(there.min(u64::from(limit)) as u32).max(1);
    let block = block::allocate(operation, most, Kind::Pipe)?;
    let view = open_sound(operation, handle)?;
    // From here on recovery looks after what this agent has not heard of.
    operation.note(Note { handle, purpose: Purpose::Leasing }.to_word());
    let done = match returned {
        Some(loan) => lease_returned(operation, &view, loan, (block, most), until),
        None => lease_new(operation, &view, (block, most, limit), until, scanned, shown),
    };
    // What became a loan's is not private any more.
    if operation.is_private(block) {
        block::free(operation, block)?;
    }
    done
}

/// Takes a loan that came back.
fn lease_returned(
    operation: &Operation,
    view: &View,
    loan: Loan,
    (block, most): (Block, u32),
    until: Option<Until>,
) -> Result<Attempt> {
    let Some(length) = loans::copy(view, loan, (block.address, most), until) else {
        let is_same = view.loan_word(loan.number) == loan.word;
        return Ok(if is_same { Attempt::Longer(loan.rest()) } else { Attempt::Again });
    };
    let taken = loan.word.next(operation.agent().index(), State::Taken, loan.word.used());
    if !view.change_loan(loan.number, loan.word, taken) {
        return Ok(Attempt::Again);
    }
    let position = advanced(loan.position, loan.word.used());
    Ok(Attempt::Taken(Lease { number: loan.number, generation: taken.generation(), position, length }))
}

/// Takes bytes from the pipe on loan.
fn lease_new(
    operation: &Operation,
    view: &View,
    (block, most, limit): (Block, u32, u32),
    until: Option<Until>,
    scanned: &mut Option<u64>,
    shown: u64,
) -> Result<Attempt> {
    let found = gather(view, (block.address, most), until, scanned)?;
    if view.returned() != shown {
        // What came back meanwhile goes first.
        return Ok(Attempt::Again);
    }
    let mut found = match found {
        // Another agent took the long token, and these are others.
        Found::Bytes(found) if found.length > limit && found.length < most => return Ok(Attempt::Again),
        Found::Bytes(found) => found,
        Found::Long(length) => return Ok(Attempt::Longer(length)),
        Found::Nothing { closed } => {
            let ended = closed && !loans::has_others(operation, view);
            return Ok(if ended { Attempt::End } else { Attempt::Nothing });
        }
    };
    let Some((number, prepared)) = loans::claim_free(operation, view)? else { return Ok(Attempt::Nothing) };
    // The head that forgot a former loan of this number is the same place still.
    let forgotten = Mark::new(found.head.position(), found.head.sequence());
    if view.head() == forgotten {
        found.head = forgotten;
    }
    let at = view.loan(number);
    view.memory.store64(at.wrapping_add(POSITION), found.head.position());
    view.memory.store64(at.wrapping_add(LENGTH), u64::from(found.length));
    // The loan is this agent's, and so is the word of its block.
    let Ok(()) = operation.replace(at.wrapping_add(BLOCK), 0, block.to_word(), Some(block), None)? else {
        return view.corrupt();
    };
    if !take(operation, view, found, Some(number))? {
        let _ = view.change_loan(number, prepared, prepared.with(State::Done));
        loans::finish(operation, view, number)?;
        return Ok(Attempt::Again);
    }
    // Not exchanged: whoever moved the head on did.
    let _ = view.change_loan(number, prepared, prepared.with(State::Taken));
    let (generation, position) = (prepared.generation(), found.head.position());
    Ok(Attempt::Taken(Lease { number, generation, position, length: found.length }))
}

/// The loan, if the agent of this slot still has it.
fn find(slot: u32, view: &View, lease: Lease) -> Result<Loan> {
    let lost = || Error::lease_lost(lease.position);
    if lease.number >= LOAN_COUNT {
        return Err(lost());
    }
    let word = view.loan_word(lease.number);
    let is_mine = (word.generation(), word.slot()) == (lease.generation, slot);
    if !is_mine || !matches!(word.state(), Some(State::Taken | State::Held)) {
        return Err(lost());
    }
    let loan = view.loaned(lease.number, word)?.ok_or_else(lost)?;
    if lease.length > loan.rest() { Err(lost()) } else { Ok(loan) }
}

/// Copies bytes of a loan, from `offset` of it on, to `to`, which only this agent uses.
///
/// # Errors
/// [`Error::LeaseLost`], [`Error::OutOfRange`], [`Error::StaleHandle`], [`Error::WrongType`].
pub fn lease_bytes(
    operation: &Operation,
    handle: Handle,
    lease: Lease,
    offset: u32,
    (to, length): (Address, u32),
) -> Result<()> {
    let view = open(operation, handle)?;
    let loan = find(operation.agent().index(), &view, lease)?;
    let limit = u64::from(lease.length);
    if u64::from(offset) + u64::from(length) > limit {
        return Err(Error::out_of_range(u64::from(offset), u64::from(length), limit));
    }
    // Nobody but its holder frees a loan's block.
    view.memory.copy_within(loan.at().wrapping_add(offset), to, length);
    Ok(())
}

/// Whether this agent has the loan.
///
/// # Errors
/// [`Error::LeaseLost`], [`Error::StaleHandle`], [`Error::WrongType`].
pub(crate) fn check_lease(operation: &Operation, handle: Handle, lease: Lease) -> Result<()> {
    let view = open(operation, handle)?;
    find(operation.agent().index(), &view, lease).map(drop)
}

/// The bytes of a loan are used up: none of them comes back.
///
/// If the caller dies here, they are, or all of them come back.
///
/// # Errors
/// [`Error::LeaseLost`], [`Error::StaleHandle`], [`Error::WrongType`].
pub fn commit(operation: &Operation, handle: Handle, lease: Lease) -> Result<Wake> {
    commit_of(operation, Holder::of(operation), handle, lease)
}

/// As [`commit`], of a loan that the holder has, who does not run.
pub(crate) fn commit_of(operation: &Operation, holder: Holder, handle: Handle, lease: Lease) -> Result<Wake> {
    let view = open(operation, handle)?;
    let loan = find(holder.index, &view, lease)?;
    note(operation, handle);
    let used = loan.word.used() + lease.length;
    if used < loan.length {
        // Of what came back a part was lent again.
        let rest = loan.word.with_used(used);
        loans::give_back(&view, loan.number, loan.word, rest);
    } else {
        let _ = view.change_loan(loan.number, loan.word, loan.word.with(State::Done));
        loans::finish(operation, &view, loan.number)?;
    }
    // Who waits for the end of the stream waits for loans, too.
    Ok(wake(&view))
}

/// Gives a loan back: its bytes are the next that are read.
///
/// # Errors
/// [`Error::LeaseLost`], [`Error::StaleHandle`], [`Error::WrongType`].
pub fn give_up(operation: &Operation, handle: Handle, lease: Lease) -> Result<Wake> {
    let view = open(operation, handle)?;
    let loan = find(operation.agent().index(), &view, lease)?;
    note(operation, handle);
    loans::give_back(&view, loan.number, loan.word, loan.word);
    Ok(wake(&view))
}

/// Gives back what this agent has on loan since its last call of [`lease`] and has not heard of, because an exception came before the
/// answer; `heard` it has heard of, if it is of that call.
///
/// # Errors
/// [`Error::StaleHandle`], [`Error::WrongType`].
pub fn give_up_unheard(operation: &Operation, handle: Handle, heard: Lease) -> Result<Wake> {
    let view = open(operation, handle)?;
    note(operation, handle);
    for number in 0..LOAN_COUNT {
        let word = view.loan_word(number);
        let is_mine = word.state() == Some(State::Taken) && word.slot() == operation.agent().index();
        if is_mine && (number, word.generation()) != (heard.number, heard.generation) {
            loans::give_back(&view, number, word, word);
        }
    }
    Ok(wake(&view))
}
