//! Lists that somebody wrote into: every call answers, whatever stands in their words.
#![cfg(all(feature = "std", not(any(loom, shuttle))))]
mod common;

use coheap::list::{self, Removed};
use coheap::object;
use coheap::string::Given;
use coheap::{Handle, Table, Type, release};
use coheap_alloc::{Agent, Operation, Result};
use common::{Watchdog, agent, heap, run};

fn splice(operation: &Operation, handle: Handle, start: f64, delete: u32, count: u32) -> Result<(u32, u32)> {
    let mut removed = Removed::To { to: operation.agent().transfer(), room: 4096, region: None };
    list::splice(operation, handle, (start, delete), count, |_| Ok(Given::number(1.0)), &mut removed)
}

/// A list of two roots, the first of which is still to be taken apart, and the addresses of its words.
fn made() -> (Agent, Handle, Vec<u32>) {
    let agent = agent(heap(64));
    let handle = run(agent, list::create);
    for number in 0..20 {
        let text = [b'a' + number; 40];
        let given = if number % 3 == 0 { Given::text(&text) } else { Given::number(f64::from(number)) };
        run(agent, |o| list::push(o, handle, given));
    }
    let memory = agent.memory();
    let entry = Table { memory, control: agent.control() }.entry(handle.index).expect("an entry");
    let head = memory.load64(entry + object::VALUE) as u32;
    let first = memory.load64(head) as u32;
    run(agent, |o| splice(o, handle, 3.0, 2, 1));
    run(agent, |o| list::push(o, handle, Given::number(5.0)));
    let root = memory.load64(head) as u32;
    let mut words = vec![head, head + 8];
    for root in [first, root] {
        // Its fields, and entries with the chunks that they name.
        words.extend((0..24).map(|word| root + word * 8));
        let chunk = memory.load64(root + 96) as u32;
        words.extend((0..4).map(|place| chunk + place * 8));
    }
    words.sort_unstable();
    words.dedup();
    (agent, handle, words)
}

#[test]
fn list_that_somebody_wrote_into_answers_every_call() {
    let _watchdog = Watchdog::new("list_that_somebody_wrote_into_answers_every_call");
    let count = made().2.len();
    let mut calls = 0;
    for number in 0..count {
        for garbage in 0..12 {
            let (agent, handle, words) = made();
            let (memory, at) = (agent.memory(), words[number]);
            let word = memory.load64(at);
            let tagged = |tag: u64, payload: u64| 0xFFF8 << 48 | tag << 48 | payload;
            let bad = [
                0,
                1,
                u64::MAX,
                word ^ 1,
                word ^ 8,
                word << 8,
                word ^ 1 << 31,
                word.wrapping_add(1 << 32),
                u64::from(words[0]),
                // A root that ends in itself, and changes of nobody and of this agent.
                tagged(7, u64::from(at & !15 | 1)),
                tagged(6, 0xABC << 32 | 5),
                tagged(6, u64::from(agent.index()) << 32 | 1),
            ];
            memory.store64(at, bad[garbage]);
            let table = Table { memory, control: agent.control() };
            for index in [0.0, 4.0, 19.0, -1.0] {
                let _ = list::get(table, handle, index);
                let _ = list::values(table, handle, index, 64, agent.transfer(), 4096);
            }
            let _ = list::length(table, handle);
            let _ = agent.audit(&mut coheap::Objects);
            let _ = agent.operation(|o| list::push(o, handle, Given::number(1.0)));
            let _ = agent.operation(|o| list::set(o, handle, 2, Given::number(1.0)));
            for (start, delete, new) in [(-1.0, 1, 0), (2.0, 3, 2), (0.0, 64, 0)] {
                let _ = agent.operation(|o| splice(o, handle, start, delete, new));
            }
            let _ = agent.operation(|o| release(o, handle, Type::List));
            for _ in 0..8 {
                let _ = agent.operation(list::create);
            }
            calls += 22;
        }
    }
    println!("cases list_that_somebody_wrote_into_answers_every_call {calls}");
}
