//! The workspace against real git: each test in a repository of its own.

mod branches;
mod lab;
mod landing;
mod measuring;
mod resetting;
mod submodules;
mod user_repository;
