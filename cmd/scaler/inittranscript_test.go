package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"scaler.io/scaler/internal/giteatest"
)

// TestInitTranscript holds the conversation in docs/quickstart.md to what is
// on the screen, up to the doctor's part, which depends on the machine.
func TestInitTranscript(t *testing.T) {
	document, err := os.ReadFile("../../docs/quickstart.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, found := strings.Cut(string(document), "$ sudo scaler init\n")
	want, _, ends := strings.Cut(text, "\nStart one runner as a proof")
	if !found || !ends {
		t.Fatal("docs/quickstart.md has no conversation")
	}
	w := newInitWard(t, giteatest.Options{Version: "1.26.0"})
	w.engine["GET /info"] = strings.Replace(goodFacts, "/nonexistent", "/", 1)
	p := &person{answers: []string{w.url, "password", "root", "#" + initPassword, "", "", "", "", "", "", "", ""}}
	screen, err := w.setUp(t, p)
	if err != nil {
		t.Fatalf("%v\n%s", err, screen)
	}
	got, _, _ := strings.Cut(w.asInDocument(t, screen), "\nscaler doctor\n")
	if words(got) != words(want) {
		t.Errorf("the screen shows\n%s\nand docs/quickstart.md\n%s", got, want)
	}
}

// asInDocument puts names of the document into the place of those of this
// machine and of the test.
func (w *ward) asInDocument(t *testing.T, screen string) string {
	t.Helper()
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	screen = strings.NewReplacer(
		strings.TrimPrefix(w.url, "http://"), "10.0.0.5:3000",
		w.dir+"/etc", "/etc/scaler",
		w.socket, "/var/run/docker.sock",
		"scaler-"+host+",", "scaler-build-1,",
		"mode 0600", "mode 0640",
		"Gitea's URL for containers: "+runnerURL+" (--runner-url)\n", "",
	).Replace(screen)
	return regexp.MustCompile(`file system of /: \S+ of \S+ are free`).ReplaceAllString(screen, "file system of /var/lib/docker: 120GiB of 250GiB are free")
}

// words are those of a text, wherever its lines are broken.
func words(text string) string { return strings.Join(strings.Fields(text), " ") }
