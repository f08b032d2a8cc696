//! Maps: who inserts, deletes, walks, clears and dies at once.

use coheap::count::CountWord;
use coheap::map::{self, Key, parts};
use coheap::object::{self, Handle};
use coheap::string::Given;
use coheap::{Table, acquire, value};
use coheap_alloc::layout::PAGE;
use coheap_alloc::{Address, Agent, Block, Heap, Memory, Options, Seat};
use shuttle::rand::{Rng, thread_rng};
use shuttle::thread;

use super::explore::{SCHEDULES, explore_by, explore_times};

/// A heap with a map that all agents know.
#[derive(Clone, Copy)]
pub(super) struct Mapping {
    pub(super) heap: Heap,
    slots: [(Address, u32); 4],
    pub(super) map: Handle,
}

/// The number keys that are there all the time.
pub(super) const STABLE: [f64; 2] = [100.0, 101.0];

impl Mapping {
    /// With `count` entries of which the last `left` are left, and then the stable ones.
    pub(super) fn new(count: u32, left: u32) -> Self {
        let memory = Memory::map(16, 16).expect("a memory");
        let options = Options { maximum_pages: 16, fixed: true, seed: 0x5EED };
        let heap = Heap::initialize(memory, PAGE, options).expect("a heap");
        let agents = [(); 4].map(|()| heap.attach(Seat::default()).expect("a seat"));
        let map = agents[0].operation(map::create).expect("a map");
        let world = Self { heap, slots: agents.map(|agent| (agent.slot(), agent.incarnation())), map };
        for key in 0..count {
            world.set(0, f64::from(key), 1.0);
        }
        for key in STABLE {
            world.set(0, key, key);
        }
        for key in 0..count - left {
            assert!(world.delete(0, f64::from(key)));
        }
        world
    }

    pub(super) fn agent(&self, index: usize) -> Agent {
        let (slot, incarnation) = self.slots[index];
        // SAFETY: I-14 attached in `new`; each slot is used by one thread at a time.
        unsafe { Agent::from_slot(self.heap.memory(), slot, incarnation) }
    }

    fn table(&self) -> Table {
        Table { memory: self.heap.memory(), control: self.heap.control() }
    }

    pub(super) fn set(&self, agent: usize, key: f64, value: f64) {
        let done = self.agent(agent).operation(|o| map::set(o, self.map, &Key::number(key), Given::number(value)));
        done.expect("it is set");
    }

    pub(super) fn delete(&self, agent: usize, key: f64) -> bool {
        self.agent(agent).operation(|o| map::delete(o, self.map, &Key::number(key))).expect("it is deleted")
    }

    fn insert(&self, agent: usize, key: f64, value: f64) -> bool {
        let there = self
            .agent(agent)
            .operation(|o| map::insert_if_absent(o, self.map, &Key::number(key), Given::number(value), 0, 0));
        there.expect("it is inserted").is_none()
    }

    pub(super) fn get(&self, key: f64) -> Option<f64> {
        let taken = map::get(self.table(), self.map, &Key::number(key), 0, 0).expect("it is read");
        taken.and_then(|taken| value::to_number(taken.word))
    }

    /// Nobody changes the map any more: as many entries are met as are counted, and each is found.
    pub(super) fn check(&self) {
        let (memory, at) = (self.heap.memory(), self.agent(0).transfer());
        let batch = map::entries(self.table(), self.map, 0, 64, at, 4096).expect("entries");
        assert_eq!(map::size(self.table(), self.map), Ok(u64::from(batch.count)), "what is there is what is counted");
        let mut keys = Vec::new();
        for entry in 0..batch.count {
            let key = f64::from_bits(memory.load64(at + entry * 32 + 8));
            assert!(!keys.contains(&key), "a key is there once");
            assert_eq!(self.get(key), Some(f64::from_bits(memory.load64(at + entry * 32 + 24))));
            keys.push(key);
        }
    }
}

/// Two agents insert a key, and one inserts and deletes it.
fn insertions_of_one_key(world: Mapping) {
    world.heap.memory().share();
    let others = [1, 2].map(|agent| {
        thread::spawn(move || {
            let made = world.insert(agent, 7.0, agent as f64);
            i32::from(made) - i32::from(agent == 1 && world.delete(agent, 7.0))
        })
    });
    let mut made = i32::from(world.insert(0, 7.0, 5.0));
    for other in others {
        made += other.join().unwrap();
    }
    assert_eq!(made, i32::from(world.get(7.0).is_some()), "each insertion is there or was deleted");
    world.check();
}

/// One agent deletes the last entry of a chunk, whose memory is used at once; another walks along there and inserts, a
/// third reads.
fn deletion_beside_a_walk(world: Mapping, behind: [f64; 2]) {
    world.heap.memory().share();
    let chunk = parts::first_chunk(world.table(), world.map).expect("a map").expect("a chunk");
    let writer = thread::spawn(move || {
        world.set(1, behind[1], 1.0);
    });
    let reader = thread::spawn(move || {
        assert_eq!(world.get(behind[0]), Some(1.0), "it was there all the time");
    });
    assert!(world.delete(0, 19.0));
    check_unused(world, chunk, || {
        writer.join().unwrap();
        reader.join().unwrap();
    });
    world.check();
}

/// One agent sets the last entry of a chunk where it found it, while another deletes it and uses the chunk's memory.
fn deletion_beside_a_place(world: Mapping, place: map::Place) {
    let memory = world.heap.memory();
    memory.share();
    let chunk = parts::first_chunk(world.table(), world.map).expect("a map").expect("a chunk");
    let writer = thread::spawn(move || {
        let next = value::from_number(5.0);
        let changed = world.agent(1).operation(|o| Ok(map::change_at(o.agent(), world.map, place, |_| Some(next))));
        assert!(matches!(changed, Ok(found) if found.is_none_or(|found| found == next)));
    });
    assert!(world.delete(0, 19.0));
    check_unused(world, chunk, || writer.join().unwrap());
    assert_eq!(world.get(19.0), None, "it was set before it was deleted, or not at all");
    world.check();
}

/// If a chunk is freed, somebody else is given its memory, all zeros: nobody writes to it any more until `done`.
fn check_unused(world: Mapping, chunk: Block, done: impl FnOnce()) {
    let memory = world.heap.memory();
    let words = || (0..512).step_by(8).map(|offset| chunk.address + offset);
    // What somebody else is given is all zeros, which is the end of a list, too.
    let is_freed = world.agent(0).operation(|o| Ok(o.is_live(chunk).is_none())).expect("a look");
    if is_freed {
        words().for_each(|at| memory.store64(at, 0));
    }
    done();
    assert!(!is_freed || words().all(|at| memory.load64(at) == 0), "a late write to the next block");
}

/// A map is cleared while one inserts and one reads.
fn clearing_beside_an_insertion(world: Mapping) {
    world.heap.memory().share();
    let writer = thread::spawn(move || {
        world.set(1, 20.0, 1.0);
        world.set(1, 21.0, 1.0);
    });
    let reader = thread::spawn(move || {
        let found = STABLE.map(|key| world.get(key));
        assert!(found[0].is_some() || found[1].is_none(), "both were cleared away at once");
    });
    world.agent(0).operation(|o| map::clear(o, world.map)).expect("it is cleared");
    world.set(0, 22.0, 1.0);
    writer.join().unwrap();
    reader.join().unwrap();
    assert_eq!(world.get(22.0), Some(1.0));
    world.check();
}

/// An agent dies in an insertion or a deletion; two others change the same key, and one recovers it.
fn death_in_a_change(world: Mapping) {
    world.heap.memory().share();
    let choice = thread_rng().gen_range(0..4u32);
    let dying = thread::spawn(move || {
        let agent = world.agent(3);
        agent.turn_begin().expect("it enters");
        let half = agent.operation(|o| {
            let done = match choice / 2 {
                0 => parts::begin_insertion(o, world.map, &Key::number(7.0), choice % 2),
                _ => parts::begin_deletion(o, world.map, &Key::number(STABLE[0]), choice % 2),
            };
            // Here it ends, inside its operation; nobody but who recovers it goes on with it.
            agent.recover(&coheap::recovery::settle).expect("the record is settled");
            done
        });
        half.expect("its first half");
    });
    let other = thread::spawn(move || {
        world.set(1, 7.0, 1.0);
        world.delete(1, STABLE[0]);
    });
    world.insert(0, STABLE[0], STABLE[0]);
    world.delete(0, 7.0);
    dying.join().unwrap();
    other.join().unwrap();
    world.check();
}

/// Three agents give one key structures, and take them away; one of them dies in it. Each structure has as many references
/// as there are.
fn structures_of_one_key(world: Mapping, inner: [Handle; 2]) {
    world.heap.memory().share();
    let key = STABLE[0];
    let nest = move |agent: usize, which: usize| {
        let given = Given::Reference(inner[which]);
        let done = world.agent(agent).operation(|o| map::set(o, world.map, &Key::number(key), given));
        done.expect("it is set");
    };
    let choice = thread_rng().gen_range(0..3u32);
    let dying = thread::spawn(move || {
        let agent = world.agent(3);
        agent.turn_begin().expect("it enters");
        let half = agent.operation(|o| {
            let done = parts::begin_nesting(o, world.map, &Key::number(key), inner[1], choice);
            agent.recover(&coheap::recovery::settle).expect("the record is settled");
            done
        });
        half.expect("its first half");
    });
    let other = thread::spawn(move || {
        nest(1, 0);
        world.set(1, key, key);
    });
    nest(0, 1);
    dying.join().unwrap();
    other.join().unwrap();
    world.set(0, key, key);
    for object in inner {
        let entry = world.table().entry(object.index).expect("an entry");
        let count = CountWord(world.heap.memory().load64(entry + object::COUNT)).count();
        assert_eq!(count, 3, "a reference was lost or given back twice");
    }
    world.check();
}

#[test]
fn map_under_every_schedule_tried_has_each_key_once() {
    for few in [false, true] {
        let world = Mapping::new(20, 1);
        explore_by(world.heap.memory(), few, move |_| insertions_of_one_key(world));
    }
}

#[test]
fn map_under_every_schedule_tried_frees_nothing_that_is_walked() {
    for few in [false, true] {
        // All of the first chunk but one entry goes: two keys are behind that one in the index.
        let world = Mapping::new(20, 1);
        let is_behind =
            |&key: &f64| parts::passes(world.table(), world.map, &Key::number(19.0), &Key::number(key)).expect("a map");
        let keys: Vec<f64> = (1000..100_000).map(f64::from).filter(is_behind).take(2).collect();
        world.set(0, keys[0], 1.0);
        let behind = [keys[0], keys[1]];
        explore_by(world.heap.memory(), few, move |_| deletion_beside_a_walk(world, behind));
    }
}

#[test]
fn map_under_every_schedule_tried_frees_no_place_that_is_written_to() {
    for few in [false, true] {
        let world = Mapping::new(20, 1);
        let found = map::locate(world.table(), world.map, &Key::number(19.0), 0, 0).expect("a map").expect("a key");
        explore_times(SCHEDULES / 2, world.heap.memory(), few, move |_| deletion_beside_a_place(world, found.place));
    }
}

#[test]
fn map_under_every_schedule_tried_is_cleared_at_once() {
    for few in [false, true] {
        let world = Mapping::new(3, 1);
        explore_by(world.heap.memory(), few, move |_| clearing_beside_an_insertion(world));
    }
}

#[test]
fn map_under_every_schedule_tried_counts_what_the_dead_changed() {
    for few in [false, true] {
        let world = Mapping::new(3, 1);
        explore_by(world.heap.memory(), few, move |_| death_in_a_change(world));
    }
}

#[test]
fn map_under_every_schedule_tried_counts_its_structures() {
    for few in [false, true] {
        let world = Mapping::new(3, 1);
        let made = world.agent(0).operation(|o| Ok([map::create(o)?, map::create(o)?])).expect("two maps");
        for agent in [1, 3] {
            for inner in made {
                world.agent(agent).operation(|o| acquire(o, inner, None)).expect("a reference");
            }
        }
        // Each has a death, and its recovery walks all pages.
        explore_times(SCHEDULES / 4, world.heap.memory(), few, move |_| structures_of_one_key(world, made));
    }
}
