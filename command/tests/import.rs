//! `import`: whatever the rows come in, what is wrong with them, and what ends it half way.

mod common;

use std::fs;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::{ANN, Place};
use vidcache::UserKey;

const ROWS: &str = "user,vid,email,email_at\n\
    1,901,Ann@shop.test,2026-03-01T10:00:00Z\n\
    2,902,,\n\
    a-b,903,ben@shop.test,1772359200000\n";

/// So many users with integer keys from 1 on, and their contacts.
fn integers(count: u64) -> String {
    let mut rows = String::from("user,vid\n");
    for user in 1..=count {
        rows += &format!("{user},{}\n", 10_000_000 + user);
    }
    rows
}

fn knows_the_rows(place: &Place) {
    assert_eq!(place.reason(1, ANN), "agreed");
    assert_eq!(place.reason(2, ANN), "email_unconfirmed");
    let cache = place.cache();
    assert_eq!(cache.resolve("a-b".try_into().expect("a key")).expect("rows").map(|found| found.vid.get()), Some(903));
}

#[test]
fn rows_come_as_csv_or_objects_and_compressed() {
    let objects = "{\"user\":1,\"vid\":\"901\",\"email\":\"Ann@shop.test\",\"email_at\":\"2026-03-01T10:00:00Z\"}\n\
        \n{\"userId\":\"2\",\"vid\":902,\"email\":null}\n\
        {\"user\":\"a-b\",\"vid\":903,\"email\":\"ben@shop.test\",\"email_at\":1772359200000,\"tags\":[1]}";
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(ROWS.as_bytes()).unwrap();
    let zstd = zstd::stream::encode_all(objects.as_bytes(), 1).unwrap();
    let forms: [(&str, Vec<u8>); 6] = [
        ("rows.csv", ROWS.into()),
        ("rows.ndjson", objects.into()),
        ("rows.csv.gz", gzip.finish().unwrap()),
        ("rows.ndjson.zst", zstd),
        // As Excel writes it in half of Europe.
        ("rows.txt", [b"\xEF\xBB\xBF".as_slice(), ROWS.replace(',', ";").replace('\n', "\r\n").as_bytes()].concat()),
        ("rows.tsv", ROWS.replace(',', "\t").into()),
    ];
    for (name, bytes) in forms {
        let place = Place::nowhere();
        let rows = place.file(name, &bytes);
        let told = place.fill(&["import", &rows, "--create", "--json"]).ends(0).json();
        assert_eq!((told["imported"].as_u64(), &told["left_out"]), (Some(3), &serde_json::json!({})), "{name}: {told}");
        knows_the_rows(&place);
        // And again: nothing changes.
        assert_eq!(place.fill(&["import", &rows, "--json"]).ends(0).json()["imported"], 3, "{name}");
        knows_the_rows(&place);
    }
    let place = Place::empty();
    let told = place.fill(&["import", "-"]).input(ROWS).ends(0);
    assert!(told.stdout.starts_with("3 users are taken in"), "{}", told.stdout);
    knows_the_rows(&place);
}

/// The guide's own line, with the app's database in place of its.
#[test]
fn an_apps_database_is_read_by_its_own_client_before_a_pipe() {
    let guide = include_str!("../../docs/guides/command.md");
    let line = guide.lines().find(|line| line.starts_with("sqlite3 -csv")).expect("the guide's line");
    if Command::new("sqlite3").arg("-version").output().is_err() {
        println!("skipped because there is no program sqlite3");
        return;
    }
    let place = Place::empty();
    rusqlite::Connection::open(place.folder().join("app.sqlite3"))
        .and_then(|app| {
            app.execute_batch(
                "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT, hubspot_id INTEGER);
                 INSERT INTO users VALUES (1, 'Ann, or \"A\"', 901), (2, 'Ben', NULL), (3, 'Cy', 903)",
            )
        })
        .expect("an app's database");
    let shell = |line: &str| {
        let mut run = place.fill(&[]);
        let program = run.command.get_program().to_owned();
        let mut shell = Command::new("bash");
        shell.envs(run.command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        shell.current_dir(place.folder()).args(["-c", line]).env("vidcache", program);
        run.command = shell;
        run
    };
    let line = line.replace("| vidcache ", "| \"$vidcache\" ");
    let told = shell(&line).ends(0);
    assert!(told.stdout.starts_with("2 users are taken in"), "{}", told.stdout);
    let vid = |user| place.cache().resolve(UserKey::from(user)).expect("rows").map(|found| found.vid.get());
    assert_eq!([1, 2, 3].map(vid), [Some(901), None, Some(903)]);
    // A query that fails is a failure of the whole.
    let failing = line.replace("FROM users", "FROM nobody");
    assert_ne!(shell(&format!("set -o pipefail; {failing}")).output().0, Some(0));
}

#[test]
fn the_export_of_hubspot_is_taken_as_it_comes() {
    let place = Place::empty();
    let export = "\u{FEFF}\"Record ID\",\"First Name\",\"Last Name\",\"Email\",\"Lead Status\",\"Last Modified Date\",\"Shop's user\"\n\
        \"901\",\"Ann\",\"O'Neil, \"\"the\"\" first\",\"ann@shop.test\",\"\",\"2026-03-01 10:00\",\"1\"\n\
        \"902\",\"Zoe\",\"\",\"zoe@shop.test\",\"NEW\",\"2026-03-01 10:00\",\"\"\n";
    let rows = place.file("all-contacts.csv", export);
    let unnamed = place.fill(&["import", &rows]).ends(2);
    assert!(unnamed.stderr.contains("--user") && unnamed.stderr.contains("Shop's user"), "{}", unnamed.stderr);
    let told = place.fill(&["import", &rows, "--user", "Shop's user"]).ends(0);
    // Its times have no zone, so they are not believed.
    assert!(told.stderr.contains("emails are left out") && !told.stderr.contains('@'), "{}", told.stderr);
    let told = place.fill(&["import", &rows, "--user", "Shop's user", "--json"]).ends(0).json();
    assert_eq!((told["imported"].as_u64(), told["without_user"].as_u64()), (Some(1), Some(1)));
    assert_eq!(place.reason(1, ANN), "email_unconfirmed");
}

#[test]
fn rows_that_are_wrong_are_left_out_with_the_reason_and_can_be_mended() {
    let place = Place::empty();
    let rows = "user,vid,email,email_at,name\n\
        1,901,ann@shop.test,2026-03-01T10:00:00Z,Ann\n\
        2,901,,,has the contact of another\n\
        3,9.03E+02,,,was in a spreadsheet\n\
        4,,,,has none\n\
        5,905,no email,2026-03-01T10:00:00Z,\n\
        6,906,zoe@shop.test,2026-03-01 10:00,has no zone\n\
        7\n\
        ,908,,,is no user\n\
        9,909,zoe@shop.test,2999-01-01T00:00:00Z,\"is\nahead\"\n";
    let mut bytes = rows.as_bytes().to_vec();
    // Of two encodings: in a column that nobody asks for, and in a key.
    bytes.extend_from_slice(b"10,910,,,J\xFCrgen\n\xFCber,911,,,\n");
    let path = place.file("rows.csv", &bytes);
    let left = place.folder().join("left.csv");
    let told = place.fill(&["import", &path]).ends(1);
    // A log may be read by others than whoever may read the rows.
    assert!(
        !told.stderr.contains("shop.test") && told.stderr.contains("row 2 is left out: contact 901"),
        "{}",
        told.stderr
    );
    let report = place.fill(&["import", &path, "--rejected", left.to_str().unwrap(), "--json"]).ends(1).json();
    assert_eq!((report["imported"].as_u64(), report["without_user"].as_u64()), (Some(2), Some(1)), "{report}");
    assert_eq!(
        report["left_out"],
        serde_json::json!({"vid_taken": 1, "invalid_vid": 2, "invalid_email": 1, "invalid_email_at": 2, "not_a_row": 1, "invalid_user_key": 1})
    );
    let said = String::from_utf8_lossy(&fs::read(&left).unwrap()).into_owned();
    assert_eq!(said.lines().next(), Some("row,reason,user,vid,email,email_at,name"));
    assert!(said.contains("3,invalid vid: it is not a decimal number,3,9.03E+02,,,was in a spreadsheet"), "{said}");
    assert_eq!(std::os::unix::fs::MetadataExt::mode(&fs::metadata(&left).unwrap()) & 0o777, 0o600);
    // Once more into the same: it is not written over.
    place.fill(&["import", &path, "--rejected", left.to_str().unwrap()]).ends(6);

    let mended = said.replace("9.03E+02", "903").replace("3,invalid", "3,mended");
    let mended: String = mended
        .lines()
        .filter(|line| line.starts_with("row,") || line.contains("mended"))
        .map(|line| format!("{line}\n"))
        .collect();
    let mended = place.file("mended.csv", mended);
    assert_eq!(place.fill(&["import", &mended, "--json"]).ends(0).json()["imported"], 1);
}

#[test]
fn a_dry_run_writes_nothing() {
    let place = Place::nowhere();
    let rows = place.file("rows.csv", ROWS.replace("902", "x"));
    let told = place.fill(&["import", &rows, "--dry-run", "--json"]).ends(1).json();
    assert_eq!((told["imported"].as_u64(), told["left_out"]["invalid_vid"].as_u64()), (Some(2), Some(1)));
    assert!(!place.path().exists());
    // Nor is a file made by a mistyped name, nor one filled with another portal's contacts.
    let refused = place.fill(&["import", &rows]).ends(4);
    assert!(refused.stderr.contains("--create"), "{}", refused.stderr);
    let unsaid = place.run(&["import", &rows, "--create"]).ends(2);
    assert!(unsaid.stderr.contains("VIDCACHE_PORTAL_ID") && !place.path().exists(), "{}", unsaid.stderr);
}

#[test]
fn what_is_no_text_is_refused_in_words() {
    let place = Place::empty();
    let mut cut_off = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    cut_off.write_all(integers(20_000).as_bytes()).unwrap();
    let mut cut_off = cut_off.finish().unwrap();
    cut_off.truncate(cut_off.len() / 2);
    let utf16: Vec<u8> = [0xFEFF].into_iter().chain(ROWS.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    let cases: [(&[u8], &str); 7] = [
        (b"\x7FELF\x02\x01\x01\0\0\0\0", "NUL bytes"),
        (b"PK\x03\x04\x14\0\x06\0", "save the sheet as CSV"),
        (&utf16, "iconv"),
        (&cut_off, "cut off"),
        (b"", "is empty"),
        (b"\x1b]0;a\x07,b\n1,2\n", "no column is called user"),
        (b"%PDF-1.7\n%\xE2\xE3\xCF\xD3\n1 0 obj\n", "no column is called user"),
    ];
    for (bytes, words) in cases {
        let path = place.file("rows", bytes);
        let told = place.fill(&["import", &path]).ends(2);
        assert!(told.stderr.contains(words), "{words}: {}", told.stderr);
        assert!(!told.stderr.contains('\x07'));
    }
    place.fill(&["import", "/nowhere/at.all"]).ends(2);
    assert!(place.cache().users_to_read(false, Duration::ZERO, None, 10).unwrap().len() < 10);
}

#[test]
fn a_row_without_an_end_is_refused_before_it_fills_memory() {
    let place = Place::empty();
    for head in ["", "user,vid\n1,901\n\"", "{\"user\": \""] {
        let mut run = place.fill(&["import", "-"]);
        run.command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = run.command.spawn().unwrap();
        let mut pipe = child.stdin.take().unwrap();
        // A gigabyte, if anybody takes it.
        let taken = std::thread::spawn(move || {
            let mut taken = 0_u64;
            let _ = pipe.write_all(head.as_bytes());
            while taken < 1 << 30 && pipe.write_all(&[b'x'; 1 << 16]).is_ok() {
                taken += 1 << 16;
            }
            taken
        });
        let ended = child.wait_with_output().unwrap();
        let words = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(2), "{words}");
        assert!(words.contains("longer than 1 MiB"), "{words}");
        assert!(taken.join().unwrap() < 8 << 20);
    }
}

/// Starts it, with an input that stays open.
fn start(place: &Place, arguments: &[&str]) -> Child {
    let mut run = place.fill(arguments);
    run.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the command runs")
}

fn wait_for_user(place: &Place, user: i64) {
    let (cache, began) = (place.cache(), Instant::now());
    while cache.resolve(UserKey::from(user)).expect("rows").is_none() {
        assert!(began.elapsed() < Duration::from_secs(120), "user {user} was never taken in");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn ctrl_c_ends_it_between_two_transactions_also_while_it_waits_for_input() {
    let place = Place::empty();
    let mut child = start(&place, &["import", "-"]);
    let mut pipe = child.stdin.take().unwrap();
    pipe.write_all(integers(120_000).as_bytes()).unwrap();
    wait_for_user(&place, 100_000);
    // SAFETY: the child is this test's own and was not waited for, so the number is still its.
    assert_eq!(unsafe { libc::kill(child.id().cast_signed(), libc::SIGINT) }, 0);
    let began = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if began.elapsed() > Duration::from_secs(120) {
            child.kill().unwrap();
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let ended = child.wait_with_output().unwrap();
    let words = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(130), "{words}");
    assert!(words.contains("100000 of the rows are done"), "{words}");
    drop(pipe);
    assert_eq!(place.cache().verify().unwrap(), Vec::<String>::new());
    assert_eq!(place.cache().resolve(UserKey::from(100_001)).unwrap(), None);
}

#[test]
fn two_imports_at_once_end_as_one() {
    let place = Place::empty();
    let rows = place.file("rows.csv", integers(30_000));
    let children: Vec<_> = (0..2).map(|_| start(&place, &["import", &rows, "--json"])).collect();
    for child in children {
        let ended = child.wait_with_output().unwrap();
        assert_eq!(ended.status.code(), Some(0), "{}", String::from_utf8_lossy(&ended.stderr));
        assert!(String::from_utf8_lossy(&ended.stdout).contains("\"imported\":30000"));
    }
    assert_eq!(place.cache().verify().unwrap(), Vec::<String>::new());
}

/// Lets the command write no file larger than this, as on a disk that is full.
fn limit_files(command: &mut Command, bytes: u64) {
    let limit = move || {
        let limit = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
        // SAFETY: both calls may be made between fork and exec, and `limit` outlives its own.
        unsafe {
            libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
            match libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            }
        }
    };
    // SAFETY: what runs there allocates nothing and takes no lock.
    unsafe { command.pre_exec(limit) };
}

#[test]
fn a_disk_that_is_full_half_way_ends_it_and_the_same_command_goes_on() {
    let place = Place::empty();
    let rows = place.file("rows.csv", integers(250_000));
    let state = place.folder().join("state");
    let state = state.to_str().unwrap();
    let arguments = ["import", &rows, "--resume", state, "--json"];
    let mut run = place.fill(&arguments);
    limit_files(&mut run.command, 5 << 20);
    let told = run.ends(6);
    let error: serde_json::Value = serde_json::from_str(&told.stderr).expect("an object alone");
    assert_eq!(error["error"]["code"], "storage");
    let said: serde_json::Value = serde_json::from_str(&fs::read_to_string(state).unwrap()).unwrap();
    let came_to = said["rows"].as_u64().unwrap();
    assert!((100_000..250_000).contains(&came_to), "{said}");

    // Of other rows, and into another file, it says nothing.
    let other = place.file("other.csv", integers(10));
    let refused = place.fill(&["import", &other, "--resume", state]).ends(2);
    assert!(refused.stderr.contains("delete it"), "{}", refused.stderr);
    let elsewhere = Place::empty();
    elsewhere.fill(&arguments).ends(2);
    // Nor is a file that is no such thing written over.
    place.fill(&["import", &rows, "--resume", &other]).ends(2);
    assert_eq!(fs::read_to_string(&other).unwrap(), integers(10));

    let report = place.fill(&arguments).ends(0).json();
    assert_eq!((report["earlier_rows"].as_u64(), report["rows"].as_u64()), (Some(came_to), Some(250_000 - came_to)));
    assert_eq!(report["imported"].as_u64(), Some(250_000 - came_to));
    assert!(!fs::exists(state).unwrap());
    let cache = place.cache();
    for user in [1, 100_000, 100_001, 250_000] {
        assert_eq!(cache.resolve(UserKey::from(user)).unwrap().unwrap().vid.get(), 10_000_000 + user);
    }
    assert_eq!(cache.verify().unwrap(), Vec::<String>::new());
}
