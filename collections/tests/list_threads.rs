//! Lists on real threads: pushes beside reads, every value taken out once, recorded histories.
#![cfg(all(feature = "std", not(any(loom, shuttle))))]
#![allow(clippy::disallowed_types, reason = "the clock of a test is no shared word of a heap")]
mod common;

use std::collections::HashSet;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

use coheap::typed::{Any, Heap, List, Scalar, Structure};
use coheap_alloc::Error;
use common::history::{Meeting, Overlaps, pause};
use common::{Random, Watchdog, controls};

const PUSHERS: u64 = 8;
const EACH: u64 = 100_000;

/// What was read so far: per pusher in order, nothing twice.
fn check_order(all: &[f64], next: &mut [u64]) {
    for &value in all {
        let (pusher, number) = (value as u64 / EACH, value as u64 % EACH);
        let next = &mut next[pusher as usize];
        assert_eq!(number, *next, "pusher {pusher}");
        *next += 1;
    }
}

#[test]
fn eight_agents_push_while_others_read() {
    let _watchdog = Watchdog::new("eight_agents_push_while_others_read");
    controls();
    let heap = Heap::in_process(256 << 20).expect("a heap");
    let agent = heap.attach().expect("a seat");
    let list: List<f64> = agent.new_list().expect("room");
    let (handle, over, start) = (list.handle(), AtomicBool::new(false), Barrier::new(PUSHERS as usize + 2));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let agent = heap.attach().expect("a seat");
                let list = agent.open(handle).expect("it lives");
                let mut random = Random::from(7);
                start.wait();
                while !over.load(SeqCst) {
                    let length = list.len().expect("length");
                    if length > 0 {
                        let below = random.below(length);
                        // No hole: a number, of a `List<f64>`.
                        assert!(list.get(below).expect("a number").is_some(), "{below} of {length}");
                    }
                    check_order(&list.to_vec().expect("numbers"), &mut [0; PUSHERS as usize]);
                }
            });
        }
        let pushers: Vec<_> = (0..PUSHERS)
            .map(|pusher| {
                let start = &start;
                scope.spawn(move || {
                    let agent = heap.attach().expect("a seat");
                    let list = agent.open(handle).expect("it lives");
                    start.wait();
                    let mut number = 0;
                    while number < EACH {
                        if number % 1000 < 500 {
                            list.push((pusher * EACH + number) as f64).expect("room");
                            number += 1;
                        } else {
                            let many: Vec<_> =
                                (number..number + 100).map(|number| (pusher * EACH + number) as f64).collect();
                            list.extend(&many).expect("room");
                            number += 100;
                        }
                    }
                })
            })
            .collect();
        for pusher in pushers {
            pusher.join().expect("it ends");
        }
        over.store(true, SeqCst);
    });
    let mut next = [0; PUSHERS as usize];
    check_order(&list.to_vec().expect("numbers"), &mut next);
    assert_eq!((next, list.len()), ([EACH; PUSHERS as usize], Ok(PUSHERS * EACH)));
    agent.audit().expect("whole");
    println!("cases eight_agents_push_while_others_read {}", PUSHERS * EACH);
}

/// Numbers, and texts that need a block.
fn scalar(number: u64) -> Scalar {
    if number.is_multiple_of(3) {
        Scalar::Text(format!("the text with the number {number}"))
    } else {
        Scalar::Number(number as f64)
    }
}

fn number(scalar: &Scalar) -> u64 {
    match scalar {
        Scalar::Number(number) => *number as u64,
        Scalar::Text(text) => {
            text.rsplit(' ').next().and_then(|number| number.parse().ok()).expect("a text that was set")
        }
        other => panic!("{other:?} was never set"),
    }
}

#[test]
fn value_that_was_put_in_comes_out_once() {
    const THREADS: u64 = 4;
    const STEPS: u64 = 20_000;
    let _watchdog = Watchdog::new("value_that_was_put_in_comes_out_once");
    controls();
    let heap = Heap::in_process(256 << 20).expect("a heap");
    let agent = heap.attach().expect("a seat");
    let list: List<Any> = agent.new_list().expect("room");
    let (handle, mut random) = (list.handle(), Random::new("value_that_was_put_in_comes_out_once"));
    let seeds: Vec<u64> = (0..THREADS).map(|_| random.next()).collect();
    let (mut put, mut taken) = (HashSet::new(), Vec::new());
    std::thread::scope(|scope| {
        let threads: Vec<_> = seeds
            .iter()
            .zip(0..)
            .map(|(&seed, thread)| {
                scope.spawn(move || {
                    let list = heap.attach().expect("a seat").open(handle).expect("it lives");
                    let (mut random, mut put, mut taken) = (Random::from(seed), Vec::new(), Vec::new());
                    let mut fresh = thread * STEPS * 4;
                    let mut new = |put: &mut Vec<u64>| {
                        fresh += 1;
                        put.push(fresh);
                        scalar(fresh)
                    };
                    for _ in 0..STEPS {
                        let at = random.below(40);
                        match random.below(6) {
                            0..=1 => drop(list.push(&new(&mut put)).expect("room")),
                            2 => taken.extend(list.pop().expect("pop")),
                            3 => {
                                let values = [new(&mut put), new(&mut put)];
                                list.insert(at, &[&values[0], &values[1]]).expect("room");
                            }
                            4 => taken.extend(list.splice(at, random.below(4), &[]).expect("splice")),
                            _ => assert!(list.to_vec().expect("read").iter().all(|scalar| number(scalar) > 0)),
                        }
                        if list.len().expect("length") > 300 {
                            taken.extend(list.splice(20, 250, &[]).expect("splice"));
                        }
                    }
                    (put, taken)
                })
            })
            .collect();
        for thread in threads {
            let (its_put, its_taken) = thread.join().expect("it ends");
            put.extend(its_put);
            taken.extend(its_taken);
        }
    });
    taken.extend(list.to_vec().expect("all"));
    let numbers: HashSet<u64> = taken.iter().map(number).collect();
    assert_eq!((numbers.len(), &numbers), (taken.len(), &put), "each once");
    agent.audit().expect("whole");
    println!("cases value_that_was_put_in_comes_out_once {}", THREADS * STEPS);
}

#[test]
fn queue_through_which_values_go_takes_no_more_memory_than_what_lives() {
    const STEPS: u64 = 60_000;
    let _watchdog = Watchdog::new("queue_through_which_values_go_takes_no_more_memory_than_what_lives");
    // All that went through, and the tables of all edits, would be 600 MiB at once.
    let heap = Heap::in_process(16 << 20).expect("a heap");
    let agent = heap.attach().expect("a seat");
    let queue: List<Any> = agent.new_list().expect("room");
    let handle = queue.handle();
    std::thread::scope(|scope| {
        for thread in 0..2 {
            scope.spawn(move || {
                let queue = heap.attach().expect("a seat").open(handle).expect("it lives");
                for number in 0..STEPS {
                    let text = Scalar::Text(format!("{number} ").repeat(30));
                    if let Err(error) = queue.push(&text) {
                        panic!("{error:?} at {number}, {:?}", queue.len());
                    }
                    if number >= 100 {
                        let is_last = (number + thread) % 3 == 0;
                        let taken =
                            if is_last { queue.pop() } else { queue.splice(0, 1, &[]).map(|mut taken| taken.pop()) };
                        assert!(taken.expect("room").is_some());
                    }
                }
            });
        }
    });
    assert!(queue.len().expect("length") <= 200);
    agent.audit().expect("whole");
    println!("cases queue_through_which_values_go_takes_no_more_memory_than_what_lives {}", 2 * STEPS);
}

#[test]
fn list_that_four_agents_edit_at_once_gives_back_what_they_replace() {
    const SEGMENTS: u64 = 1_000;
    const EDITS: u64 = 8_000;
    let _watchdog = Watchdog::new("list_that_four_agents_edit_at_once_gives_back_what_they_replace");
    // A root has 24 KiB: those of a thousand edits are all that goes in.
    let heap = Heap::in_process(24 << 20).expect("a heap");
    let agent = heap.attach().expect("a seat");
    let list: List<Any> = agent.new_list().expect("room");
    let handle = list.handle();
    for number in 0..SEGMENTS {
        list.splice(0, 0, &[&scalar(number)]).expect("room");
    }
    std::thread::scope(|scope| {
        for thread in 0..4 {
            scope.spawn(move || {
                let list = heap.attach().expect("a seat").open(handle).expect("it lives");
                for number in 0..EDITS / 2 {
                    list.splice(5 + thread, 0, &[&scalar(number)]).expect("room");
                    list.splice(5 + thread, 1, &[]).expect("room");
                }
            });
        }
    });
    assert_eq!(list.len().expect("length"), SEGMENTS);
    agent.audit().expect("whole");
    println!("cases list_that_four_agents_edit_at_once_gives_back_what_they_replace {}", 4 * EDITS);
}

/// What one operation was, and what it answered.
#[derive(Clone, Debug)]
enum What {
    Push(u64, u64),
    Pop(Option<u64>),
    Get(u64, Option<u64>),
    Set(u64, u64, bool),
    Length(u64),
    /// Start, how many, what came in, what came out.
    Splice(u64, u64, Vec<u64>, Vec<u64>),
}

impl What {
    /// The list after it, if its answer fits the list before.
    fn apply(&self, list: &[u64]) -> Option<Vec<u64>> {
        let mut list = list.to_vec();
        let fits = match self {
            Self::Push(value, length) => {
                list.push(*value);
                list.len() as u64 == *length
            }
            Self::Pop(found) => list.pop() == *found,
            Self::Get(index, found) => list.get(*index as usize).copied() == *found,
            Self::Set(index, value, was_there) => {
                let place = list.get_mut(*index as usize);
                let fits = place.is_some() == *was_there;
                if let Some(place) = place {
                    *place = *value;
                }
                fits
            }
            Self::Length(length) => list.len() as u64 == *length,
            Self::Splice(start, delete, new, removed) => {
                let from = (*start as usize).min(list.len());
                let to = from + (*delete as usize).min(list.len() - from);
                list.splice(from..to, new.iter().copied()).collect::<Vec<_>>() == *removed
            }
        };
        fits.then_some(list)
    }
}

/// Wing and Gong, over whole lists.
fn is_linearizable(events: &mut [(u64, u64, What)], before: Vec<u64>) -> bool {
    events.sort_by_key(|(begun, ..)| *begun);
    let mut seen = HashSet::new();
    let mut open = vec![(0u64, before)];
    while let Some((done, list)) = open.pop() {
        let left = || (0..events.len()).filter(|place| done >> place & 1 == 0);
        let Some(limit) = left().map(|place| events[place].1).min() else { return true };
        for place in left().filter(|&place| events[place].0 <= limit) {
            if let Some(next) = events[place].2.apply(&list) {
                let done = done | 1 << place;
                if seen.insert((done, next.clone())) {
                    open.push((done, next));
                }
            }
        }
    }
    false
}

#[test]
fn checker_tells_histories_of_lists_apart() {
    let set_late = |ended| {
        // A set of the first value that happens when another stands there.
        [
            (0, ended, What::Set(0, 9, true)),
            (1, 2, What::Splice(0, 0, vec![5], vec![])),
            (3, 4, What::Get(1, Some(1))),
            (7, 8, What::Get(1, Some(9))),
        ]
    };
    assert!(!is_linearizable(&mut set_late(6), vec![1]));
    assert!(is_linearizable(&mut [(0, 3, What::Push(1, 1)), (1, 2, What::Get(0, None))], vec![]));
    assert!(!is_linearizable(&mut [(0, 1, What::Push(1, 1)), (2, 3, What::Get(0, None))], vec![]));
}

fn one(list: &List<Any>, random: &mut Random, fresh: u64) -> What {
    let (index, value) = (random.below(5), scalar(fresh));
    let numbers = |scalars: Vec<Scalar>| scalars.iter().map(number).collect::<Vec<_>>();
    match random.below(8) {
        0 => What::Push(fresh, list.push(&value).expect("room")),
        1 => What::Pop(list.pop().expect("pop").as_ref().map(number)),
        2..=3 => What::Get(index, list.get(index).expect("read").as_ref().map(number)),
        4..=5 => match list.set(index, &value) {
            Ok(()) => What::Set(index, fresh, true),
            Err(Error::OutOfRange { .. }) => What::Set(index, fresh, false),
            Err(error) => panic!("{error:?}"),
        },
        6 if random.below(4) == 0 => What::Length(list.len().expect("length")),
        _ => {
            let delete = random.below(2);
            let new = if random.below(3) == 0 { vec![] } else { vec![&value] };
            let removed = numbers(list.splice(index, delete, &new).expect("room"));
            What::Splice(index, delete, new.iter().map(|_| fresh).collect(), removed)
        }
    }
}

#[test]
fn recorded_histories_of_lists_are_linearizable() {
    const ROUNDS: u64 = 4000;
    const THREADS: u64 = 3;
    const EACH: u64 = 8;
    let _watchdog = Watchdog::new("recorded_histories_of_lists_are_linearizable");
    controls();
    let mut random = Random::new("recorded_histories_of_lists_are_linearizable");
    let heap = Heap::in_process(64 << 20).expect("a heap");
    let agent = heap.attach().expect("a seat");
    let mut overlaps = Overlaps::default();
    for round in 0..ROUNDS {
        let list: List<Any> = agent.new_list().expect("room");
        let before: Vec<u64> = (1..=random.below(6)).collect();
        for &value in &before {
            list.push(&scalar(value)).expect("room");
        }
        let (clock, meeting, handle) = (AtomicU64::new(0), Meeting::of(THREADS), list.handle());
        let seeds: Vec<u64> = (0..THREADS).map(|_| random.next()).collect();
        let mut events: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = seeds
                .iter()
                .zip(1..)
                .map(|(&seed, thread)| {
                    let (clock, meeting) = (&clock, &meeting);
                    scope.spawn(move || {
                        let list = heap.attach().expect("a seat").open(handle).expect("it lives");
                        let mut random = Random::from(seed);
                        meeting.wait();
                        let event = |number| {
                            pause(&mut random);
                            let begun = clock.fetch_add(1, SeqCst);
                            let what = one(&list, &mut random, thread * 100 + number);
                            (begun, clock.fetch_add(1, SeqCst), what)
                        };
                        (0..EACH).map(event).collect::<Vec<_>>()
                    })
                })
                .collect();
            threads.into_iter().flat_map(|thread| thread.join().expect("it ends")).collect()
        });
        overlaps.add(events.iter().map(|&(begun, ended, _)| (begun, ended)));
        assert!(is_linearizable(&mut events, before.clone()), "round {round}: {before:?} {events:?}");
    }
    agent.audit().expect("whole");
    overlaps.check();
    println!("cases recorded_histories_of_lists_are_linearizable {}", ROUNDS * THREADS * EACH);
}
