//! Paths and trees for property tests of proposals and requests.

use proptest::prelude::*;

use super::tree_files::TreeFiles;

fn component() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[ab]{1,2}",
        2 => Just("a.rs".to_owned()),
        1 => Just("..".to_owned()),
        1 => Just(".".to_owned()),
        1 => Just(String::new()),
        1 => Just("*".to_owned()),
        1 => Just(".git".to_owned()),
        1 => Just("package.json".to_owned()),
        1 => Just("~".to_owned()),
        1 => "\\PC{0,3}",
    ]
}

pub(in crate::phase) fn path() -> impl Strategy<Value = String> {
    prop::collection::vec(component(), 1..4).prop_map(|parts| parts.join("/"))
}

pub(in crate::phase) fn tree() -> impl Strategy<Value = TreeFiles> {
    let file = prop::collection::vec("[ab]{1,2}", 1..4).prop_map(|parts| parts.join("/"));
    (prop::collection::vec(file, 0..40), any::<prop::sample::Index>()).prop_map(|(files, at)| {
        let link = (!files.is_empty()).then(|| at.get(&files).clone());
        TreeFiles::new(files, link)
    })
}
