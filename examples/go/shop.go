package main

// The shop's customers, in a file of JSON where a real one would have a database, and the worker that tells HubSpot of
// their emails.

import (
	"encoding/json"
	"fmt"
	"log"
	"os"
	"strconv"
	"sync"
	"time"
)

// User is a customer.
type User struct {
	ID    int64  `json:"id"`
	Login string `json:"login"`
	Email string `json:"email"`
}

// Shop is safe for any number of goroutines.
type Shop struct {
	file    string
	cache   *Cache
	hubspot *Hubspot
	usual   bool
	quiet   time.Duration // 0: what the library says

	mutex   sync.Mutex
	users   []User
	pending int
	// One job of a user at a time: two of them at once could tell HubSpot of the older email last.
	jobs map[int64]*sync.Mutex
}

// OpenShop makes the customers that are not there yet, and their contacts; it takes up the changes that a crash left
// behind.
func OpenShop(file string, count int, cache *Cache, hubspot *Hubspot, usual bool, quiet time.Duration) (*Shop, error) {
	shop := &Shop{file: file, cache: cache, hubspot: hubspot, usual: usual, quiet: quiet, jobs: map[int64]*sync.Mutex{}}
	if kept, err := os.ReadFile(file); err == nil {
		if err := json.Unmarshal(kept, &shop.users); err != nil {
			return nil, err
		}
	}
	for id := len(shop.users) + 1; id <= count; id++ {
		login := fmt.Sprintf("user%d", id)
		shop.users = append(shop.users, User{int64(id), login, login + "@shop.test"})
	}
	if err := shop.save(shop.users); err != nil {
		return nil, err
	}
	for _, user := range shop.users {
		vid, err := cache.Resolve(user.ID)
		if err != nil {
			return nil, err
		}
		if vid != 0 {
			continue
		}
		answer, err := hubspot.Tell(0, user.Email)
		if err == nil {
			err = cache.Record(user.ID, answer, 0)
		}
		if err != nil {
			return nil, err
		}
	}
	stale, err := cache.StaleChanges(0)
	for _, change := range stale {
		if id, err := strconv.ParseInt(change.User, 10, 64); err == nil {
			shop.enqueue(id, change.Token)
		}
	}
	return shop, err
}

// User returns a copy of the customer as they are now.
func (s *Shop) User(is func(User) bool) (User, bool) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for _, user := range s.users {
		if is(user) {
			return user, true
		}
	}
	return User{}, false
}

// Pending counts the changes that the worker has still to finish.
func (s *Shop) Pending() int {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.pending
}

// ChangeEmail keeps to the order of the rule: begin, then the app's own commit, then the job.
func (s *Shop) ChangeEmail(id int64, email string) error {
	var change int64
	var err error
	if !s.usual {
		if change, err = s.cache.BeginEmailChange(id); err != nil {
			return err
		}
	}
	if err = s.commit(id, email); err == nil {
		s.enqueue(id, change)
	} else if change != 0 {
		_ = s.cache.AbandonEmailChange(id, change) // else it stays outstanding: the page says less
	}
	return err
}

func (s *Shop) commit(id int64, email string) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	users := append([]User(nil), s.users...)
	for at := range users {
		if users[at].ID == id {
			users[at].Email = email
		}
	}
	err := s.save(users)
	if err == nil {
		s.users = users
	}
	return err
}

func (s *Shop) save(users []User) error {
	content, err := json.Marshal(users)
	if err == nil {
		err = os.WriteFile(s.file+".new", content, 0o600)
	}
	if err == nil {
		err = os.Rename(s.file+".new", s.file)
	}
	return err
}

func (s *Shop) enqueue(id, change int64) {
	s.mutex.Lock()
	s.pending++
	job := s.jobs[id]
	if job == nil {
		job = &sync.Mutex{}
		s.jobs[id] = job
	}
	s.mutex.Unlock()
	go func() {
		s.wait(id)
		job.Lock()
		defer job.Unlock()
		// Until it succeeds the change stays outstanding, and the user's pages give the id alone.
		for {
			err := s.perform(id, change)
			if err == nil {
				break
			}
			log.Printf("user %d: %v; trying again", id, err)
			time.Sleep(5 * time.Second)
		}
		s.mutex.Lock()
		s.pending--
		s.mutex.Unlock()
	}()
}

// wait asks each time: a process with a longer page deadline may have come meanwhile.
func (s *Shop) wait(id int64) {
	quiet := s.quiet
	for quiet == 0 && !s.usual {
		var err error
		if quiet, err = s.cache.QuietPeriod(); err != nil {
			log.Printf("user %d: %v; trying again", id, err)
			time.Sleep(5 * time.Second)
		}
	}
	if !s.usual {
		time.Sleep(quiet)
	}
}

func (s *Shop) perform(id, change int64) error {
	if change != 0 {
		// Asked again: HubSpot must not be told of a change that another job has finished.
		outstanding, err := s.cache.IsChangeOutstanding(id, change)
		if err != nil || !outstanding {
			return err
		}
	}
	vid, err := s.cache.Resolve(id)
	if err != nil {
		return err
	}
	// The email as it is now: of two jobs, the later one tells of the later email.
	user, _ := s.User(func(user User) bool { return user.ID == id })
	answer, err := s.hubspot.Tell(vid, user.Email)
	if err != nil {
		return err
	}
	return s.cache.Record(id, answer, change)
}
