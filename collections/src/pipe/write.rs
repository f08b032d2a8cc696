//! Writing, closing, aborting.

use coheap_alloc::Operation;

use super::*;
use crate::string::Given;

/// Where bytes come from.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    /// Memory of the heap that only this agent uses: its transfer buffer.
    Buffer {
        /// The first.
        at: Address,
        /// How many.
        length: u32,
    },
    /// Elsewhere.
    Slice(&'a [u8]),
}

impl Source<'_> {
    fn length(&self) -> u32 {
        match self {
            Self::Buffer { length, .. } => *length,
            Self::Slice(bytes) => u32::try_from(bytes.len()).unwrap_or(u32::MAX),
        }
    }

    /// Copies the first `length` bytes into a private block.
    fn copy(&self, view: &View, to: Address, length: u32) {
        match self {
            Self::Buffer { at, .. } => view.memory.copy_within(*at, to, length),
            Self::Slice(bytes) => view.memory.copy_in(to, bytes.get(..length as usize).unwrap_or_default()),
        }
    }
}

/// Writes as many of the bytes as there is room for, as one piece: all of them if they are at most [`ATOMIC`], and at most
/// [`LONGEST`]. A pipe with room for a single byte takes a whole such piece. Answers how many, and whom to wake; no bytes
/// are written at once. With `wait`, a full pipe answers what to sleep on.
///
/// If the caller dies here, they are all written or none.
///
/// # Errors
/// [`Error::PipeClosed`], [`Error::PipeAborted`], [`Error::StaleHandle`], [`Error::WrongType`], [`Error::OutOfMemory`]:
/// nothing was written.
pub fn write(operation: &Operation, handle: Handle, from: Source<'_>, wait: bool) -> Result<(Outcome<u32>, Wake)> {
    let view = open(operation, handle)?;
    let whole = from.length().min(LONGEST);
    let mut waiting = Waiting::new(operation, wait);
    let mut made = None;
    // Lock-free: another round means that another agent wrote, but for the one that follows an announcement.
    let done = loop {
        if let Err(error) = check_sound(&view, handle) {
            break Err(error);
        }
        let next = match next_place(&view) {
            Ok(Some(next)) => next,
            Ok(None) => break Err(Error::pipe_closed(handle.index)),
            Err(error) => break Err(error),
        };
        if whole == 0 {
            break Ok(Outcome::Done(0));
        }
        let length = match room(&view, &next, whole) {
            Ok(Room::Bytes(length)) => length,
            Ok(Room::Again) => continue,
            Ok(Room::None) if waiting.again(&view, view.field(HEAD)) => continue,
            Ok(Room::None) => break Ok(Outcome::Wait(waiting.watch())),
            Err(error) => break Err(error),
        };
        let block = match made {
            Some(block) => block,
            // Memory that is short may be found by changes of other objects, and takes its time.
            None => match block::allocate(operation, whole + BYTES, Kind::Pipe) {
                Ok(block) => {
                    from.copy(&view, block.address.wrapping_add(BYTES), whole);
                    made = Some(block);
                    hold::hold_still(operation, handle, Type::Pipe)?;
                    block
                }
                Err(error) => break Err(error),
            },
        };
        view.label(block, next.sequence, next.tail.position(), length);
        match operation.replace(view.place(next.sequence), next.word, block.to_word(), Some(block), next.old) {
            Ok(Ok(())) => {
                move_tail(&view, next.tail, length);
                return Ok((Outcome::Done(length), wake(&view)));
            }
            Ok(Err(_)) => {}
            Err(error) => break Err(error),
        }
    };
    if let Some(block) = made {
        block::free(operation, block)?;
    }
    done.map(|outcome| (outcome, Wake::NONE))
}

/// What room there is.
enum Room {
    Bytes(u32),
    None,
    /// The tail was an old one.
    Again,
}

/// How many bytes of `length` may be written at the tail.
fn room(view: &View, next: &Next, length: u32) -> Result<Room> {
    let seen = view.field(HEAD_SEEN);
    let past = Mark(view.load(seen));
    // A head of the past: there is at least so much room. Of how far in the past only the bytes tell, if they are fewer than
    // the sequences of a mark, because each write has one at least.
    let is_near = distance(past.position(), next.tail.position()).is_some_and(|bytes| bytes < 1 << 16);
    if is_near && room_behind(view, past, next.tail, length) == Some(length) {
        return Ok(Room::Bytes(length));
    }
    let head = view.head();
    if distance(head.position(), next.tail.position()).is_none() {
        // The tail was an old one: its place has been written to, or the marks make no sense.
        return if view.load(view.place(next.sequence)) == next.word { view.corrupt() } else { Ok(Room::Again) };
    }
    view.memory.store64(seen, head.0);
    Ok(room_behind(view, head, next.tail, length).map_or(Room::None, Room::Bytes))
}

/// How many bytes of `length` may be written at `tail` while the head is there.
fn room_behind(view: &View, head: Mark, tail: Mark, length: u32) -> Option<u32> {
    let used = distance(head.position(), tail.position())?.min(u64::from(u32::MAX)) as u32;
    // One place is left for who closes the pipe.
    if used >= view.capacity || head.writes_to(tail) >= view.places.wrapping_sub(1) {
        return None;
    }
    Some(length.min((view.capacity - used).max(ATOMIC)))
}

/// Where the next write goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Next {
    pub(super) tail: Mark,
    /// Of the write.
    pub(super) sequence: u64,
    /// The word of its place.
    pub(super) word: u64,
    /// What stands there and was read.
    pub(super) old: Option<Block>,
}

/// Where the next write goes, all of one moment; `None`: the pipe is closed.
pub(super) fn next_place(view: &View) -> Result<Option<Next>> {
    let mut lost = 0;
    // Lock-free: another round means that another agent wrote or read; or that this one helped.
    loop {
        let tail = view.tail();
        let at = view.place(tail.sequence());
        let word = view.load(at);
        let (sequence, old) = match Place::of(word) {
            Place::Closed(sequence) if tail.is_at(sequence) => return Ok(None),
            Place::Empty(sequence) | Place::Closed(sequence) => (sequence, None),
            Place::Bytes(block) => {
                let bytes = view.bytes(block);
                if view.load(at) != word {
                    continue;
                }
                let Some(bytes) = bytes else { return view.corrupt() };
                if tail.is_at(bytes.sequence) {
                    move_tail(view, tail, bytes.length);
                    continue;
                }
                // Of the round before: it was read, because the writes in a pipe are fewer than its places.
                (bytes.sequence.wrapping_add(u64::from(view.places)), Some(block))
            }
        };
        // The place was that of the next write while the tail was here.
        let same = view.tail() == tail;
        if same && tail.is_at(sequence) {
            return Ok(Some(Next { tail, sequence, word, old }));
        }
        // A place of another round: the tail is an old one.
        lost = if same { lost + 1 } else { 0 };
        if lost == cell::LOOKS {
            return view.corrupt();
        }
    }
}

/// Moves the tail past the write at `tail`, unless somebody has.
pub(super) fn move_tail(view: &View, tail: Mark, length: u32) {
    let next = Mark::new(advanced(tail.position(), length), tail.sequence().wrapping_add(1));
    let _ = view.memory.compare_exchange64(view.field(TAIL), tail.0, next.0);
}

/// Ends the writing: what was written can be read, then comes the end. Again, or after an abort, it does nothing.
///
/// If the caller dies here, it is closed or not.
///
/// # Errors
/// [`Error::StaleHandle`], [`Error::WrongType`], [`Error::Corrupt`].
pub fn close(operation: &Operation, handle: Handle) -> Result<Wake> {
    let view = open(operation, handle)?;
    // Lock-free: another round means that another agent wrote.
    while let Some(Next { sequence, word, old, .. }) = next_place(&view)? {
        let closed = Place::closed(sequence);
        #[cfg(feature = "controls")]
        if crate::controls::is_on(crate::controls::CLOSE_BY_STORE) {
            // Seeded bug: a write may stand there by now.
            view.memory.store64(view.place(sequence), closed);
            return Ok(wake(&view));
        }
        if operation.replace(view.place(sequence), word, closed, None, old)?.is_ok() {
            return Ok(wake(&view));
        }
    }
    Ok(Wake::NONE)
}

/// Ends the pipe by force: every later read and write is refused, for this reason. The first reason stays.
///
/// If the caller dies here, it is aborted or not.
///
/// # Errors
/// [`Error::StaleHandle`], [`Error::WrongType`], those of [`string::make`].
pub fn abort(operation: &Operation, handle: Handle, why: Given<'_>) -> Result<Wake> {
    let made = string::make(operation, why)?;
    let aborted = open(operation, handle).and_then(|view| {
        let at = view.field(REASON);
        let done = operation.replace(at, value::EMPTY, made.word, made.block, None)?;
        Ok((done.is_ok(), wake(&view)))
    });
    match aborted {
        Ok((true, wake)) => Ok(wake),
        other => made.discard(operation).and(other.map(|(_, wake)| wake)),
    }
}

/// As [`abort`], because an agent is lost that the pipe cannot go on without, which is the reason, by its index. A pipe that is
/// closed stays: all of it was written.
///
/// If the caller dies here, it is aborted or not.
///
/// # Errors
/// Those of [`abort`].
pub fn lose(operation: &Operation, handle: Handle, agent: u32) -> Result<Wake> {
    if next_place(&open(operation, handle)?)?.is_none() {
        return Ok(Wake::NONE);
    }
    abort(operation, handle, Given::number(f64::from(agent)))
}
