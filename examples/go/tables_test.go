//go:build postgres

package main

// The tables over database/sql, on a PostgreSQL that the test starts, by the driver lib/pq.

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	_ "github.com/lib/pq"
)

const secret = "thirty-two bytes kept out of it."

var ctx = context.Background()

// postgres starts a server on a socket, and ends it with the test.
func postgres(t *testing.T) *sql.DB {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if len(found) == 0 {
		t.Skip("skipped because PostgreSQL's server is not installed")
	}
	sort.Strings(found)
	programs := filepath.Dir(found[len(found)-1])
	folder, err := os.MkdirTemp("/tmp", "vidcache-go-")
	fine(t, err)
	t.Cleanup(func() { os.RemoveAll(folder) })
	run := func(name string, arguments ...string) *exec.Cmd {
		command := exec.Command(filepath.Join(programs, name), arguments...)
		command.Dir = folder
		if os.Getuid() == 0 {
			// It does not run as root.
			nobody, err := user.Lookup("postgres")
			fine(t, err)
			uid, _ := strconv.Atoi(nobody.Uid)
			gid, _ := strconv.Atoi(nobody.Gid)
			fine(t, os.Chown(folder, uid, gid))
			command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
		}
		return command
	}
	data := filepath.Join(folder, "data")
	said, err := run("initdb", "--no-sync", "--auth=trust", "--username=app", "--encoding=UTF8", "--locale=C", "-D", data).CombinedOutput()
	if err != nil {
		t.Fatal(string(said))
	}
	server := run("postgres", "-D", data, "-k", folder, "-c", "listen_addresses=", "-c", "fsync=off", "-c", "jit=off")
	fine(t, server.Start())
	t.Cleanup(func() {
		_ = server.Process.Signal(syscall.SIGQUIT)
		_ = server.Wait()
	})
	db, err := sql.Open("postgres", fmt.Sprintf("host=%s user=app dbname=postgres sslmode=disable", folder))
	fine(t, err)
	t.Cleanup(func() { db.Close() })
	for tries := 0; db.Ping() != nil; tries++ {
		if tries > 300 {
			t.Fatal(db.Ping())
		}
		time.Sleep(100 * time.Millisecond)
	}
	made, err := Migration()
	fine(t, err)
	_, err = db.Exec(made + "; CREATE TABLE users (id bigint PRIMARY KEY, email text); INSERT INTO users VALUES (42, 'ann@shop.test')")
	fine(t, err)
	return db
}

func fine(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func tables(t *testing.T, db *sql.DB, maxAge time.Duration) *Tables {
	t.Helper()
	opened, err := OpenTables(ctx, db, 62515, secret, 2*time.Second, maxAge)
	fine(t, err)
	t.Cleanup(opened.Close)
	return opened
}

// says fails unless a page gives that reason.
func says(t *testing.T, tables *Tables, tx *sql.Tx, email, reason string) Page {
	t.Helper()
	page, err := tables.Snippet(ctx, tx, 42, email)
	fine(t, err)
	if page.Reason != reason || (reason == "agreed") != strings.Contains(page.HTML, email) {
		t.Fatalf("%s, and not %s (%v)", page.Reason, reason, page.Why)
	}
	return page
}

// begin changes the email in a transaction, and leaves that open.
func begin(t *testing.T, db *sql.DB, tables *Tables, email string) (*sql.Tx, int64) {
	t.Helper()
	tx, err := db.BeginTx(ctx, nil)
	fine(t, err)
	change, err := tables.BeginEmailChange(ctx, tx, 42)
	fine(t, err)
	_, err = tx.Exec("UPDATE users SET email = $1 WHERE id = 42", email)
	fine(t, err)
	return tx, change
}

func answered(email string, second int) string {
	return fmt.Sprintf(`{"id":"901","properties":{"email":"%s"},"updatedAt":"2026-03-01T10:00:%02d.000Z"}`, email, second)
}

func TestAChangeIsThereIfAndOnlyIfItsTransactionIsCommitted(t *testing.T) {
	db := postgres(t)
	worker, web, watch := tables(t, db, 0), tables(t, db, 0), tables(t, db, time.Second)
	fine(t, worker.Record(ctx, nil, 42, answered("ann@shop.test", 0), 0))
	says(t, web, nil, "ann@shop.test", "agreed")
	says(t, watch, nil, "ann@shop.test", "agreed")

	tx, _ := begin(t, db, web, "gone@shop.test")
	says(t, web, tx, "gone@shop.test", "change_outstanding")
	says(t, worker, nil, "ann@shop.test", "agreed")
	fine(t, tx.Rollback())
	says(t, web, nil, "ann@shop.test", "agreed")

	tx, change := begin(t, db, web, "new@shop.test")
	if turn, err := worker.Turn(ctx, 42, change); err == nil || err.(*Error).Name != "unknown_change" {
		t.Fatal(turn, err)
	}
	fine(t, tx.Commit())
	fine(t, web.SeeEmailChange(ctx, change))
	says(t, worker, nil, "new@shop.test", "change_outstanding")
	time.Sleep(1100 * time.Millisecond)
	says(t, watch, nil, "new@shop.test", "change_outstanding")

	lease, err := worker.Lease(ctx, 42, time.Minute)
	fine(t, err)
	if other, err := web.Lease(ctx, 42, time.Minute); other != 0 || err != nil {
		t.Fatal("two have the lease", err)
	}
	turn, err := worker.Turn(ctx, 42, change)
	fine(t, err)
	if turn.Now || turn.Wait < 4*time.Second || turn.Wait > 7*time.Second {
		t.Fatal(turn)
	}
	time.Sleep(turn.Wait)
	if turn, err = worker.Turn(ctx, 42, change); !turn.Now || err != nil {
		t.Fatal(turn, err)
	}
	fine(t, worker.Record(ctx, nil, 42, answered("new@shop.test", 5), change))
	fine(t, worker.Release(ctx, 42, lease))
	if turn, err = worker.Turn(ctx, 42, change); !turn.Ended || err != nil {
		t.Fatal(turn, err)
	}
	says(t, web, nil, "new@shop.test", "agreed")
}

func TestWhatFailsLeavesTheTransactionAsItWasAndThePageGoesOut(t *testing.T) {
	db := postgres(t)
	web := tables(t, db, 0)
	fine(t, web.Record(ctx, nil, 42, answered("ann@shop.test", 0), 0))
	var all sync.WaitGroup
	for n := 0; n < 40; n++ {
		all.Add(1)
		go func(n int) {
			defer all.Done()
			if err := web.Record(ctx, nil, 42, answered("ann@shop.test", n), 0); err != nil {
				t.Error(err)
			}
		}(n)
	}
	all.Wait()
	tx, err := db.Begin()
	fine(t, err)
	_, err = tx.Exec("UPDATE users SET email = 'kept@shop.test'; ALTER TABLE vidcache_links RENAME TO gone")
	fine(t, err)
	if page := says(t, web, tx, "ann@shop.test", "stale"); page.Why == nil || page.Why.(*Error).Name != "tables_unusable" {
		t.Fatal(page.Why)
	}
	if err := web.Record(ctx, tx, 42, answered("ann@shop.test", 50), 0); err == nil || err.(*Error).Name != "tables_unusable" {
		t.Fatal(err)
	}
	_, err = tx.Exec("ALTER TABLE gone RENAME TO vidcache_links")
	fine(t, err)
	fine(t, tx.Commit())
	var email string
	fine(t, db.QueryRow("SELECT email FROM users").Scan(&email))
	if email != "kept@shop.test" {
		t.Fatal(email)
	}
	if _, err := OpenTables(ctx, db, 1, secret, time.Second, 0); err == nil || err.(*Error).Name != "wrong_portal" {
		t.Fatal(err)
	}
	db.Close()
	if page := says(t, web, nil, "ann@shop.test", "stale"); page.Why == nil || page.Why.(*Error).Name != "storage" {
		t.Fatal(page.Why)
	}
}
