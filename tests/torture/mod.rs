//! Torture: what autopack promises, under kill -9, stopped processes, crowds, full disks, jumping clocks and hands that
//! meddle. A scenario a file; one checker for all of them.
//!
//! Every scenario has a short form, run with the other tests, and a long one (`make torture`). Seeds are printed, and
//! `AUTOPACK_TEST_SEED` repeats a run. Each number has a variable of its own, such as `AUTOPACK_TORTURE_KILLS`.

#![cfg(target_os = "linux")]

mod checker;
mod checker_tests;
mod clocks;
mod crowd;
mod disk;
mod drains;
mod gate;
mod ground;
mod history;
mod kills;
mod locked;
mod meddling;
mod names;
mod neighbors;
mod preload;
mod sizes;
mod stops;
mod trees;
mod users;
