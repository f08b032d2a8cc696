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
/// Loads and writes that no insertion reaches, whatever slab, chunk, bucket or leftover it comes upon.
#[cfg(feature = "fault-points")]
const WORST: u64 = 4000;
/// Nor a last release, which takes 64 parts apart at once: chunks of 20 entries, with their keys and values.
#[cfg(feature = "fault-points")]
const WORST_RELEASE: u64 = 64 * 20 * 30;

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
    println!("cases operations_on_large_maps_cost_what_they_do_on_small_ones {TRIES}");
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

/// Loads and writes of a get, of a set, of an insertion, and of deletions of what is newest and of any.
fn costs(count: u64, is_text: bool) -> [(f64, f64); 5] {
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
    let insert = measure("insert", agent, |o, number| {
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
    let newest = measure("delete the newest", agent, |o, number| {
        let key = if is_text { text(o, count + number) } else { Key::number((count + number) as f64) };
        assert_eq!(map::delete(o, handle, &key), Ok(true));
    });
    // Each another one, from the first on.
    let any = measure("delete any", agent, |o, number| {
        assert_eq!(map::delete(o, handle, &of(o, number)), Ok(true));
    });
    let figures = audit(agent);
    println!("  {:.1} bytes an entry", figures.live_bytes as f64 / count as f64);
    [get, set, insert, newest, any]
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
                assert!(large.0 < small.0 + 25.0, "{count} entries: {large:?} and {small:?} loads and writes");
                assert!(large.1 < small.1 + 3.0, "{count} entries: {large:?} and {small:?} loads and writes");
            }
        }
    }
}

/// Loads and writes of one call.
#[cfg(feature = "fault-points")]
fn steps<R>(f: impl FnOnce() -> R) -> (u64, R) {
    use coheap_alloc::sync::fault;
    let loads = fault::loaded();
    fault::arm(u64::MAX);
    let answer = f();
    (fault::loaded() - loads + fault::disarm(), answer)
}

/// The most that one of so many insertions takes, of keys from `first` on; the map gets at most one bucket in each.
#[cfg(feature = "fault-points")]
fn worst_insertion(agent: Agent, handle: Handle, first: u64, count: u64) -> u64 {
    let table = Table { memory: agent.memory(), control: agent.control() };
    let buckets = || u64::from(map::parts::bucket_count(table, handle).expect("a map"));
    let mut worst = 0;
    for number in first..first + count {
        let before = buckets();
        let (steps, ()) =
            steps(|| run(agent, |o| map::set(o, handle, &Key::number(number as f64), Given::number(1.0))));
        worst = worst.max(steps);
        let size = map::size(table, handle).expect("a map");
        assert_eq!(buckets(), before + u64::from(size > before), "{size} entries: a bucket for each, one at a time");
    }
    worst
}

#[cfg(feature = "fault-points")]
#[test]
fn insertions_cost_little_at_worst_and_add_one_bucket_at_most() {
    let agent = agent(heap(4096));
    let handle: Handle = run(agent, map::create);
    let mut first = 0;
    for count in [1000, 9000, 90_000] {
        let worst = worst_insertion(agent, handle, first, count);
        first += count;
        println!("up to {first} entries: {worst} loads and writes at worst");
        assert!(worst < WORST, "up to {first} entries: {worst} loads and writes");
    }
    audit(agent);
}

/// Loads and writes of a clear, of a last release, and the most that one of the insertions takes that come after each.
#[cfg(feature = "fault-points")]
fn ends(count: u64) -> [u64; 4] {
    let agent = agent(heap(2048));
    let handles = [run(agent, map::create), run(agent, map::create)];
    for handle in handles {
        for number in 0..count {
            let value = Given::text(b"a value that has a block of its own");
            run(agent, |o| map::set(o, handle, &Key::number(number as f64), value));
        }
    }
    let other = run(agent, map::create);
    let (cleared, ()) = steps(|| run(agent, |o| map::clear(o, handles[0])));
    let after_clear = worst_insertion(agent, handles[0], 0, 500);
    let (released, _) = steps(|| run(agent, |o| coheap::release(o, handles[1], coheap::Type::Map)));
    let after_release = worst_insertion(agent, other, 0, 500);
    audit(agent);
    println!(
        "{count} entries: clear {cleared}, then at most {after_clear}; release {released}, then at most {after_release}"
    );
    [cleared, after_clear, released, after_release]
}

#[cfg(feature = "fault-points")]
#[test]
fn clear_and_the_last_release_cost_the_same_whatever_is_in_the_map() {
    let (small, large) = (ends(1_000), ends(100_000));
    assert!(small[0].abs_diff(large[0]) < 10, "{small:?} and {large:?} loads and writes");
    for [clear, after_clear, release, after_release] in [small, large] {
        assert!(clear < WORST && after_clear < WORST && after_release < WORST);
        assert!(release < WORST_RELEASE, "{release} loads and writes");
    }
}
