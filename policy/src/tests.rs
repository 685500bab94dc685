//! What is refused, and in which words.

use crate::{DeclaredPolicy, Watched};
use cranelift_memopt::{CalleeName, Policy};

/// What is wrong with `clause`; the policy stays as it is.
fn refused(clause: &str) -> String {
    let mut policy = DeclaredPolicy::default();
    let said = policy.declare(clause).expect_err(clause).to_string();
    assert!(policy.is_empty(), "{clause}");
    said
}

#[test]
fn a_misspelt_effect_is_no_region() {
    for clause in ["callee %f read 2", "callee %f reads 2 write 3"] {
        assert!(refused(clause).starts_with("unknown effect `"), "{clause}");
    }
    assert!(refused("callee %f 2").contains("`2` follows no effect"));
}

#[test]
fn an_effect_on_nothing_is_refused() {
    for clause in [
        "callee %f reads",
        "callee %f writes traps",
        "callee %f touches reads 1",
    ] {
        assert!(refused(clause).contains("names no region"), "{clause}");
    }
}

#[test]
fn a_clause_without_its_words_says_which() {
    assert!(refused("callee").contains("`callee` needs the name of a function"));
    assert!(refused("callee f").contains("`f` is not the name of a function"));
    assert!(refused("join 1").contains("needs two regions"));
    assert!(refused("join 1 1").contains("needs two regions"));
    assert!(refused("lost-at-trap").contains("names no region"));
    assert!(refused("shared-pointer 1").contains("a region and an offset"));
    assert!(refused("").contains("a clause is missing"));
    assert!(refused("lost-at-sea 1").contains("the clauses are lost-at-trap"));
}

#[test]
fn what_a_policy_is_about_is_known() {
    let policy = "lost-at-trap 3\njoin 4 5\ncallee %f reads 9\nloaded-callee 6 8 traps\n";
    let policy: DeclaredPolicy = policy.parse().unwrap();
    let mut regions: Vec<_> = policy.regions().collect();
    regions.sort_unstable();
    assert_eq!(regions, [3, 4, 5, 6]);
    let name = CalleeName::from("f");
    assert_eq!(policy.callees().collect::<Vec<_>>(), [&name]);
    assert!(policy.callee(&name).unwrap().reads().contains(9));
}

#[test]
fn a_clause_of_each_kind_is_idle_until_it_has_a_say() {
    let text = "# a comment\nlost-at-trap 1\ntransient 2\nasynchronous 3\njoin 4 5\n\
                shared-pointer 6 8\ncallee u0:7 reads 1\nloaded-callee 8 16 traps\n\
                component-limits 1 1\n";
    let policy: Watched = text.parse().unwrap();
    let idle = || policy.idle().count();
    assert_eq!(idle(), 7);
    policy.callee(&CalleeName::User(0, 8));
    policy.representative(4);
    policy.is_shared_pointer(6, 9);
    assert_eq!(idle(), 7, "nobody was asked for what it says");
    assert!(!policy.survives_trap(1));
    assert!(policy.is_transient(2) && policy.is_asynchronous(3));
    assert_eq!(policy.representative(5), 4);
    assert_eq!(idle(), 3);
    assert!(policy.is_shared_pointer(6, 8));
    assert!(policy.callee(&CalleeName::User(0, 7)).is_some());
    assert_eq!(
        policy.idle().collect::<Vec<_>>(),
        ["loaded-callee 8 16 traps"]
    );
}
