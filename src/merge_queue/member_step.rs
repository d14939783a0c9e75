//! Next step of a member of the merge queue: a decision from the queue alone.

/// The commit of a member, and what is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberCommit {
    /// Commit before it: of the member before, or the tip.
    pub parent: String,
    /// The commit.
    pub commit: String,
    /// Test of the commit.
    pub test: MemberTest,
}

/// Test of a member's commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberTest {
    /// Not tested.
    Missing,
    /// CI passed.
    Green,
    /// CI failed.
    Red,
}

/// What a member does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MemberStep {
    /// Wait for a change of the queue.
    Wait,
    /// Make the commit on this parent.
    Build {
        /// Commit of the member before, or the tip.
        parent: String,
    },
    /// Run CI on the commit.
    Test,
    /// All members before have landed: compare the results with the tip's, and land.
    Land,
}

/// Returns the next step of a member. `ahead` is the number of members before it, `parent` the commit to be built on, if it is
/// known, and `depth` the number of members that may be tested at once.
pub fn next_step(
    ahead: usize,
    parent: Option<&str>,
    own: Option<&MemberCommit>,
    depth: usize,
) -> MemberStep {
    let Some(parent) = parent else { return MemberStep::Wait };
    let Some(own) = own.filter(|own| own.parent == parent) else {
        return MemberStep::Build { parent: parent.to_owned() };
    };
    match own.test {
        MemberTest::Missing if ahead >= depth => MemberStep::Wait,
        MemberTest::Missing => MemberStep::Test,
        _ if ahead > 0 => MemberStep::Wait,
        _ => MemberStep::Land,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A member of the simulated queue; its commit is the list of the changes in it.
    #[derive(Clone, Debug)]
    struct Member {
        change: usize,
        own: Option<MemberCommit>,
        is_testing: bool,
    }

    /// Runs a queue of changes with an arbitrary order of events, and returns the landed commits in order.
    fn run(red: &[bool], order: &[usize], depth: usize) -> Vec<(String, Vec<String>)> {
        let mut queue: Vec<Member> =
            (0..red.len()).map(|change| Member { change, own: None, is_testing: false }).collect();
        let (mut tip, mut tested, mut landed) = (String::new(), Vec::new(), Vec::new());
        // After the arbitrary events, each member in turn until the queue is empty.
        for event in order.iter().copied().chain(0..red.len() * red.len() * 40) {
            if queue.is_empty() {
                break;
            }
            let at = event % queue.len();
            // Red members are left out: they probably leave.
            let is_red = |member: &&Member| {
                member.own.as_ref().is_some_and(|own| own.test == MemberTest::Red)
            };
            let parent = match queue[..at].iter().rfind(|member| !is_red(member)) {
                None => Some(tip.clone()),
                Some(last) => last.own.as_ref().map(|own| own.commit.clone()),
            };
            let member = &mut queue[at];
            let is_red = red[member.change];
            match next_step(at, parent.as_deref(), member.own.as_ref(), depth) {
                MemberStep::Wait => {}
                MemberStep::Build { parent } => {
                    let commit = format!("{parent}+{}", member.change);
                    member.own = Some(MemberCommit { parent, commit, test: MemberTest::Missing });
                    member.is_testing = false;
                }
                MemberStep::Test => {
                    // The first event starts a test, the next ends it.
                    let own = member.own.as_mut().unwrap();
                    if std::mem::replace(&mut member.is_testing, true) {
                        member.is_testing = false;
                        own.test = if is_red { MemberTest::Red } else { MemberTest::Green };
                        tested.push(own.commit.clone());
                    }
                }
                MemberStep::Land => {
                    let member = queue.remove(at);
                    let own = member.own.unwrap();
                    if own.test == MemberTest::Green {
                        tip.clone_from(&own.commit);
                        landed.push((own.commit, tested.clone()));
                    }
                }
            }
        }
        assert!(queue.is_empty(), "{queue:?}");
        landed
    }

    proptest! {
        #[test]
        fn green_changes_land_in_order_each_as_tested(
            red in prop::collection::vec(any::<bool>(), 1..7),
            order in prop::collection::vec(0_usize..7, 0..120),
            depth in 1_usize..5,
        ) {
            let landed = run(&red, &order, depth);
            let mut expected = String::new();
            let green: Vec<usize> = (0..red.len()).filter(|change| !red[*change]).collect();
            prop_assert_eq!(landed.len(), green.len());
            for ((commit, tested), change) in landed.iter().zip(green) {
                expected = format!("{expected}+{change}");
                prop_assert_eq!(commit, &expected);
                prop_assert!(tested.contains(commit), "{} landed untested", commit);
            }
        }
    }
}
