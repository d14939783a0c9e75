//! A clock controlled by the test: a small library, loaded before the C library, that shifts the wall clock, and the time since boot.

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::skip::skip;

/// Seconds are read from a file that is mapped once: what the test writes is seen at once, everywhere.
const SHIFT: &str = r#"
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile long long *shift;

/* 0: the wall clock; 1: the time since boot. */
static long long seconds(int clock) {
    if (!shift) {
        static long long none[2];
        const char *path = getenv("TEST_CLOCK");
        int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
        void *at = file < 0 ? MAP_FAILED : mmap(0, 16, PROT_READ, MAP_SHARED, file, 0);
        if (file >= 0) close(file);
        shift = at == MAP_FAILED ? none : at;
    }
    return shift[clock];
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    int result = syscall(SYS_clock_gettime, clock, time);
    if (!result && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) time->tv_sec += seconds(0);
    if (!result && clock == CLOCK_BOOTTIME) time->tv_sec += seconds(1);
    return result;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone) {
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    time->tv_sec = now.tv_sec;
    time->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *at) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}
"#;

pub struct Clock {
    pub library: PathBuf,
    pub file: PathBuf,
}

impl Clock {
    /// `None` without a C compiler: the test is skipped.
    #[track_caller]
    pub fn built_in(directory: &Path) -> Option<Self> {
        let (source, library) = (directory.join("clock.c"), directory.join("clock.so"));
        let file = directory.join("clock");
        std::fs::write(&source, SHIFT).unwrap();
        std::fs::write(&file, [0; 16]).unwrap();
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(&source);
        match cc.output() {
            Ok(output) if output.status.success() => Some(Self { library, file }),
            failed => {
                let why = format!("cc cannot build the library that shifts the clock: {failed:?}");
                skip("cc", why);
                None
            }
        }
    }

    /// Sets the offset from the true time, for all processes at once.
    pub fn set(&self, seconds: i64) {
        self.write(seconds, 0);
    }

    /// Sets the offset of the time since boot, before any process uses it: this time never goes back.
    pub fn set_boot(&self, seconds: i64) {
        self.write(seconds, 8);
    }

    fn write(&self, seconds: i64, at: u64) {
        let file = std::fs::File::options().write(true).open(&self.file).unwrap();
        file.write_all_at(&seconds.to_ne_bytes(), at).unwrap();
    }
}
