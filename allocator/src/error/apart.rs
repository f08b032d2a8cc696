//! An error that is a number alone: its details stand in globals of the instance, which the next error overwrites.
//!
//! No other instance sees them, and there they last until [`Error::details`] is asked, which is before anything else is called.

use super::Amount;
use crate::generated::Code;
use crate::sync::Address;

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    // The post-link step makes them writes and reads of three globals.
    safe fn set_error_first(value: u32);
    safe fn set_error_second(value: u32);
    safe fn set_error_third(value: u32);
    safe fn error_first() -> u32;
    safe fn error_second() -> u32;
    safe fn error_third() -> u32;
}

/// A refused call. The heap is unchanged, unless the error says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
// All from 1 on, so that success without an answer is 0.
#[repr(u32)]
pub enum Error {
    /// No memory of this size is left after revoking every offline agent's slabs; bytes.
    OutOfMemory = Code::OutOfMemory as u32,
    /// The object is gone, or never was.
    StaleHandle = Code::StaleHandle as u32,
    /// The object is of another type.
    WrongType = Code::WrongType as u32,
    /// Something that this call needs is held by another agent.
    Busy = Code::Busy as u32,
    /// An audit holds the gate: leave, wait on the gate word, begin again (or break the gate).
    Gate = 0xFF,
    /// This agent was condemned, reaped or detached.
    AgentLost = Code::AgentLost as u32,
    /// Every slot is taken.
    NoSlot = Code::NoSlot as u32,
    /// No live block with this generation is there: freed already, or never allocated.
    NotAllocated = Code::NotAllocated as u32,
    /// A size or alignment that no block can have.
    InvalidLayout = Code::InvalidLayout as u32,
    /// A place outside an object.
    OutOfRange = Code::OutOfRange as u32,
    /// The heap's bytes break a rule of the audit.
    Corrupt = Code::Corrupt as u32,
    /// A name is longer than names may be; bytes.
    NameTooLong = Code::NameTooLong as u32,
    /// A blocking call by an agent that must not block.
    CannotBlock = Code::CannotBlock as u32,
    /// There is no heap at this address, or one of another layout.
    NotAHeap = Code::NotAHeap as u32,
    /// The heap is a frozen copy.
    Frozen = Code::Frozen as u32,
    /// An object has as many references as its count can hold.
    TooManyReferences = Code::TooManyReferences as u32,
    /// The object is frozen.
    Immutable = Code::Immutable as u32,
    /// A byte that no field's name or value has, or (0 at 0) an empty name.
    InvalidField = Code::InvalidField as u32,
    /// Fields would be larger than fields may be; bytes.
    FieldsTooLarge = Code::FieldsTooLarge as u32,
    /// A cell that is added to holds something else.
    NotANumber = Code::NotANumber as u32,
    /// A structure is said to hold values of one kind, and holds one of another. Kinds are the tags of words, 8 a number.
    UnexpectedValue = Code::UnexpectedValue as u32,
    /// Nothing more can be written to the pipe.
    PipeClosed = Code::PipeClosed as u32,
    /// The pipe was ended by force.
    PipeAborted = Code::PipeAborted as u32,
    /// A pipe is full and has no delimiter; bytes.
    TokenTooLong = Code::TokenTooLong as u32,
    /// A wait ended without what was waited for.
    TimedOut = Code::TimedOut as u32,
    /// What was on loan went back, or was committed.
    LeaseLost = Code::LeaseLost as u32,
}

impl Error {
    /// [`Error::OutOfMemory`].
    #[cold]
    #[inline(never)]
    #[must_use]
    pub fn out_of_memory(requested: u64, live: u64, maximum: u64) -> Self {
        Self::OutOfMemory.with([Amount::new(requested).0, Amount::new(live).0, Amount::new(maximum).0])
    }

    /// [`Error::StaleHandle`].
    #[cold]
    #[inline(never)]
    #[must_use]
    pub fn stale_handle(index: u32, generation: u32) -> Self {
        Self::StaleHandle.with([index, generation, 0])
    }

    /// [`Error::WrongType`].
    #[cold]
    #[inline(never)]
    #[must_use]
    pub fn wrong_type(expected: u32, found: u32) -> Self {
        Self::WrongType.with([expected, found, 0])
    }

    /// [`Error::Busy`].
    #[cold]
    #[inline(never)]
    #[must_use]
    pub fn busy(agent: u32) -> Self {
        Self::Busy.with([agent, 0, 0])
    }

    /// [`Error::Gate`].
    #[cold]
    #[inline(never)]
    #[must_use]
    pub fn gate(gate: u32) -> Self {
        Self::Gate.with([gate, 0, 0])
    }

    /// [`Error::AgentLost`].
    #[cold]
    #[inline(never)]
    #[must_use]
    pub fn agent_lost(agent: u32) -> Self {
        Self::AgentLost.with([agent, 0, 0])
    }

    /// [`Error::NoSlot`].
    #[cold]
    #[inline(never)]
    #[must_use]
    pub fn no_slot(slots: u32, quarantined: u32) -> Self {
        Self::NoSlot.with([slots, quarantined, 0])
    }

    /// [`Error::NotAllocated`].
    #[cold]
    #[inline(never)]
    #[must_use]
    pub fn not_allocated(address: Address) -> Self {
        Self::NotAllocated.with([address, 0, 0])
    }

    /// [`Error::InvalidLayout`].
    #[cold]
    #[inline(never)]
    #[must_use]
    pub fn invalid_layout(size: u64, align: u64) -> Self {
        Self::InvalidLayout.with([Amount::new(size).0, Amount::new(align).0, 0])
    }

    /// [`Error::OutOfRange`].
    #[cold]
    #[inline(never)]
    #[must_use]
    pub fn out_of_range(offset: u64, length: u64, limit: u64) -> Self {
        Self::OutOfRange.with([Amount::new(offset).0, Amount::new(length).0, Amount::new(limit).0])
    }

    /// [`Error::Corrupt`].
    #[cold]
    #[inline(never)]
    #[must_use]
    pub fn corrupt(rule: u32, address: Address) -> Self {
        Self::Corrupt.with([rule, address, 0])
    }

    /// [`Error::NameTooLong`].
    #[cold]
    #[inline(never)]
    #[must_use]
    pub fn name_too_long(length: u32, maximum: u32) -> Self {
        Self::NameTooLong.with([length, maximum, 0])
    }

    /// [`Error::CannotBlock`].
    #[cold]
    #[inline(never)]
    #[must_use]
    pub fn cannot_block() -> Self {
        Self::CannotBlock.with([0, 0, 0])
    }

    /// [`Error::NotAHeap`].
    #[cold]
    #[inline(never)]
    #[must_use]
    pub fn not_a_heap(found: u32) -> Self {
        Self::NotAHeap.with([found, 0, 0])
    }

    /// [`Error::Frozen`].
    #[cold]
    #[inline(never)]
    #[must_use]
    pub fn frozen() -> Self {
        Self::Frozen.with([0, 0, 0])
    }

    /// [`Error::TooManyReferences`].
    #[cold]
    #[inline(never)]
    #[must_use]
    pub fn too_many_references(index: u32, maximum: u32) -> Self {
        Self::TooManyReferences.with([index, maximum, 0])
    }

    /// [`Error::Immutable`].
    #[cold]
    #[inline(never)]
    #[must_use]
    pub fn immutable(index: u32) -> Self {
        Self::Immutable.with([index, 0, 0])
    }

    /// [`Error::InvalidField`].
    #[cold]
    #[inline(never)]
    #[must_use]
    pub fn invalid_field(character: u32, offset: u32) -> Self {
        Self::InvalidField.with([character, offset, 0])
    }

    /// [`Error::FieldsTooLarge`].
    #[cold]
    #[inline(never)]
    #[must_use]
    pub fn fields_too_large(size: u64, maximum: u64) -> Self {
        Self::FieldsTooLarge.with([Amount::new(size).0, Amount::new(maximum).0, 0])
    }

    /// [`Error::NotANumber`].
    #[cold]
    #[inline(never)]
    #[must_use]
    pub fn not_a_number(found: u32) -> Self {
        Self::NotANumber.with([found, 0, 0])
    }

    /// [`Error::UnexpectedValue`].
    #[cold]
    #[inline(never)]
    #[must_use]
    pub fn unexpected_value(expected: u32, found: u32) -> Self {
        Self::UnexpectedValue.with([expected, found, 0])
    }

    /// [`Error::PipeClosed`].
    #[cold]
    #[inline(never)]
    #[must_use]
    pub fn pipe_closed(index: u32) -> Self {
        Self::PipeClosed.with([index, 0, 0])
    }

    /// [`Error::PipeAborted`].
    #[cold]
    #[inline(never)]
    #[must_use]
    pub fn pipe_aborted(index: u32) -> Self {
        Self::PipeAborted.with([index, 0, 0])
    }

    /// [`Error::TokenTooLong`].
    #[cold]
    #[inline(never)]
    #[must_use]
    pub fn token_too_long(length: u32, capacity: u32, writes: u32) -> Self {
        Self::TokenTooLong.with([length, capacity, writes])
    }

    /// [`Error::TimedOut`].
    #[cold]
    #[inline(never)]
    #[must_use]
    pub fn timed_out(milliseconds: u64, written: u64) -> Self {
        Self::TimedOut.with([Amount::new(milliseconds).0, Amount::new(written).0, 0])
    }

    /// [`Error::LeaseLost`].
    #[cold]
    #[inline(never)]
    #[must_use]
    pub fn lease_lost(offset: u64) -> Self {
        Self::LeaseLost.with([Amount::new(offset).0, 0, 0])
    }

    /// The error, once its details stand in the globals.
    #[inline(always)]
    fn with(self, [first, second, third]: [u32; 3]) -> Self {
        set_error_first(first);
        set_error_second(second);
        set_error_third(third);
        self
    }

    /// The number in `errors.json`; [`Error::Gate`] has one of its own, because it never leaves Rust.
    #[must_use]
    pub const fn code(self) -> u32 {
        self as u32
    }

    /// The numbers of the error, in the order of `errors.json`; unused ones are 0.
    #[must_use]
    pub fn details(self) -> [f64; 3] {
        let are_amounts = matches!(
            self,
            Self::OutOfMemory
                | Self::InvalidLayout
                | Self::OutOfRange
                | Self::FieldsTooLarge
                | Self::TimedOut
                | Self::LeaseLost
        );
        [error_first(), error_second(), error_third()]
            .map(|detail| if are_amounts { Amount(detail).get() as f64 } else { f64::from(detail) })
    }
}

const _: () = assert!(size_of::<super::Result<()>>() == 4);
