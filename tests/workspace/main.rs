//! The workspace against real git: each test in a repository of its own.

#![allow(clippy::disallowed_methods, reason = "tests start the real git")]

mod branches;
mod lab;
mod landing;
mod measuring;
mod resetting;
mod submodules;
mod user_repository;
