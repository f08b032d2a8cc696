//! Where everything lies. All offsets are bytes; a change here changes the layout version.

use crate::sync::Address;

pub use crate::sync::PAGE;

/// Fields of the control area, from its start.
pub mod control {
    use super::Address;
    /// u32: [`crate::generated::MAGIC`], written last when a heap is made.
    pub const MAGIC: Address = 0;
    /// u32: layout version.
    pub const LAYOUT: Address = 4;
    /// u32: ABI number of the module that made the heap.
    pub const ABI: Address = 8;
    /// u32: [`FROZEN`] and [`FIXED`].
    pub const FLAGS: Address = 12;
    /// u32: pages that the page table can describe.
    pub const LIMIT: Address = 16;
    /// u32: pages of the control area itself, page table included.
    pub const PAGES: Address = 20;
    /// u64: random start of generations.
    pub const SEED: Address = 24;
    /// u32, shared: rises whenever slabs become ownerless, so that agents look for them.
    pub const ORPHANED: Address = 64;
    /// u32, shared: the audit's gate. Odd while closed; agents that may block wait here.
    pub const GATE: Address = 68;
    /// u32, shared: rises with each attach and each broken gate, so that the audit notices both.
    pub const DISTURBED: Address = 72;
    /// u32, shared: one more than the highest index that an attached slot ever had. Rises before the agent's first
    /// operation, in the one order of all: so who looks for holders need not look at the slots beyond.
    pub const SLOTS_USED: Address = 80;
    /// u32, shared, a hint: one more than the index of a map that is not taken apart yet, or 0.
    pub const ENDED_MAP: Address = 84;
    /// u64, shared, a hint: the life of who closed the gate last.
    pub const AUDITOR: Address = 88;
    /// 32 × u32, shared: [the name](crate::PageName) of the first page of each chunk of 128 slots, or 0.
    pub const SLOT_CHUNKS: Address = 0x100;
    /// u64, shared: the block of the table of atoms, or 0.
    pub const ATOMS: Address = 0x200;
    /// 256 × u64, shared: the roots.
    pub const ROOTS: Address = 0x1000;
    /// How many roots there are.
    pub const ROOT_COUNT: u32 = 256;
    /// 4096 × u32, shared: [the name](crate::PageName) of each page of the object table, or 0.
    pub const OBJECT_CHUNKS: Address = 0x4000;
    /// How many pages the object table can have.
    pub const OBJECT_CHUNK_COUNT: u32 = 4096;
    /// Hint bitmap: pages that may be free.
    pub const FREE_HINTS: Address = 0x8000;
    /// Hint bitmap: granule pages that may have room.
    pub const GRANULE_HINTS: Address = 0xA000;
    /// Hint bitmap: slabs in which others than the owner freed blocks.
    pub const FREED_HINTS: Address = 0xC000;
    /// The page table: 16 bytes a page, {page word, granule word}.
    pub const TABLE: Address = 0x1_0000;

    /// A copied memory that must be opened by reaping every slot.
    pub const FROZEN: u32 = 1;
    /// The memory never grows.
    pub const FIXED: u32 = 2;
}

/// Fields of a slot, from its start.
pub mod slot {
    use super::Address;
    /// u64, shared: the slot word, see [`crate::slot_word`].
    pub const WORD: Address = 0;
    /// u64, owner: the slot word while the agent is online, else 0.
    pub const EXPECTED: Address = 8;
    /// u32, owner: the control area.
    pub const CONTROL: Address = 16;
    /// u32, owner: the page table, [`control::TABLE`](super::control::TABLE) behind [`CONTROL`]: else one of the two is damaged.
    pub const TABLE: Address = 20;
    /// u32, owner: pages that the page table describes.
    pub const LIMIT: Address = 24;
    /// u32, shared once set: [the name](crate::PageName) of the slot's body page, or 0.
    pub const BODY: Address = 28;
    /// u64, owner: what the page word of a slab of this agent must contain, see [`crate::page_word`].
    pub const OWN: Address = 32;
    /// u32, owner: index of the slot.
    pub const INDEX: Address = 40;
    /// u32, owner: [`MAY_BLOCK`].
    pub const ROLE: Address = 44;
    /// u64, owner: the slot word while the agent is offline: what going online is exchanged from. Its incarnation says whose [`LIFE`] is.
    pub const OFFLINE: Address = 48;
    /// u32, owner: how deep operations are nested.
    pub const DEPTH: Address = 56;
    /// u32, owner: private blocks that nested operations left to the outermost one.
    pub const LEFT: Address = 60;
    /// u64, owner: sequence of the agent's last change of a count. Goes on from one agent of the slot to the next.
    pub const SEQUENCE: Address = 64;
    /// u64, shared: the highest sequence of which another agent has noted that its change happened.
    pub const DONE: Address = 72;
    /// u64, shared: sequence of the change of a count that is in flight, or 0. Written by the owner, read by others.
    pub const COUNTING: Address = 80;
    /// u64, shared: which count that is. Changes only while [`COUNTING`] is 0.
    pub const TARGET: Address = 88;
    /// u64, owner: why it changes, or 0: then nothing is in flight.
    pub const CHANGE: Address = 96;
    /// u64, owner: sequence of the second change of two.
    pub const SECOND: Address = 104;
    /// u64, owner: the block of a reference that the agent is putting into a structure, or 0.
    pub const NESTING: Address = 112;
    /// u64, owner: the block of a reference that the agent is taking out of a structure, or 0.
    pub const DROPPING: Address = 120;
    /// 8 × u64, owner until the agent is dead or aborted: the operation record, see [`crate::record`].
    ///
    /// Its line of the slot has address bits 6–11 that no slab's owner words have (4, 20, 36 or 52): a load right after
    /// a store 4 KiB away would wait for it on processors that compare low address bits first.
    pub const RECORD: Address = if cfg!(feature = "uncoloured") { 192 } else { 256 };
    /// u64, owner: the nonce of the token that was attached with.
    pub const NONCE: Address = 128;
    /// u32, owner: slot of the parent agent plus one, or 0.
    pub const PARENT: Address = 136;
    /// u32, shared: the low half of [`LIFE`] and 1, once the agent's thread is known to hold the platform's lock of that life.
    pub const LOCKED: Address = 140;
    /// u64, owner: the header of a raw block of this agent, without kind and generation.
    pub const STAMP: Address = 152;
    /// u64, shared: the object that this agent wrote to, or changed the count of, last: index 32 | generation 32; counts while it is online.
    pub const HOLD: Address = 144;
    /// u64, shared: the eras of the held map or list in which what this agent may meet was there, or 0; counts while it is online.
    pub const HOLD_ERA: Address = 160;
    /// u64, owner: the place in a map that a change of its count is about, or the block of a new head.
    pub const PLACE: Address = 168;
    /// u64, shared: the head of the map, or one more than the index of the list or ended object, of which this agent is taking apart what was given up, or 0;
    /// counts while it is online.
    pub const RECLAIMING: Address = 176;
    /// u64, owner: the block of a list's next root that this agent is making, or 0.
    pub const EDITING: Address = 184;
    /// 8 × u64, owner: numbers of the last answer or error (doubles).
    pub const DETAILS: Address = if cfg!(feature = "uncoloured") { 256 } else { 192 };
    /// u64, shared: how far the agent's last change of a place of a list has come: sequence 32 | state 2.
    pub const SETTING: Address = 320;
    /// u64, shared while that is under way: the place.
    pub const SET_AT: Address = 328;
    /// u64, likewise: the word that was there.
    pub const SET_OLD: Address = 336;
    /// u64, likewise: the word that is to be there.
    pub const SET_NEW: Address = 344;
    /// u64, shared: how far the agent's last transaction has come: sequence 61 | phase 3. Who meets an undecided one may end it.
    pub const TRANSACTION: Address = 352;
    /// u64, shared: the block of its records, or 0.
    pub const TRANSACTION_RECORDS: Address = 360;
    /// u64, shared: who takes the seat over, or did last, see [`crate::reap`].
    pub const REAPER: Address = 368;
    /// u64, owner: what ends at once with the agent's thread: one number for all its agents; 0: unknown.
    pub const LIFE: Address = 376;
    /// Where the bootstrap stack ends below; it starts at [`SIZE`] and grows down.
    pub const STACK_BASE: Address = 384;
    /// Bytes of a slot.
    pub const SIZE: Address = 1024;
    /// Slots of a chunk.
    pub const CHUNK: u32 = 128;
    /// Pages of a chunk.
    pub const CHUNK_PAGES: u32 = 2;
    /// Chunks at most.
    pub const CHUNKS: u32 = 32;
    /// Slots at most.
    pub const COUNT: u32 = 4096;
    /// Role: the agent may block.
    pub const MAY_BLOCK: u32 = 1;
}

/// Fields of the page that each used slot has for its private state: derived, never truth, but for the holdings.
///
/// The tables of the allocator stand from 0x800 on, so they share no address bits 6–11 with the owner words of a slab.
pub mod body {
    use super::Address;
    /// 32 × 16 bytes: the window of each size class, see [`window`].
    pub const WINDOWS: Address = 0x800;
    /// 32 × u32: some slab of the ring of all slabs of the class, or 0.
    pub const RING: Address = 0xC80;
    /// 32 × u32: a slab that was full when a block was freed into it, or 0.
    pub const HINT: Address = 0xD00;
    /// 32 × u32: `ORPHANED` as of the last fruitless search of the class.
    pub const SEARCHED: Address = 0xD80;
    /// u32: where the last free page was found.
    pub const PAGE_CURSOR: Address = 0xE00;
    /// u32: the granule page used last.
    pub const GRANULE_CURSOR: Address = 0xE04;
    /// u32: for the object table: where the last free entry was found.
    pub const OBJECT_CURSOR: Address = 0xE08;
    /// u32: address of the private arena's state, or 0.
    pub const ARENA: Address = 0xE0C;
    /// u32: `DISTURBED` as of the beginning of this agent's audit.
    pub const AUDIT_BEGUN: Address = 0xE10;
    /// u32: of a dead agent, the page from which on who reaps it goes on, see [`crate::reclaim::Pages`].
    pub const REAPED: Address = 0xE14;
    /// u64, shared: the nonce of the slot's last agent that was reaped, or 0.
    pub const LOST: Address = 0xE18;
    /// u32: of a dead agent, the place of its holdings before which who reaps it has given all back.
    pub const GIVEN: Address = 0xE20;
    /// u32: for the layer above: what long looks before a sleep have been worth lately.
    pub const PATIENCE: Address = 0xE24;
    /// u64: the block of the agent's holdings, or 0: then they stand in [`HOLDINGS_HERE`].
    pub const HOLDINGS: Address = 0xA00;
    /// u32: how many objects are held.
    pub const HELD: Address = 0xA08;
    /// u32: words of the holdings that are not empty.
    pub const HOLDINGS_USED: Address = 0xA0C;
    /// 256 × u64: the first holdings.
    pub const HOLDINGS_HERE: Address = 0;
    /// How many words those have.
    pub const HOLDINGS_HERE_COUNT: u32 = 256;
    /// 64 × u64: lives of workers that end at once with the agent's thread, or 0.
    pub const ADOPTED: Address = 0xA80;
    /// How many those are at most.
    pub const ADOPTED_COUNT: u32 = 64;
    /// The transfer buffer: what crosses from and to JavaScript.
    pub const TRANSFER: Address = 0x1000;
    /// Bytes of the transfer buffer.
    pub const TRANSFER_LENGTH: u32 = 0x7000;
    /// The part of the transfer buffer in which an audit without a free page marks blocks. Who is told of the blocks may
    /// have the rest.
    pub const MARKS: Address = 0x5200;
    /// Bytes of that part.
    pub const MARKS_LENGTH: u32 = TRANSFER + TRANSFER_LENGTH - MARKS;
    /// Names of HTTP fields that the agent has written once: the bindings' own, see their `fields`.
    pub const FIELD_NAMES: Address = 0x8000;
    /// Bytes of those.
    pub const FIELD_NAMES_LENGTH: u32 = 0x800;
    /// Where the shadow stack ends below; it starts at the page's end and grows down.
    pub const STACK_BASE: Address = 0x8800;
}

/// Fields of a window: up to 64 free blocks of one slab that left their bitmap word and are taken one by one.
pub mod window {
    use super::Address;
    /// u64: one bit a block.
    pub const BITS: Address = 0;
    /// u32: where the header word of the first block lies, in the page that the blocks are in; 0: the window is closed.
    pub const HEADERS: Address = 8;
    /// u32: where the first block lies.
    pub const BLOCKS: Address = 12;
    /// Bytes of a window.
    pub const SIZE: Address = 16;
}

/// Fields of a slab, from its owner words: where those lie in the page depends on the class
/// ([`crate::size_class::Class::owner`]), so that the hot words of slabs of different classes fall into different cache
/// sets.
pub mod slab {
    use super::Address;
    /// u32, owner: next slab of the ring.
    pub const NEXT: Address = 0;
    /// u32, owner: previous slab of the ring.
    pub const PREVIOUS: Address = 4;
    /// u64s, owner, hints: one bit for each block that the owner may take. Behind them the header words, then the blocks.
    pub const BITMAP: Address = 8;
}

/// Bytes of a granule.
pub const GRANULE: u32 = 4096;
/// Granules of a page; the first holds the headers.
pub const GRANULES: u32 = 16;
/// Largest middle block: all granules of a page but the first.
pub const MIDDLE: u32 = GRANULE * (GRANULES - 1);
