//! What lies where in the head of a pipe, and what its words say.

use coheap_alloc::layout::PAGE;
use coheap_alloc::{Address, Block, Error, Memory, Result};

use crate::object::{Table, VALUE};
use crate::rule;

/// u64: where the next write goes, a [`Mark`]. On a line of the writers'.
pub(super) const TAIL: Address = 0;
/// u64, a hint: the head as a writer saw it last, so that not every write asks for the readers' line.
pub(super) const HEAD_SEEN: Address = 8;
/// u64: where the next read begins, a [`Mark`]. On a line of the readers'.
pub(super) const HEAD: Address = 64;
/// u64, a hint: the tail as a reader saw it last.
pub(super) const TAIL_SEEN: Address = 72;
/// u64, never changes: capacity in bytes 32 · number of places 32. On a line that is mostly read.
pub(super) const SHAPE: Address = 128;
/// u64: why the pipe was aborted, a value word; EMPTY while it was not.
pub(super) const REASON: Address = 136;
/// u64: how many came back 32 · a hint, one bit for each loan whose bytes came back 32.
pub(super) const RETURNED: Address = 144;
/// The loans, see [`LOAN`].
pub(super) const LOANS: Address = 192;
/// Bytes of a loan: its word, its block, where in the stream it begins, how many bytes it is of.
pub(super) const LOAN: u32 = 32;
/// Loans at once.
pub(super) const LOAN_COUNT: u32 = 31;
/// The places: a word each, see [`Place`].
pub(super) const PLACES: Address = LOANS + (LOAN_COUNT + 1) * LOAN;

/// In a loan, after its word: u64, its block or 0.
pub(super) const BLOCK: Address = 8;
/// In a loan: u64, where in the stream it begins.
pub(super) const POSITION: Address = 16;
/// In a loan: u64, how many bytes.
pub(super) const LENGTH: Address = 24;

/// Bytes of the head of a block of bytes: u64 sequence of the write · u64 position 42, length 22.
pub(super) const BYTES: u32 = 16;

/// Bits of a position in the stream, which counts on from 0 again after 4 TiB.
const POSITION_BITS: u32 = 42;
const POSITIONS: u64 = (1 << POSITION_BITS) - 1;
/// Half of them: what is further behind is in front.
const HALF: u64 = 1 << (POSITION_BITS - 1);

/// How far `to` is behind `from` in the stream; `None`: it is before it.
pub(super) fn distance(from: u64, to: u64) -> Option<u64> {
    let bytes = to.wrapping_sub(from) & POSITIONS;
    (bytes < HALF).then_some(bytes)
}

/// Whether the position is before the mark's.
pub(super) fn is_before(position: u64, mark: Mark) -> bool {
    distance(position, mark.position()).is_some_and(|bytes| bytes > 0)
}

/// The position so many bytes on.
pub(super) fn advanced(position: u64, bytes: u32) -> u64 {
    position.wrapping_add(bytes as u64) & POSITIONS
}

/// A place in the stream: position 42 · loan 6 · low bits of the write's sequence 16. No mark comes twice within 4 TiB,
/// because each change of one goes forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark(pub u64);

impl Mark {
    /// A mark whose last change was no loan's.
    pub(super) fn new(position: u64, sequence: u64) -> Self {
        Self((position & POSITIONS) << 22 | sequence & 0xFFFF)
    }

    /// The same, when its last change was made by this loan.
    pub(super) fn by(self, loan: u32) -> Self {
        Self(self.0 & !(63 << 16) | ((loan as u64).wrapping_add(1) & 63) << 16)
    }

    pub(super) fn position(self) -> u64 {
        self.0 >> 22
    }

    pub(super) fn sequence(self) -> u64 {
        self.0 & 0xFFFF
    }

    /// The loan that made the last change.
    pub(super) fn loan(self) -> Option<u32> {
        ((self.0 >> 16) as u32 & 63).checked_sub(1).filter(|&loan| loan < LOAN_COUNT)
    }

    /// Whether the write of this sequence is the one at this mark.
    pub(super) fn is_at(self, sequence: u64) -> bool {
        sequence & 0xFFFF == self.sequence()
    }

    /// Writes from here to `to`.
    pub(super) fn writes_to(self, to: Self) -> u32 {
        (to.0.wrapping_sub(self.0) & 0xFFFF) as u32
    }
}

/// What the word of a place says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The write of this sequence comes here.
    Empty(u64),
    /// It does not come any more: the pipe was closed.
    Closed(u64),
    /// A block of bytes.
    Bytes(Block),
}

impl Place {
    pub(super) fn of(word: u64) -> Self {
        // A block begins at a multiple of 16.
        match word & 3 {
            1 => Self::Empty(word >> 2),
            3 => Self::Closed(word >> 2),
            _ => Self::Bytes(Block { address: word as u32, generation: (word >> 32) as u32 }),
        }
    }

    pub(super) const fn empty(sequence: u64) -> u64 {
        sequence << 2 | 1
    }

    pub(super) const fn closed(sequence: u64) -> u64 {
        sequence << 2 | 3
    }
}

/// The states of a loan: `Free → Prepared → Taken → Held → Done → Free`, or from Taken or Held to Returned and back to
/// Taken, or from Taken or Prepared to Done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum State {
    /// Nobody's.
    Free = 0,
    /// An agent fills it: the bytes are still the pipe's.
    Prepared = 1,
    /// The bytes are the loan's: its holder has just taken it, and may not have heard of it.
    Taken = 2,
    /// An agent has them, and knows.
    Held = 3,
    /// They are the next that are read.
    Returned = 4,
    /// They are used up; the block is left.
    Done = 5,
}

/// The word of a loan: state 3 · slot 12 · generation 17 · bytes of it that are used up 32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LoanWord(pub u64);

impl LoanWord {
    pub(super) fn state(self) -> Option<State> {
        Some(match self.0 & 7 {
            0 => State::Free,
            1 => State::Prepared,
            2 => State::Taken,
            3 => State::Held,
            4 => State::Returned,
            5 => State::Done,
            _ => return None,
        })
    }

    pub(super) fn slot(self) -> u32 {
        (self.0 >> 3) as u32 & 0xFFF
    }

    pub(super) fn generation(self) -> u32 {
        (self.0 >> 15) as u32 & 0x1_FFFF
    }

    pub(super) fn used(self) -> u32 {
        (self.0 >> 32) as u32
    }

    pub(super) fn with(self, state: State) -> Self {
        Self(self.0 & !7 | state as u64)
    }

    pub(super) fn with_used(self, used: u32) -> Self {
        Self(self.0 & 0xFFFF_FFFF | (used as u64) << 32)
    }

    /// Another loan, of the agent of `slot`.
    pub(super) fn next(self, slot: u32, state: State, used: u32) -> Self {
        let generation = self.generation().wrapping_add(1) & 0x1_FFFF;
        Self((used as u64) << 32 | (generation as u64) << 15 | ((slot & 0xFFF) as u64) << 3 | state as u64)
    }
}

/// The head of a pipe, as far as it can be trusted: it lies in a page of the heap's.
#[derive(Clone, Copy, Debug)]
pub(super) struct View {
    pub(super) memory: Memory,
    /// The entry of the object table.
    pub(super) entry: Address,
    head: Address,
    pub(super) capacity: u32,
    pub(super) places: u32,
}

/// Some bytes in the pipe, as a block says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bytes {
    pub(super) sequence: u64,
    pub(super) position: u64,
    pub(super) length: u32,
    /// The first of them.
    pub(super) at: Address,
}

impl View {
    /// The head that the entry names, which is held or validated by the caller.
    pub(super) fn new(table: Table, entry: Address) -> Result<Self> {
        let memory = table.memory;
        let corrupt = || Error::corrupt(rule::PIPE, entry);
        let head = Block::from_word(memory.load64(entry.wrapping_add(VALUE))).ok_or_else(corrupt)?.address;
        // It is in one page, which is the heap's.
        let room = PAGE - head % PAGE;
        if room < PLACES {
            return Err(corrupt());
        }
        table.check_own(head)?;
        let shape = memory.load64(head.wrapping_add(SHAPE));
        let (capacity, places) = (shape as u32, (shape >> 32) as u32);
        let sound = places.is_power_of_two() && places <= super::MOST_PLACES && capacity <= super::LARGEST;
        if !sound || room - PLACES < places * 8 {
            return Err(corrupt());
        }
        Ok(Self { memory, entry, head, capacity, places })
    }

    /// Whether so many bytes from `at` on lie in memory.
    pub(super) fn is_inside(&self, at: Address, length: u32) -> bool {
        at != 0 && self.memory.has(at, length)
    }

    pub(super) fn field(&self, offset: Address) -> Address {
        self.head.wrapping_add(offset)
    }

    pub(super) fn load(&self, at: Address) -> u64 {
        self.memory.load64_ordered(at)
    }

    pub(super) fn tail(&self) -> Mark {
        Mark(self.load(self.field(TAIL)))
    }

    pub(super) fn head(&self) -> Mark {
        Mark(self.load(self.field(HEAD)))
    }

    /// Where the write of this sequence stands.
    pub(super) fn place(&self, sequence: u64) -> Address {
        let number = sequence as u32 & self.places.wrapping_sub(1);
        self.field(PLACES).wrapping_add(number * 8)
    }

    /// Where the word of a loan stands.
    pub(super) fn loan(&self, loan: u32) -> Address {
        self.field(LOANS).wrapping_add(loan * LOAN)
    }

    pub(super) fn loan_word(&self, loan: u32) -> LoanWord {
        LoanWord(self.load(self.loan(loan)))
    }

    /// What a block of bytes says of itself; `None` for what cannot be one. It holds if its place names the block afterwards.
    pub(super) fn bytes(&self, block: Block) -> Option<Bytes> {
        if block.address == 0 || !block.address.is_multiple_of(16) || !self.memory.has_here(block.address, BYTES) {
            return None;
        }
        let sequence = self.memory.load64(block.address);
        let word = self.memory.load64(block.address.wrapping_add(8));
        let (position, length) = (word >> 22, word as u32 & 0x3F_FFFF);
        let at = block.address.wrapping_add(BYTES);
        self.memory.has_here(at, length).then_some(Bytes { sequence, position, length, at })
    }

    /// Writes the head of a private block of bytes.
    pub(super) fn label(&self, block: Block, sequence: u64, position: u64, length: u32) {
        self.memory.set_own64(block.address, sequence);
        self.memory.set_own64(block.address.wrapping_add(8), position << 22 | (length & 0x3F_FFFF) as u64);
    }

    pub(super) fn corrupt<R>(&self) -> Result<R> {
        Err(Error::corrupt(rule::PIPE, self.entry))
    }
}
