//! The audit: it writes nothing that is anybody's, whatever others do meanwhile; it finds the same with marks for the
//! whole heap as with marks for a part of it; and its pages come back.
#![cfg(not(any(loom, shuttle)))]

mod common;

use std::cell::Cell;
use std::thread;

use coheap_alloc::audit::{NoReferences, References, Rule};
use coheap_alloc::layout::{PAGE, body, control};
use coheap_alloc::{Address, Agent, Block, Error, Heap, Kind, Memory, PageKind, PageWord, Result, Seat};
use common::{Random, Watchdog, cases, controls, heap_at, seed};

fn take(agent: Agent, size: u32, kind: Kind) -> Result<Block> {
    agent.operation(|op| {
        let block = op.allocate(size, 8, kind)?;
        op.publish(block)?;
        Ok(block)
    })
}

fn give(agent: Agent, block: Block) {
    agent.operation(|op| op.free(block)).unwrap();
}

/// As many blocks of `size` bytes as there is room for.
fn exhaust(agent: Agent, size: u32, kind: Kind) -> Vec<Block> {
    std::iter::from_fn(|| take(agent, size, kind).ok()).collect()
}

/// To a header these bits say: taken, live. To a program: a number a little below -1.
const PAYLOAD: u64 = 0xBFF0_0000_0000_0000;

/// Where a program has words in its block: not everywhere, so that the first are there soon.
fn words(block: Block, size: u32) -> impl Iterator<Item = Address> {
    (block.address..block.address + size / 8 * 8).step_by(64)
}

fn fill(memory: Memory, block: Block, size: u32) {
    words(block, size).for_each(|at| memory.set_own64(at, PAYLOAD | u64::from(at)));
}

/// Whoever changed a word of the block shows here.
fn check(memory: Memory, block: Block, size: u32, round: u64) {
    for at in words(block, size) {
        let found = memory.own64(at);
        assert_eq!(found, PAYLOAD | u64::from(at), "round {round}: {found:#x} at {at:#x} of {block:?}");
    }
}

fn pause(random: &mut Random) {
    (0..random.below(1000)).for_each(|_| std::hint::spin_loop());
}

/// Makes a slab, gives its page back and writes on it: round and round, and never waits for the auditor.
fn change_pages(heap: Heap, rounds: u64, random: &mut Random) {
    let memory = heap.memory();
    let writer = heap.attach(Seat::default()).unwrap();
    for round in 0..rounds {
        let maker = heap.attach(Seat::default()).unwrap();
        // The smaller the blocks, the longer the auditor is at their slab. It may have the last page itself.
        let small = take(maker, [16, 32, 64][random.below(3) as usize], Kind::Rust);
        pause(random);
        small.into_iter().for_each(|block| give(maker, block));
        maker.detach().unwrap();
        let size = [60_000, PAGE][random.below(2) as usize];
        let mut blocks = Vec::new();
        while let Ok(block) = take(writer, size, Kind::Rust) {
            fill(memory, block, size);
            blocks.push(block);
        }
        pause(random);
        for block in blocks {
            check(memory, block, size, round);
            give(writer, block);
        }
    }
}

/// An auditor beside it, in a heap of so many pages that is full but for `free` of them.
fn audit_beside_changing_pages(pages: u32, free: usize, rounds: u64, random: &mut Random) {
    let heap = heap_at(1, pages, true);
    let auditor = heap.attach(Seat::default()).unwrap();
    // The others' seats are made.
    let others = [0, 1].map(|_| heap.attach(Seat::default()).unwrap());
    others.into_iter().for_each(|other| other.detach().unwrap());
    let mut kept = exhaust(auditor, PAGE, Kind::Rust);
    kept.drain(..free).for_each(|block| give(auditor, block));
    let (mut done, mut busy) = (0u64, 0u64);
    thread::scope(|scope| {
        let writer = scope.spawn(|| change_pages(heap, rounds, random));
        while !writer.is_finished() {
            match auditor.audit(&mut NoReferences) {
                Ok(_) => done += 1,
                Err(Error::Busy { .. }) => busy += 1,
                Err(violation) => panic!("{violation:?}"),
            }
        }
    });
    println!("{pages} pages: {done} audits, {busy} ended as busy");
    assert!(done > 0);
    assert_eq!(auditor.audit(&mut NoReferences).unwrap().live_blocks, kept.len() as u64);
}

#[test]
fn audit_beside_pages_that_change_hands_writes_into_none() {
    const NAME: &str = "audit_beside_pages_that_change_hands_writes_into_none";
    const ROUNDS: u64 = 30_000;
    let _watchdog = Watchdog::new(NAME, 300);
    controls();
    let mut random = Random(seed(NAME));
    // Marks in the transfer buffer, and in two free pages.
    for (pages, free) in [(20, 1), (200, 4)] {
        audit_beside_changing_pages(pages, free, ROUNDS, &mut random);
    }
    cases(NAME, 2 * ROUNDS);
}

/// The references to blocks that nothing in the heap refers to; and what the audit told.
#[derive(Default)]
struct Held {
    blocks: Vec<Block>,
    passes: Cell<u32>,
    counted: (u64, u64),
}

impl References for Held {
    fn visit<F: FnMut(Block, Kind) -> Result<()>>(&self, _: Memory, _: Address, seen: &mut F) -> Result<()> {
        self.passes.set(self.passes.get() + 1);
        self.blocks.iter().try_for_each(|&block| seen(block, Kind::Bytes))
    }

    fn begin(&mut self) {
        self.passes.set(0);
        self.counted = (0, 0);
    }

    fn count(&mut self, kind: Kind, _: u32, bytes: u64) {
        assert_eq!(kind, Kind::Bytes);
        self.counted = (self.counted.0 + 1, self.counted.1 + bytes);
    }
}

/// A fixed heap that is full of blocks of these sizes but for `free` pages; of each but the last, half of what fits.
fn full(pages: u32, free: usize, sizes: &[u32]) -> (Heap, Agent, Held) {
    let heap = heap_at(1, pages, true);
    let agent = heap.attach(Seat::default()).unwrap();
    let spare: Vec<_> = (0..free).map(|_| take(agent, PAGE, Kind::Bytes).unwrap()).collect();
    let mut held = Held::default();
    for (index, &size) in sizes.iter().enumerate() {
        let mut blocks = exhaust(agent, size, Kind::Bytes);
        if index + 1 < sizes.len() {
            blocks.drain(blocks.len() / 2..).for_each(|block| give(agent, block));
        }
        held.blocks.extend(blocks);
    }
    spare.into_iter().for_each(|block| give(agent, block));
    (heap, agent, held)
}

/// The words of all blocks, their headers and their page words.
fn image(heap: Heap) -> Vec<u64> {
    let memory = heap.memory();
    let word_at = |page: u32| heap.control() + control::TABLE + page * 16;
    let kind = |page| PageWord(memory.load64(word_at(page))).kind();
    let of_blocks =
        |&page: &u32| matches!(kind(page), PageKind::Slab | PageKind::Granules | PageKind::Run | PageKind::RunBody);
    let words = |page| (page * PAGE..(page + 1) * PAGE).step_by(8).chain([word_at(page), word_at(page) + 8]);
    (0..memory.pages()).filter(of_blocks).flat_map(words).map(|at| memory.load64(at)).collect()
}

#[test]
fn audit_in_windows_finds_every_violation_and_writes_into_no_block() {
    const NAME: &str = "audit_in_windows_finds_every_violation_and_writes_into_no_block";
    const PAGES: u32 = 200;
    /// Pages whose marks the transfer buffer has room for.
    const FEW: u32 = body::MARKS_LENGTH / 512;
    controls();
    let mut count = 0;
    for (free, passes) in [(0, PAGES.div_ceil(FEW)), (1, PAGES.div_ceil(128)), (2, 1), (3, 1)] {
        let (heap, agent, mut held) = full(PAGES, free, &[200_000, 60_000, 8192, 16_384, 5000, PAGE]);
        let (before, words) = (agent.figures(), image(heap));
        let figures = agent.audit(&mut held).unwrap();
        assert_eq!(held.passes.get(), passes, "{free} pages free");
        assert_eq!(figures, before);
        assert_eq!(figures.live_blocks, held.blocks.len() as u64);
        assert_eq!(held.counted, (figures.live_blocks, figures.live_bytes));
        assert!(held.blocks.iter().any(|block| block.address / PAGE < FEW));
        assert!(held.blocks.iter().any(|block| block.address / PAGE >= FEW * 3));
        for index in 0..held.blocks.len() {
            let Block { address, generation } = held.blocks[index];
            let mut expect = |rule: Rule, held: &mut Held| {
                let corrupt = Error::Corrupt { rule: rule as u32, address };
                assert_eq!(agent.audit(held), Err(corrupt), "{free} pages free");
                count += 1;
            };
            held.blocks[index].generation = generation.wrapping_add(1);
            expect(Rule::ReferenceIsLive, &mut held);
            let block = Block { address, generation };
            held.blocks.remove(index);
            expect(Rule::BlockIsReferenced, &mut held);
            held.blocks.extend([block, block]);
            expect(Rule::ReferenceIsOnly, &mut held);
            held.blocks.truncate(held.blocks.len() - 2);
            held.blocks.insert(index, block);
        }
        assert_eq!(agent.figures(), before, "the pages of the marks are free again");
        assert!(image(heap) == words, "an audit wrote into a block, a header or a page word");
        agent.audit(&mut held).unwrap();
    }
    cases(NAME, count);
}

#[cfg(feature = "fault-points")]
mod death {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use coheap_alloc::nothing_to_settle;
    use coheap_alloc::sync::fault::{Died, arm, disarm};

    use super::*;

    /// Dies in an audit at each of its writes in turn, then does `after`: another agent finds as many pages as before.
    fn enumerate(after: impl Fn(Agent, &mut Held)) -> u64 {
        for at in 0.. {
            let (heap, agent, mut held) = full(300, 4, &[60_000, 200_000, PAGE]);
            let other = heap.attach(Seat::default()).unwrap();
            let pages = exhaust(other, PAGE, Kind::Bytes);
            let room = pages.len();
            pages.into_iter().for_each(|block| give(other, block));
            arm(at);
            let ended = catch_unwind(AssertUnwindSafe(|| agent.audit(&mut held)));
            disarm();
            match ended {
                Ok(result) => {
                    result.unwrap();
                    assert!(room >= 3);
                    return at;
                }
                Err(cause) => assert!(cause.is::<Died>(), "panicked at write {at}"),
            }
            after(agent, &mut held);
            let pages = exhaust(other, PAGE, Kind::Bytes);
            assert_eq!(pages.len(), room, "death at write {at}");
            pages.into_iter().for_each(|block| give(other, block));
            other.audit(&mut held).unwrap_or_else(|error| panic!("death at write {at}: {error:?}"));
            // SAFETY: nothing of this heap is used after this round.
            unsafe { heap.memory().unmap() };
        }
        unreachable!()
    }

    #[test]
    fn audit_cut_short_at_every_write_gives_its_pages_back() {
        controls();
        let points = enumerate(|agent, held| {
            agent.recover(&nothing_to_settle).unwrap();
            agent.audit(held).unwrap();
        });
        assert!(points > 100);
        cases("audit_cut_short_at_every_write_gives_its_pages_back", points);
    }

    #[test]
    fn pages_of_an_audit_whose_seat_is_gone_serve_others() {
        controls();
        let points = enumerate(|agent, _| agent.detach().unwrap());
        cases("pages_of_an_audit_whose_seat_is_gone_serve_others", points);
    }
}
