//! The codes of errors.
//!
//! Generated from errors.json and layout.json by tools/generate.mjs; change those.

/// Every code that coheap can throw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Code {
    /// No room is left for {requested} bytes ({live} of at most {maximum} bytes are in use): free something, or create the heap with a larger maximum.
    OutOfMemory,
    /// Nothing lives at index {index} with generation {generation} any more: it was released or removed, so open it again by its name or ask its owner for a new handle.
    StaleHandle,
    /// This handle or name belongs to an object of type {found}, not {expected}: open it as what it is, or choose another name.
    WrongType,
    /// Agent {agent} holds what this call needs: try again once its operation is over.
    Busy,
    /// Agent {agent} was condemned, reaped or detached, and what depended on it ends here: attach again with a fresh token.
    AgentLost,
    /// All {slots} slots are taken, {quarantined} of them by agents whose death nobody could prove: detach agents that are done, or create a new heap.
    NoSlot,
    /// No live block is at address {address}: it was freed already or never allocated, so free each block once and only by what allocate returned.
    NotAllocated,
    /// No block can have {size} bytes aligned to {align}: ask for at least one byte and an alignment that is a power of two up to 65,536.
    InvalidLayout,
    /// The range of {length} from {offset} on does not fit into {limit}: stay within the object's length.
    OutOfRange,
    /// The heap breaks rule {rule} at address {address}: something wrote into its bytes from outside, so copy out what you need and create a new heap.
    Corrupt,
    /// The name has {length} bytes in UTF-8, names have at most {maximum}: choose a shorter one.
    NameTooLong,
    /// This agent must not block: use the method without Sync here, or call this one from a worker.
    CannotBlock,
    /// The heap was made by {found}, this copy of coheap is {expected}: let every agent use the same version of the package.
    AbiMismatch,
    /// There is no heap at this address (its first word is {found}): attach with the token that heap.token() gave you.
    NotAHeap,
    /// This heap is a frozen copy, as another version of coheap makes them: attach to the heap that it was made of.
    Frozen,
    /// The argument {argument} must be {expected}, not {found}.
    InvalidArgument,
    /// Shared memory is not available here, {missing} is missing: serve the page with the headers that checkEnvironment() names.
    NotIsolated,
    /// This platform reserves no shared memory, not even for a maximum of {maximum} bytes ({reason}): close other heaps, or ask for a smaller maximum.
    MaximumRefused,
    /// This agent has detached from the heap: attach again with a fresh token.
    Detached,
    /// The object at index {index} has {maximum} references, and can have no more: dispose of wrappers that are not needed.
    TooManyReferences,
    /// This handle belongs to heap {found}, not to heap {expected}: open it on the heap that it came from.
    ForeignHandle,
    /// This token was adopted for another worker already: make one token for each worker.
    Adopted,
    /// An audit holds the heap (gate {gate}): begin the operation again when it has ended.
    Gate,
    /// This is no token of a heap, {why}: pass on what heap.token() gave you, unchanged, by postMessage or workerData.
    InvalidToken,
    /// A value of type {type} cannot be stored here: pass undefined, null, a boolean, number, bigint, string or Uint8Array; maps and lists, and no cells, also take what heap.from(value) makes of plain objects, arrays and Maps. Nothing takes functions, symbols and other objects, Date and Set among them.
    UnsupportedValue,
    /// This wrapper was disposed of: open the object again by its name or handle.
    Disposed,
    /// heap.wasm could not be loaded from {source} ({reason}): pass the bytes that coheap/inline has, or a module, a URL or a Response, as the option wasm.
    WasmUnavailable,
    /// The fields at index {index} are frozen: change a clone of them.
    Immutable,
    /// The character of code {character} at offset {offset} cannot stand there: a field's name is one or more of the letters, digits and signs of a token (RFC 9110), its value has bytes alone and no control characters but tabs.
    InvalidField,
    /// The fields would have {size} bytes, they may have {maximum} (names, values, and 32 for each line): remove some, or send the data as a body.
    FieldsTooLarge,
    /// The cell holds a value of type {found}, to which nothing can be added: set a number first.
    NotANumber,
    /// The value is of kind {found}, and the structure was opened as one of kind {expected}: open it as what it holds, or as one of any values.
    UnexpectedValue,
    /// The pipe at index {index} is closed, nothing more can be written to it: write before close(), or to a pipe of your own.
    PipeClosed,
    /// The pipe at index {index} was aborted ({reason}): what was in it is lost, begin again with a new one.
    PipeAborted,
    /// The pipe is full of {length} bytes in {writes} writes (it has room for {capacity} bytes, and for about one write for each 32 of them, 4,095 at most), and has no delimiter: read without until, write more bytes at a time, or make a pipe of a larger capacity.
    TokenTooLong,
    /// The bytes on loan at offset {offset} went back to the pipe, or were committed: take a new lease.
    LeaseLost,
    /// Nothing came of it in {milliseconds} milliseconds; {written} bytes were written until then: wait longer, or see why the other side is slow.
    TimedOut,
}

impl Code {
    /// The code of a name in `errors.json`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "COHEAP_OUT_OF_MEMORY" => Self::OutOfMemory,
            "COHEAP_STALE_HANDLE" => Self::StaleHandle,
            "COHEAP_WRONG_TYPE" => Self::WrongType,
            "COHEAP_BUSY" => Self::Busy,
            "COHEAP_AGENT_LOST" => Self::AgentLost,
            "COHEAP_NO_SLOT" => Self::NoSlot,
            "COHEAP_NOT_ALLOCATED" => Self::NotAllocated,
            "COHEAP_INVALID_LAYOUT" => Self::InvalidLayout,
            "COHEAP_OUT_OF_RANGE" => Self::OutOfRange,
            "COHEAP_CORRUPT" => Self::Corrupt,
            "COHEAP_NAME_TOO_LONG" => Self::NameTooLong,
            "COHEAP_CANNOT_BLOCK" => Self::CannotBlock,
            "COHEAP_ABI_MISMATCH" => Self::AbiMismatch,
            "COHEAP_NOT_A_HEAP" => Self::NotAHeap,
            "COHEAP_FROZEN" => Self::Frozen,
            "COHEAP_INVALID_ARGUMENT" => Self::InvalidArgument,
            "COHEAP_NOT_ISOLATED" => Self::NotIsolated,
            "COHEAP_MAXIMUM_REFUSED" => Self::MaximumRefused,
            "COHEAP_DETACHED" => Self::Detached,
            "COHEAP_TOO_MANY_REFERENCES" => Self::TooManyReferences,
            "COHEAP_FOREIGN_HANDLE" => Self::ForeignHandle,
            "COHEAP_ADOPTED" => Self::Adopted,
            "COHEAP_GATE" => Self::Gate,
            "COHEAP_INVALID_TOKEN" => Self::InvalidToken,
            "COHEAP_UNSUPPORTED_VALUE" => Self::UnsupportedValue,
            "COHEAP_DISPOSED" => Self::Disposed,
            "COHEAP_WASM_UNAVAILABLE" => Self::WasmUnavailable,
            "COHEAP_IMMUTABLE" => Self::Immutable,
            "COHEAP_INVALID_FIELD" => Self::InvalidField,
            "COHEAP_FIELDS_TOO_LARGE" => Self::FieldsTooLarge,
            "COHEAP_NOT_A_NUMBER" => Self::NotANumber,
            "COHEAP_UNEXPECTED_VALUE" => Self::UnexpectedValue,
            "COHEAP_PIPE_CLOSED" => Self::PipeClosed,
            "COHEAP_PIPE_ABORTED" => Self::PipeAborted,
            "COHEAP_TOKEN_TOO_LONG" => Self::TokenTooLong,
            "COHEAP_LEASE_LOST" => Self::LeaseLost,
            "COHEAP_TIMED_OUT" => Self::TimedOut,
            _ => return None,
        })
    }
}
