// Generated from errors.json and layout.json by tools/generate.mjs; change those.

/** First word of a heap's control area. */
export const MAGIC = 0x70616568;
/** Version of the layout of everything in the heap: other versions are refused before a byte is changed. */
export const LAYOUT_VERSION = 1;
/** Number of the C ABI between heap.wasm and its callers. */
export const ABI_NUMBER = 1;

/** Every error by its code: its number in the C ABI, what to do, and the names of its details in the ABI's order. */
export const ERRORS = {
  COHEAP_OUT_OF_MEMORY: {
    number: 1,
    text: "No room is left for {requested} bytes ({live} of at most {maximum} bytes are in use): free something, or create the heap with a larger maximum.",
    details: ["requested", "live", "maximum"],
  },
  COHEAP_STALE_HANDLE: {
    number: 2,
    text: "Nothing lives at index {index} with generation {generation} any more: it was released or removed, so open it again by its name or ask its owner for a new handle.",
    details: ["index", "generation"],
  },
  COHEAP_WRONG_TYPE: {
    number: 3,
    text: "This handle or name belongs to an object of type {found}, not {expected}: open it as what it is, or choose another name.",
    details: ["expected", "found"],
  },
  COHEAP_BUSY: {
    number: 4,
    text: "Agent {agent} holds what this call needs: try again once its operation is over.",
    details: ["agent"],
  },
  COHEAP_AGENT_LOST: {
    number: 5,
    text: "Agent {agent} was condemned, reaped or detached, and what depended on it ends here: attach again with a fresh token.",
    details: ["agent"],
  },
  COHEAP_NO_SLOT: {
    number: 6,
    text: "All {slots} slots are taken, {quarantined} of them by agents whose death nobody could prove: detach agents that are done, or create a new heap.",
    details: ["slots", "quarantined"],
  },
  COHEAP_NOT_ALLOCATED: {
    number: 7,
    text: "No live block is at address {address}: it was freed already or never allocated, so free each block once and only by what allocate returned.",
    details: ["address"],
  },
  COHEAP_INVALID_LAYOUT: {
    number: 8,
    text: "No block can have {size} bytes aligned to {align}: ask for at least one byte and an alignment that is a power of two up to 65,536.",
    details: ["size", "align"],
  },
  COHEAP_OUT_OF_RANGE: {
    number: 9,
    text: "The range of {length} from {offset} on does not fit into {limit}: stay within the object's length.",
    details: ["offset", "length", "limit"],
  },
  COHEAP_CORRUPT: {
    number: 10,
    text: "The heap breaks rule {rule} at address {address}: something wrote into its bytes from outside, so copy out what you need and create a new heap.",
    details: ["rule", "address"],
  },
  COHEAP_NAME_TOO_LONG: {
    number: 11,
    text: "The name has {length} bytes in UTF-8, names have at most {maximum}: choose a shorter one.",
    details: ["length", "maximum"],
  },
  COHEAP_CANNOT_BLOCK: {
    number: 12,
    text: "This agent must not block: use the method without Sync here, or call this one from a worker.",
    details: [],
  },
  COHEAP_ABI_MISMATCH: {
    number: 13,
    text: "The heap was made by {found}, this copy of coheap is {expected}: let every agent use the same version of the package.",
    details: ["expected", "found"],
  },
  COHEAP_NOT_A_HEAP: {
    number: 14,
    text: "There is no heap at this address (its first word is {found}): attach with the token that heap.token() gave you.",
    details: ["found"],
  },
  COHEAP_FROZEN: {
    number: 15,
    text: "This heap is a frozen copy, as another version of coheap makes them: attach to the heap that it was made of.",
    details: [],
  },
  COHEAP_INVALID_ARGUMENT: {
    number: 16,
    text: "The argument {argument} must be {expected}, not {found}.",
    details: ["argument", "expected", "found"],
  },
  COHEAP_NOT_ISOLATED: {
    number: 17,
    text: "Shared memory is not available here, {missing} is missing: serve the page with the headers that checkEnvironment() names.",
    details: ["missing"],
  },
  COHEAP_MAXIMUM_REFUSED: {
    number: 18,
    text: "This platform reserves no shared memory, not even for a maximum of {maximum} bytes ({reason}): close other heaps, or ask for a smaller maximum.",
    details: ["maximum", "reason"],
  },
  COHEAP_DETACHED: {
    number: 19,
    text: "This agent has detached from the heap: attach again with a fresh token.",
    details: [],
  },
  COHEAP_TOO_MANY_REFERENCES: {
    number: 20,
    text: "The object at index {index} has {maximum} references, and can have no more: dispose of wrappers that are not needed.",
    details: ["index", "maximum"],
  },
  COHEAP_FOREIGN_HANDLE: {
    number: 21,
    text: "This handle belongs to heap {found}, not to heap {expected}: open it on the heap that it came from.",
    details: ["expected", "found"],
  },
  COHEAP_ADOPTED: {
    number: 22,
    text: "This token was adopted for another worker already: make one token for each worker.",
    details: [],
  },
  COHEAP_GATE: {
    number: 23,
    text: "An audit holds the heap (gate {gate}): begin the operation again when it has ended.",
    details: ["gate"],
  },
  COHEAP_INVALID_TOKEN: {
    number: 24,
    text: "This is no token of a heap, {why}: pass on what heap.token() gave you, unchanged, by postMessage or workerData.",
    details: ["why"],
  },
  COHEAP_UNSUPPORTED_VALUE: {
    number: 25,
    text: "A value of type {type} cannot be stored here: pass undefined, null, a boolean, number, bigint, string or Uint8Array; maps and lists, and no cells, also take what heap.from(value) makes of plain objects, arrays and Maps. Nothing takes functions, symbols and other objects, Date and Set among them.",
    details: ["type"],
  },
  COHEAP_DISPOSED: {
    number: 26,
    text: "This wrapper was disposed of: open the object again by its name or handle.",
    details: [],
  },
  COHEAP_WASM_UNAVAILABLE: {
    number: 27,
    text: "heap.wasm could not be loaded from {source} ({reason}): pass the bytes that coheap/inline has, or a module, a URL or a Response, as the option wasm.",
    details: ["source", "reason"],
  },
  COHEAP_IMMUTABLE: {
    number: 28,
    text: "The fields at index {index} are frozen: change a clone of them.",
    details: ["index"],
  },
  COHEAP_INVALID_FIELD: {
    number: 29,
    text: "The character of code {character} at offset {offset} cannot stand there: a field's name is one or more of the letters, digits and signs of a token (RFC 9110), its value has bytes alone and no control characters but tabs.",
    details: ["character", "offset"],
  },
  COHEAP_FIELDS_TOO_LARGE: {
    number: 30,
    text: "The fields would have {size} bytes, they may have {maximum} (names, values, and 32 for each line): remove some, or send the data as a body.",
    details: ["size", "maximum"],
  },
  COHEAP_NOT_A_NUMBER: {
    number: 31,
    text: "The cell holds a value of type {found}, to which nothing can be added: set a number first.",
    details: ["found"],
  },
  COHEAP_UNEXPECTED_VALUE: {
    number: 32,
    text: "The value is of kind {found}, and the structure was opened as one of kind {expected}: open it as what it holds, or as one of any values.",
    details: ["expected", "found"],
  },
  COHEAP_PIPE_CLOSED: {
    number: 33,
    text: "The pipe at index {index} is closed, nothing more can be written to it: write before close(), or to a pipe of your own.",
    details: ["index"],
  },
  COHEAP_PIPE_ABORTED: {
    number: 34,
    text: "The pipe at index {index} was aborted ({reason}): what was in it is lost, begin again with a new one.",
    details: ["index", "reason"],
  },
  COHEAP_TOKEN_TOO_LONG: {
    number: 35,
    text: "The pipe is full of {length} bytes in {writes} writes (it has room for {capacity} bytes, and for about one write for each 32 of them, 4,095 at most), and has no delimiter: read without until, write more bytes at a time, or make a pipe of a larger capacity.",
    details: ["length", "capacity", "writes"],
  },
  COHEAP_LEASE_LOST: {
    number: 36,
    text: "The bytes on loan at offset {offset} went back to the pipe, or were committed: take a new lease.",
    details: ["offset"],
  },
  COHEAP_TIMED_OUT: {
    number: 37,
    text: "Nothing came of it in {milliseconds} milliseconds; {written} bytes were written until then: wait longer, or see why the other side is slow.",
    details: ["milliseconds", "written"],
  },
} as const;
