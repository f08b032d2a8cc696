//! Fields that several agents change, read, freeze and release at once.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use coheap::fields::{self, Lines};
use coheap::{Type, acquire, park, release};
use coheap_alloc::Error;

use super::common::{self, Watchdog, agent, audit, heap, run, threads};
use super::{Pairs, append, create, delete, entries, get, set, table, try_get};

/// Each agent appends lines of its own and removes every other one again: nobody's change is lost.
#[test]
fn fields_changed_by_four_agents_lose_no_change() {
    let _watchdog = Watchdog::new("fields_changed_by_four_agents_lose_no_change");
    let heap = heap(512);
    let first = agent(heap);
    let headers = create(first, &[]);
    const ROUNDS: u32 = 10_000;
    threads(heap, 4, |number, agent| {
        agent.turn_begin().expect("online");
        for round in 0..ROUNDS {
            let name = format!("agent-{number}-{}", round % 3);
            match round % 6 {
                3..6 => delete(agent, headers, name.as_bytes()).expect("delete"),
                _ => append(agent, headers, name.as_bytes(), round.to_string().as_bytes()).expect("append"),
            }
            set(agent, headers, format!("count-{number}").as_bytes(), &[round.to_string().as_bytes()]).expect("set");
            let mine = get(agent, headers, name.as_bytes());
            assert_eq!(mine.is_some(), round % 6 < 3, "round {round}: {mine:?}");
        }
        agent.turn_end();
    });
    let mut found = entries(first, headers);
    found.sort();
    let mut expected = Pairs::new();
    for number in 0..4 {
        expected.push((format!("count-{number}").into_bytes(), (ROUNDS - 1).to_string().into_bytes()));
        for round in ROUNDS / 6 * 6..ROUNDS {
            let name = format!("agent-{number}-{}", round % 3).into_bytes();
            match round % 6 {
                3..6 => expected.retain(|(known, _)| *known != name),
                _ => expected.push((name, round.to_string().into_bytes())),
            }
        }
    }
    expected.sort();
    assert_eq!(found, expected);
    audit(first);
    println!("cases fields_changed_by_four_agents_lose_no_change {}", 4 * ROUNDS);
}

struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A writer changes one value between two letters and two lengths; each old block is reused at once. Who reads sees one
/// letter and its length.
#[test]
fn fields_changed_under_readers_never_mix() {
    let _watchdog = Watchdog::new("fields_changed_under_readers_never_mix");
    common::controls();
    let heap = heap(512);
    let first = agent(heap);
    // A slab has seven such blocks: a freed one is used again soon, and copying takes a while.
    const LONG: usize = 7168;
    const SHORT: usize = 7000;
    let headers = create(first, &[(b"before", b"x"), (b"flips", &[b'a'; LONG]), (b"after", b"y")]);
    let over = AtomicBool::new(false);
    let reads = AtomicU64::new(0);
    let same = |value: &[u8]| {
        let letter = value[0];
        assert!(value.iter().all(|&byte| byte == letter), "a mix");
        assert_eq!(value.len(), if letter == b'a' { LONG } else { SHORT }, "a stale length");
    };
    threads(heap, 3, |number, agent| {
        let _over = Over(&over);
        agent.turn_begin().expect("online");
        if number == 0 {
            for round in 0..6_000u32 {
                let value = if round % 2 == 0 { &[b'b'; SHORT][..] } else { &[b'a'; LONG] };
                set(agent, headers, b"flips", &[value]).expect("set");
                // Churn: the freed block is somebody else's at once.
                for _ in 0..8 {
                    let other = create(agent, &[(b"other", &[b'z'; LONG])]);
                    let other = run(agent, |o| release(o, other, Type::Fields));
                    assert_eq!(other.address(), 0);
                }
            }
        } else {
            let mut done = 0;
            while !over.load(Ordering::Relaxed) {
                if number == 1 {
                    same(&get(agent, headers, b"Flips").expect("there"));
                } else {
                    let mut copy = [0; 8192];
                    let copied = run(agent, |_| {
                        let copied = fields::lines(table(agent), headers, 0, agent.transfer(), 8192)?;
                        agent.memory().copy_out(agent.transfer(), &mut copy[..copied.size as usize]);
                        Ok(copied.size as usize)
                    });
                    let lines: Vec<_> = Lines::new(&copy[..copied]).expect("lines").collect();
                    assert_eq!((lines.len(), lines[0].1, lines[2].1), (3, &b"x"[..], &b"y"[..]));
                    same(lines[1].1);
                }
                done += 1;
            }
            reads.fetch_add(done, Ordering::Relaxed);
        }
        agent.turn_end();
    });
    println!("{} reads", reads.load(Ordering::Relaxed));
    audit(first);
}

/// Fields are frozen and released under agents that change and read them: after the freeze nothing changes, and with
/// the release all memory is free again.
#[test]
fn fields_frozen_and_released_beside_writers_stay_whole() {
    let _watchdog = Watchdog::new("fields_frozen_and_released_beside_writers_stay_whole");
    let heap = heap(512);
    let first = agent(heap);
    let before = audit(first).live_bytes;
    for round in 0..500u32 {
        let headers = create(first, &[(b"a", b"0")]);
        run(first, |o| park(o, headers));
        threads(heap, 3, |number, agent| {
            agent.turn_begin().expect("online");
            if number == 0 {
                for _ in 0..round * 20 {
                    std::hint::spin_loop();
                }
                run(agent, |o| acquire(o, headers, None));
                run(agent, |o| fields::freeze(o, headers));
                let frozen = entries(agent, headers);
                for _ in 0..50 {
                    assert_eq!(entries(agent, headers), frozen);
                }
                let _ = run(agent, |o| release(o, headers, Type::Fields));
            } else {
                // Until the release: frozen fields refuse changes, and are still read.
                for count in 0u64.. {
                    let changed = if count % 2 == 0 {
                        set(agent, headers, b"a", &[&vec![b'v'; (count % 9000) as usize]])
                    } else {
                        append(agent, headers, b"b", b"1").and_then(|()| delete(agent, headers, b"b"))
                    };
                    match changed {
                        Ok(()) | Err(Error::Immutable { .. }) => {}
                        Err(Error::StaleHandle { .. }) => break,
                        Err(error) => panic!("{error:?}"),
                    }
                    match try_get(agent, headers, b"a") {
                        Ok(value) => assert!(value.is_some()),
                        // The next change sees it too, and lets go of what this agent holds.
                        Err(Error::StaleHandle { .. }) => {}
                        Err(error) => panic!("{error:?}"),
                    }
                }
            }
            agent.turn_end();
        });
        assert_eq!(audit(first).live_bytes, before, "round {round}");
    }
}
