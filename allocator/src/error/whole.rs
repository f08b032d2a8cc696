//! An error and its details in one value.

use super::Amount;
use crate::sync::Address;

/// A refused call. The heap is unchanged, unless the error says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// No memory of this size is left after revoking every offline agent's slabs; bytes.
    OutOfMemory {
        /// Bytes asked for.
        requested: Amount,
        /// Bytes taken.
        live: Amount,
        /// Bytes the heap may grow to.
        maximum: Amount,
    },
    /// The object is gone, or never was.
    StaleHandle {
        /// The handle's index.
        index: u32,
        /// The handle's generation.
        generation: u32,
    },
    /// The object is of another type.
    WrongType {
        /// The type asked for.
        expected: u32,
        /// The object's type.
        found: u32,
    },
    /// Something that this call needs is held by another agent.
    Busy {
        /// The agent's slot.
        agent: u32,
    },
    /// An audit holds the gate: leave, wait on the gate word, begin again (or break the gate).
    Gate {
        /// The gate word's value.
        gate: u32,
    },
    /// This agent was condemned, reaped or detached.
    AgentLost {
        /// Its slot.
        agent: u32,
    },
    /// Every slot is taken.
    NoSlot {
        /// Slots there are.
        slots: u32,
        /// Slots that no proof of death has freed yet.
        quarantined: u32,
    },
    /// No live block with this generation is there: freed already, or never allocated.
    NotAllocated {
        /// The address.
        address: Address,
    },
    /// A size or alignment that no block can have.
    InvalidLayout {
        /// Bytes.
        size: Amount,
        /// Bytes.
        align: Amount,
    },
    /// A place outside an object.
    OutOfRange {
        /// First element or byte asked for.
        offset: Amount,
        /// How many.
        length: Amount,
        /// How many there are.
        limit: Amount,
    },
    /// The heap's bytes break a rule of the audit.
    Corrupt {
        /// Which rule, see [`crate::audit::Rule`].
        rule: u32,
        /// Where.
        address: Address,
    },
    /// A name is longer than names may be; bytes.
    NameTooLong {
        /// Bytes of the name.
        length: u32,
        /// Bytes a name may have.
        maximum: u32,
    },
    /// A blocking call by an agent that must not block.
    CannotBlock,
    /// There is no heap at this address, or one of another layout.
    NotAHeap {
        /// What stands where the magic should.
        found: u32,
    },
    /// The heap is a frozen copy.
    Frozen,
    /// An object has as many references as its count can hold.
    TooManyReferences {
        /// The object's index.
        index: u32,
        /// How many that are.
        maximum: u32,
    },
    /// The object is frozen.
    Immutable {
        /// The object's index.
        index: u32,
    },
    /// A byte that no field's name or value has, or (0 at 0) an empty name.
    InvalidField {
        /// The byte.
        character: u32,
        /// Where in the name or value.
        offset: u32,
    },
    /// Fields would be larger than fields may be; bytes.
    FieldsTooLarge {
        /// How large they would be.
        size: Amount,
        /// How large they may be.
        maximum: Amount,
    },
    /// A cell that is added to holds something else.
    NotANumber {
        /// What it holds, as the C ABI numbers it.
        found: u32,
    },
    /// A structure is said to hold values of one kind, and holds one of another. Kinds are the tags of words, 8 a number.
    UnexpectedValue {
        /// What was expected.
        expected: u32,
        /// What is there.
        found: u32,
    },
    /// Nothing more can be written to the pipe.
    PipeClosed {
        /// The object's index.
        index: u32,
    },
    /// The pipe was ended by force.
    PipeAborted {
        /// The object's index.
        index: u32,
    },
    /// A pipe is full, of bytes or of writes, and has no delimiter; bytes.
    TokenTooLong {
        /// How many are in it.
        length: u32,
        /// How many may be.
        capacity: u32,
        /// In how many writes they are: there is room for about one for each 32 bytes of the capacity, 4,095 at most.
        writes: u32,
    },
    /// A wait ended without what was waited for.
    TimedOut {
        /// How long it was.
        milliseconds: Amount,
        /// Bytes that were written until then.
        written: Amount,
    },
    /// What was on loan went back, or was committed.
    LeaseLost {
        /// Where in the stream the loan began.
        offset: Amount,
    },
}

impl Error {
    // With amounts they are out of line: each place that refuses something would else convert them itself.

    /// [`Error::OutOfMemory`].
    #[cold]
    #[inline(never)]
    #[must_use]
    pub const fn out_of_memory(requested: u64, live: u64, maximum: u64) -> Self {
        Self::OutOfMemory { requested: Amount::new(requested), live: Amount::new(live), maximum: Amount::new(maximum) }
    }

    /// [`Error::StaleHandle`].
    #[inline(always)]
    #[must_use]
    pub const fn stale_handle(index: u32, generation: u32) -> Self {
        Self::StaleHandle { index, generation }
    }

    /// [`Error::WrongType`].
    #[inline(always)]
    #[must_use]
    pub const fn wrong_type(expected: u32, found: u32) -> Self {
        Self::WrongType { expected, found }
    }

    /// [`Error::Busy`].
    #[inline(always)]
    #[must_use]
    pub const fn busy(agent: u32) -> Self {
        Self::Busy { agent }
    }

    /// [`Error::Gate`].
    #[inline(always)]
    #[must_use]
    pub const fn gate(gate: u32) -> Self {
        Self::Gate { gate }
    }

    /// [`Error::AgentLost`].
    #[inline(always)]
    #[must_use]
    pub const fn agent_lost(agent: u32) -> Self {
        Self::AgentLost { agent }
    }

    /// [`Error::NoSlot`].
    #[inline(always)]
    #[must_use]
    pub const fn no_slot(slots: u32, quarantined: u32) -> Self {
        Self::NoSlot { slots, quarantined }
    }

    /// [`Error::NotAllocated`].
    #[inline(always)]
    #[must_use]
    pub const fn not_allocated(address: Address) -> Self {
        Self::NotAllocated { address }
    }

    /// [`Error::InvalidLayout`].
    #[cold]
    #[inline(never)]
    #[must_use]
    pub const fn invalid_layout(size: u64, align: u64) -> Self {
        Self::InvalidLayout { size: Amount::new(size), align: Amount::new(align) }
    }

    /// [`Error::OutOfRange`].
    #[cold]
    #[inline(never)]
    #[must_use]
    pub const fn out_of_range(offset: u64, length: u64, limit: u64) -> Self {
        Self::OutOfRange { offset: Amount::new(offset), length: Amount::new(length), limit: Amount::new(limit) }
    }

    /// [`Error::Corrupt`].
    #[inline(always)]
    #[must_use]
    pub const fn corrupt(rule: u32, address: Address) -> Self {
        Self::Corrupt { rule, address }
    }

    /// [`Error::NameTooLong`].
    #[inline(always)]
    #[must_use]
    pub const fn name_too_long(length: u32, maximum: u32) -> Self {
        Self::NameTooLong { length, maximum }
    }

    /// [`Error::CannotBlock`].
    #[inline(always)]
    #[must_use]
    pub const fn cannot_block() -> Self {
        Self::CannotBlock
    }

    /// [`Error::NotAHeap`].
    #[inline(always)]
    #[must_use]
    pub const fn not_a_heap(found: u32) -> Self {
        Self::NotAHeap { found }
    }

    /// [`Error::Frozen`].
    #[inline(always)]
    #[must_use]
    pub const fn frozen() -> Self {
        Self::Frozen
    }

    /// [`Error::TooManyReferences`].
    #[inline(always)]
    #[must_use]
    pub const fn too_many_references(index: u32, maximum: u32) -> Self {
        Self::TooManyReferences { index, maximum }
    }

    /// [`Error::Immutable`].
    #[inline(always)]
    #[must_use]
    pub const fn immutable(index: u32) -> Self {
        Self::Immutable { index }
    }

    /// [`Error::InvalidField`].
    #[inline(always)]
    #[must_use]
    pub const fn invalid_field(character: u32, offset: u32) -> Self {
        Self::InvalidField { character, offset }
    }

    /// [`Error::FieldsTooLarge`].
    #[cold]
    #[inline(never)]
    #[must_use]
    pub const fn fields_too_large(size: u64, maximum: u64) -> Self {
        Self::FieldsTooLarge { size: Amount::new(size), maximum: Amount::new(maximum) }
    }

    /// [`Error::NotANumber`].
    #[inline(always)]
    #[must_use]
    pub const fn not_a_number(found: u32) -> Self {
        Self::NotANumber { found }
    }

    /// [`Error::UnexpectedValue`].
    #[inline(always)]
    #[must_use]
    pub const fn unexpected_value(expected: u32, found: u32) -> Self {
        Self::UnexpectedValue { expected, found }
    }

    /// [`Error::PipeClosed`].
    #[inline(always)]
    #[must_use]
    pub const fn pipe_closed(index: u32) -> Self {
        Self::PipeClosed { index }
    }

    /// [`Error::PipeAborted`].
    #[inline(always)]
    #[must_use]
    pub const fn pipe_aborted(index: u32) -> Self {
        Self::PipeAborted { index }
    }

    /// [`Error::TokenTooLong`].
    #[inline(always)]
    #[must_use]
    pub const fn token_too_long(length: u32, capacity: u32, writes: u32) -> Self {
        Self::TokenTooLong { length, capacity, writes }
    }

    /// [`Error::TimedOut`].
    #[cold]
    #[inline(never)]
    #[must_use]
    pub const fn timed_out(milliseconds: u64, written: u64) -> Self {
        Self::TimedOut { milliseconds: Amount::new(milliseconds), written: Amount::new(written) }
    }

    /// [`Error::LeaseLost`].
    #[cold]
    #[inline(never)]
    #[must_use]
    pub const fn lease_lost(offset: u64) -> Self {
        Self::LeaseLost { offset: Amount::new(offset) }
    }

    /// The number in `errors.json`; [`Error::Gate`] has none, because it never leaves Rust.
    #[must_use]
    pub const fn code(self) -> u32 {
        use crate::generated::Code;
        match self {
            Self::OutOfMemory { .. } => Code::OutOfMemory as u32,
            Self::StaleHandle { .. } => Code::StaleHandle as u32,
            Self::WrongType { .. } => Code::WrongType as u32,
            Self::Busy { .. } => Code::Busy as u32,
            Self::AgentLost { .. } => Code::AgentLost as u32,
            Self::NoSlot { .. } => Code::NoSlot as u32,
            Self::NotAllocated { .. } => Code::NotAllocated as u32,
            Self::InvalidLayout { .. } => Code::InvalidLayout as u32,
            Self::OutOfRange { .. } => Code::OutOfRange as u32,
            Self::Corrupt { .. } => Code::Corrupt as u32,
            Self::NameTooLong { .. } => Code::NameTooLong as u32,
            Self::CannotBlock => Code::CannotBlock as u32,
            Self::NotAHeap { .. } => Code::NotAHeap as u32,
            Self::Frozen => Code::Frozen as u32,
            Self::TooManyReferences { .. } => Code::TooManyReferences as u32,
            Self::Immutable { .. } => Code::Immutable as u32,
            Self::InvalidField { .. } => Code::InvalidField as u32,
            Self::FieldsTooLarge { .. } => Code::FieldsTooLarge as u32,
            Self::NotANumber { .. } => Code::NotANumber as u32,
            Self::UnexpectedValue { .. } => Code::UnexpectedValue as u32,
            Self::PipeClosed { .. } => Code::PipeClosed as u32,
            Self::PipeAborted { .. } => Code::PipeAborted as u32,
            Self::TokenTooLong { .. } => Code::TokenTooLong as u32,
            Self::LeaseLost { .. } => Code::LeaseLost as u32,
            Self::TimedOut { .. } => Code::TimedOut as u32,
            Self::Gate { .. } => 0xFFFF,
        }
    }

    /// The error of a number in `errors.json` and its details, as a caller of the C ABI gets them; `None` for what Rust never answers.
    #[must_use]
    pub fn from_code(code: u32, details: [f64; 3]) -> Option<Self> {
        // What is no number of that many bits is the nearest that is.
        let [first, second, third] = details.map(|number| Amount::new(number as u64));
        let [one, two, three] = details.map(|number| number as u32);
        // Every error, each named once: the one that has this number.
        [
            Self::OutOfMemory { requested: first, live: second, maximum: third },
            Self::StaleHandle { index: one, generation: two },
            Self::WrongType { expected: one, found: two },
            Self::Busy { agent: one },
            Self::AgentLost { agent: one },
            Self::NoSlot { slots: one, quarantined: two },
            Self::NotAllocated { address: one },
            Self::InvalidLayout { size: first, align: second },
            Self::OutOfRange { offset: first, length: second, limit: third },
            Self::Corrupt { rule: one, address: two },
            Self::NameTooLong { length: one, maximum: two },
            Self::CannotBlock,
            Self::NotAHeap { found: one },
            Self::Frozen,
            Self::TooManyReferences { index: one, maximum: two },
            Self::Immutable { index: one },
            Self::InvalidField { character: one, offset: two },
            Self::FieldsTooLarge { size: first, maximum: second },
            Self::NotANumber { found: one },
            Self::UnexpectedValue { expected: one, found: two },
            Self::PipeClosed { index: one },
            Self::PipeAborted { index: one },
            Self::TokenTooLong { length: one, capacity: two, writes: three },
            Self::TimedOut { milliseconds: first, written: second },
            Self::LeaseLost { offset: first },
        ]
        .into_iter()
        .find(|error| error.code() == code)
    }

    /// The numbers of the error, in the order of `errors.json`; unused ones are 0.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "sizes and indexes lie far below 2^53")]
    pub const fn details(self) -> [f64; 3] {
        match self {
            Self::OutOfMemory { requested, live, maximum } => {
                [requested.get() as f64, live.get() as f64, maximum.get() as f64]
            }
            Self::StaleHandle { index, generation } => [index as f64, generation as f64, 0.0],
            Self::WrongType { expected, found } => [expected as f64, found as f64, 0.0],
            Self::Busy { agent } | Self::AgentLost { agent } => [agent as f64, 0.0, 0.0],
            Self::NoSlot { slots, quarantined } => [slots as f64, quarantined as f64, 0.0],
            Self::NotAllocated { address } => [address as f64, 0.0, 0.0],
            Self::InvalidLayout { size, align } => [size.get() as f64, align.get() as f64, 0.0],
            Self::OutOfRange { offset, length, limit } => {
                [offset.get() as f64, length.get() as f64, limit.get() as f64]
            }
            Self::Corrupt { rule, address } => [rule as f64, address as f64, 0.0],
            Self::NameTooLong { length, maximum } => [length as f64, maximum as f64, 0.0],
            Self::NotAHeap { found } => [found as f64, 0.0, 0.0],
            Self::TooManyReferences { index, maximum } => [index as f64, maximum as f64, 0.0],
            Self::Immutable { index } | Self::PipeClosed { index } | Self::PipeAborted { index } => {
                [index as f64, 0.0, 0.0]
            }
            Self::TokenTooLong { length, capacity, writes } => [length as f64, capacity as f64, writes as f64],
            Self::LeaseLost { offset } => [offset.get() as f64, 0.0, 0.0],
            Self::TimedOut { milliseconds, written } => [milliseconds.get() as f64, written.get() as f64, 0.0],
            Self::InvalidField { character, offset } => [character as f64, offset as f64, 0.0],
            Self::FieldsTooLarge { size, maximum } => [size.get() as f64, maximum.get() as f64, 0.0],
            Self::NotANumber { found } => [found as f64, 0.0, 0.0],
            Self::UnexpectedValue { expected, found } => [expected as f64, found as f64, 0.0],
            Self::Gate { gate } => [gate as f64, 0.0, 0.0],
            Self::CannotBlock | Self::Frozen => [0.0; 3],
        }
    }
}
