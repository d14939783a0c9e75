//! Landlock: the rules of a view without namespaces, and the scope of abstract sockets.

use std::io;
use std::path::Path;

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible as _, NetPort,
    PathBeneath, PathFd, Ruleset, RulesetAttr as _, RulesetCreated, RulesetCreatedAttr as _, Scope,
};

use super::privileges;
use super::spec::{LandlockRules, Mount, NetworkView, ViewSpec};

/// The newest version whose rights are used here; older kernels enforce what they know.
const NEWEST: ABI = ABI::V6;
/// Needed at least: refusing to truncate, and to move files between directories.
const NEEDED: ABI = ABI::V3;

/// Directories of a view in namespaces whose files the kernel protects.
const ALWAYS_WRITABLE: [&str; 2] = ["/dev", "/proc"];

/// Restricts this process and all its children to the rules of a view.
///
/// # Errors
///
/// If the kernel has no Landlock, or too old a version.
pub(in crate::process) fn restrict(view: &ViewSpec) -> io::Result<()> {
    // With them, root could undo the rules or read other processes.
    privileges::drop_dangerous_capabilities()?;
    rules(view).map_err(io::Error::other)
}

fn rules(view: &ViewSpec) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(NEEDED))?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))?
        .scope(Scope::AbstractUnixSocket | Scope::Signal)?;
    let limited = match &view.network {
        NetworkView::Host => &[][..],
        NetworkView::Limited { ports } => {
            // A limit that the kernel cannot enforce is no limit.
            ruleset = ruleset
                .set_compatibility(CompatLevel::HardRequirement)
                .handle_access(AccessNet::ConnectTcp)?
                .set_compatibility(CompatLevel::BestEffort);
            ports
        }
    };
    let mut created = ruleset.create()?;
    let LandlockRules { readable, listable, writable } = &view.landlock;
    let read = AccessFs::from_read(NEWEST);
    for (paths, access) in [
        (listable, AccessFs::ReadDir.into()),
        (readable, read),
        (writable, AccessFs::from_all(NEWEST)),
    ] {
        for path in paths {
            created = allow(created, path.as_path(), access)?;
        }
    }
    for port in limited {
        created = created.add_rule(NetPort::new(*port, AccessNet::ConnectTcp))?;
    }
    created.restrict_self()?;
    Ok(())
}

/// Allows access to a path; a path that is missing, or not readable anyway, is left out.
fn allow(
    created: RulesetCreated,
    path: &Path,
    access: BitFlags<AccessFs>,
) -> Result<RulesetCreated, landlock::RulesetError> {
    let Ok(file) = PathFd::new(path) else { return Ok(created) };
    let access = match path.is_dir() {
        true => access,
        false => access & AccessFs::from_file(NEWEST),
    };
    if access.is_empty() {
        return Ok(created);
    }
    created.add_rule(PathBeneath::new(file, access))
}

/// Separates the abstract sockets of this process and its children from all others, if the kernel can do so: they are
/// not part of the file system, and a shared network namespace shares them.
///
/// Unless the view allows mounts, also refuses to open files for writing outside of the places where a view in
/// namespaces is writable: a read-only mount protects ordinary files, but not named pipes. Landlock refuses every mount to
/// such a program.
pub(super) fn restrict_in_namespaces(view: &ViewSpec) {
    let restricted = match view.allows_mounts {
        true => separate_sockets(Ruleset::default()).and_then(|ruleset| ruleset.create()),
        false => pipe_rules(view),
    };
    if let Ok(created) = restricted {
        let _ = created.restrict_self();
    }
}

fn separate_sockets(ruleset: Ruleset) -> Result<Ruleset, landlock::RulesetError> {
    ruleset.set_compatibility(CompatLevel::BestEffort).scope(Scope::AbstractUnixSocket)
}

/// One set of rules: a second set, without rules for files, would refuse all moves between directories.
fn pipe_rules(view: &ViewSpec) -> Result<RulesetCreated, landlock::RulesetError> {
    let moves = AccessFs::Refer;
    let ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::WriteFile | moves)?;
    let mut created = allow(separate_sockets(ruleset)?.create()?, Path::new("/"), moves.into())?;
    let own = view.mounts.iter().filter(|mount| mount.is_writable()).map(Mount::target);
    for path in own.chain(ALWAYS_WRITABLE.map(Path::new)) {
        created = allow(created, path, AccessFs::WriteFile | moves)?;
    }
    Ok(created)
}
