//! Making a heap, taking a seat, leaving it, and what goes with a seat.

use coheap::recovery::settle;
use coheap_alloc::generated::{ABI_NUMBER, LAYOUT_VERSION};
use coheap_alloc::layout::{PAGE, body, control, slot};
use coheap_alloc::{Heap, Memory, Options, slot as slots};

use crate::call::{Status, status};
use crate::seat::{self, Imports, agent, newcomer};

fn long(low: u32, high: u32) -> u64 {
    low as u64 | (high as u64) << 32
}

/// Makes a heap with its control area at `control`. For the creator alone, on the module's initial stack; nothing but
/// its own memory is touched. Errors: `INVALID_LAYOUT`, `OUT_OF_MEMORY`, both without details.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_initialize(
    control: u32,
    maximum_pages: u32,
    flags: u32,
    seed_low: u32,
    seed_high: u32,
) -> Status {
    let fixed = flags & control::FIXED != 0;
    let options = Options { maximum_pages, fixed, seed: long(seed_low, seed_high) };
    let made = Heap::initialize(Memory::linear(), control, options);
    status(agent(), made.map(|_| ()))
}

/// The version of the layout of everything in the heap, and in the low half the number of this ABI. Touches nothing: for who has
/// no slot yet.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_version() -> u32 {
    LAYOUT_VERSION << 16 | ABI_NUMBER
}

/// Takes a free slot; answers its address, or 0 when there is none. Uses no shadow stack, for it has none yet. If the
/// caller dies before [`coheap_attach`], the slot stays taken until its death is proven.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_claim(
    control: u32,
    nonce_low: u32,
    nonce_high: u32,
    life_low: u32,
    life_high: u32,
    parent: u32,
    role: u32,
) -> u32 {
    let (nonce, life) = (long(nonce_low, nonce_high), long(life_low, life_high));
    slots::claim(Memory::linear(), control, nonce, life, parent, role).unwrap_or(0)
}

/// The slot, but not `except`, whose agent attached with this nonce, or 0. Stores nothing, uses no shadow stack: for who has
/// no slot yet.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_slot_of(control: u32, nonce_low: u32, nonce_high: u32, except: u32) -> u32 {
    slots::with_nonce(Memory::linear(), control, long(nonce_low, nonce_high), except).unwrap_or(0)
}

/// Which of its slot's agents the claimant is, as the module's global `incarnation` must say from here on.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_incarnation() -> u32 {
    newcomer().incarnation()
}

/// Gives back a claimed slot after an exception left [`coheap_attach`] or came before it. Uses no shadow stack.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_abandon() {
    newcomer().abandon();
}

/// Makes the claimed slot ready, on the slot's own small stack. Error: `OUT_OF_MEMORY`; the slot is free again.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_attach() -> Status {
    status(agent(), agent().attach())
}

/// Gives back what the agent holds and leaves the heap. Error: `AGENT_LOST` when it had left already.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_detach() -> Status {
    status(agent(), coheap::detach(agent(), &Imports))
}

/// Where the agent's shadow stack begins; it grows down.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_stack_top() -> u32 {
    body_page().wrapping_add(PAGE)
}

/// Where the agent's shadow stack ends.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_stack_base() -> u32 {
    body_page().wrapping_add(body::STACK_BASE)
}

fn body_page() -> u32 {
    agent().transfer().wrapping_sub(body::TRANSFER)
}

/// Stays online until [`coheap_turn_end`]: entering costs two loads from here on.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_turn_begin() -> Status {
    status(agent(), crate::call::enter(agent()).map(|_| ()))
}

/// Goes offline, if online.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_turn_end() -> Status {
    agent().turn_end();
    0
}

/// After an exception left an operation: decides what it was doing, goes offline. May be called again after an
/// exception left it. Linear in the pages of the heap when something was in flight.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_recover() -> Status {
    status(agent(), agent().recover(&settle))
}

/// Where the agent's transfer buffer is.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_transfer() -> u32 {
    agent().transfer()
}

/// Bytes of the transfer buffer.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_transfer_length() -> u32 {
    body::TRANSFER_LENGTH
}

/// The i-th number (of eight) of the agent's last answer or error; 0 before there is a seat.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_detail(index: u32) -> f64 {
    if !seat::is_seated() {
        return 0.0;
    }
    let at = agent().slot().wrapping_add(slot::DETAILS).wrapping_add((index & 7) * 8);
    f64::from_bits(agent().memory().own64(at))
}
