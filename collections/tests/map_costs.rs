//! What operations on maps cost: loads and stores of words of the heap, which do not grow with the map, and memory,
//! up to 10⁷ entries. Times are printed for who builds with optimisation, and never asserted.
#![cfg(not(any(loom, shuttle)))]
mod common;

use std::time::Instant;

use coheap::map::{self, Key};
use coheap::string::{Form, Given, Source};
use coheap::{Handle, Table};
use coheap_alloc::{Agent, Operation};
use common::{agent, audit, heap, run};

const TRIES: u64 = 1000;

/// What one operation of many takes: loads, writes, and nanoseconds.
fn measure(name: &str, agent: Agent, mut f: impl FnMut(&Operation, u64)) -> (f64, f64) {
    let start = Instant::now();
    #[cfg(feature = "fault-points")]
    let loads = {
        coheap_alloc::sync::fault::arm(u64::MAX);
        coheap_alloc::sync::fault::loaded()
    };
    run(agent, |o| {
        (0..TRIES).for_each(|number| f(o, number));
        Ok(())
    });
    let time = start.elapsed().as_nanos() as f64 / TRIES as f64;
    #[cfg(feature = "fault-points")]
    let each = {
        let (loads, writes) = (coheap_alloc::sync::fault::loaded() - loads, coheap_alloc::sync::fault::disarm());
        (loads as f64 / TRIES as f64, writes as f64 / TRIES as f64)
    };
    #[cfg(not(feature = "fault-points"))]
    let each = (0.0, 0.0);
    println!("  {name}: {:.1} loads, {:.1} writes, {time:.0} ns", each.0, each.1);
    each
}

/// The key number `number` of a map of strings, at the beginning of the transfer buffer.
fn text(operation: &Operation, number: u64) -> Key<'static> {
    let text = format!("x-header-{number:09}");
    let at = operation.agent().transfer();
    operation.memory().copy_in(at, text.as_bytes());
    let source = Source::Buffer { at, length: text.len() as u32 };
    let table = Table::of(operation);
    Given::new(table, Form::Ascii, source).ok().and_then(|given| Key::given(table, given)).expect("a key")
}

/// Loads of a get, of a set and of a delete.
fn costs(count: u64, is_text: bool) -> [f64; 3] {
    let agent = agent(heap(if count > 1_000_000 { 30_000 } else { 2048 }));
    let handle: Handle = run(agent, map::create);
    let key = |o: &Operation, number: u64| if is_text { text(o, number) } else { Key::number(number as f64) };
    for first in (0..count).step_by(1000) {
        run(agent, |o| {
            (first..first + 1000).try_for_each(|number| map::set(o, handle, &key(o, number), Given::number(1.0)))
        });
    }
    let spread = |number: u64| number.wrapping_mul(0x9E37_79B9) % count;
    println!("{count} entries, keys of {}", if is_text { "18 units" } else { "numbers" });
    let mut keys = Vec::new();
    if !is_text {
        keys.extend((0..TRIES).map(|number| Key::number(spread(number) as f64)));
    }
    let of = |o: &Operation, number: u64| if is_text { text(o, spread(number)) } else { keys[number as usize] };
    let get = measure("get", agent, |o, number| {
        let found = map::get(Table::of(o), handle, &of(o, number), 0, 0);
        assert!(found.is_ok_and(|found| found.is_some()));
    });
    // The texts of keys are written into the transfer buffer.
    assert!(get.1 < f64::from(u8::from(is_text)) + 0.1, "reading stores nothing");
    measure("miss", agent, |o, number| {
        let found = map::get(Table::of(o), handle, &Key::number(number as f64 + 0.5), 0, 0);
        assert!(found.is_ok_and(|found| found.is_none()));
    });
    let set = measure("set", agent, |o, number| {
        map::set(o, handle, &of(o, number), Given::number(2.0)).expect("it is set");
    });
    measure("insert", agent, |o, number| {
        let key = if is_text { text(o, count + number) } else { Key::number((count + number) as f64) };
        map::set(o, handle, &key, Given::number(2.0)).expect("it is set");
    });
    measure("get what was inserted", agent, |o, number| {
        let key = if is_text { text(o, count + number) } else { Key::number((count + number) as f64) };
        let found = map::get(Table::of(o), handle, &key, 0, 0);
        assert!(found.is_ok_and(|found| found.is_some()));
    });
    // No key costs much more than others: each has a bucket of its own, or one close by.
    #[cfg(feature = "fault-points")]
    if count <= 100_000 {
        let loads = |o: &Operation, number: u64| {
            let key = key(o, number);
            let before = coheap_alloc::sync::fault::loaded();
            let found = map::get(Table::of(o), handle, &key, 0, 0);
            assert!(found.is_ok_and(|found| found.is_some()));
            coheap_alloc::sync::fault::loaded() - before
        };
        let worst = run(agent, |o| Ok((0..count).map(|number| loads(o, number)).max()));
        println!("  get at worst: {worst:?} loads");
        assert!(worst < Some(100));
    }
    let delete = measure("delete", agent, |o, number| {
        let key = if is_text { text(o, count + number) } else { Key::number((count + number) as f64) };
        assert_eq!(map::delete(o, handle, &key), Ok(true));
    });
    let figures = audit(agent);
    println!("  {:.1} bytes an entry", figures.live_bytes as f64 / count as f64);
    [get.0, set.0, delete.0]
}

#[test]
fn operations_on_large_maps_cost_what_they_do_on_small_ones() {
    for is_text in [false, true] {
        let small = costs(1_000, is_text);
        // Strings of ten million keys take memory that not every machine has.
        let larger: &[u64] = if is_text { &[100_000] } else { &[100_000, 10_000_000] };
        for &count in larger {
            let large = costs(count, is_text);
            for (large, small) in large.into_iter().zip(small) {
                assert!(large < small + 25.0, "{count} entries: {large} and {small} loads");
            }
        }
    }
}
