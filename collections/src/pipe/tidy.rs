//! What a pipe gives back, and when: the blocks that were read, and all of them when it ends.

use coheap_alloc::{Address, Operation};

use super::*;
use crate::holdings::Holder;

/// Empties a place whose block, of the write of this sequence, was read: for the write of the next round.
pub(super) fn clean(operation: &Operation, view: &View, at: Address, block: Block, sequence: u64) -> Result<()> {
    let next = Place::empty(sequence.wrapping_add(u64::from(view.places)));
    // Not exchanged: another agent did.
    let _ = operation.replace(at, block.to_word(), next, None, Some(block))?;
    Ok(())
}

/// Empties the places of the writes from `head` up to `next`, which this agent has read.
pub(super) fn clean_between(operation: &Operation, view: &View, head: Mark, next: Mark) -> Result<()> {
    for step in 0..head.writes_to(next) {
        let sequence = head.sequence().wrapping_add(u64::from(step));
        clean_one(operation, view, sequence, next)?;
    }
    Ok(())
}

/// Empties the place of the write of this sequence, which is before `head`: a mark that the head had. A small block stays.
fn clean_one(operation: &Operation, view: &View, sequence: u64, head: Mark) -> Result<()> {
    let at = view.place(sequence);
    let word = view.load(at);
    let Place::Bytes(block) = Place::of(word) else { return Ok(()) };
    let bytes = view.bytes(block);
    // It may be the block of a later round by now, and of the same low bits if this agent was stopped for long: that one
    // begins behind.
    match bytes.filter(|_| view.load(at) == word) {
        Some(bytes)
            if bytes.length > KEPT
                && bytes.sequence & 0xFFFF == sequence & 0xFFFF
                && is_before(bytes.position, head) =>
        {
            clean(operation, view, at, block, bytes.sequence)
        }
        _ => Ok(()),
    }
}

/// Decides what an operation on the pipe left, which the holder's agent did not end, and gives `back` what it had on
/// loan: idempotent.
///
/// # Errors
/// [`Error::Corrupt`].
pub(crate) fn settle(operation: &Operation, holder: Holder, handle: Handle, back: Back) -> Result<()> {
    let view = match open(operation, handle) {
        Ok(view) => view,
        // Whoever takes it apart finds what is in it.
        Err(Error::StaleHandle { .. } | Error::WrongType { .. }) => return Ok(()),
        Err(error) => return Err(error),
    };
    loans::settle(operation, &view, holder.index, back)?;
    // What was read has places before the head.
    let _ = write::next_place(&view)?;
    let (head, tail) = (view.head(), view.tail());
    let left = view.places.saturating_sub(head.writes_to(tail));
    for step in 1..left {
        clean_one(operation, &view, head.sequence().wrapping_sub(u64::from(step)), head)?;
    }
    Ok(())
}

/// Frees what is in a pipe that nobody can find any more, so many blocks of it at most; whether all is.
pub(crate) fn take_apart(operation: &Operation, entry: Address, parts: &mut u32) -> Result<bool> {
    let view = View::new(Table::of(operation), entry)?;
    let mut empty = |at: Address, rest: u64, block: Option<Block>| {
        let Some(block) = block else { return Ok(true) };
        if *parts == 0 {
            return Ok(false);
        }
        *parts -= 1;
        operation.replace(at, view.load(at), rest, None, Some(block)).map(|_| true)
    };
    for at in (0..view.places).map(|place| view.place(u64::from(place))) {
        let block = match Place::of(view.load(at)) {
            Place::Bytes(block) => Some(block),
            _ => None,
        };
        if !empty(at, Place::empty(0), block)? {
            return Ok(false);
        }
    }
    for at in (0..LOAN_COUNT).map(|number| view.loan(number).wrapping_add(BLOCK)) {
        if !empty(at, 0, Block::from_word(view.load(at)))? {
            return Ok(false);
        }
    }
    let at = view.field(REASON);
    let table = Table::of(operation);
    empty(at, value::UNDEFINED, string::block_of(table, view.load(at)))
}

#[cfg(all(test, feature = "std", not(any(loom, shuttle))))]
mod tests {
    use coheap_alloc::layout::PAGE;
    use coheap_alloc::{Agent, Heap, Memory, Options, Seat};

    use super::*;

    fn agent() -> Agent {
        let memory = Memory::map(16, 64).expect("a mapping");
        let options = Options { maximum_pages: 64, fixed: false, seed: 1 };
        let heap = Heap::initialize(memory, PAGE, options).expect("a heap");
        heap.attach(Seat::default()).expect("a seat")
    }

    #[test]
    fn reader_that_was_stopped_for_many_writes_frees_none_of_them() {
        let agent = agent();
        let run = |operation: &Operation| {
            let handle = create(operation, SMALLEST)?;
            let view = open(operation, handle)?;
            let write = || write::write(operation, handle, Source::Slice(b"x"), false).map(drop);
            let read = || read::read(operation, handle, (operation.agent().transfer(), 1), None, &mut None, false);
            write()?;
            let (head, next) = (view.head(), view.tail());
            let _ = read()?;
            // As many as there are sequences in a mark: the place has a write of the same bits again.
            for _ in 1..1 << 16 {
                write()?;
                let _ = read()?;
            }
            write()?;
            clean_between(operation, &view, head, next)?;
            assert_eq!(read()?.0, Outcome::Done(Read::Bytes(1)), "it is there");
            Ok(())
        };
        agent.operation(run).expect("they work");
    }

    #[test]
    fn head_that_was_seen_long_ago_is_no_room() {
        let agent = agent();
        let run = |operation: &Operation| {
            let handle = create(operation, 1 << 20)?;
            let view = open(operation, handle)?;
            let write = || write::write(operation, handle, Source::Slice(b"x"), false).map(|(outcome, _)| outcome);
            let read = || read::read(operation, handle, (operation.agent().transfer(), 1), None, &mut None, false);
            let ancient = view.head();
            // The tail is so many writes behind that they look like two; the pipe is full.
            let most = view.places.wrapping_sub(1);
            for _ in 0..(1 << 16) + 2 - most {
                write()?;
                let _ = read()?;
            }
            for _ in 0..most {
                assert_eq!(write()?, Outcome::Done(1));
            }
            assert_eq!(write()?, Outcome::Wait(None));
            // As a writer does that was stopped before it said what it had seen.
            view.memory.store64(view.field(HEAD_SEEN), ancient.0);
            assert_eq!(write()?, Outcome::Wait(None), "a write would replace what is not read");
            Ok(())
        };
        agent.operation(run).expect("they work");
    }

    #[test]
    fn loan_that_is_forgotten_is_not_the_one_that_was_taken_since() {
        let agent = agent();
        let run = |operation: &Operation| {
            let handle = create(operation, SMALLEST)?;
            let view = open(operation, handle)?;
            let lease = || lease::lease(operation, handle, 1, None, &mut None, false);
            let _ = write::write(operation, handle, Source::Slice(b"abc"), false)?;
            let Outcome::Done(Some(first)) = lease()?.0 else { return view.corrupt() };
            let _ = commit(operation, handle, first)?;
            let before = view.loan_word(first.number);
            let Outcome::Done(Some(_)) = lease()?.0 else { return view.corrupt() };
            let head = view.head();
            loans::forget(&view, first.number, before);
            assert_eq!(view.head(), head, "it says which loan has these bytes");
            Ok(())
        };
        agent.operation(run).expect("they work");
    }
}
