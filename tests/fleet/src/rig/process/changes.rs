//! Who changes emails, and who takes in HubSpot's webhooks.

use std::thread;
use std::time::Duration;

use fastrand::Rng;
use postgres::{Client, NoTls};
use vidcache::in_database::Database;

use super::place::Place;
use super::{Broken, EMAILS, LONG, key, outstanding, row, run, run_with};
use crate::double::Line;
use crate::scaled::sleep;

/// Changes emails, one after the other, in transactions of any length.
pub(super) fn change(place: &Place, vidcache: &Database, random: &mut Rng) -> Result<(), Broken> {
    let (mut client, clock) = (Client::connect(&place.primary, NoTls)?, place.clock());
    loop {
        // The workers of a busy machine keep up.
        if outstanding(&mut client)? > i64::from(place.users / 4).max(50) {
            sleep(1_000);
            continue;
        }
        let user = random.u32(1..=place.users);
        if place.shares && !place.has_other_secret && random.u8(..20) == 0 {
            forget(place, vidcache, &mut client, random.u32(1..=place.users / 2))?;
        }
        let (token, begin) = vidcache.begin(key(user))?;
        let mut tx = client.transaction()?;
        if random.u8(..10) == 0 {
            let mut part = tx.savepoint("part")?;
            let (_, begin) = vidcache.begin(key(random.u32(1..=place.users)))?;
            part.batch_execute(&clock.sql(&begin))?;
            part.rollback()?;
        }
        tx.batch_execute(&clock.sql(&begin))?;
        place.step("begun", user);
        sleep(if random.u8(..5) > 0 { random.u64(..500) } else { random.u64(..LONG) });
        let other = random.u32(1..EMAILS);
        tx.batch_execute(&format!("UPDATE users SET email = (email + {other}) % {EMAILS} WHERE id = {user}"))?;
        place.step("updated", user);
        if random.u8(..10) == 0 {
            tx.rollback()?;
        } else {
            tx.commit()?;
            place.step("committed", user);
            // A process may end here: then the worker sees it.
            if random.bool() {
                client.batch_execute(&clock.sql(&vidcache.see(token)))?;
                place.variant.after_see(&mut client, token)?;
                // What would be put into a queue now the worker finds in the table.
                place.step("seen", user);
            }
        }
        sleep(random.u64(..6_000));
    }
}

/// Forgets a user whose jobs are locked out, and begins in the same transaction what has the worker know them again.
fn forget(place: &Place, vidcache: &Database, client: &mut Client, user: u32) -> Result<(), Broken> {
    let clock = place.clock();
    let (held, lease) = vidcache.lease(key(user), Duration::from_secs(60), None)?;
    if row(client, &clock.sql(&lease))?.is_none() {
        return Ok(());
    }
    let (_, begin) = vidcache.begin(key(user))?;
    run_with(client, clock, &vidcache.forget(key(user)), |client| Ok(client.batch_execute(&clock.sql(&begin))?))?;
    client.batch_execute(&clock.sql(&vidcache.release(key(user), held)))?;
    Ok(())
}

/// Takes in HubSpot's webhooks, each of them perhaps as another host does it.
pub(super) fn hooks(place: &Place, vidcache: &Database) -> Result<(), Broken> {
    let (mut client, mut line, clock) =
        (Client::connect(&place.primary, NoTls)?, Line::open(&place.double)?, place.clock());
    loop {
        match line.hook()? {
            Some((hook, body)) => {
                let (_, refused) = run(&mut client, clock, &vidcache.apply_webhook(body.as_bytes())?)?;
                if let Some(refused) = refused {
                    return Err(refused.into());
                }
                line.accept(hook)?;
            }
            None => thread::sleep(Duration::from_millis(50)),
        }
    }
}
