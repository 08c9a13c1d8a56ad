//! Ring leak: every stimulus in the states that every test run has, each on two kinds of uplinks chosen by a seed that is printed. All states:
//! `cargo xtask leak`.

use std::collections::BTreeSet;

use anyhow::{Result, bail, ensure};
use lab::{
    dice::Dice,
    leak::{Backend, Plan, Plant, State, Stimulus, Verdict, run},
};

fn state(state: State) -> Result<()> {
    let backend = Backend::of_this_machine()?;
    if !state.is_of(backend) {
        eprintln!("{state:?} is not of the {} backend", backend.word());
        return Ok(());
    }
    let plan = Plan {
        seed: Dice::new(&format!("{state:?}"))?.seed(),
        backend,
        states: [state].into(),
        stimuli: Stimulus::ALL.into(),
        workers: 1,
        plant: None,
    };
    let table = run(&plan, &|line| eprintln!("{line}"))?;
    ensure!(table.fail == 0, "{}", table.failures().join("\n"));
    let run = table
        .cells
        .iter()
        .filter(|cell| cell.verdict == Verdict::Pass);
    ensure!(run.count() >= 20, "{}", table.summary());
    Ok(())
}

#[test]
fn leak_nothing_while_the_tunnel_works() -> Result<()> {
    state(State::F00)
}

#[test]
fn leak_nothing_before_the_first_handshake() -> Result<()> {
    state(State::F01)
}

#[test]
fn leak_nothing_when_the_helper_is_killed() -> Result<()> {
    state(State::F04)
}

#[test]
fn leak_nothing_when_the_data_plane_is_killed_or_stopped() -> Result<()> {
    state(State::F06)
}

#[test]
fn leak_nothing_when_the_hosts_dns_changes() -> Result<()> {
    state(State::F09)
}

#[test]
fn leak_nothing_when_the_tunnel_is_off_and_its_apps_run_on() -> Result<()> {
    state(State::F10)
}

/// What is planted is found, by the cells that it is of, where their family is on the uplink at all.
fn found(plant: Plant, by: &[Stimulus]) -> Result<()> {
    let backend = Backend::of_this_machine()?;
    if plant == Plant::PlainForwarder && backend == Backend::Kernel {
        eprintln!("the kernel's data plane cannot be replaced");
        return Ok(());
    }
    let plan = Plan {
        seed: Dice::new(&format!("{plant:?}"))?.seed(),
        backend,
        states: [State::F00].into(),
        stimuli: by.iter().copied().collect(),
        workers: 2,
        plant: Some(plant),
    };
    let table = run(&plan, &|line| eprintln!("{line}"))?;
    for cell in &table.cells {
        let Verdict::Fail { why } = &cell.verdict else {
            bail!("{:?} passes with {plant:?}", cell.stimulus);
        };
        // By what it saw, and not because something went wrong before.
        let words = [
            "in the clear",
            "was asked",
            "heard it",
            "is visible",
            "answered: ",
        ];
        let is_leak = |text: &String| words.iter().any(|word| text.contains(word));
        ensure!(why.iter().any(is_leak), "{:?}: {why:?}", cell.stimulus);
    }
    Ok(())
}

#[test]
fn leak_of_a_plain_forwarder_fails_its_cells() -> Result<()> {
    found(
        Plant::PlainForwarder,
        &[Stimulus::S01, Stimulus::S03, Stimulus::S11, Stimulus::S23],
    )
}

#[test]
fn leak_of_another_link_fails_its_cells() -> Result<()> {
    found(
        Plant::Link,
        &[
            Stimulus::S01,
            Stimulus::S02,
            Stimulus::S03,
            Stimulus::S05,
            Stimulus::S06,
            Stimulus::S07,
            Stimulus::S15,
            Stimulus::S23,
            Stimulus::S24,
            Stimulus::S27,
        ],
    )
}

#[test]
fn leak_of_services_within_reach_fails_their_cells() -> Result<()> {
    found(Plant::Services, &[Stimulus::S09, Stimulus::S12])
}

#[test]
fn leak_of_a_host_that_answers_for_the_tunnel_fails_its_cell() -> Result<()> {
    found(Plant::Addresses, &[Stimulus::S25])
}

#[test]
fn every_cell_has_a_verdict_and_few_are_not_run() {
    let all: BTreeSet<_> = State::ALL.into();
    for backend in [Backend::Kernel, Backend::Userspace] {
        let mut left_out = 0;
        for state in &all {
            for stimulus in Stimulus::ALL {
                let reason = lab::leak::not_applicable(stimulus, *state, backend);
                left_out += usize::from(reason.is_some());
            }
        }
        let cells = all.len() * Stimulus::ALL.len();
        assert_eq!(cells, 540);
        assert!(left_out * 100 <= cells * 35, "{left_out} of {cells}");
        assert!(cells - left_out >= 340);
    }
}
