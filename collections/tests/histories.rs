//! Recorded histories of cells and fields, on real threads. (Those of maps: `map_threads`.)
#![cfg(all(feature = "std", not(any(loom, shuttle))))]
#![allow(clippy::disallowed_types, reason = "the clock of a test is no shared word of a heap")]
mod common;

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use coheap::typed::{Agent, Any, Cell, Handle, Heap, Scalar, Structure};
use common::history::{Event, What, is_linearizable};
use common::{Random, Watchdog, controls};

const ROUNDS: u32 = 300;
const THREADS: u64 = 4;
const OPERATIONS: u32 = 100;

#[test]
fn checker_tells_histories_apart() {
    let event = |begun, ended, what| Event { begun, ended, what };
    assert!(is_linearizable(&[event(0, 3, What::Set(1)), event(1, 2, What::Get(None))], None));
    assert!(is_linearizable(&[event(0, 3, What::Set(1)), event(1, 2, What::Get(Some(1)))], None));
    assert!(!is_linearizable(&[event(0, 1, What::Set(1)), event(2, 3, What::Get(None))], None));
    assert!(!is_linearizable(&[event(0, 3, What::Add(1, 1)), event(1, 2, What::Add(1, 1))], None));
}

/// Four threads that each do so many operations on a structure of the handle, and when each began and ended.
fn record<T: Structure + 'static>(
    heap: Heap,
    handle: Handle<T>,
    seed: u64,
    step: impl Fn(&T, &mut Random, &mut dyn FnMut()) -> (u64, What) + Sync,
) -> Vec<(u64, Event)> {
    let clock = AtomicU64::new(0);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|number| {
                let (clock, step) = (&clock, &step);
                scope.spawn(move || {
                    let agent = heap.attach().expect("a seat");
                    let structure = agent.open(handle).expect("it lives");
                    let mut random = Random::from(seed.wrapping_add(number));
                    let mut events = Vec::new();
                    for _ in 0..OPERATIONS {
                        let mut begun = 0;
                        let (key, what) = step(&structure, &mut random, &mut || begun = clock.fetch_add(1, SeqCst));
                        events.push((key, Event { begun, ended: clock.fetch_add(1, SeqCst), what }));
                        if random.below(8) == 0 {
                            std::thread::yield_now();
                        }
                    }
                    events
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("it ends")).collect()
    })
}

/// Small numbers, and texts that need a block.
fn scalar(number: u64) -> Scalar {
    if number < 3 { Scalar::Number(number as f64) } else { Scalar::Text(format!("the text with the number {number}")) }
}

fn number(scalar: &Scalar) -> u64 {
    (0..6).find(|&number| self::scalar(number) == *scalar).expect("a value that was set")
}

fn check(name: &str, keys: u64, before: Option<u64>, events: &[(u64, Event)], round: u32) {
    for key in 0..keys {
        let events: Vec<_> = events.iter().filter(|(of, _)| *of == key).map(|(_, event)| *event).collect();
        assert!(is_linearizable(&events, before), "{name}, round {round}, key {key}: {events:?}");
    }
}

fn each_round(name: &'static str, run: impl Fn(Heap, &Agent, u64, u32)) {
    let _watchdog = Watchdog::new(name);
    controls();
    let mut random = Random::new(name);
    let heap = Heap::in_process(64 << 20).expect("a heap");
    let agent = heap.attach().expect("a seat");
    for round in 0..ROUNDS {
        run(heap, &agent, random.next(), round);
    }
    println!("cases {name} {}", u64::from(ROUNDS) * THREADS * u64::from(OPERATIONS));
}

#[test]
fn recorded_histories_of_cells_are_linearizable() {
    each_round("recorded_histories_of_cells_are_linearizable", |heap, agent, seed, round| {
        let cell: Cell<Any> = agent.new_cell().expect("room");
        let events = record(heap, cell.handle(), seed, |cell, random, begin| {
            let (first, second, which) = (random.below(6), random.below(6), random.below(3));
            let values = [scalar(first), scalar(second)];
            begin();
            let what = match which {
                0 => What::Get(Some(number(&cell.get().expect("read")))),
                1 => {
                    cell.set(&values[0]).expect("room");
                    What::Set(first)
                }
                _ => {
                    let was_so = cell.compare_and_set(&values[0], &values[1]).expect("room");
                    What::Compare(Some(first), Some(second), was_so)
                }
            };
            (0, what)
        });
        check("cells", 1, Some(0), &events, round);
    });
}

#[test]
fn recorded_histories_of_fields_are_linearizable() {
    const NAMES: [&str; 3] = ["accept", "x-second", "x-third"];
    each_round("recorded_histories_of_fields_are_linearizable", |heap, agent, seed, round| {
        let fields = agent.new_fields().expect("room");
        let events = record(heap, fields.handle(), seed, |fields, random, begin| {
            let (key, given, which) = (random.below(3), random.below(6), random.below(3));
            let name = NAMES[key as usize];
            let value = format!("value {given}");
            begin();
            let what = match which {
                0 => {
                    let found = fields.get(name).expect("read").map(|value| u64::from(value[value.len() - 1] - b'0'));
                    What::Get(found)
                }
                1 => {
                    fields.set(name, &[value.as_bytes()]).expect("room");
                    What::Set(given)
                }
                _ => {
                    fields.delete(name).expect("room");
                    What::Remove
                }
            };
            (key, what)
        });
        check("fields", 3, None, &events, round);
    });
}
