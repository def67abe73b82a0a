package main

// HubSpot's contacts API, v3: as much of it as a shop needs.

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

const contacts = "/crm/v3/objects/contacts"

// Hubspot calls as a private app.
type Hubspot struct {
	url, token string
	client     http.Client
}

// NewHubspot has a time limit: a request that is still on its way when the job tries again could arrive after it.
func NewHubspot(url, token string) *Hubspot {
	return &Hubspot{url, token, http.Client{Timeout: 10 * time.Second}}
}

// statusError says which status, and nothing of the answer: HubSpot's messages quote emails.
type statusError int

func (e statusError) Error() string { return fmt.Sprintf("HubSpot answered with %d", int(e)) }

// Tell tells HubSpot of a user's email: their contact's, or a new one's (vid 0). It returns the body of the answer.
func (h *Hubspot) Tell(vid int64, email string) (string, error) {
	if vid == 0 {
		return h.create(email)
	}
	path := fmt.Sprintf("/%d", vid)
	answer, err := h.call("PATCH", path, email)
	switch err {
	case statusError(http.StatusNotFound):
		return h.create(email)
	case statusError(http.StatusConflict):
		// Another contact has this email. What this one has is recorded, which ends the change; pages give the id alone.
		return h.call("GET", path+"?properties=email", "")
	}
	return answer, err
}

func (h *Hubspot) create(email string) (string, error) {
	answer, err := h.call("POST", "", email)
	if err == statusError(http.StatusConflict) {
		return h.find(email)
	}
	return answer, err
}

// By a batch of one: an address with an email in it ends up in logs.
func (h *Hubspot) find(email string) (string, error) {
	inputs := []map[string]string{{"id": email}}
	return h.send("POST", "/batch/read", map[string]any{"idProperty": "email", "inputs": inputs, "properties": []string{"email"}})
}

func (h *Hubspot) call(method, path, email string) (string, error) {
	if email == "" {
		return h.send(method, path, nil)
	}
	return h.send(method, path, map[string]any{"properties": map[string]string{"email": email}})
}

func (h *Hubspot) send(method, path string, content map[string]any) (string, error) {
	var body io.Reader
	if content != nil {
		sent, err := json.Marshal(content)
		if err != nil {
			return "", err
		}
		body = bytes.NewReader(sent)
	}
	request, err := http.NewRequest(method, h.url+contacts+path, body)
	if err != nil {
		return "", err
	}
	request.Header.Set("Authorization", "Bearer "+h.token)
	request.Header.Set("Content-Type", "application/json")
	response, err := h.client.Do(request)
	if err != nil {
		return "", fmt.Errorf("HubSpot did not answer")
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err == nil && response.StatusCode > 299 {
		return "", statusError(response.StatusCode)
	}
	return string(answer), err
}
