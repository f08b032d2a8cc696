//! Recorded histories of cells and fields, on real threads. (Those of maps: `map_threads/histories.rs`.)
#![cfg(all(feature = "std", not(any(loom, shuttle))))]
#![allow(clippy::disallowed_types, reason = "the clock of a test is no shared word of a heap")]
mod common;

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use coheap::typed::{Agent, Any, Cell, Handle, Heap, Scalar, Structure};
use coheap_alloc::Error;
use common::history::{Event, Meeting, Overlaps, Step, TEXT, What, is_linearizable, pause};
use common::{Random, Watchdog, controls};

const ROUNDS: u32 = 300;
const THREADS: u64 = 4;
const OPERATIONS: u32 = 100;
/// Operations after which the threads meet again.
const TOGETHER: u32 = 10;

#[test]
fn checker_tells_histories_apart() {
    let event = |begun, ended, what| Event { begun, ended, what };
    assert!(is_linearizable(&[event(0, 3, What::Set(1)), event(1, 2, What::Get(None))], None));
    assert!(is_linearizable(&[event(0, 3, What::Set(1)), event(1, 2, What::Get(Some(1)))], None));
    assert!(!is_linearizable(&[event(0, 1, What::Set(1)), event(2, 3, What::Get(None))], None));
    assert!(!is_linearizable(&[event(0, 3, What::Add(1, 1)), event(1, 2, What::Add(1, 1))], None));
}

/// Four threads that each do so many operations on a structure of the handle, and when each began and ended.
fn record<T: Structure + 'static, W: Step + Send>(
    heap: Heap,
    handle: Handle<T>,
    seed: u64,
    step: impl Fn(&T, &mut Random, &mut dyn FnMut()) -> W + Sync,
) -> Vec<Event<W>> {
    let (clock, meeting) = (AtomicU64::new(0), Meeting::of(THREADS));
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|number| {
                let (clock, meeting, step) = (&clock, &meeting, &step);
                scope.spawn(move || {
                    let agent = heap.attach().expect("a seat");
                    let structure = agent.open(handle).expect("it lives");
                    let mut random = Random::from(seed.wrapping_add(number));
                    let mut events = Vec::with_capacity(OPERATIONS as usize);
                    for number in 0..OPERATIONS {
                        if number.is_multiple_of(TOGETHER) {
                            meeting.wait();
                        }
                        pause(&mut random);
                        let mut begun = 0;
                        let what = step(&structure, &mut random, &mut || begun = clock.fetch_add(1, SeqCst));
                        events.push(Event { begun, ended: clock.fetch_add(1, SeqCst), what });
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

/// Numbers, and texts that need a block.
fn scalar(value: u64) -> Scalar {
    if value < TEXT {
        Scalar::Number(value as f64)
    } else {
        Scalar::Text(format!("the text with the number {}", value - TEXT))
    }
}

fn value(scalar: &Scalar) -> u64 {
    match scalar {
        Scalar::Number(number) => *number as u64,
        _ => (TEXT..TEXT + 3).find(|&value| self::scalar(value) == *scalar).expect("a value that was set"),
    }
}

fn any(random: &mut Random) -> u64 {
    [0, 1, 2, TEXT, TEXT + 1, TEXT + 2][random.below(6) as usize]
}

/// Each round answers what happened in it, and how that is explained.
fn each_round<W: Step>(name: &'static str, before: W::State, run: impl Fn(Heap, &Agent, u64) -> Vec<Event<W>>) {
    let _watchdog = Watchdog::new(name);
    controls();
    let mut random = Random::new(name);
    let heap = Heap::in_process(64 << 20).expect("a heap");
    let agent = heap.attach().expect("a seat");
    let mut overlaps = Overlaps::default();
    for round in 0..ROUNDS {
        let events = run(heap, &agent, random.next());
        overlaps.add(events.iter().map(|event| (event.begun, event.ended)));
        assert!(is_linearizable(&events, before.clone()), "round {round}: {events:?}");
    }
    overlaps.check();
    println!("cases {name} {}", u64::from(ROUNDS) * THREADS * u64::from(OPERATIONS));
}

#[test]
fn recorded_histories_of_cells_are_linearizable() {
    each_round("recorded_histories_of_cells_are_linearizable", Some(0), |heap, agent, seed| {
        let cell: Cell<Any> = agent.new_cell().expect("room");
        record(heap, cell.handle(), seed, |cell, random, begin| {
            let (first, second, which) = (any(random), any(random), random.below(4));
            let values = [scalar(first), scalar(second)];
            begin();
            match which {
                0 => What::Get(Some(value(&cell.get().expect("read")))),
                1 => {
                    cell.set(&values[0]).expect("room");
                    What::Set(first)
                }
                2 => match cell.add_number(1.0) {
                    Ok(sum) => What::Add(1, sum as u64),
                    Err(Error::NotANumber { .. }) => What::AddRefused,
                    Err(error) => panic!("{error:?}"),
                },
                _ => {
                    let was_so = cell.compare_and_set(&values[0], &values[1]).expect("room");
                    What::Compare(Some(first), Some(second), was_so)
                }
            }
        })
    });
}

/// What one operation on all the lines was: names and values are numbers.
#[derive(Clone, Debug)]
enum OnLines {
    Get(u8, Option<Vec<u8>>),
    Set(u8, u8),
    Append(u8, u8),
    Delete(u8),
    Entries(Vec<(u8, u8)>),
}

impl Step for OnLines {
    type State = Vec<(u8, u8)>;

    fn apply(&self, lines: &Self::State) -> Option<Self::State> {
        let without = |name: u8| lines.iter().copied().filter(move |line| line.0 != name);
        match self {
            Self::Get(name, found) => {
                let there: Vec<_> = lines.iter().filter(|line| line.0 == *name).map(|line| line.1).collect();
                ((!there.is_empty()).then_some(there) == *found).then(|| lines.clone())
            }
            Self::Set(name, value) => match lines.iter().position(|line| line.0 == *name) {
                // In the place of the first of that name.
                Some(first) => {
                    let before = lines[..first].iter().copied();
                    Some(before.chain([(*name, *value)]).chain(without(*name).skip(first)).collect())
                }
                None => Self::Append(*name, *value).apply(lines),
            },
            Self::Append(name, value) => Some(lines.iter().copied().chain([(*name, *value)]).collect()),
            Self::Delete(name) => Some(without(*name).collect()),
            Self::Entries(found) => (found == lines).then(|| lines.clone()),
        }
    }
}

#[test]
fn recorded_histories_of_fields_are_linearizable() {
    const NAMES: [&str; 3] = ["accept", "x-second", "x-third"];
    each_round("recorded_histories_of_fields_are_linearizable", Vec::new(), |heap, agent, seed| {
        let fields = agent.new_fields().expect("room");
        record(heap, fields.handle(), seed, |fields, random, begin| {
            let (name, given, which) = (random.below(3) as u8, random.below(6) as u8, random.below(8));
            let text = NAMES[usize::from(name)];
            let value = format!("value {given}");
            let number = |value: &[u8]| value[value.len() - 1] - b'0';
            begin();
            match which {
                0 | 1 => {
                    let found = fields.get(text).expect("read");
                    let values = found.map(|found| found.split(|&byte| byte == b',').map(number).collect());
                    OnLines::Get(name, values)
                }
                2 | 3 => {
                    fields.set(text, &[value.as_bytes()]).expect("room");
                    OnLines::Set(name, given)
                }
                4 => {
                    fields.append(text, value.as_bytes()).expect("room");
                    OnLines::Append(name, given)
                }
                5 | 6 => {
                    fields.delete(text).expect("room");
                    OnLines::Delete(name)
                }
                _ => {
                    let place = |found: &[u8]| NAMES.iter().position(|name| name.as_bytes() == found);
                    let lines = fields.entries().expect("read");
                    let known = |name: &[u8]| place(name).expect("a name that was set") as u8;
                    OnLines::Entries(lines.iter().map(|(name, value)| (known(name), number(value))).collect())
                }
            }
        })
    });
}
