package server

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"scaler.io/scaler/internal/plan"
)

// actingBrowser is one in which alice has logged in to a busy daemon.
func actingBrowser(t *testing.T) (*browser, *world) {
	t.Helper()
	w := busyWorld(3, 4)
	b := newBrowser(t, w.web(t, gatewayConfig(t), newFakeTokens()))
	b.login("alice", "right")
	return b, w
}

func TestActions(t *testing.T) {
	const runner = "scaler-abcd-linux-000001"
	tests := map[string]struct {
		path, reason, call, next, says string
	}{
		"pause":          {"/pools/linux/pause", " new disks ", "pause linux by alice on the web page new disks", "/pools/linux?done=pause", "Pool linux is paused."},
		"no reason":      {"/pools/linux/pause", "", "pause linux by alice on the web page", "/pools/linux?done=pause", "Pool linux is paused."},
		"resume":         {"/pools/arm/resume", "", "resume arm by alice on the web page", "/pools/arm?done=resume", "Pool arm is resumed."},
		"drain a pool":   {"/pools/arm/drain", "x", "drain {Pool:arm Runner: All:false Reason:x} by alice on the web page", "/pools/arm?done=drain", "Pool arm is being drained."},
		"start one":      {"/pools/arm/start", "", "start arm by alice on the web page", "/pools/arm?done=start", "One more runner of pool arm is on its way."},
		"drain a runner": {"/runners/" + runner + "/drain", "", "drain {Pool: Runner:" + runner + " All:false Reason:} by alice on the web page", "/runners/" + runner + "?done=drain", "Runner " + runner + " goes once it has no job."},
		"drain all":      {"/actions/drain", "", "drain {Pool: Runner: All:true Reason:} by alice on the web page", "/?done=drain", "All pools are being drained."},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			b, w := actingBrowser(t)
			asked := b.get(tt.path)
			if len(w.done()) != 0 {
				t.Fatalf("asking has done %q", w.done())
			}
			page := parsePage(t, asked)
			fields := []string{"number", page.input(t, "number")}
			if tt.reason != "" {
				page.input(t, "reason")
				fields = append(fields, "reason", tt.reason)
			}
			answer := b.post(tt.path, fields...)
			if answer.Code != http.StatusSeeOther || answer.Header().Get("Location") != tt.next {
				t.Errorf("%d to %s, want %s", answer.Code, answer.Header().Get("Location"), tt.next)
			}
			if got := w.done(); !slices.Equal(got, []string{tt.call}) {
				t.Errorf("done %q, want %q", got, tt.call)
			}
			if text := parsePage(t, b.get(tt.next)).text; !strings.Contains(text, tt.says) {
				t.Errorf("the page after lacks %q", tt.says)
			}
			if again := b.post(tt.path, fields...); again.Code != http.StatusConflict || len(w.done()) != 1 {
				t.Errorf("sent again: %d, %q", again.Code, w.done())
			}
		})
	}
}

func TestReapShowsWhatItIsAbout(t *testing.T) {
	b, w := actingBrowser(t)
	page := parsePage(t, b.get("/actions/reap"))
	if !strings.Contains(page.text, "scaler-left") || len(w.done()) != 0 {
		t.Errorf("it asks %s, and has done %q", page.text, w.done())
	}
	answer := b.post("/actions/reap", "number", page.input(t, "number"))
	if text := parsePage(t, answer).text; answer.Code != http.StatusOK || !strings.Contains(text, "scaler-left") {
		t.Errorf("%d %s", answer.Code, text)
	}
	if got := w.done(); !slices.Equal(got, []string{"reap"}) {
		t.Errorf("done %q", got)
	}
	if len(w.audit) != 1 || w.audit[0].Action != "fleet.reap" || w.audit[0].Actor != "alice on the web page" || w.audit[0].Detail != "1 found" {
		t.Errorf("audit %+v", w.audit)
	}
}

func TestReloadTellsWhatHasChanged(t *testing.T) {
	b, w := actingBrowser(t)
	answer := b.post("/actions/reload", "number", parsePage(t, b.get("/actions/reload")).input(t, "number"))
	text := parsePage(t, answer).text
	if answer.Code != http.StatusOK || !strings.Contains(text, "pools[linux].max: 4 → 8") || !strings.Contains(text, "http.listen: :1 → :2 (after a restart)") {
		t.Errorf("%d %s", answer.Code, text)
	}
	if len(w.audit) != 1 || w.audit[0].Action != "config.reload" || w.audit[0].Detail != "1 changes" {
		t.Errorf("audit %+v", w.audit)
	}
}

func TestRefusedActions(t *testing.T) {
	for name, tt := range map[string]struct {
		err  error
		want int
	}{
		"at its max": {fmt.Errorf("start a runner of pool arm: %w: it is at its max of 2", plan.ErrConflict), http.StatusConflict},
		"odd reason": {fmt.Errorf("pause pool arm: %w reason", plan.ErrInvalid), http.StatusBadRequest},
		"gone":       {fmt.Errorf("drain: %w", plan.ErrNotFound), http.StatusNotFound},
		"disk full":  {errors.New("write orders: no space left on device"), http.StatusInternalServerError},
	} {
		t.Run(name, func(t *testing.T) {
			b, w := actingBrowser(t)
			w.err = tt.err
			for _, path := range []string{"/pools/arm/pause", "/pools/arm/start", "/runners/scaler-abcd-linux-000001/drain", "/actions/drain", "/actions/reap"} {
				answer := b.post(path, "number", randomText())
				if answer.Code != tt.want || !strings.Contains(parsePage(t, answer).text, tt.err.Error()) {
					t.Errorf("%s: %d %s", path, answer.Code, answer.Body)
				}
			}
			// A file that is not good is the fault of who asks for it.
			if answer := b.post("/actions/reload", "number", randomText()); answer.Code != http.StatusBadRequest || !strings.Contains(parsePage(t, answer).text, tt.err.Error()) {
				t.Errorf("reload: %d %s", answer.Code, answer.Body)
			}
		})
	}
}

func TestNoSuchAction(t *testing.T) {
	b, w := actingBrowser(t)
	for _, path := range []string{"/pools/linux/explode", "/pools/nosuch/pause", "/runners/nosuch/drain", "/runners/scaler-abcd-linux-000001/pause", "/actions/start", "/actions/resume"} {
		if answer := b.get(path); answer.Code != http.StatusNotFound {
			t.Errorf("GET %s: %d", path, answer.Code)
		}
		if answer := b.post(path, "number", randomText()); answer.Code != http.StatusNotFound {
			t.Errorf("POST %s: %d", path, answer.Code)
		}
	}
	if got := w.done(); len(got) > 0 {
		t.Errorf("done %q", got)
	}
}

// Actions and logs are offered to those only who may have them.
func TestActionsAreOfferedToUsersOnly(t *testing.T) {
	w := busyWorld(3, 4)
	web := w.web(t, gatewayConfig(t), newFakeTokens())
	nobody, alice := newBrowser(t, web), newBrowser(t, web)
	alice.login("alice", "right")
	for _, path := range []string{"/", "/pools/linux", "/runners/scaler-abcd-linux-000001", "/config"} {
		if forms := parsePage(t, nobody.get(path)).find("main")[0].find("form"); len(forms) != 0 {
			t.Errorf("%s offers nobody %d actions", path, len(forms))
		}
		if forms := parsePage(t, alice.get(path)).find("main")[0].find("form"); len(forms) == 0 {
			t.Errorf("%s offers alice nothing", path)
		}
	}
}

func TestWithoutActionsThereAreNone(t *testing.T) {
	b := loggedIn(t, gatewayConfig(t), newFakeTokens())
	for _, path := range []string{"/actions/drain", "/actions/reap", "/pools/linux/pause"} {
		if w := b.get(path); w.Code != http.StatusNotFound {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}
