package main

import (
	"encoding/pem"
	"log/slog"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"scaler.io/scaler/internal/giteatest"
)

// TestInitRefuses has what is wrong, and what is said of it.
func TestInitRefuses(t *testing.T) {
	w := newInitWard(t, giteatest.Options{})
	w.server.AddAPIToken("token-that-reads", giteatest.APIUser{Login: "root", Admin: true, Scopes: []string{"read:admin"}})
	files := map[string]string{"token": doctorToken, "reads": "token-that-reads", "wrong": "wrong-token", "empty": "", "two": "a\nb"}
	for name, text := range files {
		write(t, filepath.Join(w.dir, name), text)
	}
	token := func(name string) string { return " --token-file " + filepath.Join(w.dir, name) }
	url := " --url " + w.url
	tls := httptest.NewUnstartedServer(w.server)
	tls.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	tls.StartTLS()
	t.Cleanup(tls.Close)
	for _, tt := range []struct {
		args string
		want []string // in the error or on the screen
		code int
	}{
		{"--yes", []string{"also give: --url; --token-file or --token-env, or --user"}, exitUsage},
		{"--yes --user root" + url, []string{"also give: --password-file or --password-env"}, exitUsage},
		{"--token-file a --token-env b", []string{"--token-file or --token-env, not both"}, exitUsage},
		{"--token-file a --user b", []string{"--token-file or --user, not both"}, exitUsage},
		{"--password-env a", []string{"give --user"}, exitUsage},
		{"--webhook-listen :1", []string{"needs --webhook-url"}, exitUsage},
		{"--yes --url ftp://x" + token("token"), []string{"--url: write a URL like"}, exitUsage},
		{"--yes --url http://127.0.0.1:1" + token("token"), []string{"refused", "start Gitea", "this server cannot be used"}, exitFailure},
		{"--yes" + url + token("none"), []string{"read secret: ", "no such file"}, exitFailure},
		{"--yes" + url + token("empty"), []string{"it must be one line of text"}, exitFailure},
		{"--yes" + url + token("two"), []string{"it must be one line of text"}, exitFailure},
		{"--yes --token-env SCALER_NOT_SET" + url, []string{"the variable SCALER_NOT_SET is not set"}, exitFailure},
		{"--yes" + url + token("wrong"), []string{"missing, wrong or expired"}, exitFailure},
		{"--yes" + url + token("reads"), []string{"delete runners of instance", "write:admin", "does not suffice for scope instance"}, exitFailure},
		{"--yes --user root --password-file " + filepath.Join(w.dir, "wrong") + url, []string{"the name or the password is wrong", "two-factor"}, exitFailure},
		{"--yes --scope org:nobody" + url + token("token"), []string{"there is no organization nobody"}, exitFailure},
		{"--yes --scope everything" + url + token("token"), []string{"--scope: scope \"everything\""}, exitUsage},
		{"--yes --registration-token-file " + w.dir + "/wrong" + url + token("token"), []string{"not the active one of instance", "/-/admin/actions/runners"}, exitFailure},
		{"--yes --docker-host unix:///nonexistent/docker.sock" + url + token("token"), []string{"does not exist", "systemctl start docker", "no engine can be used"}, exitFailure},
		{"--yes --docker-access all" + url + token("token"), []string{"--docker-access: \"all\" is none of none, dind, socket"}, exitUsage},
		{"--yes --image :x" + url + token("token"), []string{"--image: that is no name of an image"}, exitUsage},
		{"--yes --labels a:docker://b" + url + token("token"), []string{"--labels: label a:docker://b needs Docker"}, exitUsage},
		{"--yes --labels a,a" + url + token("token"), []string{"--labels: label a is there twice"}, exitUsage},
		{"--yes --max 0" + url + token("token"), []string{"--max: write a number from 1 on"}, exitUsage},
		{"--yes --pool Linux" + url + token("token"), []string{"nothing was written, since it would not be good: pools[0].name"}, exitFailure},
		{"--yes --pull often" + url + token("token"), []string{"nothing was written", "pools[0].container.pull"}, exitFailure},
		{"--yes --ca-file /nonexistent/ca" + url + token("token"), []string{"read CA file"}, exitFailure},
		{"--yes --url " + tls.URL + token("token"), []string{"unknown authority", "give --ca-file"}, exitFailure},
		{"--yes --webhook-url nowhere" + url + token("token"), []string{"--webhook-url: write a URL"}, exitUsage},
		{"--yes --webhook-url http://h --webhook-listen nowhere" + url + token("token"), []string{"--webhook-listen: write HOST:PORT"}, exitUsage},
	} {
		screen, err := w.setUp(t, &person{}, strings.Fields(tt.args)...)
		if err == nil {
			t.Fatalf("%s: accepted\n%s", tt.args, screen)
		}
		wantText(t, screen+err.Error(), tt.want...)
		quiet(t, screen+err.Error())
		if exitCode(err) != tt.code {
			t.Errorf("%s: exit code %d, want %d: %v", tt.args, exitCode(err), tt.code, err)
		}
		if files := w.files(t); len(files) != 0 {
			t.Fatalf("%s: written %v", tt.args, files)
		}
	}
	_, err := w.setUp(t, &person{answers: []string{w.url}})
	if err == nil || !strings.Contains(err.Error(), `the input ended at "How do you want to give one": give --token-file, or --yes`) {
		t.Errorf("at the end of the input: %v", err)
	}
	no := []string{w.url, "", "#" + doctorToken, "", "", "", "", "", "", "", "no"}
	if _, err := w.setUp(t, &person{answers: no}); err == nil || err.Error() != "nothing was written" || len(w.files(t)) != 0 {
		t.Errorf("without a yes: %v, %v", err, w.files(t))
	}
}

// TestInitAsksAgain where an answer does not do.
func TestInitAsksAgain(t *testing.T) {
	w := newInitWard(t, giteatest.Options{})
	w.server.AddAPIToken("token-of-ann", giteatest.APIUser{Login: "ann", Owns: []string{"acme"}, Scopes: []string{"write:organization"}})
	secure := httptest.NewUnstartedServer(w.server)
	secure.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	secure.StartTLS()
	t.Cleanup(secure.Close)
	ca := filepath.Join(w.dir, "ca.pem")
	write(t, ca, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw})))
	answers := []string{"http://127.0.0.1:1", secure.URL, "/nonexistent", ca, "", "#wrong-token", "", "#token-of-ann", "instance", "org:acme", "", "docker.sock", "unix://" + w.socket, "", "", "", "", "", "", ""}
	screen, err := w.setUp(t, &person{answers: answers}, "--docker-host", "unix:///nonexistent/docker.sock")
	if err != nil {
		t.Fatalf("%v\n%s", err, screen)
	}
	wantText(t, screen, "connection to 127.0.0.1:1: ", "To do: start Gitea", "unknown authority", "PEM file of the authority", "read CA file", "the API token is missing, wrong or expired", "list runners of instance: ", "write:admin",
		"/nonexistent/docker.sock does not exist", "write unix:///PATH or tcp://HOST:PORT")
}
