//! Maps that several agents change at once.
#![cfg(not(any(loom, shuttle)))]
#![allow(clippy::disallowed_types, reason = "the switches of a test are no shared words of a heap")]
mod common;

#[path = "map_threads/histories.rs"]
mod histories;

use std::sync::atomic::{AtomicBool, Ordering};

use coheap::cell::Taken;
use coheap::map::{self, Key};
use coheap::string::{Form, Given};
use coheap::value;
use coheap::{Handle, Table, Type, acquire, release};
use coheap_alloc::layout::body;
use coheap_alloc::{Agent, Operation};
use common::{Random, Watchdog, agent, audit, controls, heap, run, threads};
use hashbrown::HashMap;

fn table(agent: Agent) -> Table {
    Table { memory: agent.memory(), control: agent.control() }
}

/// A key of a number, or one with a block.
fn with_key<R>(agent: Agent, number: u64, is_text: bool, f: impl FnOnce(Table, &Key<'_>) -> R) -> R {
    let text = format!("the key with the number {number}");
    let table = table(agent);
    let key = if is_text { Key::given(table, Given::text(text.as_bytes())) } else { Some(Key::number(number as f64)) };
    f(table, &key.expect("a key"))
}

fn shared(agent: Agent) -> Handle {
    run(agent, map::create)
}

fn hold(agent: Agent, handle: Handle) {
    run(agent, |o| acquire(o, handle, Some(Type::Map)));
}

fn set(agent: Agent, handle: Handle, number: u64, is_text: bool, given: Given<'_>) {
    with_key(agent, number, is_text, |_, key| run(agent, |o| map::set(o, handle, key, given)));
}

fn delete(agent: Agent, handle: Handle, number: u64, is_text: bool) -> bool {
    with_key(agent, number, is_text, |_, key| run(agent, |o| map::delete(o, handle, key)))
}

fn get(agent: Agent, handle: Handle, number: u64, is_text: bool) -> Option<Taken> {
    with_key(agent, number, is_text, |table, key| {
        map::get(table, handle, key, agent.transfer(), body::TRANSFER_LENGTH).expect("it is read")
    })
}

/// All entries: numbers of the keys, words of the values.
fn keys(agent: Agent, handle: Handle) -> Vec<f64> {
    let (mut all, mut from) = (Vec::new(), 0);
    loop {
        let batch = map::entries(table(agent), handle, from, 64, agent.transfer(), body::TRANSFER_LENGTH);
        let batch = batch.expect("entries");
        if batch.count == 0 {
            return all;
        }
        let mut at = agent.transfer();
        for record in 0..batch.count * 2 {
            let kind = agent.memory().own32(at);
            let number = f64::from_bits(agent.memory().own64(at + 8));
            if record % 2 == 0 && kind == 0 {
                all.push(number);
            }
            at += 16 + if kind < 8 { 0 } else { (number as u32).next_multiple_of(8) };
        }
        from = batch.next;
    }
}

fn end(agent: Agent, handle: Handle) {
    audit(agent);
    run(agent, |o| release(o, handle, Type::Map).map(drop));
    for _ in 0..2000 {
        let made = run(agent, |o| coheap::cell::create(o, 1.0));
        run(agent, |o| release(o, made, Type::Cell).map(drop));
    }
    assert_eq!(audit(agent).live_blocks, 0);
}

#[test]
fn agents_with_keys_of_their_own_do_not_disturb_each_other() {
    let _watchdog = Watchdog::new("agents_with_keys_of_their_own_do_not_disturb_each_other");
    controls();
    let heap = heap(1024);
    let owner = agent(heap);
    let handle = shared(owner);
    let seed = Random::new("agents_with_keys_of_their_own_do_not_disturb_each_other").next();
    let models = threads(heap, 4, |number, agent| {
        hold(agent, handle);
        let mut random = Random::from(seed ^ number as u64);
        let mut model = HashMap::new();
        for _ in 0..40_000 {
            let key = random.below(300) * 4 + number as u64;
            let is_text = key.is_multiple_of(3);
            match random.below(5) {
                0 | 1 => {
                    let value = random.below(1000);
                    set(agent, handle, key, is_text, Given::number(value as f64));
                    model.insert(key, value);
                }
                2 | 3 => assert_eq!(delete(agent, handle, key, is_text), model.remove(&key).is_some()),
                _ => {
                    let found = get(agent, handle, key, is_text).map(|taken| taken.word);
                    assert_eq!(found, model.get(&key).map(|&value| value::from_number(value as f64)));
                }
            }
        }
        model
    });
    let mut count = 0;
    for (key, value) in models.into_iter().flatten() {
        let found = get(owner, handle, key, key.is_multiple_of(3)).map(|taken| taken.word);
        assert_eq!(found, Some(value::from_number(value as f64)));
        count += 1;
    }
    assert_eq!(map::size(table(owner), handle), Ok(count));
    end(owner, handle);
}

/// A slab of blocks that are live gets another owner again and again, while others look at the keys in it.
#[test]
fn long_keys_are_there_while_their_slab_changes_owner() {
    let _watchdog = Watchdog::new("long_keys_are_there_while_their_slab_changes_owner");
    let heap = heap(2048);
    let owner = agent(heap);
    let handle = shared(owner);
    let keys: Vec<_> = (0..16).map(|number| format!("{number} {}", "k".repeat(3000))).collect();
    let with = |agent: Agent, text: &str, f: &dyn Fn(&Operation, &Key<'_>)| {
        run(agent, |o| {
            f(o, &Key::given(Table::of(o), Given::text(text.as_bytes())).expect("a key"));
            Ok(())
        });
    };
    let maker = agent(heap);
    hold(maker, handle);
    for key in &keys {
        with(maker, key, &|o, key| map::set(o, handle, key, Given::number(0.0)).expect("room"));
    }
    common::leave(maker);
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let adopter = scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                let agent = agent(heap);
                let made = run(agent, |o| coheap::cell::create_holding(o, Given::text(&[b'v'; 3030])));
                run(agent, |o| release(o, made, Type::Cell).map(drop));
                common::leave(agent);
            }
        });
        let count = std::cell::Cell::new(0);
        for turn in 1..=3000 {
            for key in &keys {
                with(owner, key, &|o, key| {
                    count.set(count.get() + u32::from(!map::has(Table::of(o), handle, key).expect("it is read")));
                    map::set(o, handle, key, Given::number(f64::from(turn))).expect("room");
                });
            }
        }
        let missed = count.replace(0);
        let size = map::size(table(owner), handle).expect("a map");
        // Now they go, each at once, and their blocks with them.
        for key in &keys {
            with(owner, key, &|o, key| {
                count.set(count.get() + u32::from(!map::delete(o, handle, key).expect("it is deleted")));
            });
        }
        let kept = count.get();
        over.store(true, Ordering::Relaxed);
        adopter.join().expect("the thread ends");
        assert_eq!((missed, size, kept), (0, 16, 0), "looks that missed a key, entries, keys that were not deleted");
    });
    assert_eq!(map::size(table(owner), handle), Ok(0));
    end(owner, handle);
}

#[test]
fn sums_of_many_agents_are_exact() {
    let _watchdog = Watchdog::new("sums_of_many_agents_are_exact");
    controls();
    let heap = heap(256);
    let owner = agent(heap);
    let handle = shared(owner);
    threads(heap, 4, |_, agent| {
        hold(agent, handle);
        for step in 0..50_000 {
            let key = step % 7;
            with_key(agent, key, key.is_multiple_of(2), |_, key| run(agent, |o| map::add(o, handle, key, 1.0)));
        }
    });
    let sums =
        (0..7).map(|key| get(owner, handle, key, key.is_multiple_of(2)).and_then(|taken| value::to_number(taken.word)));
    let sum = sums.map(|sum| sum.expect("a number")).sum::<f64>();
    assert_eq!(sum, 200_000.0);
    end(owner, handle);
    println!("cases sums_of_many_agents_are_exact {sum}");
}

#[test]
fn key_that_many_insert_and_delete_is_there_once() {
    let _watchdog = Watchdog::new("key_that_many_insert_and_delete_is_there_once");
    controls();
    let heap = heap(256);
    let owner = agent(heap);
    let handle = shared(owner);
    let totals = threads(heap, 4, |number, agent| {
        hold(agent, handle);
        let mut total = 0i64;
        for step in 0..60_000u64 {
            let key = step / 16 % 5;
            let is_text = key == 0;
            if (step + number as u64).is_multiple_of(2) {
                let there = with_key(agent, key, is_text, |_, key| {
                    run(agent, |o| map::insert_if_absent(o, handle, key, Given::number(1.0), 0, 0))
                });
                total += i64::from(there.is_none());
            } else {
                total -= i64::from(delete(agent, handle, key, is_text));
            }
        }
        total
    });
    let left = (0..5).filter(|&key| get(owner, handle, key, key == 0).is_some()).count() as i64;
    assert_eq!(totals.into_iter().sum::<i64>(), left);
    assert_eq!(map::size(table(owner), handle), Ok(left as u64));
    end(owner, handle);
}

/// A value that says whose it is.
fn marked(key: u64, turn: u64) -> Vec<u8> {
    let length = 20 + (key * 37 + turn * 61) % 900;
    vec![b'a' + (key % 26) as u8; length as usize]
}

#[test]
fn values_read_while_others_churn_are_never_mixed() {
    let _watchdog = Watchdog::new("values_read_while_others_churn_are_never_mixed");
    controls();
    let heap = heap(256);
    let owner = agent(heap);
    let handle = shared(owner);
    let stop = AtomicBool::new(false);
    let done = threads(heap, 4, |number, agent| {
        hold(agent, handle);
        if number < 2 {
            for turn in 0..60_000u64 {
                let key = (turn * 2 + number as u64) % 52;
                if turn / 26 % 2 == 0 {
                    set(agent, handle, key, key.is_multiple_of(3), Given::text(&marked(key, turn)));
                } else {
                    delete(agent, handle, key, key.is_multiple_of(3));
                }
            }
            stop.store(true, Ordering::SeqCst);
            return Ok(0);
        }
        let mut reads = 0;
        while !stop.load(Ordering::SeqCst) {
            for key in 0..52 {
                let Some(taken) = get(agent, handle, key, key.is_multiple_of(3)) else { continue };
                let Some((Form::Ascii, length)) = taken.block else { return Err(format!("{taken:?}")) };
                let mut bytes = vec![0; length as usize];
                agent.memory().copy_out(agent.transfer(), &mut bytes);
                if bytes.iter().any(|&byte| byte != b'a' + (key % 26) as u8) {
                    return Err(format!("key {key}: {}", String::from_utf8_lossy(&bytes)));
                }
                reads += 1;
            }
        }
        Ok(reads)
    });
    for reads in done {
        println!("{} reads", reads.expect("what was set"));
    }
    end(owner, handle);
}

#[test]
fn entries_that_stay_are_met_once_while_others_churn() {
    let _watchdog = Watchdog::new("entries_that_stay_are_met_once_while_others_churn");
    controls();
    let heap = heap(512);
    let owner = agent(heap);
    let handle = shared(owner);
    // Those that stay stand between those that go.
    for key in 0..3000 {
        set(owner, handle, key, false, Given::number(1.0));
    }
    let stop = AtomicBool::new(false);
    let rounds = threads(heap, 3, |number, agent| {
        hold(agent, handle);
        if number == 0 {
            let mut random = Random::from(7);
            for turn in 0..200_000u64 {
                let key = 3000 + random.below(5000);
                if turn < 3000 && turn % 10 != 0 {
                    delete(agent, handle, turn, false);
                } else if random.below(2) == 0 {
                    set(agent, handle, key, false, Given::number(1.0));
                } else {
                    delete(agent, handle, key, false);
                }
            }
            stop.store(true, Ordering::SeqCst);
            return 0;
        }
        let mut rounds = 0;
        while !stop.load(Ordering::SeqCst) || rounds == 0 {
            let mut met = HashMap::new();
            for key in keys(agent, handle) {
                *met.entry(key as u64).or_insert(0) += 1;
            }
            for key in (0..3000).step_by(10) {
                assert_eq!(met.get(&key), Some(&1), "key {key}");
            }
            for (key, times) in met {
                // One that goes and comes again may be met at its old place and at its new one.
                assert!(key >= 3000 || times == 1, "key {key}: {times} times");
            }
            rounds += 1;
        }
        rounds
    });
    println!("{rounds:?} rounds");
    end(owner, handle);
}

#[test]
fn map_that_is_cleared_while_others_insert_is_whole() {
    let _watchdog = Watchdog::new("map_that_is_cleared_while_others_insert_is_whole");
    controls();
    let heap = heap(1024);
    let owner = agent(heap);
    let handle = shared(owner);
    threads(heap, 4, |number, agent| {
        hold(agent, handle);
        for step in 0..30_000u64 {
            let key = step * 4 + number as u64;
            if number == 0 && step % 100 == 0 {
                run(agent, |o| map::clear(o, handle));
            } else if step % 3 == 0 {
                set(agent, handle, key, true, Given::text(&marked(key, step)));
            } else {
                set(agent, handle, key, false, Given::number(1.0));
            }
            if step % 5 == 0 {
                delete(agent, handle, key - step % 7 * 4 % (key + 1), false);
            }
        }
    });
    let count = map::size(table(owner), handle).expect("a size");
    println!("{count} left");
    audit(owner);
    run(owner, |o| map::clear(o, handle));
    assert_eq!(map::size(table(owner), handle), Ok(0));
    end(owner, handle);
}

#[test]
fn map_that_is_released_while_others_work_in_it_is_given_back() {
    let _watchdog = Watchdog::new("map_that_is_released_while_others_work_in_it_is_given_back");
    controls();
    let heap = heap(512);
    let owner = agent(heap);
    for round in 0..200u64 {
        let handle = shared(owner);
        threads(heap, 3, |number, agent| {
            for step in 0..300u64 {
                let key = step * 4 + number as u64;
                let done = with_key(agent, key, step % 2 == 0, |_, key| {
                    agent.operation(|o: &Operation| map::set(o, handle, key, Given::text(&marked(round, step))))
                });
                if done.is_err() {
                    assert_eq!(done, Err(handle.stale()));
                    break;
                }
                if number == 0 && step == 20 + round {
                    // Nobody but the owner has a reference: the others guess the handle.
                    run(agent, |o| coheap::acquire(o, handle, None));
                }
            }
        });
        run(owner, |o| release(o, handle, Type::Map).map(drop));
    }
    for _ in 0..4000 {
        let made = run(owner, |o| coheap::cell::create(o, 1.0));
        run(owner, |o| release(o, made, Type::Cell).map(drop));
    }
    assert_eq!(audit(owner).live_blocks, 0);
}
