//! Peer: dlmalloc behind a test-and-set lock, as Rust's std has it on wasm32 with atomics.
#![no_std]
#![expect(clippy::disallowed_types, reason = "the lock is this peer's own")]

use core::cell::UnsafeCell;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, Ordering};
use dlmalloc::Dlmalloc;

struct Heap {
    locked: AtomicU32,
    allocator: UnsafeCell<Dlmalloc>,
}

// SAFETY: `with` lets one thread in at a time.
unsafe impl Sync for Heap {}

impl Heap {
    #[inline(always)]
    fn with<R>(&self, work: impl FnOnce(&mut Dlmalloc) -> R) -> R {
        while self.locked.swap(1, Ordering::Acquire) != 0 {}
        // SAFETY: the lock is ours.
        let result = work(unsafe { &mut *self.allocator.get() });
        self.locked.store(0, Ordering::Release);
        result
    }
}

static HEAP: Heap = Heap { locked: AtomicU32::new(0), allocator: UnsafeCell::new(Dlmalloc::new()) };

struct Peer;

impl workload::Contender for Peer {
    type Block = NonNull<u8>;

    fn allocate(&mut self, size: usize) -> Option<NonNull<u8>> {
        // SAFETY: the alignment is a power of two.
        NonNull::new(HEAP.with(|allocator| unsafe { allocator.malloc(size, 8) }))
    }

    fn free(&mut self, block: NonNull<u8>, size: usize) {
        // SAFETY: the block is from `allocate` with this size.
        HEAP.with(|allocator| unsafe { allocator.free(block.as_ptr(), size, 8) })
    }

    fn word(block: NonNull<u8>) -> *mut u32 {
        block.as_ptr().cast()
    }
}

/// See [`workload::pairs`].
#[unsafe(no_mangle)]
pub extern "C" fn pairs(iterations: u32, size: usize) -> u32 {
    workload::pairs(&mut Peer, iterations, size)
}

/// See [`workload::churn`].
#[unsafe(no_mangle)]
pub extern "C" fn churn(iterations: u32, seed: u32) -> u32 {
    workload::churn(&mut Peer, iterations, seed)
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    core::arch::wasm32::unreachable()
}
