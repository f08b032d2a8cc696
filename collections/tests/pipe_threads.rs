//! Pipes between threads: what many write and many read and lend at once.
mod common;

use std::sync::Mutex;

use coheap::pipe::{self, Outcome, Read, Source, Until};
use coheap::wait::native::Threads;
use coheap::wait::sleep;
use coheap::{Type, acquire};
use coheap_alloc::{Agent, Result};
use common::{Random, Watchdog, agent, audit, controls, heap, run, take, threads};

/// Sleeps until it is worth another try.
fn wait<T>(agent: Agent, host: &Threads, mut attempt: impl FnMut() -> Result<(Outcome<T>, coheap::wait::Wake)>) -> T {
    loop {
        let (outcome, wake) = attempt().expect("the pipe works");
        wake.notify(host);
        match outcome {
            Outcome::Done(done) => return done,
            Outcome::Wait(watch) => sleep(agent, host, watch.expect("a watch"), f64::INFINITY).expect("sleeps"),
        }
    }
}

#[test]
fn writers_and_readers_at_once_lose_and_mix_nothing() {
    controls();
    let _watchdog = Watchdog::new("writers_and_readers_at_once_lose_and_mix_nothing");
    const WRITERS: usize = 3;
    const EACH: u64 = 20_000;
    let heap = heap(512);
    let host = Threads::new(agent(heap).memory());
    let owner = agent(heap);
    let handle = run(owner, |o| pipe::create(o, 64 * 1024));
    let (writing, leased) = (Mutex::new(WRITERS), Mutex::new(0));
    let read: Vec<Vec<Vec<u64>>> = threads(heap, WRITERS + 3, |number, agent| {
        run(agent, |o| acquire(o, handle, Some(Type::Pipe)));
        let mut seen = vec![Vec::new(); WRITERS];
        if number < WRITERS {
            let mut random = Random::from(number as u64 + 1);
            for count in 0..EACH {
                // A line says who wrote it, and its own length twice.
                let padding = "x".repeat(random.below(200) as usize);
                let line = format!("{number} {count} {} {padding} {}\n", padding.len(), padding.len());
                let source = Source::Slice(line.as_bytes());
                let length = wait(agent, &host, || agent.operation(|o| pipe::write(o, handle, source, true)));
                assert_eq!(length as usize, line.len());
            }
            let mut left = writing.lock().expect("no panic");
            *left -= 1;
            if *left == 0 {
                run(agent, |o| pipe::close(o, handle)).notify(&host);
            }
            return seen;
        }
        let until = Until::new(b"\n");
        let mut scanned = None;
        let mut random = Random::from(number as u64 + 1);
        loop {
            let bytes = if number % 2 == 0 {
                let room = 300 + random.below(20_000) as u32;
                let found = wait(agent, &host, || {
                    agent.operation(|o| pipe::read(o, handle, (agent.transfer(), room), until, &mut scanned, true))
                });
                let Read::Bytes(length) = found else { break };
                take(agent, length)
            } else {
                let most = 300 + random.below(2_000) as u32;
                let found =
                    wait(agent, &host, || agent.operation(|o| pipe::lease(o, handle, most, until, &mut scanned, true)));
                let Some(lease) = found else { break };
                run(agent, |o| pipe::lease_bytes(o, handle, lease, 0, (agent.transfer(), lease.length)));
                let bytes = take(agent, lease.length);
                let back = random.below(4) == 0;
                run(agent, |o| if back { pipe::give_up(o, handle, lease) } else { pipe::commit(o, handle, lease) })
                    .notify(&host);
                if back {
                    continue;
                }
                *leased.lock().expect("no panic") += 1;
                bytes
            };
            for line in std::str::from_utf8(&bytes).expect("text").split_terminator('\n') {
                let parts: Vec<&str> = line.split(' ').collect();
                let [writer, count, length, padding, again] = parts[..] else { panic!("{line:?}") };
                assert_eq!((length, padding.len().to_string().as_str()), (again, length), "{line:?}");
                seen[writer.parse::<usize>().expect("a writer")].push(count.parse().expect("a count"));
            }
        }
        seen
    });
    for writer in 0..WRITERS {
        let mut all: Vec<u64> = read.iter().flat_map(|seen| seen[writer].iter().copied()).collect();
        all.sort_unstable();
        assert!(all.iter().copied().eq(0..EACH), "each line of writer {writer} once: {}", all.len());
    }
    // A reader that only reads meets each writer's lines in order, but for those that came back from a loan.
    assert!(*leased.lock().expect("no panic") > 100);
    assert!(audit(owner).live_blocks <= 2048, "the places of small writes at most");
    println!("cases writers_and_readers_at_once_lose_and_mix_nothing {}", EACH * WRITERS as u64);
}
