-- Schema 1. Frozen once released: a later version adds a file, never edits this one.

-- What the file is: portal_id; the key of its fingerprints, as wrapped_key under the caller's secret, or as
-- fingerprint_key where there is none; and key_check, by which that key is known.
CREATE TABLE meta (
  name  TEXT PRIMARY KEY,
  value ANY NOT NULL
) STRICT, WITHOUT ROWID;

-- A user as the app knows them: linked, or with a change outstanding. The key is an INTEGER, a 16-byte BLOB (a
-- UUID) or TEXT.
CREATE TABLE user (
  key       ANY PRIMARY KEY,
  vid       INTEGER,                    -- the contact now, after merges; NULL: none
  linked_at INTEGER,                    -- the app's clock, ms; the latest link wins
  first_vid INTEGER,                    -- the external id, where it is not vid; negative: another user gives it
  changes   INTEGER NOT NULL DEFAULT 0  -- outstanding changes of all users of the contact: derived
) STRICT, WITHOUT ROWID;

-- All contacts that a user was linked to, and when, where the user's row does not say it all: more than one, or one
-- that was merged into another.
CREATE TABLE link (
  user     ANY,
  vid      INTEGER,                     -- as linked
  first_at INTEGER NOT NULL,
  last_at  INTEGER NOT NULL,
  PRIMARY KEY (user, vid)
) STRICT, WITHOUT ROWID;
CREATE INDEX link_vid ON link (vid);

-- A contact as HubSpot describes it. An id that was merged into another has no row.
CREATE TABLE contact (
  vid      INTEGER PRIMARY KEY,
  user     ANY,                         -- whose it is: the user whose vid this is, the least of several; or NULL
  email    BLOB,                        -- fingerprint; NULL: unknown, none, or two at one time
  email_at INTEGER,                     -- HubSpot's clock, ms; the latest wins; NULL: unknown
  read_at  INTEGER                      -- the app's clock, ms: when the last read was begun, unless a doubt came since
) STRICT;
-- Whose contacts are to be read: those that HubSpot has not confirmed, the longest unread first, and the others by when
-- it last did.
CREATE INDEX contact_unconfirmed ON contact (ifnull(read_at, 0)) WHERE user IS NOT NULL AND email IS NULL;
CREATE INDEX contact_confirmed ON contact (ifnull(read_at, email_at)) WHERE user IS NOT NULL AND email IS NOT NULL;

-- The other users of a contact that has several.
CREATE TABLE sharer (
  vid  INTEGER,
  user ANY,
  PRIMARY KEY (vid, user)
) STRICT, WITHOUT ROWID;

-- What was said of each id that was merged, deleted, restored or doubted. For these, contact is derived.
CREATE TABLE past (
  vid         INTEGER PRIMARY KEY,
  canonical   INTEGER NOT NULL,         -- the id that lives: derived from merge
  email       BLOB,                     -- as in contact
  email_at    INTEGER,
  read_at     INTEGER,                  -- the app's clock, ms: when the read was begun that said so; NULL: unknown
  deleted_at  INTEGER,                  -- HubSpot's clock, ms; the latest
  restored_at INTEGER,
  doubted_to  INTEGER,                  -- HubSpot's clock, ms: what was held up to then does not count, ...
  doubted_at  INTEGER,                  -- ... unless a read says so that was begun from this time of the app's clock on
  asked_at    INTEGER                   -- the app's clock, ms: when the last read was begun that raised a doubt
) STRICT;
CREATE INDEX past_canonical ON past (canonical);

-- Merges, as they were told.
CREATE TABLE merge (
  old  INTEGER,
  into_vid INTEGER,
  at   INTEGER NOT NULL,                -- HubSpot's clock, ms; 0: unknown
  born INTEGER NOT NULL,                -- 1: into_vid was made by this merge
  heard_at INTEGER NOT NULL,            -- the app's clock, ms; the first
  PRIMARY KEY (old, into_vid)
) STRICT, WITHOUT ROWID;

-- Other emails of contacts. No page names them; they tell why one does not.
CREATE TABLE secondary (
  vid   INTEGER,                        -- as it was said
  email BLOB,                           -- fingerprint
  at    INTEGER NOT NULL,               -- HubSpot's clock, ms; the latest
  PRIMARY KEY (vid, email)
) STRICT, WITHOUT ROWID;

-- Contacts that were erased for privacy, for ever, and what stops their emails from being learnt again: a hash of
-- the fingerprint. And whose they were, until the app forgets the user: a keyed hash of the user's key, which stops the
-- app from making them a contact again of its own accord.
CREATE TABLE erased (
  vid INTEGER PRIMARY KEY
) STRICT;
CREATE TABLE buried (
  email BLOB PRIMARY KEY
) STRICT, WITHOUT ROWID;
CREATE TABLE erased_user (
  mark BLOB PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- Whose state changed, oldest first: how the in-process tables of other processes learn what to
-- forget, and what explain tells of. Only the last of it is kept.
CREATE TABLE log (
  revision INTEGER PRIMARY KEY,
  user     ANY,                         -- NULL: everybody's
  what     INTEGER,                     -- a number of event::What
  vid      INTEGER,
  at       INTEGER                      -- the event's time, ms
) STRICT;

-- Email changes, outstanding (ended_at NULL) and, for a while, ended ones: a job that runs
-- again must find its token ended, not unknown, and one of a user who was forgotten must find it nobody's:
-- the key may be another user's by now. One that HubSpot refused is kept until the user's next.
CREATE TABLE change (
  token    INTEGER PRIMARY KEY,
  user     ANY,                         -- NULL: who was forgotten
  begun_at INTEGER,                     -- NULL: its end was heard of first
  ended_at INTEGER,
  refused  INTEGER                      -- a number of event::Refusal; NULL: HubSpot did not refuse it for good
) STRICT;
CREATE INDEX change_outstanding ON change (user) WHERE ended_at IS NULL;
CREATE INDEX change_ended ON change (ended_at) WHERE ended_at IS NOT NULL AND refused IS NULL;
CREATE INDEX change_refused ON change (user) WHERE refused IS NOT NULL;

-- Users whose email another contact holds, or whose contact is another user's: the latest of each, for a person to
-- decide. Over where it ended later than it was last heard of.
CREATE TABLE conflict (
  user     ANY PRIMARY KEY,
  holder   INTEGER,                     -- the other contact, as it was said; NULL: it was not named, or was erased
  why      INTEGER,                     -- a number of event::Clash
  since    INTEGER,                     -- the app's clock, ms: since when it stands; NULL: its end was heard of first
  last_at  INTEGER,                     -- the latest
  ended_at INTEGER
) STRICT, WITHOUT ROWID;

-- Whose turn it is to tell HubSpot of a user: one job at a time.
CREATE TABLE lease (
  user   ANY PRIMARY KEY,
  holder INTEGER NOT NULL,              -- a random number
  until  INTEGER NOT NULL               -- the app's clock, ms
) STRICT, WITHOUT ROWID;

-- The page deadlines of processes that use the file, and when one with that deadline last said so. The longest of the
-- last day is what the quiet period is computed from.
CREATE TABLE deadline (
  ms      INTEGER PRIMARY KEY,
  seen_at INTEGER NOT NULL              -- the app's clock, ms
) STRICT;
