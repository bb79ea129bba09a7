package main

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"scaler.io/scaler/internal/config"
)

// newScript is a stage on which nothing plays: enough for a configuration file.
func newScript(t *testing.T) (s *stage, whole fleet) {
	t.Helper()
	s = &stage{dir: t.TempDir(), url: "http://127.0.0.1:3000", gate: &gate{path: "/g.sock"}, engine: &fakeEngine{}}
	for _, name := range []string{"api-token", "instance-token", "org-token"} {
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte("0123456789abcdef"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return s, full("chaos:memory", (options{engine: engineMemory}).pace(), "info")
}

func TestEditsAreGood(t *testing.T) {
	s, whole := newScript(t)
	r := rand.New(rand.NewPCG(1, 2))
	seen := map[string]bool{}
	for now := whole; len(seen) < 200; now = edit(r, now, whole, []string{"a:1", "b:1"}) {
		text := s.text(now)
		if _, err := config.Parse(s.configFile(), []byte(text)); err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		seen[text] = true
	}
}

func TestBadEditsAreBad(t *testing.T) {
	s, whole := newScript(t)
	r := rand.New(rand.NewPCG(1, 2))
	running, err := config.Parse(s.configFile(), []byte(s.text(whole)))
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range badEdits {
		t.Run(b.name, func(t *testing.T) {
			for range 4 {
				text := b.make(r, s.text(whole))
				cfg, err := config.Parse(s.configFile(), []byte(text))
				if (err == nil) != b.restart && b.name != "cut off" { // what is left may be whole
					t.Fatalf("error %v of\n%s", err, text)
				}
				if b.restart && len(config.Diff(running, config.Applicable(running, cfg))) > 0 {
					t.Errorf("more than what needs a restart: %v", config.Diff(running, cfg))
				}
			}
		})
	}
}

func TestSnapshotTellsWhatIsWrong(t *testing.T) {
	_, whole := newScript(t)
	good := snapshot{cycle: 7}
	good.config.LoadedAt = time.Unix(1, 0)
	for _, p := range whole.pools {
		scope := "instance"
		if p.token == orgToken {
			scope = "org:" + orgName
		}
		good.pools = append(good.pools, poolSnapshot{p.name, scope, p.labels, p.min, p.idle, p.max, ""})
	}
	with := func(change func(*snapshot)) snapshot {
		s := good
		s.pools = append([]poolSnapshot{}, s.pools...)
		change(&s)
		return s
	}
	invalid, restart := badEdit{}, badEdit{restart: true}
	for name, tc := range map[string]struct {
		fault string
		right bool
	}{
		"as the file":           {good.differs(whole), true},
		"refused":               {with(func(s *snapshot) { s.config.Error = "no" }).differs(whole), false},
		"to be restarted":       {with(func(s *snapshot) { s.config.Restart = []string{"x"} }).differs(whole), false},
		"a pool is missing":     {with(func(s *snapshot) { s.pools = s.pools[1:] }).differs(whole), false},
		"another max":           {with(func(s *snapshot) { s.pools[0].max++ }).differs(whole), false},
		"a window's max":        {with(func(s *snapshot) { s.pools[0].max++; s.pools[0].window = "w" }).differs(whole), true},
		"other labels":          {with(func(s *snapshot) { s.pools[0].labels = nil }).differs(whole), false},
		"fault reported":        {with(func(s *snapshot) { s.config.Error = "no"; s.cycle += 2 }).reports(invalid, good), true},
		"fault not reported":    {with(func(s *snapshot) { s.cycle += 2 }).reports(invalid, good), false},
		"restart reported":      {with(func(s *snapshot) { s.config.Restart = []string{"x"}; s.cycle += 2 }).reports(restart, good), true},
		"restart not reported":  {with(func(s *snapshot) { s.cycle += 2 }).reports(restart, good), false},
		"restart with a fault":  {with(func(s *snapshot) { s.config.Error = "no"; s.cycle += 2 }).reports(restart, good), false},
		"no cycle since":        {with(func(s *snapshot) { s.config.Error = "no" }).reports(invalid, good), false},
		"fault, and taken over": {with(func(s *snapshot) { s.config.Error = "no"; s.cycle += 2; s.pools[0].max++ }).reports(invalid, good), false},
		"loaded meanwhile":      {with(func(s *snapshot) { s.config.LoadedAt = time.Unix(2, 0) }).restored(good), false},
		"restored":              {with(func(s *snapshot) { s.cycle += 9 }).restored(good), true},
		"fault stays":           {with(func(s *snapshot) { s.config.Error = "no" }).restored(good), false},
		"the clock's doing":     {with(func(s *snapshot) { s.pools[0].max++; s.pools[0].window = "w" }).restored(good), true},
	} {
		if (tc.fault == "") != tc.right {
			t.Errorf("%s: %q", name, tc.fault)
		}
	}
}
