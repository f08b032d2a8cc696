//! What a threaded program exports besides: its heap, the seat of each instance, and room for threads.
//!
//! `heap.wasm` has its seat in two globals and its stack in its slot. A program has them in a *block*: thread-locals below, a
//! stack above, both as large as JavaScript says, which makes the instances (SAFETY.md, I-26). Blocks are never freed, because whoever leaves
//! one stands on it; JavaScript marks it free afterwards, and the next thread gets it.

extern crate std;

use core::alloc::Layout;
use core::cell::{Cell, UnsafeCell};

use coheap::wait::Host;
use coheap::wait::program::Imports;
use coheap_alloc::{Address, GlobalAlloc, Memory, program};

/// A block begins with a word that says whose it is: 0 nobody's, [`TAKEN`], or a token's tag.
const SIZE: Address = 4;
const NEXT: Address = 8;
/// What JavaScript writes when a thread moves in; no tag is even.
const TAKEN: u32 = 2;
/// Of a block: a page boundary is more than any thread-local asks for.
const ALIGN: usize = 4096;

/// The newest block; each names the one before it.
struct Blocks(UnsafeCell<u32>);

// SAFETY: I-2 the word is changed by compare-exchange alone, through `Memory`.
unsafe impl Sync for Blocks {}

static BLOCKS: Blocks = Blocks(UnsafeCell::new(0));

std::thread_local! {
    static SEAT: Cell<(u32, u32)> = const { Cell::new((0, 0)) };
}

pub(crate) fn agent() -> u32 {
    SEAT.get().0
}

pub(crate) fn incarnation() -> u32 {
    SEAT.get().1
}

pub(crate) fn wait(address: u32, expected: u32, timeout: f64) -> u32 {
    use coheap::wait::Slept;
    match Imports.wait(address, expected, timeout) {
        Slept::Woken => 0,
        Slept::NotEqual => 1,
        Slept::TimedOut => 2,
        Slept::CannotBlock => 3,
    }
}

pub(crate) fn notify(address: u32, _count: u32) -> u32 {
    Imports.notify(address);
    0
}

pub(crate) fn now() -> f64 {
    Imports.now()
}

/// Where the control area of this program's heap lies, which is made if there is none and then grows to `maximum_pages` at
/// most; 0 when there is no room for one.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_control(maximum_pages: u32) -> u32 {
    program::heap(maximum_pages).map_or(0, coheap_alloc::Heap::control)
}

/// This instance is the agent that has the slot, in this incarnation of it; what the globals are in `heap.wasm`.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_sit(slot: u32, incarnation: u32) {
    SEAT.set((slot, incarnation));
}

/// Gives back the seat that this thread allocates by, if it has one.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_leave() {
    GlobalAlloc::leave();
}

/// A block of at least `size` bytes, which has this tag from now on (an odd number); 0 when there is no room. If the caller
/// dies before anybody knows the block, it is lost.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_block(size: u32, tag: u32) -> u32 {
    let memory = Memory::linear();
    let Some(head) = memory.address(BLOCKS.0.get().cast()) else { return 0 };
    let mut at = memory.load32(head);
    // At most as many rounds as there were threads at once.
    while at != 0 {
        let fits = memory.load32(at.wrapping_add(SIZE)) >= size;
        if fits && memory.compare_exchange32(at, 0, tag).is_ok() {
            return at;
        }
        at = memory.load32(at.wrapping_add(NEXT));
    }
    let Ok(layout) = Layout::from_size_align(size as usize, ALIGN) else { return 0 };
    if size <= NEXT {
        return 0;
    }
    // SAFETY: the size is not 0.
    let Some(at) = memory.address(unsafe { std::alloc::alloc_zeroed(layout) }).filter(|&at| at != 0) else { return 0 };
    memory.store32(at, tag);
    memory.store32(at.wrapping_add(SIZE), size);
    let mut found = memory.load32(head);
    // Lock-free: another round means that another agent added a block.
    loop {
        memory.store32(at.wrapping_add(NEXT), found);
        match memory.compare_exchange32(head, found, at) {
            Ok(_) => return at,
            Err(now) => found = now,
        }
    }
}

/// A block that JavaScript writes [`TAKEN`] into, and 0 when its thread has left, is nobody else's meanwhile.
const _: () = assert!(TAKEN.is_multiple_of(2));

/// Makes this program export the C ABI of coheap, by which the npm package attaches to the heap in its memory. Once, in the
/// crate that is linked.
///
/// ```ignore
/// #[global_allocator]
/// static GLOBAL: coheap::GlobalAlloc = coheap::GlobalAlloc::new(16_384);
///
/// coheap::export!();
/// ```
#[macro_export]
macro_rules! export {
    () => {
        // A program has the exports of the crates that it names.
        const _: extern "C" fn(u32) -> u32 = $crate::embedded::coheap_control;
    };
}
