//! Lists: what ships, under every schedule tried.

use coheap::Table;
use coheap::count::CountWord;
use coheap::list::{self, Removed, parts};
use coheap::object::{self, Handle};
use coheap::string::Given;
use coheap_alloc::layout::PAGE;
use coheap_alloc::{Address, Agent, Heap, Memory, Options, Seat};
use shuttle::thread;

use super::explore::{SCHEDULES, explore_times};

/// A list of numbers, and agents that know it.
#[derive(Clone, Copy)]
struct Listing {
    heap: Heap,
    slots: [(Address, u32); 3],
    list: Handle,
}

impl Listing {
    fn new(values: &[f64]) -> Self {
        let memory = Memory::map(16, 16).expect("a memory");
        let options = Options { maximum_pages: 16, fixed: true, seed: 0x5EED };
        let heap = Heap::initialize(memory, PAGE, options).expect("a heap");
        let agents = [(); 3].map(|()| heap.attach(Seat::default()).expect("a seat"));
        let list = agents[0].operation(list::create).expect("a list");
        let world = Self { heap, slots: agents.map(|agent| (agent.slot(), agent.incarnation())), list };
        for &value in values {
            world.push(0, value);
        }
        world
    }

    fn agent(&self, index: usize) -> Agent {
        let (slot, incarnation) = self.slots[index];
        // SAFETY: I-14 attached in `new`; each slot is used by one thread at a time.
        unsafe { Agent::from_slot(self.heap.memory(), slot, incarnation) }
    }

    fn table(&self) -> Table {
        Table { memory: self.heap.memory(), control: self.heap.control() }
    }

    fn push(&self, agent: usize, value: f64) -> u64 {
        self.agent(agent).operation(|o| list::push(o, self.list, Given::number(value))).expect("it is pushed")
    }

    fn set(&self, agent: usize, index: u64, value: f64) -> bool {
        self.agent(agent).operation(|o| list::set(o, self.list, index, Given::number(value))).is_ok()
    }

    /// A structure in place of a value.
    fn nest(&self, agent: usize, index: u64, inner: Handle) {
        let done = self.agent(agent).operation(|o| list::set(o, self.list, index, Given::Reference(inner)));
        done.expect("it is set");
    }

    fn get(&self, index: f64) -> Option<f64> {
        let found = list::get(self.table(), self.list, index).expect("it is read");
        Some(found).filter(|found| !found.is_nan())
    }

    /// Takes up to `delete` values out from `start` on, and puts one in.
    fn splice(&self, agent: usize, start: f64, delete: u32, given: Option<f64>) -> Vec<f64> {
        let agent = self.agent(agent);
        let (to, room) = (agent.transfer(), 1024);
        let taken = agent.operation(|o| {
            let mut removed = Removed::To { to, room, region: None };
            let source = |_| Ok(Given::number(given.unwrap_or(0.0)));
            list::splice(o, self.list, (start, delete), u32::from(given.is_some()), source, &mut removed)
        });
        let (_, count) = taken.expect("it is edited");
        (0..count).map(|record| f64::from_bits(self.heap.memory().load64(to + record * 16 + 8))).collect()
    }

    fn all(&self) -> Vec<f64> {
        let length = list::length(self.table(), self.list).expect("a length");
        (0..length).map(|index| self.get(index as f64).expect("no hole")).collect()
    }
}

/// A change of the first value beside an insertion before it: who saw that the value was not changed then, never sees it changed.
fn set_beside_an_insertion(world: Listing) {
    world.heap.memory().share();
    let setter = thread::spawn(move || assert!(world.set(1, 0, 9.0)));
    assert_eq!(world.splice(0, 0.0, 0, Some(5.0)), []);
    let seen = world.get(1.0);
    setter.join().unwrap();
    let all = world.all();
    assert!(all == [5.0, 9.0] && seen == Some(9.0) || all == [9.0, 1.0] && seen == Some(1.0), "{all:?} after {seen:?}");
}

/// A change of the last value while that is taken out: it is in what came out, or there was none to change.
fn set_beside_a_pop(world: Listing) {
    world.heap.memory().share();
    let setter = thread::spawn(move || world.set(1, 0, 9.0));
    let popped = world.splice(0, -1.0, 1, None);
    let was_set = setter.join().unwrap();
    assert_eq!((popped, world.all()), (vec![if was_set { 9.0 } else { 1.0 }], vec![]));
}

/// Two push and one takes out: nothing is lost, nothing twice, no hole.
fn pushes_beside_a_pop(world: Listing) {
    world.heap.memory().share();
    let pushers = [1, 2].map(|agent| thread::spawn(move || world.push(agent, agent as f64)));
    let popped = world.splice(0, -1.0, 1, None);
    for pusher in pushers {
        pusher.join().unwrap();
    }
    let mut all = world.all();
    all.extend(popped);
    all.sort_by(f64::total_cmp);
    assert_eq!(all, [0.0, 1.0, 2.0]);
}

/// Two take out what is there: each value is one's, whose chunk and root are freed under nobody.
fn pops_beside_a_change(world: Listing) {
    world.heap.memory().share();
    let other = thread::spawn(move || world.splice(1, 0.0, 2, None));
    let setter = thread::spawn(move || world.set(2, 2, 7.0));
    let mut all = world.splice(0, 0.0, 2, None);
    all.extend(other.join().unwrap());
    let was_set = setter.join().unwrap();
    assert_eq!(world.splice(0, 0.0, 64, None), []);
    all.sort_by(f64::total_cmp);
    assert_eq!(all, if was_set { [1.0, 2.0, 4.0, 7.0] } else { [1.0, 2.0, 3.0, 4.0] });
}

/// One stays at work in the list while another takes out what it began with, in three edits, and a third gives back what those have given up:
/// not what the first may meet.
fn edits_beside_one_who_stays(world: Listing) {
    world.heap.memory().share();
    let editor = thread::spawn(move || {
        // The root that gives the values up is younger than who stays; their chunk is not.
        assert_eq!(world.splice(1, 0.0, 0, Some(5.0)), []);
        assert_eq!(world.splice(1, 0.0, 0, Some(4.0)), []);
        assert_eq!(world.splice(1, 2.0, 2, None), [1.0, 2.0]);
    });
    let pusher = thread::spawn(move || {
        for value in [6.0, 7.0] {
            world.push(2, value);
        }
    });
    let stayed = world.agent(0).operation(|o| {
        let kept = parts::begin(o, world.list)?;
        editor.join().unwrap();
        pusher.join().unwrap();
        let is_live = |block| o.is_live(block).is_some();
        assert!(kept.into_iter().flatten().all(is_live), "what an agent may meet was freed");
        parts::end(o, world.list)
    });
    stayed.expect("it is at work, and leaves");
    assert_eq!(world.all(), [4.0, 5.0, 6.0, 7.0]);
}

/// Two agents take a structure out of its place, one of them for another structure, while a third ends the root in which that is: each
/// structure has as many references as there are.
fn structures_of_one_place(world: Listing, inner: [Handle; 2]) {
    world.heap.memory().share();
    let editor = thread::spawn(move || assert_eq!(world.splice(2, 1.0, 0, Some(5.0)), []));
    let other = thread::spawn(move || assert!(world.set(1, 0, 2.0)));
    world.nest(0, 0, inner[1]);
    editor.join().unwrap();
    other.join().unwrap();
    assert!(world.set(0, 0, 3.0));
    for object in inner {
        let entry = world.table().entry(object.index).expect("an entry");
        let count = CountWord(world.heap.memory().load64(entry + object::COUNT)).count();
        assert_eq!(count, 1, "a reference was lost or given back twice");
    }
    assert_eq!(world.all(), [3.0, 5.0]);
}

#[test]
fn list_under_every_schedule_tried_counts_its_structures() {
    for few in [false, true] {
        let world = Listing::new(&[1.0]);
        let made = world.agent(0).operation(|o| Ok([list::create(o)?, list::create(o)?])).expect("two lists");
        world.nest(0, 0, made[0]);
        explore_times(SCHEDULES / 2, world.heap.memory(), few, move |_| structures_of_one_place(world, made));
    }
}

#[test]
fn list_under_every_schedule_tried_keeps_what_an_agent_at_work_may_meet() {
    for few in [false, true] {
        let world = Listing::new(&[1.0, 2.0]);
        explore_times(SCHEDULES / 2, world.heap.memory(), few, move |_| edits_beside_one_who_stays(world));
    }
}

#[test]
fn list_under_every_schedule_tried_changes_no_value_late() {
    for few in [false, true] {
        let world = Listing::new(&[1.0]);
        explore_times(SCHEDULES / 2, world.heap.memory(), few, move |_| set_beside_an_insertion(world));
        let world = Listing::new(&[1.0]);
        explore_times(SCHEDULES / 2, world.heap.memory(), few, move |_| set_beside_a_pop(world));
    }
}

#[test]
fn list_under_every_schedule_tried_loses_nothing() {
    for few in [false, true] {
        let world = Listing::new(&[0.0]);
        explore_times(SCHEDULES / 2, world.heap.memory(), few, move |_| pushes_beside_a_pop(world));
        let world = Listing::new(&[1.0, 2.0, 3.0, 4.0]);
        explore_times(SCHEDULES / 4, world.heap.memory(), few, move |_| pops_beside_a_change(world));
    }
}
