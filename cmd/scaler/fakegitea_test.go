package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// startFake runs fake-gitea on a free port. The function that is returned ends
// it, and returns its exit code and what it logged.
func startFake(t *testing.T, args ...string) (url string, stop func() (int, string)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	out, in := io.Pipe()
	var errs bytes.Buffer
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, append([]string{"fake-gitea", "--listen", "127.0.0.1:0", "--registration-token", "reg-secret", "--api-token", "api-secret"}, args...), in, &errs)
		in.Close()
	}()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		cancel()
		t.Fatalf("no address: exit code %d, %s", <-code, errs.String())
	}
	_, url, _ = strings.Cut(strings.TrimSpace(line), " at ")
	return url, func() (int, string) {
		cancel()
		return <-code, errs.String()
	}
}

func TestFakeGitea(t *testing.T) {
	url, stop := startFake(t)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Post(url+"/fake/jobs", "application/json", strings.NewReader(`{"count": 3, "labels": ["linux"]}`))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("POST /fake/jobs: %s", resp.Status)
	}
	resp, err = client.Get(url + "/fake/state")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var state struct {
		Jobs map[string]int `json:"jobs"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&state); err != nil || state.Jobs["queued"] != 3 {
		t.Errorf("state %+v, %v, want three queued jobs", state, err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/api/v1/admin/actions/jobs", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "token api-secret")
	resp, err = client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("the API token is not taken: %s", resp.Status)
	}
	if code, log := stop(); code != exitOK || strings.Contains(log, "secret") {
		t.Errorf("exit code %d, log %q", code, log)
	}
}

func TestFakeGiteaProfile(t *testing.T) {
	url, stop := startFake(t, "--profile", "gitea-1.22")
	version := func() string {
		t.Helper()
		resp, err := http.Get(url + "/api/v1/version")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		return string(body)
	}
	if v := version(); !strings.Contains(v, `"1.22.`) {
		t.Errorf("version %s", v)
	}
	resp, err := http.Post(url+"/fake/profile", "application/json", strings.NewReader(`{"profile": "gitea-1.24"}`))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if v := version(); resp.StatusCode != http.StatusNoContent || !strings.Contains(v, `"1.24.`) {
		t.Errorf("%s, version %s after it", resp.Status, v)
	}
	if code, log := stop(); code != exitOK {
		t.Errorf("exit code %d, log %q", code, log)
	}
	_, errs, code := runCommand(t, "fake-gitea", "--registration-token", "r", "--api-token", "a", "--profile", "gitea-2")
	if code != exitUsage || !strings.Contains(errs, "gitea-1.22") {
		t.Errorf("exit code %d, %q, want the profiles that there are", code, errs)
	}
}

func TestFakeGiteaAddressInUse(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	out, errs, code := runCommand(t, "fake-gitea", "--listen", ln.Addr().String(), "--registration-token", "r", "--api-token", "a")
	if code != exitFailure || out != "" || !strings.Contains(errs, "in use") {
		t.Errorf("exit code %d, %q, %q", code, out, errs)
	}
}
