//! The count of an object that several agents change, one of which dies in it.

use coheap::count::{Change, CountWord, Counted, Which, begin, change, release_any, settle};
use coheap::holdings::{Holder, holds};
use coheap::object::{self, Handle};
use coheap::{Table, acquire, cell};
use coheap_alloc::layout::PAGE;
use coheap_alloc::{Address, Agent, Heap, Memory, Options, Seat};
use shuttle::rand::{Rng, thread_rng};
use shuttle::thread;

use super::explore::explore_in;

/// A heap whose agents all know one object; see [`changes_and_recovery`].
#[derive(Clone, Copy)]
struct Counting {
    heap: Heap,
    slots: [(Address, u32); 5],
    object: Handle,
}

/// Who is who among the agents of [`Counting`]. These three have a reference from the beginning.
const DYING: usize = 0;

const GIVER: usize = 1;
const KEEPER: usize = 2;
const TAKER: usize = 3;
const REAPER: usize = 4;

impl Counting {
    fn new() -> Self {
        let memory = Memory::map(16, 16).expect("a memory");
        let options = Options { maximum_pages: 16, fixed: true, seed: 0x5EED };
        let heap = Heap::initialize(memory, PAGE, options).expect("a heap");
        let agents = [(); 5].map(|()| heap.attach(Seat::default()).expect("a seat"));
        let object = agents[KEEPER].operation(|o| cell::create(o, 1.0)).expect("an object");
        for agent in [DYING, GIVER].map(|index| agents[index]) {
            agent.operation(|o| acquire(o, object, None)).expect("a reference");
        }
        Self { heap, slots: agents.map(|agent| (agent.slot(), agent.incarnation())), object }
    }

    fn agent(&self, index: usize) -> Agent {
        let (slot, incarnation) = self.slots[index];
        // SAFETY: I-14 attached in `new`; each slot is used by one thread at a time.
        unsafe { Agent::from_slot(self.heap.memory(), slot, incarnation) }
    }

    fn holder(&self, index: usize) -> Holder {
        Holder { slot: self.slots[index].0, index: self.agent(index).index() }
    }

    fn entry(&self) -> Address {
        let table = Table { memory: self.heap.memory(), control: self.heap.control() };
        table.entry(self.object.index).expect("an entry")
    }

    fn word(&self, which: Which) -> Counted {
        Counted { entry: self.entry(), handle: self.object, which }
    }
}

/// One agent changes a count, or is about to, and dies; another recovers it. Meanwhile two others change it too. In the
/// end the count is the number of those who have a reference.
fn changes_and_recovery(world: Counting) {
    let memory = world.heap.memory();
    memory.share();
    let choice = thread_rng().gen_range(0..8u32);
    let dying = thread::spawn(move || {
        let holder = world.holder(DYING);
        let (which, why, add) = match choice / 2 {
            0 | 1 => (Which::All, Change::Release, false),
            2 => (Which::Parked, Change::Park, true),
            _ => {
                // Not for the first time: it gives its reference back, and takes one again.
                let _ = world.agent(DYING).operation(|o| release_any(o, world.object));
                (Which::All, Change::Acquire, true)
            }
        };
        let sequence = begin(memory, holder, world.word(which), why);
        if choice % 2 == 1 {
            let _ = change(memory, holder, world.word(which), add, sequence);
        }
        // Here it ends. Nobody but the reaper goes on with it.
        world.agent(REAPER).operation(|o| settle(o, holder)).unwrap();
    });
    let taker = thread::spawn(move || {
        let agent = world.agent(TAKER);
        agent.operation(|o| acquire(o, world.object, None)).expect("the keeper has one");
        if choice & 4 == 0 {
            let _ = agent.operation(|o| release_any(o, world.object)).expect("it was there");
        }
    });
    let agent = world.agent(GIVER);
    let _ = agent.operation(|o| release_any(o, world.object)).expect("it was there");
    agent.operation(|o| acquire(o, world.object, None)).expect("the keeper has one");
    dying.join().unwrap();
    taker.join().unwrap();
    let held = (0..5).filter(|&index| holds(memory, world.holder(index), world.object) == Ok(true)).count();
    let count = |offset| CountWord(memory.load64(world.entry() + offset)).count();
    let (all, parked) = (count(object::COUNT), count(object::PARKED));
    assert_eq!(all, held as u32 + parked, "a change was lost or happened twice");
}

#[test]
fn counts_under_every_schedule_tried_are_the_references_there_are() {
    let world = Counting::new();
    explore_in(world.heap.memory(), move |_| changes_and_recovery(world));
}
