// A small shop: customers sign in, look at pages, and change their email.
package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"log"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

type server struct {
	shop     *Shop
	cache    *Cache
	usual    bool
	portal   int64
	mutex    sync.Mutex
	sessions map[string]int64
}

func env(name, otherwise string) string {
	if value, ok := os.LookupEnv(name); ok {
		return value
	}
	return otherwise
}

func number(name, otherwise string) int64 {
	value, err := strconv.ParseInt(env(name, otherwise), 10, 64)
	if err != nil {
		log.Fatalf("%s is no number", name)
	}
	return value
}

func random() string {
	bytes := make([]byte, 18)
	if _, err := rand.Read(bytes); err != nil {
		panic(err)
	}
	return base64.RawURLEncoding.EncodeToString(bytes)
}

// tracking is HubSpot's snippet: what this is about. The page goes out whatever becomes of it.
func (s *server) tracking(user User, nonce string) string {
	if s.usual {
		email, _ := json.Marshal(user.Email)
		return fmt.Sprintf(`<script nonce="%s">var _hsq = window._hsq = window._hsq || []; _hsq.push(["identify", {email: %s}]);</script>
<script id="hs-script-loader" async defer src="//js.hs-scripts.com/%d.js"></script>`, nonce, email, s.portal)
	}
	snippet, err := s.cache.Snippet(user.ID, user.Email, nonce)
	if err != nil {
		log.Print(err)
	}
	return snippet
}

func (s *server) page(w http.ResponseWriter, user *User, title, body string) {
	nonce := random()
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", fmt.Sprintf("script-src 'nonce-%s' 'strict-dynamic'; img-src 'self' https://track.hubspot.com", nonce))
	if user != nil && !s.usual {
		// It names its visitor: no cache may show it later, or to somebody else.
		w.Header().Set("Cache-Control", "private, no-store")
	}
	fmt.Fprintf(w, "<!DOCTYPE html><title>%[1]s</title><h1>%[1]s</h1>%[2]s", title, body)
	if user != nil {
		fmt.Fprint(w, s.tracking(*user, nonce))
	}
}

func (s *server) signIn(w http.ResponseWriter, r *http.Request) {
	const form = `<form action="/sign_in" method="post"><input name="login"><button>Sign in</button></form>`
	if r.Method != http.MethodPost {
		s.page(w, nil, "Sign in", form)
		return
	}
	user, found := s.shop.User(func(user User) bool { return user.Login == r.PostFormValue("login") })
	if !found {
		s.page(w, nil, "There is no such customer", form)
		return
	}
	session := random()
	s.mutex.Lock()
	s.sessions[session] = user.ID
	s.mutex.Unlock()
	http.SetCookie(w, &http.Cookie{Name: "session", Value: session, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode})
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// signedIn gives the handler the customer as they are now.
func (s *server) signedIn(handler func(http.ResponseWriter, *http.Request, User)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var id int64
		if cookie, err := r.Cookie("session"); err == nil {
			s.mutex.Lock()
			id = s.sessions[cookie.Value]
			s.mutex.Unlock()
		}
		user, found := s.shop.User(func(user User) bool { return user.ID == id })
		if !found {
			http.Redirect(w, r, "/sign_in", http.StatusSeeOther)
			return
		}
		handler(w, r, user)
	}
}

func (s *server) settings(w http.ResponseWriter, r *http.Request, user User) {
	if r.Method != http.MethodPost {
		s.page(w, &user, "Settings", fmt.Sprintf(`<form action="/settings" method="post"><input name="email" type="email" value="%s"><button>Change it</button></form>`, html.EscapeString(user.Email)))
		return
	}
	email := strings.ToLower(strings.TrimSpace(r.PostFormValue("email")))
	if at := strings.Index(email, "@"); at < 1 || at == len(email)-1 {
		s.page(w, &user, "That is no email address", `<a href="/settings">Settings</a>`)
		return
	}
	if err := s.shop.ChangeEmail(user.ID, email); err != nil {
		log.Print(err)
		http.Error(w, "Your email cannot be changed at the moment.", http.StatusServiceUnavailable)
		return
	}
	http.Redirect(w, r, "/settings", http.StatusSeeOther)
}

func main() {
	data := env("DATA_DIR", "storage")
	usual := env("SNIPPET", "vidcache") == "usual"
	portal := number("HUBSPOT_PORTAL", "62515")
	cache, err := Open(filepath.Join(data, "hubspot.vidcache"), portal,
		env("VIDCACHE_SECRET", "a secret that a real shop keeps elsewhere"), time.Duration(number("PAGE_DEADLINE", "10"))*time.Second)
	if err != nil {
		log.Fatal(err)
	}
	hubspot := NewHubspot(env("HUBSPOT_API", "https://api.hubapi.com"), env("HUBSPOT_TOKEN", ""))
	shop, err := OpenShop(filepath.Join(data, "users.json"), int(number("USERS", "5")), cache, hubspot, usual,
		time.Duration(number("QUIET_PERIOD", "0"))*time.Second)
	if err != nil {
		log.Fatal(err)
	}
	s := &server{shop: shop, cache: cache, usual: usual, portal: portal, sessions: map[string]int64{}}

	mux := http.NewServeMux()
	mux.HandleFunc("/up", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	mux.HandleFunc("/jobs", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"pending":%d}`, shop.Pending())
	})
	mux.HandleFunc("/sign_in", s.signIn)
	mux.HandleFunc("/settings", s.signedIn(s.settings))
	mux.HandleFunc("/pages/", s.signedIn(func(w http.ResponseWriter, r *http.Request, user User) {
		if page := strings.TrimPrefix(r.URL.Path, "/pages/"); len(page) == 1 && page >= "1" && page <= "9" {
			s.page(w, &user, "Page "+page, "<p>Nothing is sold here.</p>")
		} else {
			http.NotFound(w, r)
		}
	}))
	mux.HandleFunc("/", s.signedIn(func(w http.ResponseWriter, r *http.Request, user User) {
		if r.URL.Path == "/" {
			s.page(w, &user, "Welcome, "+user.Login, `<a href="/settings">Settings</a>`)
		} else {
			http.NotFound(w, r)
		}
	}))

	listener := &http.Server{Addr: "127.0.0.1:" + env("PORT", "3000"), Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	stop, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer cancel()
	go func() {
		<-stop.Done()
		_ = listener.Close()
	}()
	if err := listener.ListenAndServe(); err != http.ErrServerClosed {
		log.Print(err)
	}
	_ = cache.Close()
}
