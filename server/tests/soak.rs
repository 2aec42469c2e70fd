//! The soak in its short form: seconds in place of an hour. Whether memory grows is for the long one to say (docs/soak.md).

use std::{path::PathBuf, sync::atomic::AtomicBool, time::Duration};

use soak::{
    run::{Plan, run},
    tally::Group,
};

#[expect(dead_code, reason = "its `main` is the program's")]
#[path = "../examples/soak/main.rs"]
mod soak;

#[test]
fn every_client_is_answered_as_it_should_be_and_nothing_stays_open() {
    let plan = Plan {
        program: PathBuf::from(env!("CARGO_BIN_EXE_server")),
        length: Duration::from_secs(10),
        clients: 2,
        pause: Duration::from_millis(10),
        every: Duration::from_secs(4),
        swap: Duration::from_secs(2),
        awaits_threads: false,
        seed: 7,
    };
    let mut told = 0;
    let run = run(&plan, &AtomicBool::new(false), |_| {
        told += 1;
        Ok(())
    });
    let run = run.unwrap();
    let counts = run.counts;
    assert_eq!(counts.failures, 0, "{:#?}", counts.told);
    let all = [
        Group::Score,
        Group::Infer,
        Group::Read,
        Group::Refused,
        Group::Parted,
        Group::Slow,
        Group::Burst,
        Group::Grpc,
        Group::Swap,
        Group::Idle,
    ];
    for group in all {
        assert!(counts.groups.get(&group).is_some_and(|count| count.done > 0), "{group:?}: {:?}", counts.groups);
    }
    let [first, .., last] = &run.samples[..] else { panic!("{:?}", run.samples) };
    assert_eq!(first.descriptors, last.descriptors, "{:#?}", run.samples);
    assert_eq!(told, run.samples.len());
}

#[test]
fn a_program_that_is_no_server_is_an_error_and_not_a_run() {
    let plan = |program: &str| Plan {
        program: PathBuf::from(program),
        length: Duration::ZERO,
        clients: 1,
        pause: Duration::ZERO,
        every: Duration::ZERO,
        swap: Duration::from_secs(1),
        awaits_threads: false,
        seed: 0,
    };
    for (program, why) in [("/nothing/there", "cannot be started"), ("true", "the server did not start")] {
        let error = run(&plan(program), &AtomicBool::new(false), |_| Ok(())).err().unwrap();
        assert!(format!("{error:#}").contains(why), "{error:#}");
    }
}
