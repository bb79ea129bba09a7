package main

import (
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"scaler.io/scaler/internal/config"
	"scaler.io/scaler/internal/giteatest"
	"scaler.io/scaler/internal/plan"
)

func TestInitAsks(t *testing.T) {
	w := newInitWard(t, giteatest.Options{})
	p := &person{answers: []string{"?", "git.example", w.url, "", "#" + doctorToken, "org:acme!", "", "", "", "", "linux:host, gpu:host", "0", "3", "", ""}}
	screen, err := w.setUp(t, p)
	if err != nil {
		t.Fatalf("%v\n%s", err, screen)
	}
	quiet(t, screen)
	wantText(t, screen, "The address that you see Gitea under in a browser", "write a URL like https://git.example.com", "You are root, a site administrator",
		"1  instance: all repositories of the server", "scope \"org:acme!\"", "The API token is kept as it is", "write:admin", "gitea/runner:latest: here already",
		"root on this host", "write a number from 1 on", "Written: ", "scaler doctor", " 0 failed", "Start the daemon:  scaler run -c "+w.path(), "runs-on: linux")
	if got := w.files(t); len(got) != 2 || got["scaler.yaml"] != 0o600 || got["api-token"] != 0o600 {
		t.Errorf("files %v", got)
	}
	c := w.loaded(t)
	if token, err := c.Gitea.APIToken.Read(); err != nil || token.Reveal() != doctorToken {
		t.Errorf("the API token is wrong: %v", err)
	}
	pool := c.Pools[0]
	if c.Gitea.URL != runnerURL || c.Gitea.InternalURL != w.url || !c.RegistrationTokens[0].Mint || c.RegistrationTokens[0].Scope.Kind != plan.ScopeInstance || pool.Name != "linux" || pool.Max != 3 ||
		len(pool.Labels) != 2 || pool.Image != "gitea/runner:latest" || pool.Container.DockerAccess != config.DockerNone || c.Webhook != nil {
		t.Errorf("configuration %+v", c)
	}
}

// TestInitAgain takes up what the first run has left.
func TestInitAgain(t *testing.T) {
	w := newInitWard(t, giteatest.Options{})
	write(t, filepath.Join(w.dir, "token"), doctorToken+"\n")
	write(t, filepath.Join(w.dir, "registration"), "registration-token-of-acme\n")
	flags := []string{"--yes", "--url", w.url, "--token-file", w.dir + "/token", "--scope", "org:acme", "--labels", "big:host", "--max", "7",
		"--registration-token-file", w.dir + "/registration"}
	if screen, err := w.setUp(t, &person{}, flags...); err != nil {
		t.Fatalf("%v\n%s", err, screen)
	}
	first := w.files(t)
	if len(first) != 3 || first["registration-token"] != 0o600 {
		t.Fatalf("files %v", first)
	}
	screen, err := w.setUp(t, &person{}, flags...)
	if err == nil || !strings.Contains(err.Error(), "is there already: give --force") || len(w.files(t)) != 3 {
		t.Errorf("a second run gives %v\n%s", err, screen)
	}
	screen, err = w.setUp(t, &person{answers: []string{""}})
	if err != nil || !strings.Contains(screen, "It can be used.") || !strings.Contains(screen, "1 pool (linux)") || len(w.files(t)) != 3 {
		t.Errorf("with what is there kept: %v\n%s", err, screen)
	}
	// Each answer is that of the first run, but the number of runners.
	answers := []string{"replace", "", "", "", "", "", "", "", "9", "", "", ""}
	screen, err = w.setUp(t, &person{answers: answers})
	if err != nil {
		t.Fatalf("%v\n%s", err, screen)
	}
	quiet(t, screen)
	c := w.loaded(t)
	if c.Pools[0].Max != 9 || c.Pools[0].Labels[0].Name != "big" || c.RegistrationTokens[0].Scope.Owner != "acme" || c.RegistrationTokens[0].Mint {
		t.Errorf("configuration %+v", c.Pools[0])
	}
	var kept []string
	for name, mode := range w.files(t) {
		if strings.Contains(name, ".bak-") {
			kept = append(kept, name)
			if mode != 0o600 {
				t.Errorf("%s has mode %04o", name, mode)
			}
		}
	}
	if len(kept) != 1 || !strings.HasPrefix(kept[0], "scaler.yaml.bak-") { // the secrets are the same
		t.Errorf("kept %v", kept)
	}
	old, err := os.ReadFile(filepath.Join(w.dir, "etc", kept[0]))
	if err != nil || !strings.Contains(string(old), "max: 7 ") {
		t.Errorf("the copy is %s%v", old, err)
	}
	text, err := os.ReadFile(w.path())
	if err != nil {
		t.Fatal(err)
	}
	write(t, w.path(), string(text)+"limits: {runners: 3}\nhttp: {listen: \"127.0.0.1:1\"}\n")
	screen, err = w.setUp(t, &person{answers: []string{"replace"}})
	if err == nil || !strings.Contains(screen, "It has more than is asked for here (pages, limits), which a replacement does not have") {
		t.Errorf("of what is lost: %v\n%s", err, screen)
	}
	if screen, err := w.setUp(t, &person{}, "--yes", "--force", "--max", "11"); err != nil || w.loaded(t).Pools[0].Max != 11 {
		t.Errorf("with --force: %v\n%s", err, screen)
	}
}

// TestInitOtherServers: what is asked for, and what comes out, fits the server.
func TestInitOtherServers(t *testing.T) {
	t.Setenv("SCALER_TEST_PASSWORD", initPassword)
	for _, tt := range []struct {
		release, image string
		says           []string
	}{
		{"gitea-1.22", "gitea/runner:latest", []string{"version: Gitea 1.22.3", "upgrade to Gitea 1.25", "registration token of instance: allowed"}},
		{"gitea-1.24", "gitea/runner:latest", []string{"Gitea 1.24.6", "list runners of instance: 0 there now", "which jobs wait"}},
		{"forgejo-7", forgejoImage, []string{"version: Forgejo 7.", "upgrade to Forgejo 11", "registration token of instance: allowed", "read:repository"}},
		{"forgejo-11", forgejoImage, []string{"version: Forgejo 11.", "upgrade to Forgejo 15", "list jobs of instance: allowed"}},
		{"forgejo-15", forgejoImage, []string{"version: Forgejo 15.", "there is no registration token", "none is needed"}},
	} {
		t.Run(tt.release, func(t *testing.T) {
			w := newInitWard(t, old(tt.release))
			w.engine["GET /images/"+tt.image+"/json"] = w.engine["GET /images/gitea/runner:latest/json"]
			screen, err := w.setUp(t, &person{}, "--yes", "--url", w.url, "--user", "root", "--password-env", "SCALER_TEST_PASSWORD", "--scope", "instance")
			if err != nil {
				t.Fatalf("%v\n%s", err, screen)
			}
			quiet(t, screen)
			wantText(t, strings.Join(strings.Fields(screen), " "), tt.says...)
			if c := w.loaded(t); c.Pools[0].Image != tt.image || !c.RegistrationTokens[0].Mint {
				t.Errorf("configuration %+v", c)
			}
			if screen, err = w.setUp(t, &person{}, "--yes", "--force", "--docker-access", "socket"); err != nil {
				t.Fatalf("with the socket: %v\n%s", err, screen)
			}
			if c := w.loaded(t).Pools[0].Container; (c.User == forgejoUser) != (tt.image == forgejoImage) {
				t.Errorf("with docker_access %s its user is %q", c.DockerAccess, c.User)
			}
		})
	}
}

// TestInitMakesANarrowToken: a password is used and not kept.
func TestInitMakesANarrowToken(t *testing.T) {
	w := newInitWard(t, giteatest.Options{})
	t.Setenv("SCALER_TEST_PASSWORD", initPassword)
	for i, scope := range []string{"instance", "org:acme"} {
		screen, err := w.setUp(t, &person{}, "--yes", "--force", "--url", w.url, "--user", "root", "--password-env", "SCALER_TEST_PASSWORD", "--scope", scope)
		if err != nil {
			t.Fatalf("%v\n%s", err, screen)
		}
		quiet(t, screen)
		wantText(t, screen, "Made API token scaler-", "The password is not kept")
		if made := w.server.APITokens(); len(made) != i+1 {
			t.Errorf("tokens %v", made)
		}
	}
	var scopes []string
	for _, s := range w.server.APITokens() {
		scopes = append(scopes, s...)
	}
	slices.Sort(scopes)
	if !slices.Equal(scopes, []string{"write:admin", "write:organization"}) {
		t.Errorf("the tokens are for %v", scopes)
	}
	for name := range w.files(t) {
		data, err := os.ReadFile(filepath.Join(w.dir, "etc", name))
		if err != nil || strings.Contains(string(data), initPassword) {
			t.Errorf("%s has the password in it, %v", name, err)
		}
	}
}

// TestInitTakesANarrowToken, which does not say whose it is.
func TestInitTakesANarrowToken(t *testing.T) {
	w := newInitWard(t, giteatest.Options{APIToken: "another-token"})
	w.server.AddAPIToken(doctorToken, giteatest.APIUser{Login: "root", Admin: true, Scopes: []string{"write:admin"}})
	write(t, filepath.Join(w.dir, "token"), doctorToken)
	screen, err := w.setUp(t, &person{}, "--yes", "--url", w.url, "--token-file", w.dir+"/token")
	if err != nil || strings.Contains(screen, "You are") || strings.Contains(screen, "narrower") || w.loaded(t).RegistrationTokens[0].Scope.Kind != plan.ScopeInstance {
		t.Errorf("%v\n%s", err, screen)
	}
	w.server.AddAPIToken(doctorToken, giteatest.APIUser{Login: "ann", Owns: []string{"acme"}, Scopes: []string{"write:organization"}})
	_, err = w.setUp(t, &person{}, "--yes", "--force", "--url", w.url, "--token-file", w.dir+"/token", "--scope", "org:acme")
	if err != nil || w.loaded(t).RegistrationTokens[0].Scope.Owner != "acme" {
		t.Error(err)
	}
	if err := os.Remove(w.path()); err != nil {
		t.Fatal(err)
	}
	_, err = w.setUp(t, &person{}, "--yes", "--force", "--url", w.url, "--token-file", w.dir+"/token")
	if err == nil || !strings.Contains(err.Error(), "Whose jobs are to be run: give --scope") {
		t.Errorf("without a scope: %v", err)
	}
}

// TestInitInterrupted: at whichever question, nothing is written, and what was
// made at Gitea is taken back.
func TestInitInterrupted(t *testing.T) {
	answers := func(url string) []string {
		return []string{url, "password", "root", "#" + initPassword, "", "", "", "", "", "", "", ""}
	}
	for n := 0; ; n++ {
		w := newInitWard(t, giteatest.Options{})
		ctx, cancel := context.WithCancel(t.Context())
		all := answers(w.url)
		p := &person{answers: all, at: func(asked int) (gone bool) {
			if asked == n {
				cancel()
			}
			return asked == n
		}}
		screen, err := w.setUpUntil(ctx, p)
		cancel()
		if n == len(all) {
			if err != nil {
				t.Fatalf("not interrupted: %v\n%s", err, screen)
			}
			return
		}
		if err == nil || err.Error() != "interrupted: nothing was written" {
			t.Errorf("interrupted at question %d: %v\n%s", n, err, screen)
		}
		if files := w.files(t); len(files) != 0 {
			t.Errorf("interrupted at question %d it has written %v", n, files)
		}
		if made := w.server.APITokens(); len(made) != 0 {
			t.Errorf("interrupted at question %d it has left tokens %v", n, made)
		}
	}
}

// TestInitFindsAnAddressForContainers: localhost is not one.
func TestInitFindsAnAddressForContainers(t *testing.T) {
	w := newInitWard(t, giteatest.Options{})
	_, port, err := net.SplitHostPort(strings.TrimPrefix(w.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(w.dir, "token"), doctorToken)
	// The bridge's gateway is an address of this machine on which the server does not listen.
	_, err = w.setUp(t, &person{}, "--yes", "--url", w.url, "--token-file", w.dir+"/token", "--runner-url", "")
	if err == nil || !strings.Contains(err.Error(), "Gitea's URL for containers: give --runner-url") {
		t.Errorf("without one: %v", err)
	}
	_, err = w.setUp(t, &person{}, "--yes", "--url", w.url, "--token-file", w.dir+"/token", "--runner-url", "http://localhost:3000")
	if err == nil || !strings.Contains(err.Error(), "the container itself") {
		t.Errorf("with localhost: %v", err)
	}
	// Here it is.
	w.engine["GET /networks/bridge"] = `{"IPAM":{"Config":[{"Gateway":"127.0.0.1"}]}}`
	s := &setUp{answers: answers{InternalURL: "http://localhost:" + port}, gateway: "127.0.0.1"}
	if got := s.reachable(t.Context()); got != "http://127.0.0.1:"+port {
		t.Errorf("reachable is %q", got)
	}
	s.gateway = "127.0.0.9"
	if l, err := net.Listen("tcp", "127.0.0.9:"+port); err == nil {
		l.Close()
		if got := s.reachable(t.Context()); got != "" {
			t.Errorf("reachable where nothing listens is %q", got)
		}
	}
	if _, err := w.setUp(t, &person{}, "--yes", "--url", w.url, "--token-file", w.dir+"/token", "--runner-url", "http://git.example.com:3000"); err != nil {
		t.Fatal(err)
	}
	if c := w.loaded(t); c.Gitea.URL != "http://git.example.com:3000" || c.Gitea.InternalURL != w.url {
		t.Errorf("configuration %+v", c.Gitea)
	}
}

// TestInitWebhook makes one, and says what keeps it from being made.
func TestInitWebhook(t *testing.T) {
	w := newInitWard(t, giteatest.Options{})
	write(t, filepath.Join(w.dir, "token"), doctorToken)
	flags := []string{"--yes", "--force", "--url", w.url, "--token-file", w.dir + "/token", "--webhook-url", "http://build-1.example:8090"}
	screen, err := w.setUp(t, &person{}, flags...)
	if err != nil {
		t.Fatalf("%v\n%s", err, screen)
	}
	quiet(t, screen)
	wantText(t, screen, "Webhook of instance: created, sends to http://build-1.example:8090/webhook", "webhook-secret: secret of the webhook")
	c := w.loaded(t)
	if c.Webhook == nil || c.Webhook.Listen != ":8090" || w.files(t)["webhook-secret"] != 0o600 {
		t.Errorf("configuration %+v", c.Webhook)
	}
	before, err := c.Webhook.Secret.Read()
	if err != nil {
		t.Fatal(err)
	}
	screen, err = w.setUp(t, &person{answers: []string{"replace", "", "", "", "", "", "", "", "", "", "", "", "", ""}})
	if err != nil {
		t.Fatalf("%v\n%s", err, screen)
	}
	if after, err := w.loaded(t).Webhook.Secret.Read(); err != nil || after != before {
		t.Errorf("the secret has changed, %v", err)
	}
	w.before = func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/hooks") && r.Method == http.MethodPost {
				http.Error(out, "{}", http.StatusInternalServerError)
				return
			}
			h.ServeHTTP(out, r)
		})
	}
	screen, _ = w.setUp(t, &person{}, append(flags, "--webhook-url", "http://build-2.example")...)
	wantText(t, screen, "not made: ", "scaler webhook create tries again")
}
