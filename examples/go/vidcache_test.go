package main

// What the calls cost from here: go test -bench .

import (
	"path/filepath"
	"testing"
	"time"
)

const answer = `{"id":"901","properties":{"email":"ann@shop.test"},"updatedAt":"2026-03-01T10:00:00.000Z"}`

func open(t testing.TB) *Cache {
	cache, err := Open(filepath.Join(t.TempDir(), "cache"), 62515, "thirty-two bytes kept out of it.", 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if err := cache.Record(42, answer, 0); err != nil {
		t.Fatal(err)
	}
	return cache
}

func TestAnErrorHasItsNameAndItsWords(t *testing.T) {
	cache := open(t)
	defer cache.Close()
	err := cache.Record(42, "<html>", 0)
	failed, ok := err.(*Error)
	if !ok || failed.Name != "invalid_answer" || failed.Message == "" {
		t.Fatalf("%v", err)
	}
	if err := cache.Record(42, "", 0); err == nil || err.(*Error).Name != "answer_without_id" {
		t.Fatalf("%v", err)
	}
	if err := cache.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := cache.Resolve(42); err == nil || err.(*Error).Name != "closed" {
		t.Fatalf("%v", err)
	}
}

func TestTheQuietPeriodIsLongerThanThePageDeadline(t *testing.T) {
	cache := open(t)
	defer cache.Close()
	if quiet, err := cache.QuietPeriod(); quiet != 15*time.Second || err != nil {
		t.Fatal(quiet, err)
	}
}

func BenchmarkResolve(b *testing.B) {
	cache := open(b)
	b.ResetTimer()
	for n := 0; n < b.N; n++ {
		if vid, err := cache.Resolve(42); vid != 901 || err != nil {
			b.Fatal(vid, err)
		}
	}
}

func BenchmarkSnippet(b *testing.B) {
	cache := open(b)
	b.ResetTimer()
	for n := 0; n < b.N; n++ {
		if _, err := cache.Snippet(42, "ann@shop.test", "n0nce"); err != nil {
			b.Fatal(err)
		}
	}
}
