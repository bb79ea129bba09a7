package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"

	"scaler.io/scaler/internal/config"
	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/pool"
	"scaler.io/scaler/internal/register"
)

// fakeTarget takes over configurations, unless it is told to fail.
type fakeTarget struct {
	err    error
	taken  []pool.Config
	status plan.ConfigStatus
	pools  *config.Config // as the engine has it
	tokens []register.Token
	rate   int
	told   int // of what was taken over
	events []plan.EventKind
}

func (f *fakeTarget) Reconfigure(_ context.Context, cfg pool.Config) error {
	if f.err == nil {
		f.taken = append(f.taken, cfg)
	}
	return f.err
}

func (f *fakeTarget) NoteConfig(_ context.Context, c plan.ConfigStatus) error {
	f.status = c
	return nil
}

// reloading returns a reloader of a fresh configuration file, with its text.
func reloading(t *testing.T) (r *reloader, f *fakeTarget, text string, log *bytes.Buffer) {
	t.Helper()
	path, _ := writeConfig(t)
	data, err := os.ReadFile(path)
	must(t, err)
	cfg, err := config.Load(path)
	must(t, err)
	f, log = &fakeTarget{pools: cfg, tokens: registrationTokens(cfg), rate: cfg.Limits.Registrations}, &bytes.Buffer{}
	r = &reloader{path: path, log: slog.New(slog.NewTextHandler(log, nil)), level: new(slog.LevelVar), running: cfg, noteConfig: f.NoteConfig,
		sites: []reloadSite{{
			setPools:    func(c *config.Config) error { f.pools = c; return nil },
			setTokens:   func(tokens []register.Token, perMinute int) { f.tokens, f.rate = tokens, perMinute },
			reconfigure: f.Reconfigure,
		}},
		taken: func(*config.Config) { f.told++ },
		tell:  func(e plan.Event) { f.events = append(f.events, e.Kind) },
	}
	r.begin(t.Context())
	return r, f, string(data), log
}

func TestReloadTakesOverAGoodEdit(t *testing.T) {
	r, f, text, log := reloading(t)
	edited := strings.NewReplacer("max: 15}\n  - {name: windows", "max: 4}\n  - {name: windows", "limits: {runners: 20}", "limits: {runners: 20, registrations: 30}",
		"scope: instance", "scope: instance, enabled: false").Replace(text) + "log: {level: debug}\n"
	write(t, r.path, edited)
	out, err := r.Reload(t.Context())
	must(t, err)
	want := []string{"registration_tokens[instance].enabled: true → false", "pools[linux].max: 15 → 4", "limits.registrations: 600 → 30", "log.level: INFO → DEBUG"}
	if strings.Join(out.Changes, "\n") != strings.Join(want, "\n") || len(out.Restart) > 0 {
		t.Errorf("changes %q, want %q; restart %q", out.Changes, want, out.Restart)
	}
	if len(f.taken) != 1 || f.taken[0].Spec.Pools[0].Max != 4 || f.rate != 30 || f.told != 1 || !f.tokens[0].Disabled || f.pools.Pools[0].Max != 4 || r.level.Level() != slog.LevelDebug {
		t.Errorf("taken over: %+v, rate %d, tokens %+v", f.taken, f.rate, f.tokens)
	}
	for _, w := range want {
		if !strings.Contains(log.String(), w) {
			t.Errorf("the log does not say %q:\n%s", w, log)
		}
	}
	if f.status.Error != "" || f.status.Path != r.path || f.status.LoadedAt.IsZero() {
		t.Errorf("status %+v", f.status)
	}
	if !slices.Equal(f.events, []plan.EventKind{plan.EventConfigTaken}) {
		t.Errorf("events %q", f.events)
	}
	log.Reset()
	if out, err = r.Reload(t.Context()); err != nil || len(out.Changes) > 0 || log.Len() > 0 {
		t.Errorf("once more: %+v, %v, log %s", out, err, log)
	}
}

func TestReloadRefusesABadEdit(t *testing.T) {
	tests := map[string]struct {
		edit func(string) string
		err  error // of the fleet
		want string
	}{
		"broken YAML": {func(s string) string { return s + "nonsense: [\n" }, nil, "scaler.yaml:"},
		"unknown key": {func(s string) string { return s + "pol_interval: 1s\n" }, nil, `pol_interval`},
		"no gateway":  {func(s string) string { return strings.Replace(s, "max: 15", "max: 15, registration: container", 1) }, nil, "gateway"},
		"gateway is new": {func(s string) string {
			return withGateway(strings.Replace(s, "max: 15", "max: 15, registration: container", 1))
		}, nil, "restart scaler"},
		"the loop is busy": {func(s string) string { return strings.Replace(s, "max: 15", "max: 14", 1) }, context.DeadlineExceeded, "deadline"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r, f, text, _ := reloading(t)
			f.err = tt.err
			before, loaded := r.running, f.status.LoadedAt
			write(t, r.path, tt.edit(text))
			_, err := r.Reload(t.Context())
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("Reload() = %v, want an error with %q", err, tt.want)
			}
			if tt.err != nil && !errors.Is(err, tt.err) {
				t.Errorf("the error hides its cause: %v", err)
			}
			if r.running != before || len(f.taken) > 0 || f.told > 0 || f.pools != before || f.rate != before.Limits.Registrations {
				t.Error("something was taken over")
			}
			if !strings.Contains(f.status.Error, err.Error()) || f.status.LoadedAt != loaded {
				t.Errorf("status %+v", f.status)
			}
			if _, err := r.Reload(t.Context()); err == nil || !slices.Equal(f.events, []plan.EventKind{plan.EventConfigRejected}) {
				t.Errorf("once more: %v; events %q, want one", err, f.events)
			}
			f.err = nil
			write(t, r.path, text)
			if _, err := r.Reload(t.Context()); err != nil || f.status.Error != "" {
				t.Errorf("back to the good one: %v, status %+v", err, f.status)
			}
		})
	}
}

// withGateway adds a gateway to a configuration.
func withGateway(text string) string {
	return text + "gateway: {listen: \"127.0.0.1:8088\", public_url: \"http://127.0.0.1:1\", allow_plain_http: true}\n"
}

func TestReloadSaysWhatNeedsARestart(t *testing.T) {
	r, f, text, _ := reloading(t)
	before := r.running.StateDir
	edited := strings.NewReplacer("url: http://127.0.0.1:1", "url: http://127.0.0.1:2", "/state\n", "/other\n", "max: 15", "max: 3").Replace(text)
	write(t, r.path, edited)
	out, err := r.Reload(t.Context())
	must(t, err)
	if len(out.Changes) != 2 || f.taken[0].Spec.Pools[0].Max != 3 {
		t.Errorf("changes %q", out.Changes)
	}
	all := strings.Join(out.Restart, "\n")
	if !strings.Contains(all, "gitea.url: http://127.0.0.1:1 → http://127.0.0.1:2") || !strings.Contains(all, "state_dir: ") {
		t.Errorf("restart %q", out.Restart)
	}
	if r.running.StateDir != before || strings.Join(f.status.Restart, "\n") != all {
		t.Errorf("state_dir is %s, status %+v", r.running.StateDir, f.status)
	}
	write(t, r.path, text)
	if out, err = r.Reload(t.Context()); err != nil || len(f.status.Restart) > 0 || len(out.Changes) != 2 {
		t.Errorf("back: %+v, %v, status %+v", out, err, f.status)
	}
}
