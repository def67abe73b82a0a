package main

// The rows in the app's own PostgreSQL, over database/sql: for a shop whose processes share no disk. vidcache.h says
// which statement is next; what is sent, and by which connection, is said here. Any driver will do whose errors say
// SQLState(), as those of lib/pq and pgx do.

/*
#cgo pkg-config: vidcache
#include <vidcache.h>

// A struct that C is handed must not point into Go's memory, so it is made here.
static vidcache_result begin(const vidcache_database *database, uint32_t kind, uint32_t in_transaction, int64_t user,
                             int64_t token, uint64_t milliseconds, const char *bytes, size_t bytes_len,
                             vidcache_exchange **exchange)
{
  const vidcache_user who = vidcache_user_id(user);
  vidcache_work work = {sizeof work};
  work.kind = kind;
  work.in_transaction = in_transaction;
  work.user = &who;
  work.token = token;
  work.milliseconds = milliseconds;
  work.bytes = bytes;
  work.bytes_len = bytes_len;
  work.form = VIDCACHE_FORM_SNIPPET;
  return vidcache_database_begin(database, &work, exchange);
}
*/
import "C"

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"time"
)

// Tables is safe for any number of goroutines.
type Tables struct {
	database *C.vidcache_database
	db       *sql.DB
}

// sender is a connection, or a transaction of the app's.
type sender interface {
	ExecContext(context.Context, string, ...any) (sql.Result, error)
	QueryRowContext(context.Context, string, ...any) *sql.Row
}

// Page is what a page may say, and why it says less, if it does.
type Page struct {
	HTML   string
	Reason string
	Why    error
}

// Turn says whether a worker may tell HubSpot of a change now, or when to ask again.
type Turn struct {
	Now, Ended bool
	Wait       time.Duration
}

// Migration returns the statements that make the tables in the schema public.
func Migration() (string, error) {
	var made *C.vidcache_text
	if err := call(func() C.vidcache_result { return C.vidcache_database_migration(nil, 0, &made) }); err != nil {
		return "", err
	}
	defer C.vidcache_text_free(&made)
	var bytes *C.char
	var length C.size_t
	err := call(func() C.vidcache_result { return C.vidcache_text_get(made, &bytes, &length) })
	return C.GoStringN(bytes, C.int(length)), err
}

// OpenTables takes the tables in the schema public, and sets them up unless somebody has. With a maxAge from 1 s on
// answers are kept.
func OpenTables(ctx context.Context, db *sql.DB, portal int64, secret string, pageDeadline, maxAge time.Duration) (*Tables, error) {
	tables := &Tables{db: db}
	err := withOptions(secret, pageDeadline, func(options *C.vidcache_options) C.vidcache_result {
		return C.vidcache_database_open(nil, 0, C.int64_t(portal), options, C.uint64_t(maxAge.Milliseconds()), &tables.database)
	})
	if err != nil {
		return nil, err
	}
	if err := tables.do(ctx, nil, work{kind: C.VIDCACHE_WORK_SET_UP}, nil); err != nil {
		tables.Close()
		return nil, err
	}
	return tables, nil
}

// Close frees the tables. No goroutine may be using them.
func (t *Tables) Close() { C.vidcache_database_free(&t.database) }

// Snippet returns what a page gets, whatever becomes of the database.
func (t *Tables) Snippet(ctx context.Context, tx *sql.Tx, id int64, email string) (page Page, err error) {
	err = t.do(ctx, tx, work{kind: C.VIDCACHE_WORK_PAGE, user: id, text: email}, func(told *C.vidcache_outcome) {
		page.HTML = C.GoStringN(told.text, C.int(told.text_len))
		page.Reason = C.GoString(C.vidcache_reason_name(told.decision.reason))
		if told.why != C.VIDCACHE_OK {
			page.Why = &Error{Code: int32(told.why), Name: C.GoString(C.vidcache_error_name(told.why))}
		}
	})
	return page, err
}

// Record records what HubSpot answered, and finishes the change if that is not 0.
func (t *Tables) Record(ctx context.Context, tx *sql.Tx, id int64, answer string, change int64) error {
	return t.do(ctx, tx, work{kind: C.VIDCACHE_WORK_RECORD, user: id, text: answer, token: change}, nil)
}

// BeginEmailChange begins a change in the transaction that changes the email: it is begun if that is committed.
func (t *Tables) BeginEmailChange(ctx context.Context, tx *sql.Tx, id int64) (change int64, err error) {
	err = t.do(ctx, tx, work{kind: C.VIDCACHE_WORK_BEGIN, user: id}, func(told *C.vidcache_outcome) { change = int64(told.token) })
	return change, err
}

// SeeEmailChange says that the change is committed, so that its quiet period begins.
func (t *Tables) SeeEmailChange(ctx context.Context, change int64) error {
	return t.do(ctx, nil, work{kind: C.VIDCACHE_WORK_SEE, token: change}, nil)
}

// Turn says whether the worker, who has the user's lease, may tell HubSpot of the change.
func (t *Tables) Turn(ctx context.Context, id, change int64) (turn Turn, err error) {
	err = t.do(ctx, nil, work{kind: C.VIDCACHE_WORK_TURN, user: id, token: change}, func(told *C.vidcache_outcome) {
		turn.Now, turn.Ended = told.turn == C.VIDCACHE_TURN_NOW, told.turn == C.VIDCACHE_TURN_ENDED
		turn.Wait = time.Duration(told.milliseconds) * time.Millisecond
	})
	return turn, err
}

// Lease takes the user's lease; 0: another worker has it.
func (t *Tables) Lease(ctx context.Context, id int64, duration time.Duration) (lease int64, err error) {
	asked := work{kind: C.VIDCACHE_WORK_LEASE, user: id, milliseconds: duration.Milliseconds()}
	err = t.do(ctx, nil, asked, func(told *C.vidcache_outcome) { lease = int64(told.token) })
	return lease, err
}

// Release ends a lease.
func (t *Tables) Release(ctx context.Context, id, lease int64) error {
	return t.do(ctx, nil, work{kind: C.VIDCACHE_WORK_RELEASE, user: id, token: lease}, nil)
}

type work struct {
	kind         C.uint32_t
	user, token  int64
	milliseconds int64
	text         string
}

// do carries one thing through, within the app's transaction or by a connection of its own.
func (t *Tables) do(ctx context.Context, tx *sql.Tx, asked work, read func(*C.vidcache_outcome)) error {
	var exchange *C.vidcache_exchange
	bytes, length := (*C.char)(nil), C.size_t(0)
	if asked.text != "" {
		bytes, length = text(asked.text)
	}
	inside := C.uint32_t(0)
	if tx != nil {
		inside = 1
	}
	err := call(func() C.vidcache_result {
		return C.begin(t.database, asked.kind, inside, C.int64_t(asked.user), C.int64_t(asked.token),
			C.uint64_t(asked.milliseconds), bytes, length, &exchange)
	})
	if err != nil {
		return err
	}
	defer C.vidcache_exchange_free(&exchange)

	var step C.vidcache_step
	step.size = C.sizeof_vidcache_step
	if err := call(func() C.vidcache_result { return C.vidcache_exchange_answered(exchange, nil, 0, &step) }); err != nil {
		return err
	}
	line := connection{db: t.db}
	if tx != nil {
		line.sender = tx
	}
	defer line.close()
	for step.statement != nil {
		answer, state, refused := line.send(ctx, &step)
		err := call(func() C.vidcache_result {
			if refused {
				bytes, length := text(state)
				return C.vidcache_exchange_refused(exchange, bytes, length, &step)
			}
			if answer == nil {
				return C.vidcache_exchange_answered(exchange, nil, 0, &step)
			}
			bytes, length := text(*answer)
			return C.vidcache_exchange_answered(exchange, bytes, length, &step)
		})
		if err != nil {
			return err
		}
	}
	if read == nil {
		return nil
	}
	var told C.vidcache_outcome
	told.size = C.sizeof_vidcache_outcome
	if err := call(func() C.vidcache_result { return C.vidcache_exchange_outcome(exchange, &told) }); err != nil {
		return err
	}
	read(&told)
	return nil
}

// connection is taken from the pool when the first statement is sent: a page from memory takes none.
type connection struct {
	db     *sql.DB
	conn   *sql.Conn
	sender sender
	broken bool
}

// send returns the text that the statement gave, nil for none; or the SQLSTATE by which it was refused, "" where no
// server answered.
func (c *connection) send(ctx context.Context, step *C.vidcache_step) (answer *string, state string, refused bool) {
	time.Sleep(time.Duration(step.wait_ms) * time.Millisecond)
	err := driver.ErrBadConn
	if c.sender == nil && !c.broken {
		if c.conn, err = c.db.Conn(ctx); err == nil {
			c.sender = c.conn
		}
	}
	if c.sender != nil && !c.broken {
		answer, err = ask(ctx, c.sender, step)
	}
	if err == nil {
		return answer, "", false
	}
	var said interface{ SQLState() string }
	if errors.As(err, &said) {
		return nil, said.SQLState(), true
	}
	// Whatever is sent behind a connection that has gone would wait for another one.
	c.broken = true
	return nil, "", true
}

func ask(ctx context.Context, sender sender, step *C.vidcache_step) (*string, error) {
	statement := C.GoStringN(step.statement, C.int(step.statement_len))
	if step.asks == 0 {
		_, err := sender.ExecContext(ctx, statement)
		return nil, err
	}
	var parameters []any
	for _, parameter := range step.parameters {
		if parameter != nil {
			parameters = append(parameters, C.GoString(parameter))
		}
	}
	var found sql.NullString
	err := sender.QueryRowContext(ctx, statement, parameters...).Scan(&found)
	if errors.Is(err, sql.ErrNoRows) || err == nil && !found.Valid {
		return nil, nil
	}
	return &found.String, err
}

func (c *connection) close() {
	if c.conn == nil {
		return
	}
	if c.broken {
		// It goes back to no pool.
		_ = c.conn.Raw(func(any) error { return driver.ErrBadConn })
	}
	_ = c.conn.Close()
}
