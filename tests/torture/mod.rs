//! Torture tests: autopack's promises under SIGKILL, suspended processes, many drains, full disks, clock jumps and
//! interference by others. One file per scenario, and one checker for all of them.
//!
//! Every scenario has a short form, which runs with the other tests, and a long form (`make torture`). Seeds are
//! printed; `AUTOPACK_TEST_SEED` repeats a run. Each size has its own variable, such as `AUTOPACK_TORTURE_KILLS`.

#![cfg(target_os = "linux")]

mod checker;
mod checker_tests;
mod clocks;
mod crowd;
mod disk;
mod drains;
mod fleet;
mod gate;
mod history;
mod hosts;
mod kills;
mod locked;
mod meddling;
mod merges;
mod names;
mod neighbors;
mod networks;
mod outages;
mod partitions;
mod sizes;
mod stops;
mod testbed;
mod trees;
mod undos;
mod updates;
mod users;
