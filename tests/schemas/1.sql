-- Schema 1. Frozen once released: a later version adds a file, never edits this one.

-- What the file is: portal_id, key_check, and fingerprint_secret where the caller gave none.
CREATE TABLE meta (
  name  TEXT PRIMARY KEY,
  value ANY NOT NULL
) STRICT, WITHOUT ROWID;

-- A user as the app knows them. The key is an INTEGER, a 16-byte BLOB (a UUID) or TEXT.
CREATE TABLE user (
  key       ANY PRIMARY KEY,
  vid       INTEGER,                    -- the contact now; NULL before the first link
  linked_at INTEGER,                    -- the app's clock, ms; the latest link wins
  first_vid INTEGER,                    -- the external id, where it is not vid
  first_at  INTEGER,
  changes   INTEGER NOT NULL DEFAULT 0  -- outstanding changes: derived from change
) STRICT, WITHOUT ROWID;

-- A contact as HubSpot describes it.
CREATE TABLE contact (
  vid      INTEGER PRIMARY KEY,
  user     ANY,                         -- whose it is: the user whose vid this is, or NULL
  email    BLOB,                        -- fingerprint; NULL: unknown, none, or two at one time
  email_at INTEGER                      -- HubSpot's clock, ms; the latest wins; NULL: unknown
) STRICT;

-- Whose state changed, oldest first: how the in-process tables of other processes learn what to
-- forget. Only the last few thousand are kept; who missed more forgets everything.
CREATE TABLE log (
  revision INTEGER PRIMARY KEY,
  user     ANY                          -- NULL: everybody's
) STRICT;

-- Email changes, outstanding (ended_at NULL) and, for a while, ended ones: a job that runs
-- again must find its token ended, not unknown.
CREATE TABLE change (
  token    INTEGER PRIMARY KEY,
  user     ANY NOT NULL,
  begun_at INTEGER,                     -- NULL: its end was heard of first
  ended_at INTEGER
) STRICT;
CREATE INDEX change_outstanding ON change (user) WHERE ended_at IS NULL;
CREATE INDEX change_ended ON change (ended_at) WHERE ended_at IS NOT NULL;
