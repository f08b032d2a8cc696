//! How schedules are tried, and agents on threads of their own.

use std::sync::{Arc, Mutex};

use coheap_alloc::Agent;
use shuttle::scheduler::{PctScheduler, RandomScheduler, Schedule, Scheduler, Task, TaskId};
use shuttle::thread::{self, JoinHandle};

use super::common::world::World;
use super::common::{Watchdog, cases, seed};

/// Random, but who runs mostly goes on: the whole of one agent's free between two steps of another's claim.
struct Bursts(RandomScheduler);

impl Scheduler for Bursts {
    fn new_execution(&mut self) -> Option<Schedule> {
        self.0.new_execution()
    }

    fn next_task(&mut self, runnable: &[&Task], current: Option<TaskId>, is_yielding: bool) -> Option<TaskId> {
        let goes_on = !is_yielding && !self.0.next_u64().is_multiple_of(16);
        let same = current.filter(|&id| goes_on && runnable.iter().any(|task| task.id() == id));
        same.or_else(|| self.0.next_task(runnable, current, is_yielding))
    }

    fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }
}

/// Runs `together` in so many random schedules, half as many again with few preemptions and half as many in bursts, and
/// after each `afterwards`.
pub(super) fn explore<R: 'static>(
    name: &'static str,
    world: World,
    schedules: usize,
    together: impl Fn(&Arc<World>) -> R + Send + Sync + 'static,
    afterwards: impl Fn(&World, R) + Send + Sync + 'static,
) {
    let _watchdog = Watchdog::new(name, 600);
    let world = Arc::new(world);
    world.memory().keep();
    let run = Arc::new((together, afterwards));
    let count = Arc::new(Mutex::new(0u64));
    let mut config = shuttle::Config::new();
    config.stack_size = 0x2_0000;
    config.silence_warnings = true;
    let seed = seed(name);
    let schedulers: [Box<dyn Scheduler + Send>; 3] = [
        Box::new(RandomScheduler::new_from_seed(seed, schedules)),
        Box::new(PctScheduler::new_from_seed(seed, 3, schedules / 2)),
        Box::new(Bursts(RandomScheduler::new_from_seed(seed, schedules / 2))),
    ];
    for scheduler in schedulers {
        let (world, run, counted) = (world.clone(), run.clone(), count.clone());
        shuttle::Runner::new(scheduler, config.clone()).run(move || {
            let memory = world.memory();
            memory.rewind();
            memory.share();
            let result = (run.0)(&world);
            let counts = memory.settle();
            (run.1)(&world, result);
            // One that met a raced word for the first time had too few schedule points to count.
            *counted.lock().unwrap() += u64::from(counts);
        });
    }
    cases(name, *count.lock().unwrap());
}

/// Another thread with the agent `index`.
pub(super) fn beside<R: Send + 'static>(
    world: &Arc<World>,
    index: usize,
    work: impl FnOnce(&World, Agent) -> R + Send + 'static,
) -> JoinHandle<R> {
    let world = world.clone();
    thread::spawn(move || work(&world, world.agent(index)))
}
