//! Transactions: what ships, under every schedule tried.

use coheap::map::{self, Additions, Key, add_many, begin_transaction};
use coheap::string::Given;
use coheap_alloc::Result;
use shuttle::rand::{Rng, thread_rng};
use shuttle::thread;

use super::explore::{SCHEDULES, explore_times};
use super::maps::{Mapping, STABLE};

/// A key that is not there at the beginning.
const NEW: f64 = 7.0;
const FIRST: f64 = STABLE[0];
const SECOND: f64 = STABLE[1];

struct Numbers(&'static [(f64, f64)]);

impl Additions for Numbers {
    fn count(&self) -> u32 {
        self.0.len() as u32
    }

    fn with<R>(&self, position: u32, f: impl FnOnce(&Key<'_>, f64) -> Result<R>) -> Result<(R, u32)> {
        let (key, delta) = self.0[position as usize];
        Ok((f(&Key::number(key), delta)?, position + 1))
    }
}

impl Mapping {
    fn add_many(&self, agent: usize, additions: &'static [(f64, f64)]) {
        let done = self.agent(agent).operation(|o| add_many(o, self.map, &Numbers(additions), None).map(drop));
        done.expect("they are added");
    }

    fn add(&self, agent: usize, key: f64, delta: f64) -> f64 {
        self.agent(agent).operation(|o| map::add(o, self.map, &Key::number(key), delta)).expect("it is added")
    }
}

/// Two agents add to the same keys; whoever reads one key and then another never finds less in the second.
fn transactions_beside_a_reader(world: Mapping) {
    world.heap.memory().share();
    let others =
        [1, 2].map(|agent| thread::spawn(move || world.add_many(agent, &[(NEW, 1.0), (FIRST, 1.0), (SECOND, 1.0)])));
    let keys: [f64; 2] = if thread_rng().r#gen() { [NEW, FIRST] } else { [FIRST, NEW] };
    let added = |key: f64| world.get(key).map_or(0.0, |number| if key == NEW { number } else { number - key });
    let [before, after] = keys.map(added);
    assert!(before <= after, "{before} and then {after}");
    for other in others {
        other.join().unwrap();
    }
    assert_eq!([NEW, FIRST, SECOND].map(added), [2.0; 3]);
    world.check();
}

/// One agent adds to keys of which others change one each.
fn transaction_beside_changes(world: Mapping) {
    world.heap.memory().share();
    let adding = thread::spawn(move || world.add_many(1, &[(NEW, 1.0), (FIRST, 1.0)]));
    let other = thread::spawn(move || world.add(2, NEW, 10.0));
    let word = |number| Some(Given::number(number));
    let agent = world.agent(0);
    let set = agent.operation(|o| map::compare_and_set(o, world.map, &Key::number(FIRST), word(FIRST), word(500.0)));
    let deleted = world.delete(0, NEW);
    adding.join().unwrap();
    let sum = other.join().unwrap();
    let first = if set == Ok(true) { 501.0 } else { 101.0 };
    assert_eq!(world.get(FIRST), Some(first));
    let left = world.get(NEW);
    // In which order the three came: by whether there was something to delete, and by the sum.
    let can_be = match (deleted, sum as u32) {
        (false, 10 | 11) => left == Some(11.0),
        (true, 10) => left.is_none() || left == Some(1.0) || left == Some(10.0),
        (true, 11) => left.is_none(),
        _ => false,
    };
    assert!(can_be, "{left:?} after a sum of {sum}, deleted: {deleted}");
    world.check();
}

/// An agent dies before its decision or behind it, and is recovered while others need its keys.
fn death_in_a_transaction(world: Mapping) {
    world.heap.memory().share();
    let commits = thread_rng().r#gen();
    let dying = thread::spawn(move || {
        let agent = world.agent(3);
        agent.turn_begin().expect("it enters");
        let half = agent.operation(|o| {
            let done = begin_transaction(o, world.map, &Numbers(&[(NEW, 1.0), (FIRST, 1.0)]), commits);
            // Here it ends, inside its operation; nobody but who recovers it goes on with it.
            agent.recover(&coheap::recovery::settle).expect("the record is settled");
            done
        });
        half.expect("its first half");
    });
    let other = thread::spawn(move || world.add(1, NEW, 10.0));
    let seen = world.get(NEW).unwrap_or(0.0) % 10.0 - world.get(FIRST).map_or(0.0, |number| number - FIRST);
    assert!(seen <= 0.0, "the first was seen before the second was there");
    dying.join().unwrap();
    other.join().unwrap();
    // Whoever needs a key may abort what is undecided, so a commit may come too late.
    let added = world.get(FIRST).expect("it is there") - FIRST;
    assert!(added == 0.0 || commits && added == 1.0, "{added}");
    assert_eq!(world.get(NEW), Some(10.0 + added), "all or nothing");
    world.check();
}

#[test]
fn transactions_under_every_schedule_tried_are_seen_at_once() {
    for few in [false, true] {
        let world = Mapping::new(3, 1);
        explore_times(SCHEDULES / 4, world.heap.memory(), few, move |_| transactions_beside_a_reader(world));
    }
}

#[test]
fn transactions_under_every_schedule_tried_lose_no_change() {
    for few in [false, true] {
        let world = Mapping::new(3, 1);
        explore_times(SCHEDULES / 4, world.heap.memory(), few, move |_| transaction_beside_changes(world));
    }
}

#[test]
fn transactions_under_every_schedule_tried_are_settled_after_a_death() {
    for few in [false, true] {
        let world = Mapping::new(3, 1);
        explore_times(SCHEDULES / 4, world.heap.memory(), few, move |_| death_in_a_transaction(world));
    }
}
