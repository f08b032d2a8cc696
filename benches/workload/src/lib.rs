//! The two workloads that every allocator runs: the same code, the same random numbers, the same writes.
#![no_std]

/// An allocator as the workloads see it.
pub trait Contender {
    /// What an allocation answers and a free takes.
    type Block: Copy;
    /// `None` when there is no memory.
    fn allocate(&mut self, size: usize) -> Option<Self::Block>;
    /// Gives a block back; `size` is the size it was asked for with.
    fn free(&mut self, block: Self::Block, size: usize);
    /// Where the block's first word is.
    fn word(block: Self::Block) -> *mut u32;
}

#[inline(always)]
fn touch<C: Contender>(block: C::Block, value: u32) {
    // SAFETY: the block is at least 4 bytes, aligned to 8, and this workload alone has it.
    unsafe { C::word(block).write_volatile(value) }
}

/// Allocates one block of `size` bytes, writes a word and frees it, `iterations` times.
/// Answers how many iterations were not done (no memory).
#[inline(always)]
pub fn pairs<C: Contender>(contender: &mut C, iterations: u32, size: usize) -> u32 {
    for done in 0..iterations {
        let Some(block) = contender.allocate(size) else {
            return iterations - done;
        };
        touch::<C>(block, done);
        contender.free(block, size);
    }
    0
}

/// The next number of xorshift32, which is never 0 if `random` was not.
#[inline(always)]
pub fn next_random(random: &mut u32) -> u32 {
    *random ^= *random << 13;
    *random ^= *random >> 17;
    *random ^= *random << 5;
    *random
}

/// Keeps 256 blocks of 16..=512 bytes and replaces one at random, `iterations` times.
/// Answers how many iterations were not done (no memory).
#[inline(always)]
pub fn churn<C: Contender>(contender: &mut C, iterations: u32, seed: u32) -> u32 {
    let mut blocks: [Option<(C::Block, usize)>; 256] = [None; 256];
    let mut random = seed | 1;
    let mut not_done = 0;
    for done in 0..iterations {
        next_random(&mut random);
        let place = &mut blocks[(random & 255) as usize];
        let size = 16 + ((random >> 8) % 497) as usize;
        if let Some((block, size)) = place.take() {
            contender.free(block, size);
        }
        let Some(block) = contender.allocate(size) else {
            not_done = iterations - done;
            break;
        };
        touch::<C>(block, random);
        *place = Some((block, size));
    }
    for (block, size) in blocks.into_iter().flatten() {
        contender.free(block, size);
    }
    not_done
}
