package main

// vidcache.h through cgo: as much of it as a shop needs.

/*
#cgo pkg-config: vidcache
#include <stdlib.h>
#include <vidcache.h>
*/
import "C"

import (
	"fmt"
	"runtime"
	"time"
	"unsafe"
)

// Cache is safe for any number of goroutines.
type Cache struct {
	handle *C.vidcache_handle
}

// Error is a failed call: its code, and words without personal data.
type Error struct {
	Code    int32
	Name    string
	Message string
}

func (e *Error) Error() string { return fmt.Sprintf("vidcache: %s: %s", e.Name, e.Message) }

// call makes a call and asks for its words. They are kept per thread, so the goroutine stays on its own meanwhile.
func call(f func() C.vidcache_result) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	result := f()
	if result == C.VIDCACHE_OK {
		return nil
	}
	var last C.vidcache_error
	last.size = C.sizeof_vidcache_error
	C.vidcache_last_error(&last)
	return &Error{int32(result), C.GoString(C.vidcache_error_name(result)), C.GoStringN(last.message, C.int(last.message_len))}
}

// nothing is what an empty string points to: NULL would mean that there is none.
var nothing = [1]byte{}

func text(s string) (*C.char, C.size_t) {
	if len(s) == 0 {
		return (*C.char)(unsafe.Pointer(&nothing[0])), 0
	}
	return (*C.char)(unsafe.Pointer(&[]byte(s)[0])), C.size_t(len(s))
}

// withOptions gives made the options of a file, or of the tables.
func withOptions(secret string, pageDeadline time.Duration, made func(*C.vidcache_options) C.vidcache_result) error {
	if found := C.vidcache_abi_version(); found != C.VIDCACHE_ABI_VERSION {
		return fmt.Errorf("libvidcache has ABI %d, and this was built for %d", found, C.VIDCACHE_ABI_VERSION)
	}
	var options C.vidcache_options
	options.size = C.sizeof_vidcache_options
	if err := call(func() C.vidcache_result { return C.vidcache_options_init(&options) }); err != nil {
		return err
	}
	// In C's memory: a struct that C is handed must not point into Go's.
	copied := C.CString(secret)
	defer C.free(unsafe.Pointer(copied))
	options.secret, options.secret_len = copied, C.size_t(len(secret))
	options.page_deadline_ms = C.uint32_t(pageDeadline.Milliseconds())
	return call(func() C.vidcache_result { return made(&options) })
}

// Open opens the file at path for a portal.
func Open(path string, portal int64, secret string, pageDeadline time.Duration) (*Cache, error) {
	cache := &Cache{}
	name, length := text(path)
	err := withOptions(secret, pageDeadline, func(options *C.vidcache_options) C.vidcache_result {
		return C.vidcache_open(name, length, C.int64_t(portal), options, &cache.handle)
	})
	if err != nil {
		return nil, err
	}
	return cache, nil
}

// Close closes the file. Goroutines that still use the cache get an error. Closing again does nothing.
func (c *Cache) Close() error {
	return call(func() C.vidcache_result { return C.vidcache_close(c.handle) })
}

// Resolve returns the user's contact, 0 for none. It is cheap enough that it does not lock the thread before it has
// failed.
func (c *Cache) Resolve(id int64) (int64, error) {
	user := C.vidcache_user_id(C.int64_t(id))
	var identity C.vidcache_identity
	if C.vidcache_resolve(c.handle, &user, &identity) == C.VIDCACHE_OK {
		return int64(identity.vid), nil
	}
	err := call(func() C.vidcache_result { return C.vidcache_resolve(c.handle, &user, &identity) })
	return int64(identity.vid), err
}

// Snippet returns the HTML that the page gets.
func (c *Cache) Snippet(id int64, email, nonce string) (string, error) {
	user := C.vidcache_user_id(C.int64_t(id))
	mail, mailLength := text(email)
	once, onceLength := text(nonce)
	buffer := make([]byte, 4096)
	var length C.size_t
	err := call(func() C.vidcache_result {
		return C.vidcache_snippet(c.handle, &user, mail, mailLength, once, onceLength,
			(*C.char)(unsafe.Pointer(&buffer[0])), C.size_t(len(buffer)), &length)
	})
	if err != nil {
		return "", err
	}
	return string(buffer[:length]), nil
}

// Record records what HubSpot answered, and finishes the change if that is not 0.
func (c *Cache) Record(id int64, answer string, change int64) error {
	user := C.vidcache_user_id(C.int64_t(id))
	body, length := text(answer)
	var recorded C.vidcache_recorded
	return call(func() C.vidcache_result {
		return C.vidcache_record(c.handle, &user, body, length, C.int64_t(change), &recorded)
	})
}

// BeginEmailChange returns the change's token.
func (c *Cache) BeginEmailChange(id int64) (int64, error) {
	user := C.vidcache_user_id(C.int64_t(id))
	var token C.int64_t
	err := call(func() C.vidcache_result { return C.vidcache_begin_email_change(c.handle, &user, &token) })
	return int64(token), err
}

// AbandonEmailChange ends a change that did not happen.
func (c *Cache) AbandonEmailChange(id, change int64) error {
	user := C.vidcache_user_id(C.int64_t(id))
	return call(func() C.vidcache_result { return C.vidcache_abandon_email_change(c.handle, &user, C.int64_t(change)) })
}

// IsChangeOutstanding says whether the change is neither finished nor abandoned.
func (c *Cache) IsChangeOutstanding(id, change int64) (bool, error) {
	user := C.vidcache_user_id(C.int64_t(id))
	var outstanding C.bool
	err := call(func() C.vidcache_result {
		return C.vidcache_is_change_outstanding(c.handle, &user, C.int64_t(change), &outstanding)
	})
	return bool(outstanding), err
}

// QuietPeriod is how long after the beginning of a change HubSpot may be told of it.
func (c *Cache) QuietPeriod() (time.Duration, error) {
	var milliseconds C.uint64_t
	err := call(func() C.vidcache_result { return C.vidcache_quiet_period(c.handle, &milliseconds) })
	return time.Duration(milliseconds) * time.Millisecond, err
}

// StaleChange is a change that was begun and is outstanding.
type StaleChange struct {
	User  string
	Token int64
}

// StaleChanges returns at most a hundred changes that were begun longer ago than that.
func (c *Cache) StaleChanges(olderThan time.Duration) ([]StaleChange, error) {
	rows := make([]C.vidcache_stale_change, 100)
	var count C.size_t
	err := call(func() C.vidcache_result {
		return C.vidcache_stale_changes(c.handle, C.uint64_t(olderThan.Milliseconds()), &rows[0], C.size_t(len(rows)), &count)
	})
	changes := make([]StaleChange, 0, len(rows))
	for _, row := range rows[:count] {
		changes = append(changes, StaleChange{C.GoStringN(&row.user[0], C.int(row.user_len)), int64(row.token)})
	}
	return changes, err
}
