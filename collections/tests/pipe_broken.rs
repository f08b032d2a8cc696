//! Pipes whose words somebody wrote into: every call answers, with an error or with bytes, and touches nothing outside.
mod common;

use coheap::object::VALUE;
use coheap::pipe::{self, Lease, Outcome, SMALLEST, Source, Until};
use coheap::{Handle, Table, Type, acquire, release};
use coheap_alloc::{Agent, Operation, Result};
use common::{Random, Watchdog, agent, heap, run};

const ROUNDS: u32 = 20_000;

/// A pipe with writes, loans, and loans that came back.
fn prepared(agent: Agent, other: Agent) -> (Handle, Vec<Lease>) {
    let handle = run(agent, |o| pipe::create(o, SMALLEST));
    run(other, |o| acquire(o, handle, Some(Type::Pipe)));
    for length in [3, 5, 700, 1] {
        let _ = run(agent, |o| pipe::write(o, handle, Source::Slice(&[b','; 700][..length]), false));
    }
    let mut leases = Vec::new();
    for _ in 0..4 {
        let leased = run(agent, |o| pipe::lease(o, handle, 2, None, &mut None, false)).0;
        let Outcome::Done(Some(lease)) = leased else { panic!("{leased:?}") };
        leases.push(lease);
    }
    let _ = run(agent, |o| pipe::give_up(o, handle, leases[1]));
    let _ = run(agent, |o| pipe::commit(o, handle, leases[2]));
    (handle, leases)
}

/// The addresses of the words that say what is in a pipe: its head, some of its places, and the heads of their blocks.
fn words(agent: Agent, handle: Handle) -> Vec<u32> {
    let memory = agent.memory();
    let entry = Table { memory, control: agent.control() }.entry(handle.index).expect("an entry");
    let head = memory.load64(entry + VALUE) as u32;
    let mut all: Vec<u32> = [0, 8, 64, 72, 128, 136, 144].into_iter().chain((192..192 + 5 * 32).step_by(8)).collect();
    all.extend((0..6).map(|place| 192 + 32 * 32 + place * 8));
    let mut all: Vec<u32> = all.into_iter().map(|offset| head + offset).collect();
    let blocks: Vec<u64> = all.iter().rev().take(6).map(|&at| memory.load64(at)).filter(|word| word & 3 == 0).collect();
    all.extend(blocks.iter().flat_map(|&block| [block as u32, block as u32 + 8]));
    all
}

/// Something else than what stands there.
fn breaks(agent: Agent, words: &[u32], random: &mut Random) {
    let memory = agent.memory();
    let any = |random: &mut Random| words[random.below(words.len() as u64) as usize];
    let at = any(random);
    let word = memory.load64(at);
    let broken = match random.below(6) {
        0 => random.next(),
        1 => word ^ 1 << random.below(64),
        2 => word ^ 3 << random.below(63),
        3 => memory.load64(any(random)),
        4 => word.wrapping_add(random.below(1 << 24) << random.below(40)),
        // An address near the end of the memory, aligned or not.
        _ => word & !0xFFFF_FFFF | (u64::from(memory.pages()) * 65_536 - random.below(64)),
    };
    memory.store64(at, broken);
}

fn steps(operation: &Operation, handle: Handle, leases: &[Lease], which: u64) -> Result<()> {
    let until = Until::new(if which.is_multiple_of(3) { b"," } else { b";;" });
    let until = until.filter(|_| !which.is_multiple_of(2));
    let to = (operation.agent().transfer(), 1 + (which as u32 & 31));
    match which % 10 {
        0 => pipe::write(operation, handle, Source::Slice(b"more"), true).map(drop),
        1..=3 => pipe::read(operation, handle, to, until, &mut None, true).map(drop),
        4 => pipe::read(operation, handle, to, until, &mut Some(which << 20), false).map(drop),
        5 | 6 => pipe::lease(operation, handle, 1 + (which as u32 & 7), until, &mut None, true).map(drop),
        7 => pipe::lease_bytes(operation, handle, leases[which as usize % 4], 1, (to.0, 1)),
        8 if which & 16 == 0 => pipe::commit(operation, handle, leases[which as usize % 4]).map(drop),
        8 => pipe::give_up(operation, handle, leases[which as usize % 4]).map(drop),
        _ if which & 16 == 0 => pipe::available(operation, handle).map(drop),
        _ => pipe::close(operation, handle).map(drop),
    }
}

#[test]
fn pipe_that_somebody_wrote_into_answers_every_call() {
    let _watchdog = Watchdog::new("pipe_that_somebody_wrote_into_answers_every_call");
    let mut random = Random::new("pipe_that_somebody_wrote_into_answers_every_call");
    let (mut failed, mut done) = (0u32, 0u32);
    let mut seats = None;
    for round in 0..ROUNDS {
        if round % 20 == 0 {
            let heap = heap(64);
            seats = Some([(); 2].map(|()| agent(heap)));
        }
        let Some([first, second]) = seats else { unreachable!() };
        let (handle, leases) = prepared(first, second);
        let words = words(first, handle);
        for _ in 0..12 {
            if random.below(4) == 0 {
                breaks(first, &words, &mut random);
            }
            let agent = if random.below(2) == 0 { first } else { second };
            let which = random.below(1 << 16);
            match agent.operation(|o| steps(o, handle, &leases, which)) {
                Ok(()) => done += 1,
                Err(_) => failed += 1,
            }
        }
        let _ = first.operation(|o| release(o, handle, Type::Pipe));
        let _ = second.operation(|o| release(o, handle, Type::Pipe));
    }
    println!("cases {} answers, {failed} of them errors", done + failed);
    assert!(done > ROUNDS && failed > ROUNDS / 10);
}
