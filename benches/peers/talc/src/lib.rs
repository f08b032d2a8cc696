//! Peer: talc behind a test-and-test-and-set spin lock, grown 16 pages at a time.
#![no_std]
#![expect(clippy::disallowed_types, reason = "the lock is this peer's own")]

use core::alloc::{GlobalAlloc, Layout};
use core::arch::wasm32::memory_grow;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, Ordering};
use talc::base::{Talc, binning::Binning};
use talc::wasm::WasmBinning;
use talc::{lock_api, source::Source, sync::TalcLock};

const PAGE: usize = 65_536;

struct SpinLock(AtomicU32);

// SAFETY: one holder at a time, by compare-exchange.
unsafe impl lock_api::RawMutex for SpinLock {
    #[allow(clippy::declare_interior_mutable_const, reason = "lock_api asks for a constant")]
    const INIT: Self = Self(AtomicU32::new(0));
    type GuardMarker = lock_api::GuardSend;

    fn lock(&self) {
        while !self.try_lock() {
            while self.0.load(Ordering::Relaxed) != 0 {
                core::hint::spin_loop();
            }
        }
    }

    fn try_lock(&self) -> bool {
        self.0.compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    unsafe fn unlock(&self) {
        self.0.store(0, Ordering::Release);
    }
}

/// talc's own growing source is not `Send`, so it cannot stand behind a lock.
#[derive(Debug)]
struct Growth {
    end: usize,
}

// SAFETY: hands talc only pages that `memory.grow` just made.
unsafe impl Source for Growth {
    fn acquire<B: Binning>(talc: &mut Talc<Self, B>, layout: Layout) -> Result<(), ()> {
        let pages = (layout.size() + layout.align() + PAGE).div_ceil(PAGE).max(16);
        let before = memory_grow::<0>(pages);
        if before == usize::MAX {
            return Err(());
        }
        let base = (before * PAGE) as *mut u8;
        let end = base.wrapping_add(pages * PAGE);
        // SAFETY: the pages are new; when they follow the last region, that region is extended.
        let reached = unsafe {
            if talc.source.end == base as usize {
                Some(talc.extend(NonNull::new_unchecked(talc.source.end as *mut u8), end))
            } else {
                talc.claim(base, pages * PAGE)
            }
        };
        talc.source.end = reached.map_or(0, |end| end.as_ptr() as usize);
        Ok(())
    }
}

// talc links `alloc`, which wants a global allocator.
#[global_allocator]
static HEAP: TalcLock<SpinLock, Growth, WasmBinning> = TalcLock::new(Growth { end: 0 });

struct Peer;

impl workload::Contender for Peer {
    type Block = NonNull<u8>;

    fn allocate(&mut self, size: usize) -> Option<NonNull<u8>> {
        // SAFETY: the workloads ask for 16 bytes or more.
        NonNull::new(unsafe { HEAP.alloc(Layout::from_size_align_unchecked(size, 8)) })
    }

    fn free(&mut self, block: NonNull<u8>, size: usize) {
        // SAFETY: the block is from `allocate` with this size.
        unsafe { HEAP.dealloc(block.as_ptr(), Layout::from_size_align_unchecked(size, 8)) }
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
