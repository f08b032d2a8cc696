//! coheap under the workloads: each runs inside one operation of the agent whose slot is given.
#![no_std]

use core::alloc::{GlobalAlloc, Layout};

use coheap_alloc::{Address, Agent, Block, Heap, Kind, Memory, Operation, Options, Seat, slot as slots};

struct Ours<'a>(&'a Operation);

impl workload::Contender for Ours<'_> {
    type Block = Block;

    #[inline(always)]
    fn allocate(&mut self, size: usize) -> Option<Block> {
        self.0.allocate(size as u32, 8, Kind::Bytes).ok()
    }

    #[inline(always)]
    fn free(&mut self, block: Block, _: usize) {
        if self.0.free(block).is_err() {
            core::arch::wasm32::unreachable()
        }
    }

    #[inline(always)]
    fn word(block: Block) -> *mut u32 {
        block.address as usize as *mut u32
    }
}

fn agent(slot: Address) -> Agent {
    // SAFETY: the harness gives what `attach` gave.
    unsafe { Agent::from_slot(Memory::linear(), slot, slots::word(Memory::linear(), slot).incarnation()) }
}

/// Makes the heap: its control area begins at `control`. Answers whether that went well.
#[unsafe(no_mangle)]
pub extern "C" fn initialize(control: Address, maximum_pages: u32) -> bool {
    let options = Options { maximum_pages, fixed: false, seed: 0x5eed };
    Heap::initialize(Memory::linear(), control, options).is_ok()
}

/// Attaches one agent. Answers its slot, or 0.
#[unsafe(no_mangle)]
pub extern "C" fn attach(control: Address, nonce: u32) -> Address {
    let seat = Seat { nonce: u64::from(nonce), life: 0, parent: 0, may_block: true };
    Heap::open(Memory::linear(), control).and_then(|heap| heap.attach(seat)).map_or(0, Agent::slot)
}

/// See [`workload::pairs`].
#[unsafe(no_mangle)]
pub extern "C" fn pairs(slot: Address, iterations: u32, size: usize) -> u32 {
    agent(slot).operation(|operation| Ok(workload::pairs(&mut Ours(operation), iterations, size))).unwrap_or(iterations)
}

/// See [`workload::churn`].
#[unsafe(no_mangle)]
pub extern "C" fn churn(slot: Address, iterations: u32, seed: u32) -> u32 {
    agent(slot).operation(|operation| Ok(workload::churn(&mut Ours(operation), iterations, seed))).unwrap_or(iterations)
}

/// Holds `count` blocks of `size` bytes at once. Answers {how often the memory grew 32 | its pages then 32}, or 0.
#[unsafe(no_mangle)]
pub extern "C" fn hold(slot: Address, count: u32, size: u32) -> u64 {
    let held = agent(slot).operation(|operation| {
        let mut pages = Memory::linear().pages();
        let mut growths = 0;
        for _ in 0..count {
            operation.allocate(size, 8, Kind::Bytes)?;
            let now = Memory::linear().pages();
            growths += u64::from(now != pages);
            pages = now;
        }
        Ok(growths << 32 | u64::from(pages))
    });
    held.unwrap_or(0)
}

/// The measure of a number read: a call of the same signature (two words in, a number out) that only loads the word at
/// `address`.
#[unsafe(no_mangle)]
pub extern "C" fn load_word(address: Address, _: u32) -> f64 {
    // SAFETY: the caller keeps a double there, aligned.
    unsafe { (address as usize as *const f64).read_volatile() }
}

/// coheap-alloc links `alloc`, which wants a global allocator; nothing here uses it.
struct Nothing;

// SAFETY: it hands out nothing.
unsafe impl GlobalAlloc for Nothing {
    unsafe fn alloc(&self, _: Layout) -> *mut u8 {
        core::ptr::null_mut()
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static NOTHING: Nothing = Nothing;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    core::arch::wasm32::unreachable()
}
