//! Recorded histories of maps, put into one order.

use std::sync::atomic::{AtomicU64, Ordering};

use coheap::cell::Taken;
use coheap::map::{self, Place, Seen};
use coheap::string::Given;
use coheap::value;
use coheap::{Handle, Type, release};
use coheap_alloc::layout::body;
use coheap_alloc::{Agent, Error};

use super::common::history::{Event, Meeting, Overlaps, Step, TEXT, What, is_linearizable, pause};
use super::common::{self, Random, Watchdog, agent, controls, heap, run, threads};
use super::{hold, shared, table, with_key};

/// A value of a history: a number, or a text that needs a block.
fn text_of(value: u64) -> Vec<u8> {
    format!("the text with the number {}", value - TEXT).into_bytes()
}

fn given(value: u64, text: &[u8]) -> Given<'_> {
    if value < TEXT { Given::number(value as f64) } else { Given::text(text) }
}

/// Which value was read; its contents, if it has a block, are in the transfer buffer.
fn value_of(agent: Agent, taken: Taken) -> u64 {
    match taken.block {
        None => value::to_number(taken.word).expect("a number") as u64,
        Some((_, length)) => {
            let bytes = common::take(agent, length);
            (TEXT..TEXT + 4).find(|&value| text_of(value) == bytes).expect("a text that was set")
        }
    }
}

/// What one operation on a whole map was.
#[derive(Clone, Copy, Debug)]
enum OnMap {
    Key(u64, What),
    Clear,
}

const KEYS: u64 = 3;
const ROUNDS: u64 = 300;
const OPERATIONS: u32 = 100;

impl Step for OnMap {
    type State = [Option<u64>; KEYS as usize];

    fn apply(&self, state: &Self::State) -> Option<Self::State> {
        match *self {
            Self::Key(key, what) => {
                let mut next = *state;
                next[key as usize] = what.apply(&state[key as usize])?;
                Some(next)
            }
            Self::Clear => Some([None; KEYS as usize]),
        }
    }
}

/// An agent in a history: where it found each key last, and which value it saw there.
struct Historian {
    agent: Agent,
    handle: Handle,
    places: [Option<(Place, Seen, u64)>; KEYS as usize],
}

impl Historian {
    fn any(random: &mut Random) -> u64 {
        random.below(4) + if random.below(2) == 0 { TEXT } else { 0 }
    }

    /// By the key.
    fn by_key(&mut self, number: u64, which: u64, random: &mut Random) -> What {
        let (agent, handle, room) = (self.agent, self.handle, body::TRANSFER_LENGTH);
        let (first, second) = (Self::any(random), Self::any(random));
        let texts = [first, second].map(|value| if value < TEXT { Vec::new() } else { text_of(value) });
        let values = [given(first, &texts[0]), given(second, &texts[1])];
        let there = |taken: Option<Taken>| taken.map(|taken| value_of(agent, taken));
        with_key(agent, number, number == 0, |table, key| match which {
            0 => What::Get(there(map::get(table, handle, key, agent.transfer(), room).expect("read"))),
            1 => {
                let located = map::locate(table, handle, key, agent.transfer(), room).expect("read");
                let found = there(located.map(|located| located.taken));
                self.places[number as usize] =
                    located.zip(found).map(|(located, found)| (located.place, located.seen, found));
                What::Get(found)
            }
            2 => {
                run(agent, |o| map::set(o, handle, key, values[0]));
                What::Set(first)
            }
            3 => What::Delete(run(agent, |o| map::delete(o, handle, key))),
            4 => match agent.operation(|o| map::add(o, handle, key, 1.0)) {
                Ok(sum) => What::Add(1, sum as u64),
                Err(Error::NotANumber { .. }) => What::AddRefused,
                Err(error) => panic!("{error:?}"),
            },
            5 => {
                let found = run(agent, |o| map::insert_if_absent(o, handle, key, values[0], agent.transfer(), room));
                What::Insert(first, there(found))
            }
            _ => {
                // In one case of four there is to be none, before or after.
                let [expected, new] = [0, 1].map(|place| (random.below(4) > 0).then_some(place));
                let of = |place: Option<usize>| place.map(|place| [first, second][place]);
                let given = |place: Option<usize>| place.map(|place| values[place]);
                let was_so = run(agent, |o| map::compare_and_set(o, handle, key, given(expected), given(new)));
                What::Compare(of(expected), of(new), was_so)
            }
        })
    }

    /// At the place where the key was found, if that says something.
    fn by_place(&self, number: u64, which: u64, random: &mut Random) -> Option<What> {
        let (agent, handle) = (self.agent, self.handle);
        let (place, seen, value) = self.places[number as usize]?;
        let sum = |word| value::to_number(word).map(|number| value::from_number(number + 1.0));
        match which {
            0 => {
                let found = map::number_at(table(agent), handle, place);
                (!found.is_nan()).then_some(What::Get(Some(found as u64)))
            }
            1 => map::is_same_at(table(agent), handle, place, seen).then_some(What::Get(Some(value))),
            2 => {
                let sum = run(agent, |o| Ok(map::change_at(o.agent(), handle, place, sum)))?;
                Some(What::Add(1, value::to_number(sum).expect("a number") as u64))
            }
            _ => {
                let new = random.below(4);
                let word = value::from_number(new as f64);
                run(agent, |o| Ok(map::change_at(o.agent(), handle, place, |_| Some(word))))?;
                Some(What::Replace(new))
            }
        }
    }
}

#[test]
fn recorded_histories_are_linearizable() {
    let _watchdog = Watchdog::new("recorded_histories_are_linearizable");
    controls();
    let mut random = Random::new("recorded_histories_are_linearizable");
    let heap = heap(256);
    let owner = agent(heap);
    let at_places = AtomicU64::new(0);
    let (mut count, mut overlaps) = (0, Overlaps::default());
    for round in 0..ROUNDS {
        let handle = shared(owner);
        let (clock, meeting) = (AtomicU64::new(0), Meeting::of(4));
        let seed = random.next();
        let events: Vec<Event<OnMap>> = threads(heap, 4, |number, agent| {
            hold(agent, handle);
            let mut random = Random::from(seed.wrapping_add(number as u64));
            let mut historian = Historian { agent, handle, places: [None; KEYS as usize] };
            let mut events = Vec::with_capacity(OPERATIONS as usize);
            for number in 0..OPERATIONS {
                // Again and again, so that many overlap.
                if number.is_multiple_of(10) {
                    meeting.wait();
                }
                // Until there is one: a place may say nothing.
                events.push(loop {
                    let (key, which) = (random.below(KEYS), random.below(12));
                    pause(&mut random);
                    let begun = clock.fetch_add(1, Ordering::SeqCst);
                    let what = match which {
                        0..=6 => Some(OnMap::Key(key, historian.by_key(key, which, &mut random))),
                        7 if random.below(6) == 0 => {
                            run(agent, |o| map::clear(o, handle));
                            Some(OnMap::Clear)
                        }
                        7 => None,
                        _ => {
                            let what = historian.by_place(key, which - 8, &mut random);
                            at_places.fetch_add(u64::from(what.is_some()), Ordering::Relaxed);
                            what.map(|what| OnMap::Key(key, what))
                        }
                    };
                    let ended = clock.fetch_add(1, Ordering::SeqCst);
                    if let Some(what) = what {
                        break Event { begun, ended, what };
                    }
                });
                if random.below(8) == 0 {
                    std::thread::yield_now();
                }
            }
            events
        })
        .into_iter()
        .flatten()
        .collect();
        count += events.len();
        overlaps.add(events.iter().map(|event| (event.begun, event.ended)));
        assert!(is_linearizable(&events, [None; KEYS as usize]), "round {round}: {events:?}");
        run(owner, |o| release(o, handle, Type::Map).map(drop));
    }
    let at_places = at_places.into_inner();
    println!("{at_places} answers at places");
    assert!(at_places > 1000);
    overlaps.check();
    println!("cases recorded_histories_are_linearizable {count}");
}
