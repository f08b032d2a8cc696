//! The numbers that Rust and TypeScript agree on.
//!
//! Generated from errors.json and layout.json by tools/generate.mjs; change those.

/// First word of a heap's control area.
pub const MAGIC: u32 = 0x7061_6568;
/// Version of the layout of everything in the heap: other versions are refused before a byte is changed.
pub const LAYOUT_VERSION: u32 = 1;
/// Number of the C ABI between `heap.wasm` and its callers.
pub const ABI_NUMBER: u32 = 1;

/// What a failing call answers; 0 is success. The details of an error are read one by one, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Code {
    /// No room is left for {requested} bytes ({live} of at most {maximum} bytes are in use): free something, or create the heap with a larger maximum. Details: requested, live, maximum.
    OutOfMemory = 1,
    /// Nothing lives at index {index} with generation {generation} any more: it was released or removed, so open it again by its name or ask its owner for a new handle. Details: index, generation.
    StaleHandle = 2,
    /// This handle or name belongs to an object of type {found}, not {expected}: open it as what it is, or choose another name. Details: expected, found.
    WrongType = 3,
    /// Agent {agent} holds what this call needs: try again once its operation is over. Details: agent.
    Busy = 4,
    /// Agent {agent} was condemned, reaped or detached, and what depended on it ends here: attach again with a fresh token. Details: agent.
    AgentLost = 5,
    /// All {slots} slots are taken, {quarantined} of them by agents whose death nobody could prove: detach agents that are done, or create a new heap. Details: slots, quarantined.
    NoSlot = 6,
    /// No live block is at address {address}: it was freed already or never allocated, so free each block once and only by what allocate returned. Details: address.
    NotAllocated = 7,
    /// No block can have {size} bytes aligned to {align}: ask for at least one byte and an alignment that is a power of two up to 65,536. Details: size, align.
    InvalidLayout = 8,
    /// The range of {length} from {offset} on does not fit into {limit}: stay within the object's length. Details: offset, length, limit.
    OutOfRange = 9,
    /// The heap breaks rule {rule} at address {address}: something wrote into its bytes from outside, so copy out what you need and create a new heap. Details: rule, address.
    Corrupt = 10,
    /// The name has {length} bytes in UTF-8, names have at most {maximum}: choose a shorter one. Details: length, maximum.
    NameTooLong = 11,
    /// This agent must not block: use the method without Sync here, or call this one from a worker.
    CannotBlock = 12,
    /// The heap was made by {found}, this copy of coheap is {expected}: let every agent use the same version of the package. Details: expected, found.
    AbiMismatch = 13,
    /// There is no heap at this address (its first word is {found}): attach with the token that heap.token() gave you. Details: found.
    NotAHeap = 14,
    /// This heap is a frozen copy, as another version of coheap makes them: attach to the heap that it was made of.
    Frozen = 15,
    /// The argument {argument} must be {expected}, not {found}. Details: argument, expected, found.
    InvalidArgument = 16,
    /// Shared memory is not available here, {missing} is missing: serve the page with the headers that checkEnvironment() names. Details: missing.
    NotIsolated = 17,
    /// This platform reserves no shared memory, not even for a maximum of {maximum} bytes ({reason}): close other heaps, or ask for a smaller maximum. Details: maximum, reason.
    MaximumRefused = 18,
    /// This agent has detached from the heap: attach again with a fresh token.
    Detached = 19,
    /// The object at index {index} has {maximum} references, and can have no more: dispose of wrappers that are not needed. Details: index, maximum.
    TooManyReferences = 20,
    /// This handle belongs to heap {found}, not to heap {expected}: open it on the heap that it came from. Details: expected, found.
    ForeignHandle = 21,
    /// This token was adopted for another worker already: make one token for each worker.
    Adopted = 22,
    /// An audit holds the heap (gate {gate}): begin the operation again when it has ended. Details: gate.
    Gate = 23,
    /// This is no token of a heap, {why}: pass on what heap.token() gave you, unchanged, by postMessage or workerData. Details: why.
    InvalidToken = 24,
    /// A value of type {type} cannot be stored here: pass undefined, null, a boolean, number, bigint, string or Uint8Array; maps and lists, and no cells, also take what heap.from(value) makes of plain objects, arrays and Maps. Nothing takes functions, symbols and other objects, Date and Set among them. Details: type.
    UnsupportedValue = 25,
    /// This wrapper was disposed of: open the object again by its name or handle.
    Disposed = 26,
    /// heap.wasm could not be loaded from {source} ({reason}): pass the bytes that coheap/inline has, or a module, a URL or a Response, as the option wasm. Details: source, reason.
    WasmUnavailable = 27,
    /// The fields at index {index} are frozen: change a clone of them. Details: index.
    Immutable = 28,
    /// The character of code {character} at offset {offset} cannot stand there: a field's name is one or more of the letters, digits and signs of a token (RFC 9110), its value has bytes alone and no control characters but tabs. Details: character, offset.
    InvalidField = 29,
    /// The fields would have {size} bytes, they may have {maximum} (names, values, and 32 for each line): remove some, or send the data as a body. Details: size, maximum.
    FieldsTooLarge = 30,
    /// The cell holds a value of type {found}, to which nothing can be added: set a number first. Details: found.
    NotANumber = 31,
    /// The value is of kind {found}, and the structure was opened as one of kind {expected}: open it as what it holds, or as one of any values. Details: expected, found.
    UnexpectedValue = 32,
    /// The pipe at index {index} is closed, nothing more can be written to it: write before close(), or to a pipe of your own. Details: index.
    PipeClosed = 33,
    /// The pipe at index {index} was aborted ({reason}): what was in it is lost, begin again with a new one. Details: index, reason.
    PipeAborted = 34,
    /// The pipe is full of {length} bytes in {writes} writes (it has room for {capacity} bytes, and for about one write for each 32 of them, 4,095 at most), and has no delimiter: read without until, write more bytes at a time, or make a pipe of a larger capacity. Details: length, capacity, writes.
    TokenTooLong = 35,
    /// The bytes on loan at offset {offset} went back to the pipe, or were committed: take a new lease. Details: offset.
    LeaseLost = 36,
    /// Nothing came of it in {milliseconds} milliseconds; {written} bytes were written until then: wait longer, or see why the other side is slow. Details: milliseconds, written.
    TimedOut = 37,
}
