//! Binary search for the landing that broke the tests, over commits from oldest to newest.

/// State of the search. Commit 0 is known green and the last commit is known red; commits between are tested
/// step by step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bisection {
    green: usize,
    red: usize,
}

impl Bisection {
    /// Starts a search over `commits` commits. Returns `None` for fewer than two.
    pub fn new(commits: usize) -> Option<Self> {
        (commits >= 2).then(|| Self { green: 0, red: commits - 1 })
    }

    /// Returns the commit to test next, or `None` if the breaking commit is known.
    pub fn next(&self) -> Option<usize> {
        (self.red - self.green > 1).then(|| self.green + (self.red - self.green) / 2)
    }

    /// Records the test result of a commit named by [`Self::next`].
    pub fn tested(&mut self, commit: usize, is_green: bool) {
        match is_green {
            true => self.green = self.green.max(commit),
            false => self.red = self.red.min(commit),
        }
    }

    /// Returns the last commit known to be green.
    pub fn last_green(&self) -> usize {
        self.green
    }

    /// Returns the first commit known to be red.
    pub fn first_red(&self) -> usize {
        self.red
    }

    /// Checks whether the first red commit broke the tests: its parent is green.
    pub fn is_determined(&self) -> bool {
        self.red - self.green == 1
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_breaking_commit_is_found_in_logarithmic_time(commits in 2_usize..2000, at in 0.0..1.0_f64) {
            let breaking = 1 + ((commits - 1) as f64 * at) as usize;
            let mut bisection = Bisection::new(commits).unwrap();
            let mut tests = 0;
            while let Some(commit) = bisection.next() {
                prop_assert!(bisection.last_green() < commit && commit < bisection.first_red());
                bisection.tested(commit, commit < breaking);
                tests += 1;
            }
            prop_assert!(bisection.is_determined());
            prop_assert_eq!(bisection.first_red(), breaking);
            prop_assert!(tests <= commits.ilog2() + 1);
        }
    }

    #[test]
    fn one_commit_cannot_be_searched() {
        assert_eq!(Bisection::new(1), None);
        let two = Bisection::new(2).unwrap();
        assert_eq!((two.next(), two.is_determined(), two.first_red()), (None, true, 1));
    }
}
