//! The fleet in its short form: six seconds of the library as it is, where half of those who serve keep answers, and
//! weaker clients of both kinds until they are caught; beside it a network that fails, and a failover within the quiet
//! period. All of it: `bin/torture fleet` and `fleet-faults`.

use std::process::{Command, Stdio};

#[test]
fn no_page_of_a_fleet_names_what_hubspot_does_not_hold_and_a_weaker_client_is_caught() {
    let all = [
        ("fleet", &["watch", "an old snapshot", "quiet from", "sharers"][..]),
        ("fleet-faults", &["network", "failover-within"]),
    ];
    let running = all.map(|(fault, kinds)| {
        let kinds = kinds.iter().flat_map(|kind| ["--kind", kind]);
        let mut command = Command::new(env!("CARGO_BIN_EXE_vidcache-fleet"));
        command.args([fault, "--short"]).args(kinds).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("the program")
    });
    for run in running {
        let run = run.wait_with_output().expect("the program");
        let said = String::from_utf8_lossy(&run.stdout);
        println!("{said}");
        assert!(run.status.success(), "{said}{}", String::from_utf8_lossy(&run.stderr));
    }
}
