//! The fleet in its short form: fifteen seconds of the library as it is, and three weaker clients until they are
//! caught; then a network that fails, and a failover within the quiet period. All of it: `bin/torture fleet` and
//! `fleet-faults`.

use std::process::Command;

#[test]
fn no_page_of_a_fleet_names_what_hubspot_does_not_hold_and_a_weaker_client_is_caught() {
    // One after the other: they have two cores.
    for (fault, kind) in [
        ("fleet", "design"),
        ("fleet", "a replica"),
        ("fleet", "an old snapshot"),
        ("fleet", "quiet from"),
        ("fleet-faults", "network"),
        ("fleet-faults", "failover-within"),
    ] {
        let run = Command::new(env!("CARGO_BIN_EXE_vidcache-fleet"))
            .args([fault, "--short", "--kind", kind])
            .output()
            .expect("the program");
        let said = String::from_utf8_lossy(&run.stdout);
        println!("{said}");
        assert!(run.status.success(), "{said}{}", String::from_utf8_lossy(&run.stderr));
    }
}
