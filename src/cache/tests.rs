//! What needs the inside of a cache.

use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::options::Options;
use super::{Vidcache, now};
use crate::email::Email;
use crate::error::Result;
use crate::event::Millis;
use crate::identity::{UserKey, Vid};
use crate::rows;

const ANSWER: &[u8] = br#"{"id":"901","properties":{"email":"ann@shop.test"},"updatedAt":"2026-03-01T10:00:00.000Z"}"#;

fn open(dir: &tempfile::TempDir, page_deadline: Duration) -> Vidcache {
    Vidcache::open(dir.path().join("x.vidcache"), 1, &Options { page_deadline, ..Options::default() }).unwrap()
}

/// The time that a page, or a page's data, says it was rendered at.
fn rendered_at(text: &str) -> Millis {
    let digits = text.split_once("{\"at\":").expect("the data begins so").1;
    digits[..digits.find(',').unwrap()].parse().unwrap()
}

#[test]
fn a_page_whose_decision_had_to_wait_is_as_old_as_before_the_wait() {
    let dir = tempfile::tempdir().unwrap();
    let cache = open(&dir, Duration::from_secs(10));
    let email = Email::parse("ann@shop.test").unwrap();
    type Page = fn(&Vidcache, UserKey<'_>, &Email) -> String;
    let pages: [Page; 4] = [
        |cache, user, email| cache.snippet(user, Some(email), None).unwrap(),
        |cache, user, email| cache.page(user, Some(email)).unwrap().render(None),
        |cache, user, email| cache.page(user, Some(email)).unwrap().data(),
        |cache, user, email| {
            let mut buffer = [0; 4096];
            let length = cache.page(user, Some(email)).unwrap().render_into(None, &mut buffer).unwrap();
            String::from_utf8(buffer[..length].to_vec()).unwrap()
        },
    ];
    for (user, page) in pages.iter().enumerate() {
        // Each is a user of whom the table has nothing, so the look-up needs the connection that the other thread
        // holds.
        let user = UserKey::from(user as i64);
        cache.link_shared(user, Vid::try_from(901).unwrap()).unwrap();
        cache.record(user, ANSWER, None).ok();
        let ((holds, held), (asks, asked)) = (mpsc::channel(), mpsc::channel());
        thread::scope(|scope| {
            let cache = &cache;
            let holder = scope.spawn(move || {
                cache.store.read(|_| {
                    holds.send(()).unwrap();
                    asked.recv().unwrap();
                    thread::sleep(Duration::from_millis(400));
                    Result::Ok(now())
                })
            });
            held.recv().unwrap();
            asks.send(()).unwrap();
            let html = page(cache, user, &email);
            let (ended, released) = (now(), holder.join().unwrap().unwrap());
            assert!(ended >= released, "it had to wait");
            assert!(rendered_at(&html) + 100 < released, "{} ms after it was let go", rendered_at(&html) - released);
        });
    }
}

#[test]
fn the_quiet_period_is_5_s_longer_than_the_longest_page_deadline_of_the_last_day() {
    let dir = tempfile::tempdir().unwrap();
    let short = open(&dir, Duration::from_secs(2));
    assert_eq!(short.quiet_period(), Ok(Duration::from_secs(7)));
    let long = open(&dir, Duration::from_secs(60));
    assert_eq!(short.quiet_period(), Ok(Duration::from_secs(65)), "another process's deadline counts");
    drop(long);
    assert_eq!(short.quiet_period(), Ok(Duration::from_secs(65)), "its pages are still about");
    age_deadlines(&short, 23);
    assert_eq!(short.quiet_period(), Ok(Duration::from_secs(65)));
    age_deadlines(&short, 2);
    assert_eq!(short.quiet_period(), Ok(Duration::from_secs(7)));
}

#[test]
fn a_process_that_renders_pages_for_days_goes_on_saying_its_deadline() {
    let dir = tempfile::tempdir().unwrap();
    let long = open(&dir, Duration::from_secs(60));
    let short = open(&dir, Duration::from_secs(2));
    age_deadlines(&short, 25);
    long.store.announced_at().fetch_sub(25 * 3_600_000, Ordering::Relaxed);
    assert_eq!(short.quiet_period(), Ok(Duration::from_secs(7)));
    long.anonymous_page();
    assert_eq!(short.quiet_period(), Ok(Duration::from_secs(65)));
    assert!(now() - long.store.announced_at().load(Ordering::Relaxed) < rows::RENEWED);
}

/// As if everybody had said so that many hours earlier.
fn age_deadlines(cache: &Vidcache, hours: i64) {
    let sql = format!("UPDATE deadline SET seen_at = seen_at - {}", hours * 3_600_000);
    cache.store.write(|tx| Ok(tx.execute_batch(&sql)?)).unwrap();
}
